import pandas as pd
import pytest

from benchmarks import seeds
from common.user_error import UserError

VALUES = [0.9971, 0.9968, 0.9974, 0.9969]


@pytest.fixture
def given(monkeypatch):
    """Replace the runs by a stand-in, and return what it was asked to run."""
    given = {}

    def run_all(study, runs, storage):
        given.update(study=study, runs=runs, storage=storage)
        common = {"test_loss": 0.0123, "val_accuracy": 0.99}
        return {
            label: {
                "test_accuracy": accuracy,
                "train_seconds": 90 + index,
                "total_seconds": 100 + index,
                **common,
            }
            for index, (label, accuracy) in enumerate(zip(runs, VALUES, strict=False))
        }

    monkeypatch.setattr(seeds, "run_all", run_all)
    return given


def cells_of(table):
    """Return the cells of a Markdown table by row's and column's name."""
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in table.splitlines()
        if line.startswith("|")
    ]
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}


def test_seeds_are_consecutive_and_all_in_the_table(tmp_path, given, capsys):
    flags = ["--n", "4", "--seed", "5", "--epochs", "3", "--study", "my/own", "--storage", "url"]
    seeds.main([*flags, "--output-dir", str(tmp_path)])
    assert {label: settings.seed for label, settings in given["runs"].items()} == {
        f"seed {seed}": seed for seed in (5, 6, 7, 8)
    }
    assert {settings.epochs for settings in given["runs"].values()} == {3}
    assert {settings.figures for settings in given["runs"].values()} == {"none"}
    assert (given["study"], given["storage"]) == ("my/own", "url")

    printed = capsys.readouterr().out
    assert (tmp_path / "runs" / "my_own.md").read_text() in printed and "my/own: 4 seeds" in printed
    cells = cells_of(printed)
    assert {name: row["test accuracy in %"] for name, row in cells.items()} == {
        "mean": "99.705",
        "standard deviation": "0.026",
        "median": "99.700",
        "min": "99.680",
        "max": "99.740",
        "95 % interval of the mean, low": "99.663",
        "95 % interval of the mean, high": "99.747",
    }
    assert cells["mean"]["test loss"] == "0.01230" and cells["mean"]["training in s"] == "92"
    assert cells["max"]["run before figures in s"] == "103"
    assert cells["min"]["validation accuracy in %"] == "99.000"


def test_figures_of_each_seed_are_kept_with_all_digits(tmp_path, given):
    seeds.main(["--n", "3", "--output-dir", str(tmp_path), "--study", "s"])
    table = pd.read_csv(tmp_path / "runs" / "s_each_seed.csv")
    assert list(table["run"]) == ["seed 2", "seed 3", "seed 4"]
    assert list(table["test accuracy in %"]) == [100 * value for value in VALUES[:3]]
    assert list(table["run before figures in s"]) == [100, 101, 102]
    assert (tmp_path / "runs" / "s_each_seed.md").exists()
    statistics = pd.read_csv(tmp_path / "runs" / "s.csv").set_index("statistic")
    assert statistics.loc["mean", "test loss"] == pytest.approx(0.0123, abs=1e-15)


def test_study_is_named_after_what_it_trains(tmp_path, given):
    place = ["--n=2", "--output-dir", str(tmp_path)]
    seeds.main(place)
    assert given["study"] == "seeds-mnist-fast_cnn"
    seeds.main([*place, "--recipe=speedrun_990", "--dataset=digits"])
    assert given["study"] == "seeds-digits-fast_cnn_tiny-speedrun_990"
    assert given["storage"] is None
    assert given["runs"]["seed 2"].batch_size == 256


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--n", "1"], "--n must be 2 or more"),
        (["--n", "two"], "invalid int value"),
        (["--resume", "folder"], "leave --resume out"),
        (["--epoch", "3"], "Did you mean '--epochs'"),
    ],
)
def test_bad_flags_are_one_line(given, flags, message):
    with pytest.raises(UserError, match=message):
        seeds.main(flags)
    assert not given
