import json
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from _00_main import make_settings
from common.user_error import DivergedError, UserError
from studies import many_runs, run_queue, same_settings
from studies.many_runs import Work, make_next_run, run_all
from studies.run_queue import counting_trials, enqueue_next
from studies.study_storage import StorageError, open_study
from tests.studies.stub_worker import let_go, start_worker
from training.backup import Backup

optuna = pytest.importorskip("optuna")
pytest.importorskip("rich")
# A worker that waits for what never comes would hang.
pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore:Heartbeat of storage"),
]


@pytest.fixture
def storage(tmp_path):
    return f"sqlite:///{tmp_path / 'studies.db'}"


@pytest.fixture
def made(monkeypatch):
    """Replace training by a stand-in that notes the seeds that were run, and runs none twice."""
    seeds_made = []

    def stand_in(settings, resume_folder):
        saved = json.loads((resume_folder / "settings.json").read_text())["settings"]
        assert saved["seed"] == settings.seed
        assert settings.seed not in seeds_made, "a run was made again"
        seeds_made.append(settings.seed)
        return SimpleNamespace(metrics=metrics_of(settings.seed))

    monkeypatch.setattr(many_runs, "run", stand_in)
    return seeds_made


def metrics_of(seed):
    return {
        "val_accuracy": 0.9 + seed / 1000,
        "test_accuracy": seed / 100,
        "train_seconds": 5.0,
        "total_seconds": 7.0,
    }


@pytest.fixture
def seeds(tmp_path):
    """Return a function that makes settings by label, for some seeds."""
    return lambda *numbers, **changes: {
        f"seed {number}": make_settings(
            **{"seed": number, "dataset": "digits", "output_dir": tmp_path, "precision": "float32"}
            | changes
        )
        for number in numbers
    }


def states_of(study):
    return [(trial.user_attrs.get("label"), trial.state.name) for trial in study.get_trials()]


# --- What is made, and in which order -----------------------------------------------------------


def test_each_run_is_made_once_and_a_longer_list_goes_on(storage, made, seeds):
    results = run_all("study", seeds(1, 2), storage)
    assert [metrics["test_accuracy"] for metrics in results.values()] == [0.01, 0.02]
    results = run_all("study", seeds(3, 2, 1), storage)
    assert list(results) == ["seed 3", "seed 2", "seed 1"]
    assert made == [1, 2, 3]
    results = run_all("study", seeds(2, 1), storage)
    assert made == [1, 2, 3] and list(results) == ["seed 2", "seed 1"]
    assert results["seed 2"]["run_folder"].name.endswith("digits-fast_cnn-seed2")
    states = states_of(open_study("study", storage))
    assert states == [(f"seed {seed}", "COMPLETE") for seed in (1, 2, 3)]


def test_runs_that_another_list_left_over_are_not_made_first(storage, made, seeds, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(many_runs, "run", fail)
        with pytest.raises(UserError):
            run_all("study", seeds(1, 2, 3), storage)
    run_all("study", seeds(2), storage)
    assert made == [2]


def test_value_of_a_trial_is_the_validation_accuracy(storage, made, seeds):
    run_all("study", seeds(1, 2), storage)
    study = open_study("study", storage)
    assert study.best_value == 0.902 and study.best_trial.user_attrs["label"] == "seed 2"


def test_same_label_with_other_settings_is_refused_before_anything_is_run(storage, made, seeds):
    first, second, third = seeds(1, 2, 3).values()
    run_all("study", {"a": first}, storage)
    with pytest.raises(UserError, match="holds 'a' with other settings.*--study"):
        run_all("study", {"b": third, "a": second}, storage)
    custom = replace(first, dataset="custom", data_dir="here")
    enqueue_next(open_study("own data", storage), {"a": custom})
    with pytest.raises(UserError, match="holds 'a' with other settings"):
        run_all("own data", {"a": replace(custom, data_dir="elsewhere")}, storage)
    assert made == [1]
    run_all("another study", {"a": second}, storage)
    assert made == [1, 2]


def test_other_settings_that_another_worker_queued_meanwhile_are_refused(
    storage, seeds, monkeypatch
):
    first, second = seeds(1, 2).values()

    def run_while_another_takes_the_next(settings, resume_folder):
        assert enqueue_next(open_study("study", storage), {"a": first, "b": second})
        return SimpleNamespace(metrics=metrics_of(1))

    monkeypatch.setattr(many_runs, "run", run_while_another_takes_the_next)
    with pytest.raises(UserError, match="holds 'b' with other settings"):
        run_all("study", {"a": first, "b": first}, storage)


def test_another_place_does_not_make_another_run(storage, made, seeds, tmp_path):
    run_all("study", seeds(1), storage)
    elsewhere = seeds(1, 2, output_dir=tmp_path / "elsewhere", figures="none")
    results = run_all("study", elsewhere, storage)
    assert made == [1, 2]
    folders = [metrics["run_folder"].parent for metrics in results.values()]
    assert folders == [tmp_path / "runs", tmp_path / "elsewhere" / "runs"]


def test_run_that_another_worker_queued_lies_where_this_one_keeps_its_runs(
    storage, made, seeds, tmp_path
):
    """The other may be on another machine, with other folders."""
    enqueue_next(open_study("study", storage), seeds(1))
    results = run_all("study", seeds(1, output_dir=tmp_path / "elsewhere"), storage)
    assert results["seed 1"]["run_folder"].parent == tmp_path / "elsewhere" / "runs"
    assert made == [1]


def test_run_of_another_list_that_waits_is_made_by_its_own_settings(storage, made, seeds):
    enqueue_next(open_study("study", storage), seeds(5))
    run_all("study", seeds(1), storage)
    assert made == [5, 1]


def test_published_data_may_lie_elsewhere_on_another_machine(storage, seeds):
    first = seeds(1, dataset="mnist", data_dir="here")["seed 1"]
    enqueue_next(open_study("mnist", storage), {"a": first})
    run_queue.check_settings(
        open_study("mnist", storage), {"a": replace(first, data_dir="elsewhere")}
    )


def test_run_of_another_list_is_made_in_this_workers_folder(storage, made, seeds, tmp_path):
    enqueue_next(open_study("study", storage), seeds(5, output_dir="/nowhere"))
    run_all("study", seeds(1), storage)
    assert made == [5, 1] and len(list((tmp_path / "runs").glob("*-seed5"))) == 1


def test_all_workers_train_in_the_precision_that_suited_the_first(
    storage, made, seeds, monkeypatch
):
    for wanted in ("mixed_bfloat16", "float32"):  # as on two machines
        choice = (wanted, "")
        monkeypatch.setattr(same_settings, "choose_precision", lambda _, choice=choice: choice)
        number = len(made) + 1
        results = run_all("study", seeds(number, precision="auto"), storage)
        saved = json.loads((results[f"seed {number}"]["run_folder"] / "settings.json").read_text())
        assert saved["settings"]["precision"] == "mixed_bfloat16"


def test_folder_of_another_run_is_not_gone_on_with(storage, made, seeds, monkeypatch):
    """Two machines may give two runs the same path."""
    with monkeypatch.context() as patch:
        patch.setattr(many_runs, "run", fail)
        with pytest.raises(UserError):
            run_all("study", seeds(1), storage)
    (trial,) = open_study("study", storage).get_trials()
    path = Path(trial.user_attrs["run_folder"]) / "settings.json"
    path.write_text(path.read_text().replace('"epochs": 5', '"epochs": 6'))
    folder = run_all("study", seeds(1), storage)["seed 1"]["run_folder"]
    assert folder != path.parent and made == [1]


def test_time_left_is_shared_by_the_workers(storage, made, seeds, monkeypatch):
    runs = seeds(1, 2, 3, 4)
    run_all("study", seeds(1), storage)
    study = open_study("study", storage)
    enqueue_next(study, runs)
    study.ask()  # another worker's
    shown = []

    def look_and_stop(progress):
        shown.append(progress)
        raise KeyboardInterrupt

    monkeypatch.setattr(many_runs, "show_progress", look_and_stop)
    with pytest.raises(KeyboardInterrupt):
        run_all("study", runs, storage)
    assert shown == [("study", 1, 4, 7.0 * 3 / 2, "seed 1", 0.901)]


def test_a_list_goes_on_after_a_run_that_diverged_if_it_may(storage, seeds, monkeypatch, capsys):
    made = []

    def diverge_at_2(settings, resume_folder):
        made.append(settings.seed)
        if settings.seed == 2:
            raise DivergedError("the training diverged: loss is nan")
        return SimpleNamespace(metrics=metrics_of(settings.seed))

    monkeypatch.setattr(many_runs, "run", diverge_at_2)
    with pytest.raises(DivergedError):
        run_all("strict", seeds(1, 2, 3), storage)
    assert made == [1, 2]
    results = run_all("tolerant", seeds(1, 2, 3), storage, may_diverge=True)
    assert results["seed 2"]["ended_early"] and results["seed 3"]["test_accuracy"] == 0.03
    assert "the training diverged: loss is nan" in capsys.readouterr().out
    again = run_all("tolerant", seeds(1, 2, 3), storage, may_diverge=True)
    assert again == results and made == [1, 2, 1, 2, 3]


def test_default_storage_lies_where_the_runs_do(made, seeds, tmp_path):
    output_dir = tmp_path / "50 % {odd} #1?é"
    runs = seeds(1, output_dir=output_dir)
    run_all("study", runs)
    run_all("study", runs)
    assert made == [1] and (output_dir / "runs" / "studies.db").exists()


# --- Runs that end otherwise --------------------------------------------------------------------


def fail(settings, resume_folder):
    raise UserError("the disk is full")


def test_failed_run_is_one_line_and_goes_on_in_its_folder_next_time(
    storage, made, monkeypatch, seeds, capsys
):
    with monkeypatch.context() as patch:
        patch.setattr(many_runs, "run", fail)
        with pytest.raises(UserError, match="^the disk is full$"):
            run_all("study", seeds(1), storage)
    assert "Traceback" not in capsys.readouterr().err
    (failed,) = open_study("study", storage).get_trials()
    results = run_all("study", seeds(1), storage)
    assert str(results["seed 1"]["run_folder"]) == failed.user_attrs["run_folder"]
    assert made == [1]


def test_fault_of_the_program_keeps_its_traceback(storage, monkeypatch, seeds):
    def divide(settings, resume_folder):
        return 1 / 0

    monkeypatch.setattr(many_runs, "run", divide)
    with pytest.raises(ZeroDivisionError):
        run_all("study", seeds(1), storage)


def test_folder_that_is_gone_is_made_anew(storage, made, monkeypatch, seeds):
    """As on another machine."""
    with monkeypatch.context() as patch:
        patch.setattr(many_runs, "run", fail)
        with pytest.raises(UserError):
            run_all("study", seeds(1), storage)
    (trial,) = open_study("study", storage).get_trials()
    gone = Path(trial.user_attrs["run_folder"])
    gone.rename(gone.with_name("moved"))
    folder = run_all("study", seeds(1), storage)["seed 1"]["run_folder"]
    assert (folder / "settings.json").exists()


def test_run_that_was_finished_but_not_noted_is_not_made_again(storage, made, monkeypatch, seeds):
    def finish_and_die(settings, resume_folder):
        (resume_folder / "metrics.json").write_text(json.dumps(metrics_of(7)))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(many_runs, "run", finish_and_die)
        with pytest.raises(KeyboardInterrupt):
            run_all("study", seeds(1), storage)
    assert run_all("study", seeds(1), storage)["seed 1"]["test_accuracy"] == 0.07
    assert made == []


def test_killed_run_is_taken_up(storage, made, seeds, monkeypatch, capsys):
    study = open_study("study", storage, heartbeat_seconds=1)
    enqueue_next(study, seeds(1, 2))
    trial = study.ask()  # begun by a process that gave one sign of life, then died
    study._storage.record_heartbeat(trial._trial_id)
    results = run_all("study", seeds(1, 2), storage, heartbeat_seconds=1)
    assert made == [2, 1] and list(results) == ["seed 1", "seed 2"]
    assert "Waiting for seed 1: under way elsewhere." in capsys.readouterr().out
    states = states_of(open_study("study", storage))
    assert states == [("seed 1", "FAIL"), ("seed 2", "COMPLETE"), ("seed 1", "COMPLETE")]


def test_run_whose_worker_was_killed_before_its_first_sign_of_life_is_taken_up(
    storage, made, seeds, monkeypatch
):
    monkeypatch.setattr("studies.study_storage.MISSED_HEARTBEATS", 1)
    monkeypatch.setattr(many_runs, "MISSED_HEARTBEATS", 1)
    study = open_study("study", storage, heartbeat_seconds=1)
    enqueue_next(study, seeds(1))
    study.ask()
    run_all("study", seeds(1), storage, heartbeat_seconds=1)
    assert made == [1]


def test_run_of_a_living_worker_is_not_taken_up(storage, made, seeds, monkeypatch):
    """The other worker finishes its run while this one waits."""
    study = open_study("study", storage)
    enqueue_next(study, seeds(1))
    trial = study.ask()
    study._storage.record_heartbeat(trial._trial_id)

    def finish(_seconds):
        trial.set_user_attr("run_folder", "a folder")
        trial.set_user_attr("metrics", metrics_of(9))
        study.tell(trial, 0.9)

    monkeypatch.setattr(many_runs, "time", SimpleNamespace(sleep=finish, monotonic=time.monotonic))
    results = run_all("study", seeds(1), storage)
    assert made == [] and results["seed 1"]["test_accuracy"] == 0.09


def test_run_that_another_worker_finished_a_moment_ago_is_not_waited_for(
    storage, made, seeds, monkeypatch
):
    study = open_study("study", storage)
    enqueue_next(study, seeds(1))
    trial = study.ask()
    look = many_runs.labels_in_state

    def look_and_let_the_other_finish(study, state):
        labels = look(study, state)
        if "metrics" not in trial.user_attrs and state == "WAITING":
            trial.set_user_attr("run_folder", "a folder")
            trial.set_user_attr("metrics", metrics_of(9))
            study.tell(trial, 0.9)
        return labels

    monkeypatch.setattr(many_runs, "labels_in_state", look_and_let_the_other_finish)
    assert run_all("study", seeds(1), storage)["seed 1"]["test_accuracy"] == 0.09
    assert made == []


def test_run_that_failed_elsewhere_is_made_here(storage, made, seeds, monkeypatch):
    study = open_study("study", storage)
    enqueue_next(study, seeds(1))
    trial = study.ask()
    failed = optuna.trial.TrialState.FAIL
    clock = SimpleNamespace(
        sleep=lambda _: study.tell(trial, state=failed), monotonic=time.monotonic
    )
    monkeypatch.setattr(many_runs, "time", clock)
    run_all("study", seeds(1), storage)
    assert made == [1]


def test_worker_whose_run_was_taken_over_says_so(storage, seeds, monkeypatch):
    """As after the machine slept: another worker has counted this one as killed."""

    def run_while_another_gives_up_waiting(settings, resume_folder):
        study = open_study("study", storage)
        (trial,) = study.get_trials()
        study._storage.set_trial_state_values(trial._trial_id, optuna.trial.TrialState.FAIL)
        return SimpleNamespace(metrics=metrics_of(1))

    monkeypatch.setattr(many_runs, "run", run_while_another_gives_up_waiting)
    with pytest.raises(UserError, match="another worker has taken this run over"):
        run_all("study", seeds(1), storage)


def test_run_that_was_ended_goes_on_from_its_last_epoch(storage, tiny_settings, monkeypatch):
    runs = {"tiny": replace(tiny_settings, epochs=1)}

    def save_and_die(self, epoch, logs=None):
        original(self, epoch, logs)
        raise KeyboardInterrupt

    original = Backup.on_epoch_end
    with monkeypatch.context() as patch:
        patch.setattr(Backup, "on_epoch_end", save_and_die)
        with pytest.raises(KeyboardInterrupt):
            run_all("study", runs, storage)
    (trial,) = open_study("study", storage).get_trials()
    folder = Path(trial.user_attrs["run_folder"])
    begun = (folder / "history.csv").read_text()

    results = run_all("study", runs, storage)
    assert results["tiny"]["run_folder"] == folder
    history = (folder / "history.csv").read_text()
    assert history.startswith(begun)
    assert len(begun.splitlines()) == 2 and len(history.splitlines()) == 3
    assert len(list(folder.parent.iterdir())) == 1
    # Both count what both processes took (fault 20).
    assert results["tiny"]["total_seconds"] >= results["tiny"]["train_seconds"]


def test_settings_and_metrics_survive_the_database(storage, made, tiny_settings):
    run_all("study", {"tiny": tiny_settings}, storage)
    (trial,) = open_study("study", storage).get_trials()
    assert make_settings(**trial.user_attrs["settings"]) == tiny_settings
    assert trial.user_attrs["metrics"] == metrics_of(tiny_settings.seed)


def test_automatic_precision_is_noted_in_the_folder_as_what_it_became(storage, made, seeds):
    results = run_all("study", seeds(1, precision="auto"), storage)
    saved = json.loads((results["seed 1"]["run_folder"] / "settings.json").read_text())
    assert saved["settings"]["precision"] in ("float32", "mixed_bfloat16")
    assert saved["machine"]["precision"] == saved["settings"]["precision"]


@pytest.mark.parametrize("package", ["optuna", "rich.console"])
def test_without_an_extra_package_one_line_says_what_to_do(
    storage, made, monkeypatch, seeds, package
):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=f"'{package}' is not installed.*requirements-extras.txt"):
        run_all("study", seeds(1), storage)
    assert made == []


# --- Several workers ----------------------------------------------------------------------------


def test_workers_that_enqueue_at_once_enqueue_once(storage, seeds, monkeypatch):
    open_study("study", storage)
    both_have_looked = threading.Barrier(2)
    original = optuna.Study.add_trial

    def add_when_both_have_looked(self, trial):
        both_have_looked.wait(timeout=30)
        original(self, trial)

    monkeypatch.setattr(optuna.Study, "add_trial", add_when_both_have_looked)
    runs, errors = seeds(1, 2), []

    def work():
        try:
            assert enqueue_next(open_study("study", storage), runs)
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not errors
    study = open_study("study", storage)
    assert states_of(study) == [("seed 1", "WAITING"), ("seed 1", "FAIL")]
    assert counting_trials(study)["seed 1"].number == 0


@pytest.fixture
def with_a_copy(storage, seeds):
    """A study in which another worker runs seed 1, and a copy of it waits in the queue."""
    study = open_study("study", storage)
    enqueue_next(study, seeds(1))
    other = study.ask()
    attributes = {"label": "seed 1", "settings": asdict(seeds(1)["seed 1"])}
    waiting = optuna.trial.TrialState.WAITING
    study.add_trial(optuna.trial.create_trial(state=waiting, user_attrs=attributes))
    return study, other


def test_copy_of_a_run_that_is_under_way_is_skipped(with_a_copy, made, seeds):
    study, _ = with_a_copy
    make_next_run(study, seeds(1), Work())
    assert made == []
    assert states_of(study) == [("seed 1", "RUNNING"), ("seed 1", "FAIL")]


def test_copy_of_a_finished_run_is_skipped_and_counts_for_nothing(with_a_copy, made, seeds):
    study, other = with_a_copy
    other.set_user_attr("metrics", metrics_of(5))
    other.set_user_attr("run_folder", "a folder")
    study.tell(other, 0.9)
    make_next_run(study, seeds(1), Work())
    assert made == []
    assert run_queue.finished_runs(study, seeds(1))["seed 1"]["test_accuracy"] == 0.05


def test_copy_counts_once_the_first_has_failed(with_a_copy, made, seeds, storage):
    study, other = with_a_copy
    study.tell(other, state=optuna.trial.TrialState.FAIL)
    run_all("study", seeds(1), storage)
    assert made == [1]
    assert states_of(study) == [("seed 1", "FAIL"), ("seed 1", "COMPLETE")]


def test_copies_in_the_queue_are_failed(with_a_copy, seeds):
    study, _ = with_a_copy
    enqueue_next(study, seeds(1, 2))
    assert states_of(study) == [("seed 1", "RUNNING"), ("seed 1", "FAIL"), ("seed 2", "WAITING")]


def test_copy_that_another_worker_takes_just_now_is_left_to_it(with_a_copy, monkeypatch):
    study, _ = with_a_copy
    set_state, running = study._storage.set_trial_state_values, optuna.trial.TrialState.RUNNING
    others = [1]

    def after_another_worker(trial_id, state, values=None):
        if others.pop() if others else False:
            assert set_state(trial_id, running)
        return set_state(trial_id, state, values)

    monkeypatch.setattr(study._storage, "set_trial_state_values", after_another_worker)
    run_queue.fail_waiting_copies(study)
    assert states_of(study) == [("seed 1", "RUNNING"), ("seed 1", "RUNNING")]


def test_a_database_that_fails_at_the_end_of_a_run_is_told_as_such(storage, seeds, monkeypatch):
    """Optuna 5 then stumbles over itself, with a fault that hides the reason."""

    def fail(*_arguments, **_options):
        raise optuna.exceptions.StorageInternalError("gone")

    def lose_the_database(settings, resume_folder):
        for name in ("set_trial_user_attr", "get_trial", "set_trial_state_values"):
            monkeypatch.setattr(optuna.storages.RDBStorage, name, fail)
        return SimpleNamespace(metrics=metrics_of(1))

    monkeypatch.setattr(many_runs, "run", lose_the_database)
    with pytest.raises(StorageError, match="database sqlite:.* failed: gone"):
        run_all("study", seeds(1), storage)


def test_worker_that_finds_the_queue_empty_does_nothing(storage, made, seeds):
    study = open_study("study", storage)
    make_next_run(study, seeds(1), Work())
    assert made == [] and states_of(study) == [(None, "FAIL")]
    run_all("study", seeds(1), storage)
    assert made == [1]


def test_workers_in_processes_of_their_own_share_the_runs(storage, tmp_path):
    """One is killed in the middle of its first run; the other two make all runs, each once."""
    log, workers = tmp_path / "log.txt", []
    try:
        for options in (["--begin-only"], [], []):
            workers.append(start_worker(storage, log, 5, *options))
        for worker in workers:
            assert worker.stdout.readline() == "ready\n"
        killed, *others = workers
        let_go(killed)
        while "began a run" not in (line := killed.stdout.readline()):
            assert line, "the worker has ended"
        killed.kill()
        for worker in others:
            let_go(worker)
        printed = [worker.communicate(timeout=60)[0] for worker in others]
    finally:
        for worker in workers:
            worker.kill()
    begun = [int(line) for line in log.read_text().split()]
    assert begun[0] == 0 and sorted(begun[1:]) == [0, 1, 2, 3, 4]
    assert all("result: 0.0 0.01 0.02 0.03 0.04\n" in text for text in printed)
    states = states_of(open_study("study", storage))
    complete = [label for label, state in states if state == "COMPLETE"]
    assert sorted(complete) == [f"seed {seed}" for seed in range(5)]
