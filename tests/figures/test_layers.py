import keras
import numpy as np
import pytest
from keras import layers

from architectures import build_architecture
from common.user_error import UserError
from figures.layers import (
    convolutions,
    default_embedding,
    embedding_layers,
    find_layer,
    layers_with_maps,
    outputs_of,
)
from tests.figures.conftest import small_network

SHAPE = (28, 28, 1)


@pytest.fixture(scope="module")
def model():
    return small_network()


def names(found):
    return [layer.name for layer in found]


def test_layers_of_each_kind(model):
    assert names(convolutions(model)) == names(layers_with_maps(model)) == ["first", "second"]
    assert names(embedding_layers(model)) == ["pool", "flat", "hidden"]
    assert default_embedding(model) == "hidden"


def test_layers_are_found_by_name(model):
    assert find_layer(model.layers, "second", "layer") is model.get_layer("second")
    assert find_layer(convolutions(model), None, "layer") is model.get_layer("first")
    with pytest.raises(UserError, match="unknown layer for it 'secnod'. Did you mean 'second'"):
        find_layer(model.layers, "secnod", "layer for it")
    with pytest.raises(UserError, match="this network has no layer for it."):
        find_layer([], None, "layer for it")


def test_outputs_of_a_layer_do_not_depend_on_the_batch(model, splits, monkeypatch):
    layer = model.get_layer("hidden")
    whole = outputs_of(model, layer, splits.x_test[:10])
    monkeypatch.setattr("figures.layers.BATCH_SIZE", 4)
    np.testing.assert_allclose(outputs_of(model, layer, splits.x_test[:10]), whole, atol=1e-6)
    by_hand, expected = model.layers[-1](whole), model(splits.x_test[:10])
    to_numpy = keras.ops.convert_to_numpy
    np.testing.assert_allclose(to_numpy(by_hand), to_numpy(expected), atol=1e-6)


def test_embedding_without_a_hidden_dense_layer():
    fast_cnn = build_architecture("fast_cnn", SHAPE, 10)
    (flatten,) = (layer for layer in fast_cnn.layers if isinstance(layer, layers.Flatten))
    assert default_embedding(fast_cnn) == flatten.name
    logits = [layers.Input(SHAPE), layers.Flatten(), layers.Dense(10), layers.Softmax()]
    model = keras.Sequential(logits)
    assert default_embedding(model) == model.layers[0].name
    only = keras.Sequential([layers.Input(SHAPE), layers.Flatten(), layers.Dense(10)])
    assert default_embedding(only) == only.layers[0].name
