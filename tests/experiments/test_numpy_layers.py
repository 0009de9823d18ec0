"""The gradients of every layer and loss: against finite differences, and against Keras'."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from experiments.numpy_networks.layers import (
    Conv2D,
    Dense,
    Dropout,
    Maker,
    MaxPool,
    ReLU,
    Reshape,
    Sigmoid,
)
from experiments.numpy_networks.losses import MeanSquaredError, SoftmaxCrossEntropy
from experiments.numpy_networks.network import Network

SMALL_STEP, TOLERANCE = 1e-6, 1e-6


def maker(seed=0, dtype="float64", deviation=0.5):
    return Maker(np.random.default_rng(seed), dtype, deviation)


def numeric_gradient(function, array):
    """dL/d array by central differences, one number of the array after the other."""
    gradient = np.empty_like(array)
    for place in np.ndindex(array.shape):
        before = array[place]
        array[place] = before + SMALL_STEP
        above = function()
        array[place] = before - SMALL_STEP
        below = function()
        array[place] = before
        gradient[place] = (above - below) / (2 * SMALL_STEP)
    return gradient


class FixedDropout(Dropout):
    """Dropout that drops the same each time, so that a difference means something."""

    def forward(self, inputs, training=False):
        self.rng = np.random.default_rng(5)
        return super().forward(inputs, training)


LAYERS = {
    "dense": (lambda: Dense(7, 4, maker()), (3, 7)),
    "dense, one image": (lambda: Dense(7, 4, maker()), (1, 7)),
    "sigmoid": (Sigmoid, (3, 5)),
    "relu": (ReLU, (3, 5)),
    "dropout": (lambda: FixedDropout(0.4, maker()), (4, 6)),
    "reshape": (lambda: Reshape(2, 3, 1), (4, 6)),
    "convolution": (lambda: Conv2D(3, 2, 4, maker()), (2, 6, 5, 2)),
    "convolution, one channel": (lambda: Conv2D(5, 1, 3, maker()), (2, 8, 8, 1)),
    "pooling": (lambda: MaxPool(2), (2, 6, 4, 3)),
    "pooling by 3": (lambda: MaxPool(3), (2, 6, 9, 1)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layers_gradients_are_the_finite_differences(name):
    make, shape = LAYERS[name]
    layer, rng = make(), np.random.default_rng(1)
    inputs = rng.standard_normal(shape)
    # Any function of the outputs serves as a loss: here, a sum with random weights.
    weights = rng.standard_normal(layer.forward(inputs, training=True).shape)

    def loss():
        return float((layer.forward(inputs, training=True) * weights).sum())

    loss()
    d_inputs = layer.backward(weights)
    analytic = {name: gradient.copy() for name, gradient in layer.gradients.items()}
    assert d_inputs.shape == shape
    np.testing.assert_allclose(d_inputs, numeric_gradient(loss, inputs), atol=TOLERANCE)
    for name, parameter in layer.parameters.items():
        numeric = numeric_gradient(loss, parameter)
        assert np.abs(numeric).max() > 0.01
        np.testing.assert_allclose(analytic[name], numeric, atol=TOLERANCE)


@pytest.mark.parametrize("loss", [MeanSquaredError(), SoftmaxCrossEntropy()])
def test_a_losss_gradient_is_the_finite_difference(loss):
    outputs = np.random.default_rng(2).standard_normal((4, 6))
    labels = np.array([0, 5, 2, 2])
    loss.forward(outputs, labels)
    analytic = loss.backward()
    numeric = numeric_gradient(lambda: loss.forward(outputs, labels), outputs)
    np.testing.assert_allclose(analytic, numeric, atol=TOLERANCE)


# --- Keras --------------------------------------------------------------------------------------

KERAS_LAYERS = {
    "dense": lambda: keras.layers.Dense(4, dtype="float64"),
    "sigmoid": lambda: keras.layers.Activation("sigmoid", dtype="float64"),
    "relu": lambda: keras.layers.ReLU(dtype="float64"),
    "reshape": lambda: keras.layers.Reshape((2, 3, 1), dtype="float64"),
    "convolution": lambda: keras.layers.Conv2D(4, 3, dtype="float64"),
    "convolution, one channel": lambda: keras.layers.Conv2D(3, 5, dtype="float64"),
    "pooling": lambda: keras.layers.MaxPooling2D(2, dtype="float64"),
    "pooling by 3": lambda: keras.layers.MaxPooling2D(3, dtype="float64"),
}


@pytest.mark.parametrize("name", KERAS_LAYERS)
def test_a_layer_and_its_gradients_are_those_of_keras(name):
    make, shape = LAYERS[name]
    layer, theirs, rng = make(), KERAS_LAYERS[name](), np.random.default_rng(3)
    inputs = tf.Variable(rng.standard_normal(shape))
    theirs.build(shape)
    theirs.set_weights(list(layer.parameters.values()))
    with tf.GradientTape() as tape:
        outputs = theirs(inputs)
        weights = rng.standard_normal(outputs.shape)
        loss = tf.reduce_sum(outputs * weights)
    variables = [variable.value for variable in theirs.trainable_variables]
    d_inputs, *d_parameters = tape.gradient(loss, [inputs, *variables])
    np.testing.assert_allclose(layer.forward(inputs.numpy()), outputs, atol=TOLERANCE)
    np.testing.assert_allclose(layer.backward(weights), d_inputs, atol=TOLERANCE)
    for mine, other in zip(layer.gradients.values(), d_parameters, strict=True):
        np.testing.assert_allclose(mine, other, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("loss", "end", "keras_loss"),
    [
        ("MeanSquaredError", [("Sigmoid",)], keras.losses.MeanSquaredError(dtype="float64")),
        (
            "SoftmaxCrossEntropy",
            [],
            keras.losses.CategoricalCrossentropy(from_logits=True, dtype="float64"),
        ),
    ],
)
def test_a_whole_networks_gradients_are_those_of_keras(loss, end, keras_loss):
    specs = [
        ("Reshape", 28, 28, 1), ("Conv2D", 5, 1, 3), ("MaxPool", 2), ("ReLU",),
        ("Conv2D", 5, 3, 4), ("MaxPool", 4), ("ReLU",), ("Reshape", 16),
        ("Dense", 16, 9), ("Sigmoid",), ("Dense", 9, 10), *end,
    ]  # fmt: skip
    network, rng = Network(specs, loss, maker(deviation=0.3)), np.random.default_rng(4)
    images, labels = rng.random((6, 784)), rng.integers(0, 10, 6)
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Reshape((28, 28, 1)), layers.Conv2D(3, 5), layers.MaxPooling2D(2),
            layers.ReLU(), layers.Conv2D(4, 5), layers.MaxPooling2D(4), layers.ReLU(),
            layers.Flatten(), layers.Dense(9, "sigmoid"),
            layers.Dense(10, "sigmoid" if end else None),
        ]
    )  # fmt: skip
    for layer in model.layers:
        layer.dtype_policy = keras.DTypePolicy("float64")
    model.build((None, 784))
    model.set_weights(list(network.named_parameters().values()))
    with tf.GradientTape() as tape:
        their_loss = keras_loss(np.eye(10)[labels], model(images))
    variables = [variable.value for variable in model.trainable_variables]
    expected = tape.gradient(their_loss, variables)
    assert network.forward_backward(images, labels) == pytest.approx(
        float(their_loss), abs=TOLERANCE
    )
    for (_, gradient), other in zip(network.parameters_and_gradients(), expected, strict=True):
        assert np.abs(other).max() > 1e-5
        np.testing.assert_allclose(gradient, other, atol=TOLERANCE)


# --- What else the layers promise ---------------------------------------------------------------


def test_dropout_keeps_the_mean_and_does_nothing_in_use():
    layer, ones = Dropout(0.25, maker()), np.ones((100, 1000), "float32")
    dropped = layer.forward(ones, training=True)
    assert dropped.dtype == np.float32 and (dropped == 0).mean() == pytest.approx(0.25, abs=0.01)
    assert dropped.mean() == pytest.approx(1, abs=0.01)
    assert layer.forward(ones) is ones


def test_of_equal_pixels_the_first_one_gets_the_gradient():
    layer = MaxPool(2)
    layer.forward(np.ones((1, 2, 2, 1)))
    assert layer.backward(np.full((1, 1, 1, 1), 3.0)).ravel().tolist() == [3, 0, 0, 0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_numbers_overflow_nowhere(dtype):
    extreme = np.array([[-1e4, 0, 1e4]], dtype)
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        assert Sigmoid().forward(extreme).tolist() == [[0, 0.5, 1]]
        loss = SoftmaxCrossEntropy()
        assert np.isfinite(loss.forward(extreme, np.array([0])))
        assert loss.backward().tolist() == [[-1, 0, 1]]


def test_the_first_weights_are_as_wide_as_asked_for():
    drawn = maker(deviation=0.01).weights((300, 300), 300)
    assert drawn.std() == pytest.approx(0.01, rel=0.02) and drawn.mean() == pytest.approx(
        0, abs=1e-4
    )
    for_relu = maker(deviation=None).weights((300, 300), 300)
    assert for_relu.std() == pytest.approx((2 / 300) ** 0.5, rel=0.02)
