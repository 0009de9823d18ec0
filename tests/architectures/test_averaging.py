import keras
import numpy as np
import pytest
from keras import layers

from architectures import build_architecture
from architectures.averaging import (
    average_flips,
    average_networks,
    average_shifts,
    network_of,
)


@pytest.fixture
def network():
    keras.utils.set_random_seed(0)
    return build_architecture("tiny")


@pytest.fixture
def images():
    return np.random.default_rng(0).random((4, 28, 28, 1), np.float32)


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


def pixel_reader(row, column):
    """Return a classifier whose ten outputs are what it sees in that pixel."""
    image = keras.Input((28, 28, 1))
    borders = ((row, 27 - row), (column, 27 - column))
    pixel = layers.Flatten()(layers.Cropping2D(borders)(image))
    return keras.Model(image, layers.Concatenate()([pixel] * 10), name="reader")


def test_a_prediction_is_the_mean_over_five_shifts(network, images):
    moves = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
    each = [np.asarray(network(shifted(images, *move))) for move in moves]
    predicted = np.asarray(average_shifts(network)(images))
    np.testing.assert_allclose(predicted, np.mean(each, axis=0), atol=1e-6)
    assert np.abs(predicted - each[0]).max() > 1e-3  # the shifts do make a difference


@pytest.mark.parametrize("pixel", [(10, 20), (0, 13), (27, 13), (13, 0), (27, 27)])
def test_the_shifts_go_by_one_pixel_in_each_direction(pixel):
    row, column = pixel
    images = np.random.default_rng(0).random((3, 28, 28, 1), np.float32)
    surrounded = np.pad(images[..., 0], ((0, 0), (1, 1), (1, 1)))  # by paper
    row, column = row + 1, column + 1
    neighbours = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]
    expected = sum(surrounded[:, row + i, column + j] for i, j in neighbours) / 5
    found = np.asarray(average_shifts(pixel_reader(*pixel))(images))
    np.testing.assert_allclose(found, np.repeat(expected[:, None], 10, axis=1), atol=1e-6)


def test_a_prediction_is_the_mean_over_image_and_mirror_image(network, images):
    each = [np.asarray(network(images)), np.asarray(network(images[:, :, ::-1]))]
    found = np.asarray(average_flips(network)(images))
    np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-6)
    assert np.abs(each[0] - each[1]).max() > 1e-3


@pytest.mark.parametrize("average", [average_shifts, average_flips])
def test_weights_are_the_networks_own(network, average):
    classifier = average(network)
    assert classifier.count_params() == network.count_params()
    for own, of_network in zip(classifier.weights, network.weights, strict=True):
        assert own is of_network
    assert network_of(classifier) is network and network_of(network) is network


def test_a_prediction_is_the_mean_over_networks(images):
    networks = named([build_architecture("tiny") for _ in range(3)])
    each = [np.asarray(network(images)) for network in networks]
    classifier = average_networks(networks)
    predicted = np.asarray(classifier(images))
    np.testing.assert_allclose(predicted, np.mean(each, axis=0), atol=1e-6)
    assert all(np.abs(predicted - one).max() > 1e-3 for one in each)  # the networks do differ
    assert classifier.count_params() == 3 * networks[0].count_params()
    assert network_of(classifier) is networks[0]
    assert network_of(average_shifts(average_flips(classifier))) is networks[0]


def test_a_model_within_a_users_network_is_not_taken_for_it():
    part = keras.Sequential([layers.Input((28, 28, 1)), layers.Flatten()])
    network = keras.Sequential([part, layers.Dense(10)])
    assert network_of(network) is network


def test_the_mean_is_computed_in_float32_also_if_the_network_is_not(images):
    keras.config.set_dtype_policy("mixed_bfloat16")
    network = build_architecture("tiny")
    for average in (average_shifts, average_flips, lambda one: average_networks([one])):
        classifier = average(network)
        own = [layer for layer in classifier.layers if layer is not network]
        computing = [layer for layer in own if not isinstance(layer, layers.InputLayer)]
        assert {layer.compute_dtype for layer in computing} == {"float32"}
        probabilities = np.asarray(classifier(images))
        assert probabilities.dtype == np.float32
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_the_image_reaches_the_network_unrounded_in_bfloat16_too():
    exact = pixel_reader(5, 5)
    keras.config.set_dtype_policy("mixed_bfloat16")
    fine = np.full((1, 28, 28, 1), 1 + 2**-20, np.float32)
    for average in (average_shifts, average_flips, lambda one: average_networks([one])):
        classifier = average(exact)
        np.testing.assert_array_equal(classifier(fine), np.full((1, 10), 1 + 2**-20, np.float32))


@pytest.mark.parametrize("n_networks", [1, 2])
def test_it_loads_as_it_was_saved(network, images, tmp_path, n_networks):
    networks = named([network, build_architecture("tiny")][:n_networks])
    of_networks = average_networks(networks) if n_networks > 1 else network
    classifier = average_shifts(average_flips(of_networks))
    classifier.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        np.asarray(loaded(images)), np.asarray(classifier(images)), atol=1e-6
    )
    assert network_of(loaded).name == "network_0"
