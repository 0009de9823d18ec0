import sqlite3
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from _00_main import Settings
from _03_model_training import Backup
from experiments import many_runs
from experiments.many_runs import open_study, run_all
from user_error import UserError

optuna = pytest.importorskip("optuna")


@pytest.fixture
def storage(tmp_path):
    return f"sqlite:///{tmp_path / 'studies.db'}"


@pytest.fixture
def made(monkeypatch):
    """Replace training by a stand-in that notes which settings were run."""
    settings_made = []

    class Result:
        def __init__(self, settings):
            self.metrics = {"val_accuracy": 0.9, "test_accuracy": settings.seed / 100}

    def stand_in(settings, resume_folder):
        assert (resume_folder / "settings.json").exists()
        settings_made.append(settings)
        return Result(settings)

    monkeypatch.setattr(many_runs, "run", stand_in)
    return settings_made


@pytest.fixture
def seeds(tmp_path):
    """Return a function that makes settings by label, for some seeds."""
    return lambda *numbers: {
        f"seed {number}": Settings(seed=number, output_dir=str(tmp_path)) for number in numbers
    }


def test_each_run_is_made_once_and_a_longer_list_goes_on(storage, made, seeds):
    results = run_all("study", seeds(1, 2), storage)
    assert [metrics["test_accuracy"] for metrics in results.values()] == [0.01, 0.02]
    results = run_all("study", seeds(3, 2, 1), storage)
    assert list(results) == ["seed 3", "seed 2", "seed 1"]
    assert [settings.seed for settings in made] == [1, 2, 3]


def test_same_label_with_other_settings_is_refused(storage, made, seeds):
    first, second, third = seeds(1, 2, 3).values()
    run_all("study", {"a": first}, storage)
    with pytest.raises(UserError, match="holds 'a' with other settings"):
        run_all("study", {"a": second, "b": third}, storage)
    run_all("another study", {"a": second}, storage)
    assert [settings.seed for settings in made] == [1, 2]


def test_failed_run_is_reported_and_made_again_next_time(storage, made, monkeypatch, seeds):
    with monkeypatch.context() as patch:

        def fail(settings, resume_folder):
            raise UserError("the disk is full")

        patch.setattr(many_runs, "run", fail)
        with pytest.raises(UserError, match="the disk is full"):
            run_all("study", seeds(1), storage)
    assert run_all("study", seeds(1), storage)["seed 1"]["test_accuracy"] == 0.01


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_killed_run_is_made_again(storage, made, monkeypatch, seeds):
    monkeypatch.setattr(many_runs, "HEARTBEAT_SECONDS", 1)
    study = open_study("study", storage)
    many_runs.enqueue(study, seeds(1, 2))
    trial = study.ask()  # begun by a process that gave one sign of life, then died
    study._storage.record_heartbeat(trial._trial_id)
    results = run_all("study", seeds(1, 2), storage)
    assert sorted(settings.seed for settings in made) == [1, 2] and len(results) == 2


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
@pytest.mark.parametrize("how", ["by Ctrl-C", "by a kill"])
def test_a_run_that_was_ended_goes_on_where_it_was(storage, tiny_settings, monkeypatch, how):
    monkeypatch.setattr(many_runs, "HEARTBEAT_SECONDS", 1)
    with monkeypatch.context() as patch:
        patch.setattr(Backup, "on_epoch_end", ctrl_c_after_second(Backup.on_epoch_end))
        with pytest.raises(KeyboardInterrupt):
            run_all("study", {"tiny": tiny_settings}, storage)
    study = open_study("study", storage)
    (trial,) = study.trials
    folder = Path(trial.user_attrs["run_folder"])
    if how == "by a kill":  # as if the process had not had the time to call it failed
        study._storage.record_heartbeat(trial._trial_id)
        with sqlite3.connect(storage.removeprefix("sqlite:///")) as database:
            database.execute("UPDATE trials SET state = 'RUNNING'")
    begun = (folder / "history.csv").read_text()
    assert run_all("study", {"tiny": tiny_settings}, storage)["tiny"]["run_folder"] == folder
    assert (folder / "history.csv").read_text().startswith(begun)
    assert len(begun.splitlines()) == 3
    assert len(list(folder.parent.iterdir())) == 1


def ctrl_c_after_second(original):
    def on_epoch_end(self, epoch, logs=None):
        original(self, epoch, logs)
        if self.epochs_done == 2:
            raise KeyboardInterrupt

    return on_epoch_end


def test_settings_survive_the_database(storage, tiny_settings):
    results = run_all("study", {"tiny": replace(tiny_settings, epochs=1)}, storage)
    assert 0 < results["tiny"]["test_accuracy"] < 1
    (trial,) = open_study("study", storage).trials
    assert Settings(**trial.user_attrs["settings"]) == replace(tiny_settings, epochs=1)
    assert asdict(tiny_settings)["architecture"] == "tiny"
    assert (results["tiny"]["run_folder"] / "model.keras").exists()


def test_without_optuna_one_line_says_what_to_do(storage, monkeypatch, seeds):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(UserError, match="requirements-extras.txt"):
        run_all("study", seeds(1), storage)
