import keras
import numpy as np
import pytest
from keras import layers

from architectures import build_architecture
from averaging import average_networks, average_shifts, network_of


@pytest.fixture
def network(tiny_architecture):
    keras.utils.set_random_seed(0)
    return build_architecture("tiny")


def named(networks):
    """Give each its own name, as networks within a model need."""
    for number, network in enumerate(networks):
        network.name = f"network_{number}"
    return networks


def shifted(images, down, right):
    """Return images (n, h, w, c) moved by at most a pixel; what comes in is 0."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = images.shape[1:3]
    return padded[:, 1 - down : 1 - down + height, 1 - right : 1 - right + width]


def test_a_prediction_is_the_mean_over_five_shifts(network):
    images = np.random.default_rng(0).random((4, 28, 28, 1), np.float32)
    moves = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
    each = [network.predict(shifted(images, *move), verbose=0) for move in moves]
    predicted = average_shifts(network).predict(images, verbose=0)
    np.testing.assert_allclose(predicted, np.mean(each, axis=0), atol=1e-6)
    assert np.abs(predicted - each[0]).max() > 1e-3  # the shifts do make a difference


def test_weights_are_the_networks_own(network):
    classifier = average_shifts(network)
    assert classifier.count_params() == network.count_params()
    for own, of_network in zip(classifier.weights, network.weights, strict=True):
        assert own is of_network
    assert network_of(classifier) is network and network_of(network) is network


def test_a_prediction_is_the_mean_over_networks(tiny_architecture):
    networks = named([build_architecture("tiny") for _ in range(3)])
    images = np.random.default_rng(0).random((4, 28, 28, 1), np.float32)
    each = [network.predict(images, verbose=0) for network in networks]
    classifier = average_networks(networks)
    predicted = classifier.predict(images, verbose=0)
    np.testing.assert_allclose(predicted, np.mean(each, axis=0), atol=1e-6)
    assert np.abs(predicted - each[0]).max() > 1e-3  # the networks do differ
    assert classifier.count_params() == 3 * networks[0].count_params()
    assert network_of(average_shifts(classifier)) is networks[0]


def test_a_model_within_a_users_network_is_not_taken_for_it():
    part = keras.Sequential([layers.Input((28, 28, 1)), layers.Flatten()])
    network = keras.Sequential([part, layers.Dense(10)])
    assert network_of(network) is network


def test_the_mean_is_computed_in_float32_also_if_the_network_is_not():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        classifier = average_shifts(build_architecture("tiny"))
    finally:
        keras.config.set_dtype_policy("float32")
    assert classifier.layers[-1].compute_dtype == "float32"
    probabilities = classifier.predict(np.zeros((1, 28, 28, 1), np.float32), verbose=0)
    assert probabilities.sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("n_networks", [1, 2])
def test_it_loads_as_it_was_saved(network, tmp_path, n_networks):
    networks = named([network, build_architecture("tiny")][:n_networks])
    classifier = average_shifts(average_networks(networks) if n_networks > 1 else network)
    classifier.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    images = np.random.default_rng(0).random((4, 28, 28, 1), np.float32)
    np.testing.assert_allclose(
        loaded.predict(images, verbose=0), classifier.predict(images, verbose=0), atol=1e-6
    )
    assert network_of(loaded).name == "network_0"
