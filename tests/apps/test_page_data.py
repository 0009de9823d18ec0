"""The network as the page's JSON and base64."""

import base64
import json

import keras
import numpy as np
import pytest
from keras import layers

from apps import page_data
from apps.page_data import make_page_data
from architectures.averaging import average_shifts
from common.user_error import UserError
from tests.apps.conftest import decisive


@pytest.fixture(scope="module")
def digits_as_floats(images):
    return images[:20, ..., None].astype(np.float32) / 255


def kernel_of(data, step):
    """Return a kernel as the page's script decodes it."""
    place = step["weights"]["kernel"]
    dtype = {"int16": "<i2", "float32": "<f4"}[data.precision]
    numbers = np.frombuffer(base64.b64decode(data.weights), dtype)
    kernel = numbers[place["start"] :][: np.prod(place["shape"])] * place["unit"]
    return kernel.reshape(place["shape"])


def test_kernels_come_back_and_take_two_bytes_a_weight(digits_as_floats):
    network = decisive("keras_example")
    data = make_page_data(network, digits_as_floats)
    assert data.precision == "int16" and data.difference <= page_data.TOLERANCE / 2
    kernels = [layer.kernel for layer in network.layers if hasattr(layer, "kernel")]
    steps = [step for step in data.network["steps"] if "kernel" in step["weights"]]
    for kernel, step in zip(kernels, steps, strict=True):
        kernel = keras.ops.convert_to_numpy(kernel)
        error = np.abs(kernel_of(data, step) - kernel).max()
        assert 0 < error <= np.abs(kernel).max() / 32767
    n_weights = sum(int(np.prod(kernel.shape)) for kernel in kernels)
    assert len(data.weights) == pytest.approx(2 * n_weights * 4 / 3, abs=4)


def test_shifts_share_the_weights(digits_as_floats):
    network = decisive("fast_cnn_tiny")
    alone, mean = (
        make_page_data(one, digits_as_floats) for one in (network, average_shifts(network))
    )
    assert len(mean.weights) == len(alone.weights)
    assert len(mean.network["passes"]) == 5
    assert mean.network["passes"][0] == {
        "share": 0.2,
        "steps": [*range(len(alone.network["steps"]))],
    }


def test_the_description_is_plain_json_with_shapes(digits_as_floats):
    data = make_page_data(decisive("fast_cnn_small"), digits_as_floats)
    description = json.loads(json.dumps(data.network))
    first, last = description["steps"][0], description["steps"][-1]
    assert (first["kind"], first["input"], first["output"]) == (
        "convolution", [28, 28, 1], [26, 26, 12]
    )  # fmt: skip
    assert (last["kind"], last["activation"], last["output"]) == ("dense", "softmax", [1, 1, 10])
    assert len(first["weights"]["bias"]) == 12


def test_float32_where_int16_is_too_coarse(digits_as_floats):
    network = decisive("keras_example")
    kernel = network.layers[0].kernel
    weights = keras.ops.convert_to_numpy(kernel).copy()
    weights[..., 0] = 1e4  # a channel that nothing reads, and a unit that erases the others
    kernel.assign(weights)
    second = network.layers[2].kernel
    weights = keras.ops.convert_to_numpy(second).copy()
    weights[:, :, 0] = 0
    second.assign(weights)
    data = make_page_data(network, digits_as_floats)
    assert data.precision == "float32" and data.difference < 1e-5
    np.testing.assert_array_equal(
        kernel_of(data, data.network["steps"][0]), keras.ops.convert_to_numpy(kernel)
    )


def test_a_page_that_would_differ_is_refused(digits_as_floats, monkeypatch):
    monkeypatch.setattr(page_data, "predict", lambda passes, images: np.full((20, 10), 0.1))
    with pytest.raises(UserError, match="would differ from the model by"):
        make_page_data(decisive("keras_example"), digits_as_floats)


def test_a_kernel_of_zeros_is_stored(digits_as_floats):
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Flatten(),
            layers.Dense(10, kernel_initializer="zeros", activation="softmax"),
        ]
    )
    data = make_page_data(model, digits_as_floats)
    assert not kernel_of(data, data.network["steps"][-1]).any()
