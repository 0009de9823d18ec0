import keras
import numpy as np
import pytest
from keras import layers

from architectures import import_architecture
from architectures.averaging import average_flips, average_shifts
from training.optimizers import ScheduledAdam
from training.precision import in_float32

# Together they have every kind of layer.
NAMES = ("fast_cnn_tiny", "tiny_cnn_small", "fashion_cnn", "sweep_baseline", "googlenet", "tiny")


def build(name, policy):
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    return getattr(import_architecture(name), name)((28, 28, 1), 10)


def policies(model):
    """Return the dtype policies of a model, of all its layers and of theirs."""
    return {layer.dtype_policy.name for layer in model._flatten_layers()}


def vary(model):
    """Change every weight a little, as training would: batch normalisation's begin at 0 and 1."""
    rng = np.random.default_rng(0)
    noise = [rng.random(w.shape, np.float32) for w in model.get_weights()]
    old = model.get_weights()
    model.set_weights([w * (1 + x / 10) + x / 1000 for w, x in zip(old, noise, strict=True)])


@pytest.mark.parametrize("name", NAMES)
def test_a_network_comes_back_with_its_weights_computing_in_float32(name, splits):
    network = build(name, "mixed_bfloat16")
    vary(network)
    weights, images = network.get_weights(), splits.x_test[:4]
    in_bfloat16 = np.asarray(network(images))
    assert "mixed_bfloat16" in policies(network)

    converted = in_float32(network)
    assert policies(converted) == {"float32"}
    assert keras.config.dtype_policy().name == "mixed_bfloat16"  # the next network's, as before
    assert converted.name == network.name
    assert [layer.name for layer in converted.layers] == [layer.name for layer in network.layers]
    for a, b in zip(converted.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(a, b)

    # Exactly what a network makes of the images that was built in float32.
    twin = build(name, "float32")
    twin.set_weights(weights)
    found = np.asarray(converted(images))
    np.testing.assert_array_equal(found, np.asarray(twin(images)))
    assert np.abs(found - in_bfloat16).max() < 0.05
    assert np.abs(found - in_bfloat16).max() > 0  # it did compute in bfloat16 before


def test_a_float32_network_is_returned_as_it_is():
    network = build("tiny", "float32")
    assert in_float32(network) is network
    converted = in_float32(build("tiny", "mixed_bfloat16"))
    assert in_float32(converted) is converted


def test_a_network_with_bfloat16_in_one_inner_layer_is_converted():
    inner = keras.Sequential(
        [layers.Input((4,)), layers.Dense(3, dtype="mixed_bfloat16")], name="inner"
    )
    network = keras.Sequential([layers.Input((4,)), inner, layers.Dense(2)])
    converted = in_float32(network)
    assert converted is not network and policies(converted) == {"float32"}
    assert converted.get_layer("inner").layers[0].compute_dtype == "float32"


def test_weights_kept_in_bfloat16_become_float32():
    network = keras.Sequential([layers.Input((4,)), layers.Dense(3, dtype="bfloat16")])
    converted = in_float32(network)
    (kernel, _), (expected, _) = converted.get_weights(), network.get_weights()
    assert kernel.dtype == np.float32
    np.testing.assert_array_equal(kernel, expected.astype(np.float32))


def test_nested_models_dropout_and_options_are_kept(splits):
    keras.config.set_dtype_policy("mixed_bfloat16")
    image = keras.Input((28, 28, 1))
    part = keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(4, 3, strides=2, activation="relu", kernel_initializer="he_normal"),
            layers.Dropout(0.3, seed=5),
        ],
        name="part",
    )
    twice = layers.Concatenate()([part(image), part(layers.Rescaling(0.5)(image))])  # shared
    outputs = layers.Dense(10, activation="softmax")(layers.Flatten()(twice))
    network = keras.Model(image, outputs, name="own")
    network.compile(ScheduledAdam(0.1, 0.9, None, 0.1), "categorical_crossentropy")
    converted = in_float32(network)
    assert policies(converted) == {"float32"}
    assert converted.name == "own" and len(converted.weights) == len(network.weights) == 4
    found = converted.get_layer("part").layers
    assert (found[0].strides, found[0].activation) == ((2, 2), keras.activations.relu)
    assert (found[1].rate, found[1].seed) == (0.3, 5)
    np.testing.assert_allclose(
        np.asarray(converted(splits.x_test[:5])),
        np.asarray(network(splits.x_test[:5])),
        atol=0.02,
    )


def test_what_is_saved_names_no_bfloat16_and_loads_as_it_was(tmp_path, splits):
    classifier = in_float32(average_shifts(average_flips(build("tiny", "mixed_bfloat16"))))
    classifier.save(tmp_path / "model.keras")
    assert "bfloat16" not in classifier.to_json()
    keras.config.set_dtype_policy("float32")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert policies(loaded) == {"float32"}
    images = splits.x_test[:5]
    np.testing.assert_array_equal(np.asarray(loaded(images)), np.asarray(classifier(images)))
