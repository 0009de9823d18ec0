from dataclasses import asdict, replace

import pytest

from _00_main import Settings
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
        run_folder = "runs/somewhere"

        def __init__(self, settings):
            self.metrics = {"val_accuracy": 0.9, "test_accuracy": settings.seed / 100}

    def stand_in(settings):
        settings_made.append(settings)
        return Result(settings)

    monkeypatch.setattr(many_runs, "run", stand_in)
    return settings_made


def seeds(*numbers):
    return {f"seed {number}": Settings(seed=number) for number in numbers}


def test_each_run_is_made_once_and_a_longer_list_goes_on(storage, made):
    results = run_all("study", seeds(1, 2), storage)
    assert [metrics["test_accuracy"] for metrics in results.values()] == [0.01, 0.02]
    results = run_all("study", seeds(3, 2, 1), storage)
    assert list(results) == ["seed 3", "seed 2", "seed 1"]
    assert [settings.seed for settings in made] == [1, 2, 3]


def test_same_label_with_other_settings_is_refused(storage, made):
    run_all("study", {"a": Settings(seed=1)}, storage)
    with pytest.raises(UserError, match="holds 'a' with other settings"):
        run_all("study", {"a": Settings(seed=2), "b": Settings(seed=3)}, storage)
    run_all("another study", {"a": Settings(seed=2)}, storage)
    assert [settings.seed for settings in made] == [1, 2]


def test_failed_run_is_reported_and_made_again_next_time(storage, made, monkeypatch):
    with monkeypatch.context() as patch:

        def fail(settings):
            raise UserError("the disk is full")

        patch.setattr(many_runs, "run", fail)
        with pytest.raises(UserError, match="the disk is full"):
            run_all("study", seeds(1), storage)
    assert run_all("study", seeds(1), storage)["seed 1"]["test_accuracy"] == 0.01


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_killed_run_is_made_again(storage, made, monkeypatch):
    monkeypatch.setattr(many_runs, "HEARTBEAT_SECONDS", 1)
    study = open_study("study", storage)
    many_runs.enqueue(study, seeds(1, 2))
    trial = study.ask()  # begun by a process that gave one sign of life, then died
    study._storage.record_heartbeat(trial._trial_id)
    results = run_all("study", seeds(1, 2), storage)
    assert sorted(settings.seed for settings in made) == [1, 2] and len(results) == 2


def test_settings_survive_the_database(storage, tiny_settings):
    results = run_all("study", {"tiny": replace(tiny_settings, epochs=1)}, storage)
    assert 0 < results["tiny"]["test_accuracy"] < 1
    (trial,) = open_study("study", storage).trials
    assert Settings(**trial.user_attrs["settings"]) == replace(tiny_settings, epochs=1)
    assert asdict(tiny_settings)["architecture"] == "tiny"
    assert (results["tiny"]["run_folder"] / "model.keras").exists()


def test_without_optuna_one_line_says_what_to_do(storage, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(UserError, match="requirements-extras.txt"):
        run_all("study", seeds(1), storage)
