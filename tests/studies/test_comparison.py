import json
import warnings

import pandas as pd
import pytest

from _00_main import make_settings
from common.user_error import UserError
from studies import comparison, forecast, many_runs
from studies.comparison import Entry, compare, list_runs
from studies.study_storage import default_storage, find_study, open_study

pytest.importorskip("optuna")
DESCRIPTION = "Compare.\n\n    python -m compare"


def list_entries(changes):
    settings = make_settings(**{"dataset": "digits", "architecture": "tiny", "seed": 3} | changes)
    return [Entry("first", settings, 90.0, n=2), Entry("second", settings, n=1)]


@pytest.fixture
def made(monkeypatch, tmp_path):
    """Replace all trainings; return what was asked for."""
    asked = {}

    def run_all(study, runs, storage, may_diverge):
        asked.update(runs)
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        described = {"settings": {"precision": "float32"}, "git_commit": "abc"}
        (folder / "settings.json").write_text(json.dumps(described))
        shared = {"test_loss": 0.1, "val_accuracy": 0.5, "epochs_trained": 4, "run_folder": folder}
        return {
            label: {**shared, "test_accuracy": 0.9 + settings.seed / 100, "train_seconds": 10.0}
            for label, settings in runs.items()
        }

    monkeypatch.setattr(comparison, "run_all", run_all)
    monkeypatch.setattr(forecast, "cost_per_image", lambda *_: forecast.ImageCost(1.0, 0.01))
    return asked


def test_table_has_a_row_per_entry_and_a_file_every_seed(made, tmp_path, capsys):
    result = compare("name", DESCRIPTION, ["--epochs=4", f"--folder={tmp_path}"], list_entries)
    assert list(made) == ["first, seed 3", "second, seed 3", "first, seed 4"]
    assert {settings.epochs for settings in made.values()} == {4}
    table = pd.read_csv(tmp_path / "name.csv").set_index("name")
    assert list(table.index) == ["first", "second"] and list(table["n"]) == [2, 1]
    assert list(table["test accuracy in %"]) == pytest.approx([93.5, 93.0])
    assert table.loc["first", "standard deviation"] == pytest.approx(0.5**0.5)
    assert pd.isna(table.loc["second", "standard deviation"])
    published = table["published, in %"]
    assert published["first"] == 90 and pd.isna(published["second"])
    assert "published loss" not in table and "diverged" not in table
    assert table.loc["first", "test loss"] == pytest.approx(0.1)
    assert table.loc["first", "million multiply-adds"] > 0
    assert table.loc["first", "parameters"] > 100
    # 1,437 training images, nine tenths of them, a hundredth of a second each.
    assert list(table["s per epoch"]) == pytest.approx([12.933, 12.933])
    assert {settings.output_dir for settings in made.values()} == {str(tmp_path)}
    each = pd.read_csv(tmp_path / "name_each_seed.csv")
    assert list(zip(each["name"], each["seed"], strict=True)) == [
        ("first", 3), ("first", 4), ("second", 3)
    ]  # fmt: skip
    assert set(each["precision"]) == {"float32"} and set(each["git_commit"]) == {"abc"}
    assert (tmp_path / "name.png").exists()
    assert (tmp_path / "name.md").read_text() in capsys.readouterr().out
    assert list(result.table["name"]) == ["first", "second"]


def test_a_run_that_diverged_is_counted_and_in_no_mean(made, tmp_path, monkeypatch):
    ended = {"ended_early": True, "val_accuracy": 0.0, "epochs_trained": 1, "total_seconds": 9.0}
    whole = {"test_accuracy": 0.9, "test_loss": 0.1, "val_accuracy": 0.8, "epochs_trained": 4}
    results = {
        "first, seed 3": whole | {"train_seconds": 10.0},
        "first, seed 4": ended,
        "second, seed 3": ended,
    }
    elsewhere = {label: {**one, "run_folder": tmp_path / "gone"} for label, one in results.items()}
    monkeypatch.setattr(comparison, "run_all", lambda *_, **__: elsewhere)
    compare("name", DESCRIPTION, [f"--folder={tmp_path}"], list_entries)
    table = pd.read_csv(tmp_path / "name.csv").set_index("name")
    assert list(table["n"]) == [1, 0] and list(table["diverged"]) == [1, 1]
    assert table.loc["first", "test accuracy in %"] == pytest.approx(90)
    assert table.loc["first", "epochs"] == 4 and pd.isna(table.loc["second", "epochs"])
    assert len(pd.read_csv(tmp_path / "name_each_seed.csv")) == 3


def test_rows_and_seeds_can_be_chosen(made, tmp_path):
    flags = ["--only", "second", "--n=3", f"--folder={tmp_path}"]
    compare("name", DESCRIPTION, flags, list_entries)
    assert list(made) == ["second, seed 3", "second, seed 4", "second, seed 5"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--n=0"], "--n must be 1 or more, got 0"),
        (["--only", "secnd"], "unknown row 'secnd'. Did you mean 'second'?"),
        (["--write-docs", "--only", "first"], "for the documented results: leave out --only"),
        (["--write-docs", "--epochs=1", "--n=1"], "leave out --epochs, --n"),
        (["--architecture=tiny"], "leave --architecture out: each row has its own"),
        (["--epoch=3"], "unknown flag '--epoch'. Did you mean '--epochs'"),
    ],
)
def test_what_cannot_be_is_one_line(made, flags, message):
    with pytest.raises(UserError) as caught:
        compare("name", DESCRIPTION, flags, list_entries)
    assert message in str(caught.value) and not made


def test_dry_run_lists_runs_epochs_and_costs_and_makes_none(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(forecast, "step_seconds", lambda network, settings, repetitions: 0.128)
    flags = ["--dry-run", "--batch-size=128", "--precision=float32", f"--output-dir={tmp_path}"]
    assert compare("name", DESCRIPTION, flags, list_entries) is None
    printed = capsys.readouterr().out
    rows = [line for line in printed.splitlines() if ", seed" in line]
    assert len(rows) == 3 and all(
        "to do" in row and "| 6 |" in row.replace("  ", "") for row in rows
    )
    # 1,437 training images, nine tenths of them; six epochs; a millisecond each.
    assert "3 of 3 runs to do: at most 23 s of training" in printed
    assert not list((tmp_path / "runs").glob("*"))  # neither a run nor a study


def test_each_training_is_timed_once_whatever_its_seed_length_and_rate(monkeypatch):
    asked = []

    def cost_per_image(settings, repetitions):
        asked.append(settings)
        return forecast.ImageCost(flops=1e9, seconds=1e-3 * settings.batch_size)

    monkeypatch.setattr(forecast, "cost_per_image", cost_per_image)
    changes = (
        {},
        {"epochs": 9},
        {"seed": 9},
        {"learning_rate": 9e-3},
        {"batch_size": 64},
        {"rotation": 3.0},
        {"networks": 2},
    )
    runs = {str(change): list_entries(change)[0].settings for change in changes}
    rows = forecast.forecast_rows(runs, ["{}"])
    assert len(asked) == 3
    assert [row["state"] for row in rows] == ["finished"] + 6 * ["to do"]
    first, longer, _, _, smaller, _, two = (row["training in min"] for row in rows)
    assert longer / first == pytest.approx(10 / 6) and first / smaller == pytest.approx(2)
    assert two / first == pytest.approx(2) and rows[6]["epochs, at most"] == 12
    # 1,437 training images, nine tenths of them, six epochs, 1e9 operations each.
    assert rows[0]["TFLOP"] == pytest.approx(6 * 1437 * 0.9 * 1e9 / 1e12)


def test_dry_run_takes_the_precision_of_the_study_and_writes_none(tmp_path, made, monkeypatch):
    runs = list_runs(list_entries({"output_dir": tmp_path}))
    found, finished = many_runs.look_at("study", runs)
    assert finished == [] and not (tmp_path / "runs" / "studies.db").exists()
    storage = many_runs.storage_of(runs)
    open_study("study", storage).set_user_attr("precision", "mixed_bfloat16")
    found, _ = many_runs.look_at("study", runs)
    assert {settings.precision for settings in found.values()} == {"mixed_bfloat16"}
    many_runs.look_at("another study", runs)
    assert find_study("another study", storage) is None


def test_looking_at_a_study_prints_no_warnings(tmp_path):
    storage = default_storage(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_study("study", storage)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert find_study("study", storage) is not None
