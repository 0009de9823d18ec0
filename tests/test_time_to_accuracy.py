import json
from dataclasses import asdict

import numpy as np
import pytest

import _00_main
from benchmarks import time_to_accuracy as benchmark
from benchmarks.epoch_curve import EpochWeights, matrix_product_peak, train_with_curve
from user_error import UserError


def result(accuracies, seconds_per_epoch):
    n = len(accuracies)
    seconds = [seconds_per_epoch * (epoch + 1) for epoch in range(n)]
    return {
        "train_seconds": seconds,
        "process_seconds": [s + 5 for s in seconds],
        "test_accuracy": accuracies,
        "n_parameters": 1000,
        "multiply_adds": 2_000_000,
        "flops_per_epoch": 10**12,
        "gflops_per_second": 80.0,
        "peak_gflops_per_second": 100.0,
    }


def test_seconds_to_is_the_first_epochs_end_at_the_threshold():
    run = result([0.98, 0.991, 0.989, 0.9951], 10)
    assert benchmark.seconds_to(run, 0.99, "train_seconds") == 20
    assert benchmark.seconds_to(run, 0.99, "process_seconds") == 25
    assert benchmark.seconds_to(run, 0.995, "train_seconds") == 40
    assert benchmark.seconds_to(run, 0.997, "train_seconds") is None


def test_a_curve_of_several_networks_is_refused(tmp_path):
    with pytest.raises(UserError, match="'default' would train 2 .* give --networks 1"):
        benchmark.worker_settings("default", 0, tmp_path / "default-0.json", ["--networks=2"])


def test_ratios_are_taken_within_a_turn():
    own = [result([0.99], 10), result([0.98], 10), result([0.99], 30)]
    reference = [result([0.99], 100), result([0.99], 100), result([0.99], 150)]
    assert benchmark.ratios_to_reference(own, reference, 0.99) == [10, None, 5]


def test_table_gives_medians_and_says_where_some_failed():
    by_recipe = {
        "default": [result([0.98, 0.9951], 10), result([0.98, 0.9949], 10)],
        "cnn_mnist_101": [result([0.98, 0.9951], 100), result([0.98, 0.9952], 140)],
    }
    head, _, default, reference = benchmark.make_table(by_recipe).splitlines()
    cells = dict(zip(head.split(" | "), default.split(" | "), strict=True))
    assert cells["final accuracy in %"] == "99.50"
    assert cells["s to 99.5 % (process)"] == "20 (1 of 2) (25 (1 of 2))"
    assert cells["times faster to 99.5 %"] == "10.0 (1 of 2)"
    assert cells["times shorter training"] == "12.0"  # 200 s / 20 s and 280 s / 20 s
    assert cells["TFLOP of training"] == "2.0" and cells["GFLOP/s"] == "80"
    assert "| 240 |" in reference and default.endswith("| 80% |")


def test_figure_shows_every_run_once_in_the_legend():
    runs = {"default": [result([0.98, 0.99], 10), result([0.97, 0.99], 11)]}
    seconds, flops = benchmark.plot_curves(runs).axes
    np.testing.assert_allclose(seconds.lines[0].get_ydata(), [2.0, 1.0])
    np.testing.assert_allclose(flops.lines[0].get_xdata(), [1.0, 2.0])
    assert [text.get_text() for text in seconds.get_legend().texts] == ["default"]


def test_recipes_take_turns_and_finished_trainings_are_kept(tmp_path, monkeypatch):
    trained = []

    def stand_in(recipe, seed, output, flags):
        trained.append((recipe, seed, flags))
        settings = asdict(benchmark.worker_settings(recipe, seed, output, flags))
        output.write_text(json.dumps(result([0.99], 10) | {"settings": settings}))

    monkeypatch.setattr(benchmark, "train_in_own_process", stand_in)
    benchmark.compare(["default", "keras_example"], 1, tmp_path, ["--epochs=3"])
    benchmark.compare(["default", "keras_example"], 2, tmp_path, ["--epochs=3"])
    assert trained == [
        (recipe, seed, ["--epochs=3"]) for seed in (0, 1) for recipe in ("default", "keras_example")
    ]
    with pytest.raises(UserError, match="default-0.json was trained with other settings"):
        benchmark.compare(["default"], 1, tmp_path, ["--epochs=4"])
    assert (tmp_path / "table.md").read_text().count("\n") == 4
    assert (tmp_path / "curves.png").stat().st_size > 10_000


def test_unknown_recipe_and_no_repetitions():
    with pytest.raises(UserError, match="Did you mean 'default'"):
        benchmark.main(["--recipes", "defualt"])
    with pytest.raises(UserError, match="--repetitions must be 1 or more"):
        benchmark.main(["--repetitions", "0"])


def test_curve_of_a_real_run_ends_with_its_test_accuracy(tiny_settings, monkeypatch):
    results = []
    original = _00_main.run

    def spy(*args, **options):
        results.append(original(*args, **options))
        return results[-1]

    monkeypatch.setattr("benchmarks.epoch_curve.run", spy)
    _, curve = train_with_curve(tiny_settings, process_started=0.0)
    assert len(curve["test_accuracy"]) == len(curve["train_seconds"]) == 3
    assert curve["test_accuracy"][-1] == results[0].test_accuracy
    assert curve["test_accuracy"][0] != curve["test_accuracy"][-1]
    assert curve["train_seconds"] == sorted(curve["train_seconds"])
    assert curve["images_per_epoch"] == 1293


@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")  # ImageDataGenerator's
def test_reference_is_trained_as_its_project_did(tmp_path):
    pytest.importorskip("tensorflow")
    from benchmarks.reference_101 import train_reference

    settings = _00_main.Settings(dataset="digits", epochs=1, batch_size=64)
    model, curve = train_reference(settings, process_started=0.0)
    assert model.count_params() == 2_230_506 and curve["images_per_epoch"] == 1293
    assert len(curve["test_accuracy"]) == 1 and curve["test_accuracy"][0] > 0.05


def test_kept_weights_are_copies():
    assert EpochWeights(0.0).weights == []
    assert matrix_product_peak(size=64, seconds=0.05) > 1e6
