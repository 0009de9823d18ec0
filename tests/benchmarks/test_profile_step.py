import keras
import numpy as np
import pandas as pd
import pytest

from benchmarks import profile_step
from benchmarks.profile_step import Pass, measure_layer, passes_of, profile_rows
from common.user_error import UserError
from studies.timed_steps import Repetitions


@pytest.fixture(autouse=True)
def few_repetitions(monkeypatch):
    pytest.importorskip("tensorflow")
    monkeypatch.setattr(profile_step, "REPETITIONS", Repetitions(2, warm_ups=1))


def small_network():
    return keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            keras.layers.Conv2D(4, 3, strides=2, use_bias=False),  # 5 x 5 x 4 of 9 weights
            keras.layers.Conv2D(6, 3, padding="same", use_bias=False),  # 5 x 5 x 6 of 36 weights
            keras.layers.Flatten(),
            keras.layers.Dense(10, use_bias=False),  # of 150 inputs
        ]
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_passes_of_every_layer_are_measured_in_the_dtype(monkeypatch, dtype):
    dtypes, original = [], passes_of

    def spy(layer, *tensors):
        dtypes.extend(tensor.dtype.name for tensor in tensors)
        calls = original(layer, *tensors)
        dtypes.extend(call().dtype.name for call in calls.values())
        return calls

    monkeypatch.setattr(profile_step, "passes_of", spy)
    layers = [layer for layer in small_network().layers if layer.weights]
    first, second, dense = (
        measure_layer(layer, 8, dtype, is_first=layer is layers[0]) for layer in layers
    )
    assert [one.name for one in first] == ["forward", "to weights"]  # none to the image
    for passes, multiply_adds in ((first, 900), (second, 5400), (dense, 1500)):
        assert {one.flops for one in passes} == {2 * 8 * multiply_adds}
        assert all(one.seconds > 0 for one in passes)
    assert [one.name for one in dense] == ["forward", "to inputs", "to weights"]
    assert set(dtypes) == {dtype}


def test_passes_are_those_of_the_layers_gradient():
    import tensorflow as tf

    for layer in small_network().layers:
        if not layer.weights:
            continue
        inputs = tf.random.normal((2, *layer.input.shape[1:]), seed=1)
        gradient = tf.random.normal((2, *layer.output.shape[1:]), seed=2)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs)
        to_inputs, to_weights = tape.gradient(outputs, [inputs, layer.kernel.value], gradient)
        calls = passes_of(layer, inputs, gradient, layer.kernel.value)
        for name, expected in zip(calls, (outputs, to_inputs, to_weights), strict=True):
            np.testing.assert_allclose(calls[name](), expected, rtol=1e-4, atol=1e-5)


def test_layer_without_a_profile_is_named():
    network = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.DepthwiseConv2D(3)])
    with pytest.raises(UserError, match="does not measure DepthwiseConv2D"):
        measure_layer(network.layers[0], 4, "float32", is_first=False)


def test_rows_add_up():
    passes = [Pass("a", "forward", 0.010, 2e9), Pass("a", "to weights", 0.020, 2e9)]
    table = pd.DataFrame(profile_rows(passes, step_seconds=0.040, peak=400e9))
    assert list(table["layer"]) == ["a", "a", "all of these", "the rest", "whole step"]
    assert list(table["pass"]) == ["forward", "to weights", "", "", ""]
    np.testing.assert_allclose(table["ms"], [10, 20, 30, 10, 40])
    np.testing.assert_allclose(table["% of the step"], [25, 50, 75, 25, 100])
    np.testing.assert_allclose(table["GFLOP/s"], [200, 100, 400 / 3, np.nan, 100])
    np.testing.assert_allclose(table["% of the peak"], [50, 25, 100 / 3, np.nan, 25])


def test_profile_of_a_recipe_is_in_its_precision(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "studies.costs.matrix_product_peak", lambda dtype: {"bfloat16": 123e9}[dtype]
    )
    flags = ["--architecture=tiny", "--batch-size=4", "--precision=mixed_bfloat16"]
    profile_step.main([*flags, "--folder", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "Matrix-product peak in bfloat16: 123 GFLOP/s" in printed
    assert (tmp_path / "table.md").read_text() in printed
    layers = [name.split("_")[0] for name in pd.read_csv(tmp_path / "table.csv")["layer"]]
    assert layers[:5] == ["conv2d", "conv2d", "dense", "dense", "dense"]
    assert layers[5:] == ["all of these", "the rest", "whole step"]


@pytest.mark.parametrize(
    "machine",
    [
        {"backend": "jax 0.10", "device": "CPU (x)"},
        {"backend": "tensorflow 2.21", "device": "A GPU"},
    ],
)
def test_what_cannot_be_measured(monkeypatch, machine):
    monkeypatch.setattr("common.keras_start.prepare", lambda *_: machine)
    with pytest.raises(UserError, match="TensorFlow's kernels on a CPU"):
        profile_step.main([])
