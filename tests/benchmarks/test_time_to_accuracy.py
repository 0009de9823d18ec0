import numpy as np
import pandas as pd
import pytest

from _00_main import make_settings
from benchmarks import time_to_accuracy as benchmark
from benchmarks.reference_101 import train_reference
from common.user_error import UserError
from studies.timed_recipes import train_with_curve
from tests.benchmarks.conftest import timed_result


def test_seconds_to_is_the_first_epochs_end_at_the_threshold():
    run = timed_result([0.98, 0.991, 0.989, 0.9951], 10)
    assert benchmark.seconds_to(run, 0.99, "train_seconds") == 20
    assert benchmark.seconds_to(run, 0.991, "process_seconds") == 25
    assert benchmark.seconds_to(run, 0.995, "train_seconds") == 40
    assert benchmark.seconds_to(run, 0.997, "train_seconds") is None


def test_ratios_are_taken_within_a_turn():
    of_recipe = [timed_result([0.99], s) for s in (10, 20, 30, 5)]
    references = [timed_result([0.99], s) for s in (100, 100, 150)]
    ratios = benchmark.ratios_to_reference(of_recipe, references, benchmark.train_seconds)
    assert ratios == [10, 5, 5]
    reached = [10.0, None, 20.0]
    references = [None, 30.0, 60.0]
    assert benchmark.ratios_to_reference(reached, references, lambda value: value) == [
        None,
        None,
        3.0,
    ]


@pytest.fixture
def tables(tmp_path):
    """The tables of two turns, as they are in the CSV files."""
    by_recipe = {
        "default": [timed_result([0.98, 0.9951], 10), timed_result([0.98, 0.9949], 10)],
        "cnn_mnist_101": [
            timed_result([0.98, 0.9951], 100),
            timed_result([0.98, 0.99, 0.9952], 140),
        ],
    }
    text = benchmark.write_tables(by_recipe, tmp_path)
    for name in ("costs", "trainings", "thresholds"):
        assert (tmp_path / f"{name}.md").read_text() in text
    return {path.stem: pd.read_csv(path) for path in tmp_path.glob("*.csv")}


def test_costs(tables):
    default, reference = (row for _, row in tables["costs"].iterrows())
    assert dict(default) == {
        "recipe": "default",
        "n": 2,
        "parameters": 1000,
        "M multiply-adds per image": 2.0,
        "epochs, median": 2,
        "TFLOP of training, median": 2.0,
        "GFLOP/s, median": 100.0,  # 1 TFLOP in 10 s
        "% of the peak, median": 80.0,
    }
    assert reference["epochs, median"] == 2.5 and reference["TFLOP of training, median"] == 2.5


def test_trainings_with_the_range_of_the_ratio(tables):
    default, reference = (row for _, row in tables["trainings"].iterrows())
    assert dict(default) == {
        "recipe": "default",
        "n": 2,
        "training in s, median": 20,
        "training in s, min": 20,
        "training in s, max": 20,
        "process in s, median": 25,
        "final accuracy in %, median": pytest.approx(99.50),
        "times shorter, median": 15.5,  # 200 s / 20 s and 420 s / 20 s
        "times shorter, min": 10,
        "times shorter, max": 21,
    }
    assert reference["training in s, max"] == 420 and reference["times shorter, median"] == 1


def test_thresholds_say_in_how_many_turns_they_were_reached(tables):
    table = tables["thresholds"].set_index(["accuracy in %", "recipe"])
    assert table.loc[(99.0, "default"), "reached"] == 2
    default = table.loc[(99.5, "default")]
    assert (default["n"], default["reached"]) == (2, 1)
    assert default["training in s, median"] == 20 and default["process in s, median"] == 25
    assert default["times faster, min"] == default["times faster, max"] == 10  # of one turn
    reference = table.loc[(99.5, "cnn_mnist_101")]
    assert reference["training in s, min"] == 200 and reference["training in s, max"] == 420
    never = table.loc[(99.7, "default")]
    assert never["reached"] == 0 and np.isnan(never["training in s, median"])
    assert len(table) == 6


def test_without_the_reference_there_are_no_ratios(tmp_path):
    benchmark.write_tables({"default": [timed_result([0.991], 10)]}, tmp_path)
    (row,) = (row for _, row in pd.read_csv(tmp_path / "trainings.csv").iterrows())
    assert np.isnan(row["times shorter, median"]) and row["training in s, median"] == 10


def test_figure_shows_every_run_once_in_the_legend():
    runs = {"default": [timed_result([0.98, 0.99], 10), timed_result([0.97, 0.99], 11)]}
    seconds, flops = benchmark.plot_curves(runs).axes
    np.testing.assert_allclose(seconds.lines[0].get_ydata(), [2.0, 1.0])
    np.testing.assert_allclose(seconds.lines[1].get_xdata(), [11, 22])
    np.testing.assert_allclose(flops.lines[0].get_xdata(), [1.0, 2.0])
    assert [text.get_text() for text in seconds.get_legend().texts] == ["default"]


def test_recipes_take_turns_and_finished_trainings_are_kept(tmp_path, timed, capsys):
    flags = ["--recipes", "default", "cnn_mnist_101", "--folder", str(tmp_path), "--epochs=3"]
    benchmark.main([*flags, "--repetitions", "1"])
    benchmark.main([*flags, "--repetitions", "2"])
    expected = {"default": train_with_curve, "cnn_mnist_101": train_reference}
    assert [(label, function) for label, function, _ in timed.calls] == [
        (f"{recipe}-{seed}", expected[recipe]) for seed in (0, 1) for recipe in expected
    ]
    assert {settings.epochs for *_, settings in timed.calls} == {3}
    printed = capsys.readouterr().out
    assert (tmp_path / "thresholds.md").read_text() in printed
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    with pytest.raises(UserError, match=r"default-0.json was made with other settings"):
        benchmark.main(["--recipes", "default", "--folder", str(tmp_path), "--epochs=4"])


def test_a_reference_that_is_ended_early_gives_times_to_accuracy_only(tmp_path, timed):
    recipes = ["--recipes", "default", "cnn_mnist_101", "--repetitions", "1"]
    benchmark.main([*recipes, "--reference-epochs", "2", "--folder", str(tmp_path)])
    epochs = {settings.architecture: settings.epochs for *_, settings in timed.calls}
    assert epochs == {"fast_cnn": make_settings().epochs, "cnn_mnist_101": 2}
    trainings = pd.read_csv(tmp_path / "trainings.csv")
    assert trainings["times shorter, median"].isna().all()
    thresholds = pd.read_csv(tmp_path / "thresholds.csv")
    assert thresholds["times faster, median"].notna().any()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--recipes", "default", "defualt"], "Did you mean 'default'"),
        (["--recipes", "default", "best"], "give --networks 1"),
        (["--reference-epochs", "0"], "epochs must be"),
        (["--repetitions", "0"], "--repetitions must be 1 or more"),
        (["--seed=3"], "leave --seed out"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(tmp_path, timed, flags, message):
    with pytest.raises(UserError, match=message):
        benchmark.main([*flags, "--folder", str(tmp_path)])
    assert not timed.calls
