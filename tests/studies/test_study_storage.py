import threading

import pytest

from common.user_error import UserError
from studies import study_storage
from studies.study_storage import default_storage, extras, open_study, storage_errors

optuna = pytest.importorskip("optuna")
sqlalchemy = pytest.importorskip("sqlalchemy")
pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def storage(tmp_path):
    return f"sqlite:///{tmp_path / 'studies.db'}"


@pytest.fixture
def no_pause(monkeypatch):
    monkeypatch.setattr(study_storage.random, "uniform", lambda *_: 0.0)


def test_study_is_opened_again_under_its_name(storage):
    open_study("a", storage).add_trial(optuna.trial.create_trial(value=0.5))
    assert len(open_study("a", storage).get_trials()) == 1
    assert len(open_study("b", storage).get_trials()) == 0
    assert open_study("a", storage).direction.name == "MAXIMIZE"
    # At Optuna's own level, a run that fails prints a traceback beside the one-line error.
    assert optuna.logging.get_verbosity() == optuna.logging.ERROR


def test_heartbeat_is_as_optuna_bears_it(storage):
    database = open_study("study", storage)._storage._backend
    assert (database.heartbeat_interval, database.grace_period) == (60, 120)
    retry = database.get_heartbeat_stale_trial_callback()
    assert isinstance(retry, optuna.storages.RetryHeartbeatStaleTrialCallback)


def test_only_one_worker_reads_and_writes_an_sqlite_file_at_once(storage, monkeypatch):
    """Else two workers can both read that a trial waits, and both begin it."""
    monkeypatch.setattr(study_storage, "LOCK_SECONDS", 0.1)
    first, second = (open_study("study", storage)._storage._backend.engine for _ in range(2))
    look = sqlalchemy.text("SELECT count(*) FROM trials")
    with first.begin() as connection:
        connection.execute(look)
        with (
            pytest.raises(sqlalchemy.exc.OperationalError, match="locked"),
            second.begin() as other,
        ):
            other.execute(look)
    with second.begin() as other:
        assert other.execute(look).scalar() == 0


def test_workers_that_open_a_new_database_at_once_both_succeed(storage):
    barrier, studies, errors = threading.Barrier(3), [], []

    def work():
        try:
            barrier.wait(timeout=30)
            studies.append(open_study("study", storage))
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not errors and len({study._study_id for study in studies}) == 1


def test_database_that_was_not_ready_is_tried_again(storage, monkeypatch, no_pause):
    original, attempts = study_storage._connect, []

    def fail_twice(*arguments):
        attempts.append(arguments)
        if len(attempts) < 3:
            raise sqlalchemy.exc.OperationalError("", {}, Exception("table exists already"))
        return original(*arguments)

    monkeypatch.setattr(study_storage, "_connect", fail_twice)
    assert open_study("study", storage).study_name == "study"


def test_database_that_cannot_be_reached_is_one_line(tmp_path, no_pause):
    with pytest.raises(UserError, match=r"missing/studies.db failed: unable to open database file"):
        open_study("study", f"sqlite:///{tmp_path}/missing/studies.db")


def test_file_that_is_no_database_is_one_line(tmp_path, no_pause):
    (tmp_path / "studies.db").write_text("something else " * 100)
    with pytest.raises(UserError, match=r"failed: file is not a database"):
        open_study("study", f"sqlite:///{tmp_path}/studies.db")


@pytest.mark.parametrize("storage", ["studies.db", "", "sqlite//x"])
def test_what_is_no_url_of_a_database_is_one_line(storage, no_pause):
    with pytest.raises(UserError, match="no URL of a database, such as postgresql.psycopg://"):
        open_study("study", storage)


def test_driver_that_is_not_installed_is_one_line():
    with pytest.raises(UserError, match="driver .* is not installed: No module named"):
        open_study("study", "postgresql+pg8000://user@localhost/name")


def test_failing_database_is_one_line_without_the_password():
    failure = sqlalchemy.exc.OperationalError("SELECT 1", {}, Exception("disk\nI/O error"))
    for error in (failure, optuna.exceptions.StorageInternalError("An exception is raised")):
        with pytest.raises(UserError) as caught, storage_errors("postgresql://me:secret@host/name"):
            raise error from (failure if error is not failure else None)
        message = str(caught.value)
        assert "secret" not in message and "\n" not in message and "SELECT" not in message
        assert "postgresql://me:***@host/name failed: disk I/O error." in message


def test_default_storage_is_a_file_in_a_folder_that_is_made(tmp_path):
    folder = tmp_path / "100 % {new} #?é" / "runs"
    open_study("study", default_storage(folder))
    assert [path.name for path in folder.iterdir()] == ["studies.db"]
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        default_storage(tmp_path / "file")


def test_missing_package_is_one_line_but_a_missing_file_of_ours_is_a_fault():
    with pytest.raises(UserError, match="'no_such' is not .*requirements-extras.txt"), extras():
        import no_such.package  # noqa: F401
    with pytest.raises(ModuleNotFoundError), extras():
        import studies.no_such  # noqa: F401


def test_a_worker_waits_a_minute_for_a_file_that_others_hold(tmp_path):
    database = open_study("study", default_storage(tmp_path))._storage._backend
    with database.engine.connect() as connection:
        milliseconds = connection.exec_driver_sql("PRAGMA busy_timeout").scalar()
    assert milliseconds == 60_000
