"""Where a study is kept: an Optuna study in a database that any number of workers may share."""

import random
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.command_line import is_package
from common.safe_files import writing
from common.user_error import UserError, reason_of

if TYPE_CHECKING:
    import optuna
    import sqlalchemy

# A running worker gives a sign of life so often. Shorter intervals made workers crash that share
# a busy database.
HEARTBEAT_SECONDS = 60
MISSED_HEARTBEATS = 2  # without a sign of life for so many intervals, a worker counts as killed
LOCK_SECONDS = 60  # how long an SQLite file may be held by other workers
OPENING_ATTEMPTS = 4


class StorageError(UserError):
    """The database of a study cannot be reached, read or written."""


@contextmanager
def extras() -> Iterator[None]:
    """Turn the import of a missing package in the block into one line that says what to install.

    Raises:
        UserError: a package of requirements-extras.txt is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if not is_package(error.name):
            raise
        raise UserError(
            f"'{error.name}' is not installed. Run 'pip install -r requirements-extras.txt'."
        ) from error


def default_storage(folder: Path) -> str:
    """Return the URL of the SQLite file `studies.db` in a folder, which is made if need be.

    Raises:
        UserError: the folder cannot be made, or SQLAlchemy (part of Optuna) is not installed.
    """
    with extras():
        import sqlalchemy
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    # A path may have signs that mean something else in a URL.
    url = sqlalchemy.URL.create("sqlite", database=str(folder.resolve() / "studies.db"))
    return url.render_as_string()


def open_study(
    study_name: str, storage: str, heartbeat_seconds: int = HEARTBEAT_SECONDS
) -> "optuna.Study":
    """Open or begin a study; a run of it whose worker was killed is queued again by the others.

    Args:
        storage: URL of the database; its tables are made if it has none.
        heartbeat_seconds: how often a worker gives a sign of life.

    Raises:
        UserError: Optuna or the database's driver is not installed, or the database cannot be
            reached.
    """
    with extras():
        import optuna
        import sqlalchemy.exc as sql_errors
    # Without this, a run that fails for a reason that the user can mend prints a traceback.
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with storage_errors(storage):
        for _ in range(OPENING_ATTEMPTS - 1):
            try:
                return _open(study_name, storage, heartbeat_seconds)
            # Two workers that start together both find no tables, and one makes them too late.
            except (sql_errors.DBAPIError, optuna.exceptions.StorageInternalError):
                time.sleep(random.uniform(0.1, 0.5))
        return _open(study_name, storage, heartbeat_seconds)


def find_study(study_name: str, storage: str) -> "optuna.Study | None":
    """Return a study, or None if there is none of this name; nothing is made or written.

    Raises:
        UserError: as of `open_study`.
    """
    with extras():
        import optuna

    with storage_errors(storage):
        url = parse_url(storage)
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
            return None
        try:
            return optuna.load_study(
                study_name=study_name, storage=_connect(storage, HEARTBEAT_SECONDS)
            )
        except KeyError:  # Optuna's word on a name that it does not know
            return None


def _open(study_name: str, storage: str, heartbeat_seconds: int) -> "optuna.Study":
    """Connect to the database, and open or begin the study."""
    import optuna

    return optuna.create_study(
        storage=_connect(storage, heartbeat_seconds),
        study_name=study_name,
        direction="maximize",
        load_if_exists=True,
    )


def _connect(storage: str, heartbeat_seconds: int) -> "optuna.storages.RDBStorage":
    """Return Optuna's door to the database."""
    import optuna

    is_sqlite = parse_url(storage).get_backend_name() == "sqlite"
    # The heartbeat has been "experimental" since 2021.
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    options: dict[str, Any] = {"pool_pre_ping": True}  # after the server was started anew
    if is_sqlite:
        options = {"connect_args": {"timeout": LOCK_SECONDS}}
    try:
        database = optuna.storages.RDBStorage(
            storage,
            engine_kwargs=options,
            heartbeat_interval=heartbeat_seconds,
            grace_period=MISSED_HEARTBEATS * heartbeat_seconds,
            heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(),
        )
    except ImportError as error:
        raise UserError(
            f"the driver that this kind of database needs is not installed: {error.__cause__}."
        ) from error
    if is_sqlite:
        _lock_from_the_first_statement(database.engine)
    _let_heartbeats_fail(database)
    return database


def _let_heartbeats_fail(database: "optuna.storages.RDBStorage") -> None:
    """Let a sign of life that does not get through be no error: the next one follows soon.

    Optuna's thread would end at the first one, and a worker that goes on would count as killed.
    """
    import optuna
    import sqlalchemy.exc as sql_errors

    record = database.record_heartbeat

    def try_to_record(trial_id: int) -> None:
        with suppress(sql_errors.SQLAlchemyError, optuna.exceptions.StorageInternalError):
            record(trial_id)

    database.record_heartbeat = try_to_record


def _lock_from_the_first_statement(engine: "sqlalchemy.Engine") -> None:
    """Let every transaction in an SQLite file lock the file when it begins.

    Python's sqlite3 begins a transaction at its first write only: two workers could both read
    that a run is waiting, and both take it. (As SQLAlchemy's documentation of pysqlite advises.)
    """
    from sqlalchemy import event

    @event.listens_for(engine, "connect")
    def begin_nothing_by_itself(connection: Any, _record: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin_with_a_lock(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    engine.dispose()  # connections from before know nothing of this


def parse_url(storage: str) -> "sqlalchemy.URL":
    """Return the parts of a database's URL.

    Raises:
        UserError: it is none.
    """
    import sqlalchemy
    import sqlalchemy.exc as sql_errors

    try:
        return sqlalchemy.make_url(storage)
    except (sql_errors.ArgumentError, ValueError) as error:  # ValueError: the port
        raise UserError(
            "the storage is no URL of a database, such as postgresql+psycopg://user@host/name."
        ) from error


@contextmanager
def storage_errors(storage: str) -> Iterator[None]:
    """Turn what the database has against the block into one line, which shows no password.

    Raises:
        StorageError: the database cannot be reached, read or written.
        UserError: the URL names what is unknown here.
    """
    import optuna
    import sqlalchemy.exc as sql_errors

    try:
        yield
    except sql_errors.NoSuchModuleError as error:
        raise UserError(
            f"the storage names a database or driver that is unknown here ({reason_of(error)}). "
            "Try postgresql+psycopg://user@host/name."
        ) from error
    except (sql_errors.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        url = parse_url(storage).render_as_string(hide_password=True)
        reason = " ".join(str(getattr(cause, "orig", None) or cause).split())
        raise StorageError(
            f"the study's database {url} failed: {reason}. What was finished is kept: start again "
            "once it can be reached and written."
        ) from error
