import pytest

from common.user_error import UserError
from studies import timed_recipes
from studies.timed_recipes import time_recipe, timed_settings, timing_row, train_with_curve


def result(accuracy, seconds):
    return {
        "test_accuracy": [0.5, accuracy],
        "process_seconds": [1, seconds + 5],
        "train_seconds": [1, seconds],
    }


def test_settings_are_those_of_recipe_seed_and_changes(tmp_path):
    settings = timed_settings("speedrun_990", 3, tmp_path, {"epochs": 4, "figures": "quick"})
    assert (settings.architecture, settings.epochs, settings.seed) == ("fast_cnn_tiny", 4, 3)
    assert settings.output_dir == str(tmp_path / "speedrun_990-3")
    assert settings.figures == "quick"
    assert timed_settings("default", 0, tmp_path, {}).figures == "none"


def test_curve_of_several_networks_is_refused(tmp_path):
    with pytest.raises(UserError, match="'best' would train 5 .* give --networks 1"):
        timed_settings("best", 0, tmp_path, {})
    assert timed_settings("best", 0, tmp_path, {"networks": 1}).networks == 1
    with pytest.raises(UserError, match="Did you mean 'default'"):
        timed_settings("defualt", 0, tmp_path, {})


def test_result_is_kept_under_recipe_and_seed(tmp_path, monkeypatch):
    called = []

    def call(label, function, argument):
        called.append((label, function, argument))
        return {"test_accuracy": [0.9]}

    monkeypatch.setattr("studies.timed_runs.call_in_new_process", call)
    first = time_recipe("default", 1, tmp_path, {"epochs": 3})
    assert called == [
        ("default-1", train_with_curve, timed_settings("default", 1, tmp_path, {"epochs": 3}))
    ]
    assert first["settings"]["epochs"] == 3 and first["settings"]["seed"] == 1
    assert first["test_accuracy"] == [0.9]

    # The folder may be moved, and figures may be drawn or not: it is the same training.
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    assert time_recipe("default", 1, moved, {"epochs": 3, "figures": "all"}) == first
    for changes in ({"epochs": 4}, {"epochs": 3, "data_dir": "elsewhere"}):
        with pytest.raises(UserError, match=r"default-1.json was made with other settings"):
            time_recipe("default", 1, moved, changes)
    assert len(called) == 1


def test_curve_of_a_real_run_ends_with_its_test_accuracy(tiny_settings, monkeypatch):
    results, original = [], timed_recipes.run

    def spy(*args, **options):
        results.append(original(*args, **options))
        return results[-1]

    monkeypatch.setattr(timed_recipes, "run", spy)
    monkeypatch.setattr("studies.costs.matrix_product_peak", lambda dtype: {"float32": 1e9}[dtype])
    kept = train_with_curve(tiny_settings, process_started=0.0)
    assert len(kept["test_accuracy"]) == len(kept["train_seconds"]) == 3
    assert kept["test_accuracy"][-1] == results[0].test_accuracy
    assert kept["test_accuracy"][0] != kept["test_accuracy"][-1]
    assert kept["train_seconds"] == sorted(kept["train_seconds"])
    assert all(p > t for p, t in zip(kept["process_seconds"], kept["train_seconds"], strict=True))
    # 14 x 14 images, 6 x 6 places of 8 x 9 weights, 10 outputs of 288; the network counts once,
    # though it predicts five shifts.
    assert kept["multiply_adds"] == 6 * 6 * 72 + 2880
    assert kept["flops_per_epoch"] == 6 * kept["multiply_adds"] * 1293
    assert kept["n_parameters"] == results[0].metrics["n_parameters"]
    assert kept["peak_flops_per_second"] == 1e9
    assert kept["machine"]["precision"] == "float32"


def test_row_counts_the_seeds_that_reach_the_target():
    row = timing_row("r", 0.990, [result(0.991, 10), result(0.989, 14), result(0.990, 11)])
    assert row == {
        "recipe": "r",
        "target in %": 99.0,
        "n": 3,
        "process in s, median": 16,
        "process in s, min": 15,
        "process in s, max": 19,
        "training in s, median": 11,
        "training in s, min": 10,
        "training in s, max": 14,
        "test accuracy in %, mean": pytest.approx(99.0),
        "test accuracy in %, std": pytest.approx(0.1),
        "test accuracy in %, median": pytest.approx(99.0),
        "seeds at the target": 2,
    }
