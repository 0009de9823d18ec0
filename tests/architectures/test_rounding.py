import keras
import numpy as np
import pytest

from architectures.rounding import RoundedConv2D, with_rounded_weights


def network(bits=4):
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            RoundedConv2D(6, 3, strides=2, bits=bits, use_bias=False),
            keras.layers.BatchNormalization(),
            RoundedConv2D(
                5,
                3,
                padding="same",
                bits=bits,
                bias_initializer="normal",
                activation="relu",
                dilation_rate=2,
            ),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


IMAGES = np.random.default_rng(0).random((4, 28, 28, 1), dtype="float32")


@pytest.mark.parametrize("bits, values", [(2, 3), (4, 15), (8, 255)])
def test_each_channel_has_as_many_values_as_bits_allow(bits, values):
    kernel = keras.ops.convert_to_numpy(network(bits).layers[2].rounded_kernel())
    for channel in np.moveaxis(kernel, -1, 0):
        step = np.abs(channel).max() / (values // 2)
        np.testing.assert_allclose(channel / step, np.rint(channel / step), atol=1e-3)
    exact = keras.ops.convert_to_numpy(network(bits).layers[2].kernel)
    steps = np.abs(exact).max(axis=(0, 1, 2)) / (values // 2)
    assert (np.abs(kernel - exact) <= steps / 2 + 1e-6).all()  # to the nearest


def test_plain_network_answers_as_the_rounded_one_and_has_keras_layers_only():
    rounded = network()
    plain = with_rounded_weights(rounded)
    np.testing.assert_allclose(plain(IMAGES), rounded(IMAGES), atol=1e-6)
    assert not any(isinstance(layer, RoundedConv2D) for layer in plain.layers)
    assert [layer.name for layer in plain.layers] == [layer.name for layer in rounded.layers]


def test_a_network_without_rounding_is_returned_as_it_is():
    plain = with_rounded_weights(network())
    assert with_rounded_weights(plain) is plain


def test_gradients_reach_the_exact_weights_so_that_it_learns():
    model = network()
    before = keras.ops.convert_to_numpy(model.layers[0].kernel).copy()
    model.compile(keras.optimizers.SGD(0.01), loss="sparse_categorical_crossentropy")
    model.fit(IMAGES, np.array([1, 2, 3, 4]), verbose=0)
    change = keras.ops.convert_to_numpy(model.layers[0].kernel) - before
    assert 0 < np.abs(change).max() < 0.05  # by less than a step of the grid, too


def test_it_can_be_saved_and_loaded(tmp_path):
    model = network(bits=3)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].bits == 3
    np.testing.assert_allclose(loaded(IMAGES), model(IMAGES), atol=1e-6)
