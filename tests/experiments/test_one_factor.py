import dataclasses
import sys

import numpy as np
import pandas as pd
import pytest

from _00_main import make_settings
from _02_data_preprocess import load_splits
from _03_model_training import build_network, make_trainer
from experiments.one_factor import __main__ as program
from experiments.one_factor.expectations import (
    COUNTED,
    EXPECTATIONS,
    rows_of_expectations,
    shown,
    verdict,
)
from experiments.one_factor.influences import FORMATS, convergence, gradient_noise

pytest.importorskip("optuna")


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one_factor")
    return make_settings(
        "one_factor", dataset="digits", precision="float32", output_dir=folder, figures="none"
    )


def test_each_row_changes_one_setting_of_the_default():
    default, *others = [entry.settings for entry in program.list_entries({})]
    assert (default.batch_size, default.epochs, default.learning_rate) == (64, 10, 1e-3)
    changes = []
    for other in others:
        names = [
            field.name
            for field in dataclasses.fields(other)
            if getattr(other, field.name) != getattr(default, field.name)
        ]
        assert len(names) == 1
        changes.append((names[0], getattr(other, names[0])))
    assert changes == [
        ("batch_size", 128), ("batch_size", 256),
        ("architecture", "one_convolution(kernel_size=5)"),
        ("architecture", "one_convolution(strides=2)"),
        ("epochs", 5), ("epochs", 20),
        ("learning_rate", 1e-4), ("learning_rate", 1e-2),
        ("architecture", "two_convolutions"),
    ]  # fmt: skip


# --- Influences ---


def test_gradients_of_larger_batches_differ_less(settings):
    splits = load_splits(settings)
    noise = [
        gradient_noise(
            build_network(settings), splits, dataclasses.replace(settings, batch_size=size)
        )
        for size in (32, 128)
    ]
    # The variance of a mean of four times as many images is a quarter.
    assert noise[0] / noise[1] == pytest.approx(4, rel=0.4)


def test_gradient_noise_of_two_batches_by_hand(settings):
    """The mean of two gradients errs, too: the square of the true one is near their product."""
    splits = load_splits(settings)
    few = splits._replace(x_train=splits.x_train[:64], y_train=splits.y_train[:64])
    network = build_network(settings)
    plain = dataclasses.replace(
        settings, optimizer="sgd", learning_rate=1, schedule="constant", batch_size=32
    )
    trainer = make_trainer(network, plain, steps_per_epoch=2)
    first, gradients = network.get_weights(), []
    for images, labels in zip(np.split(few.x_train, 2), np.split(few.y_train, 2), strict=True):
        trainer.train_on_batch(images, np.eye(10, dtype="float32")[labels])
        moved = zip(first, network.get_weights(), strict=True)
        gradients.append(np.concatenate([(old - new).ravel() for old, new in moved]))
        network.set_weights(first)
    one, two = gradients
    expected = ((one - two) ** 2).sum() / 2 / (one @ two)
    assert gradient_noise(network, few, plain) == pytest.approx(expected, rel=1e-3)


def test_gradient_noise_is_that_of_the_gradients(settings):
    """Of batches of equal images, there is none; and the network stays as it was."""
    splits = load_splits(settings)
    equal = splits._replace(
        x_train=np.repeat(splits.x_train[:1], 256, axis=0),
        y_train=np.repeat(splits.y_train[:1], 256),
    )
    network = build_network(settings)
    before = network.get_weights()
    assert gradient_noise(network, equal, settings) == pytest.approx(0, abs=1e-8)
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_training_is_unsteady_by_how_far_its_last_epochs_lie_from_a_line():
    values = convergence(np.array([0.5, 0.1, 0.9, 0.9, 0.9 + 0.001, 0.9, 0.9]))
    assert values["validation % after 1 epoch"] == 50
    # From their mean, 0.2 of that percentage point above the others: 0.8, and four times 0.2.
    assert values["unsteadiness"] == pytest.approx(0.1 * ((0.8**2 + 4 * 0.2**2) / 3) ** 0.5)
    climbing = convergence(np.linspace(0.5, 0.9, 9))
    assert climbing["unsteadiness"] == pytest.approx(0, abs=1e-9)
    assert np.isnan(convergence(np.array([0.5]))["unsteadiness"])


# --- Expectations ---


@pytest.mark.parametrize(
    ("differences", "is_counted", "expected"),
    [
        ([1, 1, 1], True, "confirmed"),
        ([1], True, "confirmed"),
        ([-1, -1, -1], True, "refuted"),
        ([0, 0, 0], True, "too close to tell"),
        ([1], False, "one seed cannot tell"),
        # Of three seeds, 99 % are 9.9 standard errors, which are 0.058 here.
        ([0.4, 0.5, 0.6], False, "too close to tell"),
        ([0.5, 0.6, 0.7], False, "confirmed"),
        ([-0.5, -0.6, -0.7], False, "refuted"),
        ([1, None], False, "not measured"),
    ],
)
def test_verdict(differences, is_counted, expected):
    assert verdict(pd.Series(differences, dtype=float), is_counted) == expected


def test_expectations_name_rows_and_columns_that_there_are():
    names = {entry.name for entry in program.list_entries({})}
    for expectations in EXPECTATIONS.values():
        for one in expectations:
            assert {one.smaller, one.larger} <= names and one.column in FORMATS


def test_runs_are_compared_seed_by_seed():
    each = pd.DataFrame(
        {
            "name": 3 * ["5 epochs"] + 3 * ["20 epochs"],
            "seed": [2, 3, 4, 4, 3, 2],
            "training in s": [10.0, 100.0, 1000.0, 1001.1, 101.0, 10.9],
        }
    )
    (row,) = rows_of_expectations(each)  # those of other rows are left out
    assert (row["factor"], row["verdict"]) == ("epochs", "confirmed")
    assert (row["lower: row"], row["lower: mean"], row["higher: row"]) == (
        "5 epochs", 370, "20 epochs"
    )  # fmt: skip
    assert row["difference"] == pytest.approx(1) and row["n"] == 3
    # Student's t of two degrees of freedom, at 99 %, times the standard error.
    assert row["half interval"] == pytest.approx(9.925 * 0.1 / 3**0.5, rel=1e-3)


def test_large_numbers_are_shown_whole():
    each = pd.DataFrame({"name": ["stride of 2", "default"], "seed": [2, 2]})
    for column in FORMATS:
        each[column] = [13_504.0, 54_410.0]
    text = {row["measured"]: row for row in shown(rows_of_expectations(each))}["parameters"]
    assert (text["lower: mean"], text["higher: mean"]) == ("13,504", "54,410")
    assert text["difference"] == "40,906"


def test_expectations_are_those_of_the_document():
    found = {(one.column, one.smaller, one.larger) for of in EXPECTATIONS.values() for one in of}
    assert found == {
        ("updates per epoch", "batch of 256", "default"),
        ("memory in MB", "default", "batch of 256"),
        ("s per epoch", "batch of 256", "default"),
        ("gradient noise", "batch of 256", "default"),
        ("of the convolutions", "default", "kernel of 5x5"),
        ("test accuracy in %", "default", "kernel of 5x5"),
        ("map width", "stride of 2", "default"),
        ("million multiply-adds", "stride of 2", "default"),
        ("parameters", "stride of 2", "default"),
        ("s per epoch", "stride of 2", "default"),
        ("training in s", "5 epochs", "20 epochs"),
        ("validation % after 1 epoch", "rate of 0.0001", "default"),
        ("unsteadiness", "rate of 0.0001", "rate of 0.01"),
        ("parameters", "default", "2 convolutions, 3 dense"),
        ("s per epoch", "default", "2 convolutions, 3 dense"),
        ("test accuracy in %", "default", "2 convolutions, 3 dense"),
    }
    counted = {"map width", "parameters", "of the convolutions", "million multiply-adds"}
    assert {*COUNTED} == counted | {"updates per epoch"}


# --- The program ---


def test_program_ends_with_tables_and_figures_and_measures_nothing_twice(
    tmp_path, capsys, monkeypatch
):
    flags = ["--dataset=digits", "--precision=float32", "--n=1", f"--folder={tmp_path}"]
    flags += [f"--output-dir={tmp_path}", "--only", "5 epochs"]
    program.main(flags)
    names = ["one_factor.csv", "one_factor_influences.csv", "one_factor_curves.png"]
    assert all((tmp_path / name).exists() for name in names)
    assert "smaller: less memory" not in capsys.readouterr().out  # needs the batch of 256
    monkeypatch.setattr("studies.timed_runs.call_in_new_process", None)
    program.main(flags)
    influences = pd.read_csv(tmp_path / "one_factor_influences.csv").set_index("name")
    sizes = pd.read_csv(tmp_path / "one_factor_sizes.csv").set_index("name")
    sizes = sizes.loc["5 epochs"]
    assert sizes["updates per epoch"] == 21  # 1,293 images
    assert (sizes["map width"], sizes["parameters"]) == (26, 54_410)
    assert sizes["of the convolutions"] == 320
    assert sizes["million multiply-adds"] == pytest.approx(0.249, abs=1e-3)
    assert influences.loc["5 epochs", "s per epoch"] > 0
    assert (tmp_path / "one_factor_expectations.md").exists()
    assert influences.loc["5 epochs", "test accuracy in %"] > 70
    if sys.platform == "linux":
        # 64 maps of 26x26x32 in float32 are 5.5 MB, and there is a gradient of each.
        assert 5.5 < influences.loc["5 epochs", "memory in MB"] < 500
