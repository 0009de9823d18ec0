import dataclasses
import functools
import json
from types import SimpleNamespace

import pandas as pd
import pytest

from _00_main import make_settings
from common.user_error import DivergedError, UserError
from studies import many_runs
from studies import search as search_module
from studies.many_runs import run_all
from studies.run_queue import counting_trials
from studies.search import Range, Search, check_space, importances, trial_values
from studies.study_storage import open_study
from studies.trackers import ReportToTrial

optuna = pytest.importorskip("optuna")
pytest.importorskip("rich")
pytestmark = pytest.mark.filterwarnings("ignore:Heartbeat of storage")
SPACE = {"batch_size": (16, 32, 64), "epochs": Range(2, 10, 4), "rotation": Range(0.5, 6.0, 0.5)}


def settings_of(base, values):
    return dataclasses.replace(base, **values)


def write_history(folder, accuracies):
    """Write a row per epoch, each of a second."""
    rows = [
        {"epoch": n, "phase": "augmented", "seconds": float(n), "val_accuracy": accuracy}
        | dict.fromkeys(("accuracy", "learning_rate", "loss", "val_loss"), 0.5)
        for n, accuracy in enumerate(accuracies, start=1)
    ]
    pd.DataFrame(rows).to_csv(folder / "history.csv", index=False)


@pytest.fixture(autouse=True)
def few_trials(monkeypatch):
    """Let the search draw and end trials by what they are sooner, and the same in each test run."""
    monkeypatch.setattr(search_module, "FIRST_TRIALS", 3)
    seeded = functools.partial(optuna.samplers.TPESampler, seed=0)
    monkeypatch.setattr(optuna.samplers, "TPESampler", seeded)


@pytest.fixture
def storage(tmp_path):
    return f"sqlite:///{tmp_path / 'studies.db'}"


@pytest.fixture
def runs(tmp_path):
    """Return a function that lists some trials."""
    base = make_settings(dataset="digits", output_dir=tmp_path, precision="float32")
    return lambda n: {f"trial {number}": base for number in range(1, n + 1)}


@pytest.fixture
def trained(monkeypatch):
    """Replace training: accuracy depends on the rotation alone; return the settings, in order."""
    made = []

    def stand_in(settings, resume_folder, callbacks):
        saved = json.loads((resume_folder / "settings.json").read_text())["settings"]
        assert saved["rotation"] == settings.rotation
        made.append(settings)
        accuracies = [settings.rotation / 10 + epoch / 100 for epoch in range(4)]
        for epoch, accuracy in enumerate(accuracies):
            for callback in callbacks:
                callback.on_epoch_begin(epoch)
            write_history(resume_folder, accuracies[: epoch + 1])
            for callback in callbacks:
                callback.on_epoch_end(epoch, {"val_accuracy": accuracy})
        return SimpleNamespace(
            metrics={"val_accuracy": accuracy, "epochs_trained": 4, "total_seconds": 1.0}
        )

    monkeypatch.setattr(many_runs, "run", stand_in)
    return made


# --- The space ---


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (Range(5, 4, 1), "the space of x is empty: from 5 to 4 in steps of 1"),
        (Range(1, 4, 0), "the space of x is empty"),
        ((), "the space of x must be a range or a list, got ()"),
        ("abc", "the space of x must be a range or a list"),
    ],
)
def test_a_space_that_holds_nothing_is_named(values, message, storage, runs):
    for function in (
        lambda: check_space({"x": values}),
        lambda: run_all("study", runs(1), storage, search=Search({"x": values}, settings_of)),
    ):
        with pytest.raises(UserError) as caught:
            function()
        assert message in str(caught.value)


def test_values_are_from_the_space(storage, runs, trained):
    run_all("study", runs(4), storage, search=Search(SPACE, settings_of))
    for settings in trained:
        assert settings.batch_size in (16, 32, 64) and settings.epochs in (2, 6, 10)
        assert settings.rotation * 2 == int(settings.rotation * 2) and 0.5 <= settings.rotation <= 6
    assert len({settings.rotation for settings in trained}) > 1
    values = trial_values("study", storage)
    assert values["trial 3"]["rotation"] == trained[2].rotation


def test_a_study_of_that_name_with_another_space_is_refused(storage, runs, trained):
    run_all("study", runs(1), storage, search=Search(SPACE, settings_of))
    other = {**SPACE, "epochs": Range(2, 10, 1)}
    with pytest.raises(UserError, match="'study' searches another space.*--study"):
        run_all("study", runs(1), storage, search=Search(other, settings_of))
    run_all("listed", {"trial 1": runs(1)["trial 1"]}, storage, search=Search(SPACE, settings_of))
    assert len(trained) == 2


def test_a_list_is_not_made_in_a_search(storage, runs, trained):
    run_all("study", runs(1), storage, search=Search(SPACE, settings_of))
    with pytest.raises(UserError, match="'study' is a search. Choose another study name"):
        run_all("study", runs(2), storage)


def test_what_another_worker_left_does_not_narrow_what_is_searched(storage, runs, trained):
    """Trials that nobody makes, as of an empty queue, have no values: samplers must not look."""
    search = Search(SPACE, settings_of)
    run_all("study", runs(3), storage, search=search)
    study = open_study("study", storage)
    search.enter(study)
    many_runs.make_next_run(study, runs(3), many_runs.Work(search))  # the queue is empty
    assert [trial.state.name for trial in study.get_trials()][-1] == "FAIL"
    sampler = study.sampler
    trial = study.get_trials()[0]
    assert set(sampler.infer_relative_search_space(study, trial)) == set(SPACE)


def test_a_study_that_was_a_list_is_no_search(storage, runs, monkeypatch):
    metrics = {"val_accuracy": 0.5, "total_seconds": 1.0}
    monkeypatch.setattr(
        many_runs, "run", lambda settings, resume_folder: SimpleNamespace(metrics=metrics)
    )
    run_all("study", runs(1), storage)
    with pytest.raises(UserError, match="searches another space"):
        run_all("study", runs(2), storage, search=Search(SPACE, settings_of))


# --- What came out ---


def test_what_the_accuracy_depends_on_is_important(storage):
    study = open_study("study", storage)
    distributions = {
        "rotation": optuna.distributions.FloatDistribution(0, 1),
        "batch_size": optuna.distributions.CategoricalDistribution((16, 32)),
    }
    for tenth in range(10):
        for batch_size in (16, 32):
            values = {"rotation": tenth / 10, "batch_size": batch_size}
            study.add_trial(
                optuna.trial.create_trial(
                    params=values, distributions=distributions, value=values["rotation"]
                )
            )
    shares = importances("study", storage)
    assert list(shares) == ["rotation", "batch_size"]
    assert shares["rotation"] > 0.95 and sum(shares.values()) == pytest.approx(1)


# --- The trials ---


def test_each_trial_is_made_once_and_a_longer_search_goes_on(storage, runs, trained):
    run_all("study", runs(1), storage, search=Search(SPACE, settings_of))
    results = run_all("study", runs(2), storage, search=Search(SPACE, settings_of))
    assert list(results) == ["trial 1", "trial 2"] and len(trained) == 2


def test_poor_trials_are_ended_early_and_count_as_finished(storage, runs, trained):
    results = run_all("study", runs(12), storage, search=Search(SPACE, settings_of))
    early = {label for label, metrics in results.items() if metrics.get("ended_early")}
    assert early and len(results) == len(trained) == 12
    accuracies = {label: metrics["val_accuracy"] for label, metrics in results.items()}
    whole = [value for label, value in accuracies.items() if label not in early]
    assert max(accuracies[label] for label in early) < max(whole)
    assert all(
        results[label]["epochs_trained"] == 2 for label in early
    )  # a warm-up epoch, and one more
    states = [trial.state.name for trial in open_study("study", storage).get_trials()]
    assert {*states} == {"COMPLETE", "PRUNED"} and states.count("PRUNED") == len(early)
    folders = [results[label]["run_folder"] for label in early]
    assert all(len(pd.read_csv(folder / "history.csv")) == 2 for folder in folders)


def test_a_diverged_trial_does_not_end_the_search(storage, runs, monkeypatch, capsys):
    def diverge(settings, resume_folder, callbacks):
        raise DivergedError("the training diverged: loss is nan")

    monkeypatch.setattr(many_runs, "run", diverge)
    results = run_all("study", runs(2), storage, search=Search(SPACE, settings_of))
    assert [metrics["val_accuracy"] for metrics in results.values()] == [0, 0]
    assert "Ended early: the training diverged: loss is nan" in capsys.readouterr().out
    assert importances("study", storage) == {}


def test_an_interrupted_trial_goes_on_with_its_values_in_its_folder(
    storage, runs, trained, monkeypatch
):
    def interrupt(settings, resume_folder, callbacks):
        trained.append(settings)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(many_runs, "run", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_all("study", runs(1), storage, search=Search(SPACE, settings_of))
    (failed,) = open_study("study", storage).get_trials()
    seeded_otherwise = functools.partial(optuna.samplers.TPESampler, seed=1)
    monkeypatch.setattr(optuna.samplers, "TPESampler", seeded_otherwise)  # it would draw others
    results = run_all("study", runs(1), storage, search=Search(SPACE, settings_of))
    assert trained[0] == trained[1] and len(trained) == 2
    assert str(results["trial 1"]["run_folder"]) == failed.user_attrs["run_folder"]


def test_a_killed_trial_is_taken_up_with_its_values(storage, runs, trained):
    search = Search(SPACE, settings_of)
    study = open_study("study", storage, heartbeat_seconds=1)
    search.enter(study)
    many_runs.enqueue_next(study, runs(1))
    trial = study.ask()  # by a process that gave one sign of life, chose values, and died
    values = dict(search.vary(trial, runs(1)["trial 1"]).__dict__)
    study._storage.record_heartbeat(trial._trial_id)
    run_all("study", runs(1), storage, heartbeat_seconds=1, search=search)
    assert [settings.__dict__ for settings in trained] == [values]
    counting = counting_trials(open_study("study", storage))
    assert counting["trial 1"].state.name == "COMPLETE"


def test_further_callbacks_get_the_values_of_their_trial(storage, runs, trained):
    seen = []

    def callbacks_of(values):
        seen.append(dict(values))
        return []

    run_all("study", runs(2), storage, search=Search(SPACE, settings_of, callbacks_of))
    assert [values["rotation"] for values in seen] == [one.rotation for one in trained]


def test_a_run_that_ends_early_counts_the_epochs_of_all_its_workers(tmp_path):
    write_history(tmp_path, [0.6, 0.8, 0.7])
    (tmp_path / "backup.npz").write_text("")
    assert many_runs.metrics_so_far(tmp_path) == {
        "ended_early": True, "val_accuracy": 0.8, "epochs_trained": 3, "total_seconds": 3.0
    }  # fmt: skip
    assert not (tmp_path / "backup.npz").exists()


def test_the_report_ends_a_trial_before_its_next_epoch():
    trial = SimpleNamespace(report=lambda value, step: None, should_prune=lambda: True)
    report = ReportToTrial(trial)
    report.on_epoch_begin(0)
    report.on_epoch_end(0, {"val_accuracy": 0.5})
    with pytest.raises(optuna.TrialPruned):
        report.on_epoch_begin(1)
