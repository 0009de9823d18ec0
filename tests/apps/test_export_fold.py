import keras
import numpy as np
import pytest
from keras import layers

from apps.export_fold import fold_normalisations
from architectures import import_architecture
from tests.apps.exporting import small_network

IMAGES = np.random.default_rng(0).random((20, 28, 28, 1)).astype("float32")


def with_random_statistics(network):
    """Give each normalisation numbers of its own: some channels nearly zero, some negative."""
    random = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            n = layer.moving_mean.shape
            layer.moving_mean.assign(random.uniform(-0.5, 0.5, n))
            layer.moving_variance.assign(10 ** random.uniform(-4, 1, n))
            if layer.scale:
                layer.gamma.assign(random.uniform(-0.5, 1.5, n))
            if layer.center:
                layer.beta.assign(random.uniform(-1, 1, n))
    return network


def assert_equal(folded, network):
    for one in (folded, network):  # behind softmax, small differences would vanish
        one.layers[-1].activation = keras.activations.linear
    expected, outputs = (one.predict(IMAGES, verbose=0) for one in (network, folded))
    assert np.ptp(expected, axis=0).max() > 1e-3  # the images are told apart
    assert np.abs(outputs - expected).max() < 1e-4 * np.abs(expected).max()


def factor_of(layer):
    return np.asarray(layer.gamma) / np.sqrt(np.asarray(layer.moving_variance) + layer.epsilon)


@pytest.mark.parametrize("name", ["fast_cnn_tiny", "cnn_mnist_101", "keras_example"])
def test_the_architectures_compute_the_same(name):
    network = with_random_statistics(getattr(import_architecture(name), name)((28, 28, 1), 10))
    before = network.get_weights()
    folded = fold_normalisations(network)
    assert_equal(folded, network)
    for one, other in zip(before, network.get_weights(), strict=True):
        assert (one == other).all()
    late = [one for one in folded.layers[4:] if isinstance(one, layers.BatchNormalization)]
    for layer in late:
        assert np.abs(np.abs(factor_of(layer)) - 1).max() < 1e-5


def test_what_is_added_goes_into_the_bias_behind():
    network = with_random_statistics(small_network())
    folded = fold_normalisations(network)
    assert_equal(folded, network)
    (layer,) = (one for one in folded.layers if isinstance(one, layers.BatchNormalization))
    # The convolution behind has no bias, so what is added stays.
    assert np.abs(np.asarray(layer.beta)).max() > 0.1
    behind = [layers.MaxPooling2D(2), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(3)]
    network = with_random_statistics(
        keras.Sequential(
            [
                layers.Input((28, 28, 1)),
                layers.Conv2D(5, 3, activation="relu"),
                layers.BatchNormalization(),
                *behind,
            ]
        )
    )
    folded = fold_normalisations(network)
    assert_equal(folded, network)
    layer = folded.layers[1]
    assert not np.asarray(layer.beta).any() and not np.asarray(layer.moving_mean).any()


@pytest.mark.parametrize(
    "between",
    [
        layers.ReLU(max_value=1.0),
        layers.Activation("tanh"),
        layers.Conv2D(4, 3, activation="sigmoid"),
    ],
    ids=["clipped", "tanh", "sigmoid"],
)
def test_what_lets_no_factor_pass_keeps_it(between):
    network = with_random_statistics(
        keras.Sequential(
            [
                layers.Input((28, 28, 1)),
                layers.Conv2D(4, 3),
                between,
                layers.BatchNormalization(),
                layers.GlobalAveragePooling2D(),
                layers.Dense(2),
            ]
        )
    )
    folded = fold_normalisations(network)
    assert_equal(folded, network)
    assert np.allclose(factor_of(folded.layers[2]), factor_of(network.layers[2]))


def test_normalisations_without_scale_or_centre_are_folded():
    network = with_random_statistics(
        keras.Sequential(
            [
                layers.Input((28, 28, 1)),
                layers.Conv2D(4, 3, activation="relu"),
                layers.BatchNormalization(scale=False),
                layers.Conv2D(4, 3, padding="same", activation="relu"),
                layers.BatchNormalization(center=False),
                layers.Flatten(),
                layers.Dense(3),
            ]
        )
    )
    assert_equal(fold_normalisations(network), network)


def test_what_is_no_chain_is_left_alone():
    image = keras.Input((28, 28, 1))
    network = keras.Model(image, layers.BatchNormalization()(layers.Conv2D(4, 3)(image)))
    assert fold_normalisations(network) is network
