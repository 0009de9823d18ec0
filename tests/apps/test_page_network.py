"""A Keras model taken apart into passes and steps."""

import keras
import numpy as np
import pytest
from keras import layers

from apps.page_data import predict
from apps.page_network import convert
from architectures import ARCHITECTURES
from architectures.averaging import average_networks, average_shifts
from architectures.rounding import with_rounded_weights
from common.user_error import UserError
from tests.apps.conftest import decisive, two_networks


def kinds(one):
    return [step.kind for step in one.steps]


def classifier(*middle, shape=(28, 28, 1)):
    """Return an untrained Sequential classifier with these layers in it."""
    return keras.Sequential(
        [keras.Input(shape), *middle, layers.Flatten(), layers.Dense(10, activation="softmax")]
    )


def with_statistics(normalisation, *shape):
    """Return a batch normalisation, for tensors of this shape, of which each channel differs."""
    normalisation.build((None, *shape))
    random = np.random.default_rng(1)
    weights = [random.uniform(0.5, 2, w.shape) for w in normalisation.get_weights()]
    normalisation.set_weights(weights)
    return normalisation


def assert_same(model, images):
    x = images[:20, ..., None].astype(np.float32) / 255
    expected = keras.ops.convert_to_numpy(model(x, training=False))
    np.testing.assert_allclose(predict(convert(model), x), expected, atol=1e-5)


BRANCHED = ("fashion_cnn", "googlenet", "resnet20")  # the page knows layers in a row


@pytest.mark.parametrize("name", sorted({*ARCHITECTURES} - {"tiny", *BRANCHED}))
def test_every_architecture_stays_what_it_was(name, images):
    assert_same(with_rounded_weights(decisive(name)), images)  # as a run saves it


@pytest.mark.parametrize("name", BRANCHED)
def test_an_architecture_with_branches_is_refused_in_one_line(name):
    with pytest.raises(UserError, match="cannot be put into the page") as caught:
        convert(decisive(name))
    assert "\n" not in str(caught.value)


def test_means_of_shifts_and_of_networks_stay_what_they_were(images):
    network = decisive("fast_cnn_tiny")
    assert_same(average_shifts(network), images)
    assert_same(two_networks(), images)


def test_a_plain_network_is_one_pass_of_steps_in_order():
    (one,) = convert(decisive("fast_cnn_small"))
    assert one.share == 1
    # The batch normalisation after the second convolution and the ReLUs are in the convolutions.
    assert kinds(one) == [
        *["convolution"] * 3, "pool", "scale", *["convolution"] * 2, "pool", "scale", "flatten",
        "dense",
    ]  # fmt: skip
    assert [step.options["activation"] for step in one.steps[:3]] == ["relu"] * 3


def test_a_mean_is_a_pass_for_each_shift_of_each_network_and_the_first_is_not_shifted():
    passes = convert(two_networks())
    assert [one.share for one in passes] == pytest.approx([0.1] * 10)
    assert "window" not in kinds(convert(average_shifts(decisive("keras_example")))[0])
    # fast_cnn_tiny cuts off its border itself.
    starts = [one.steps[0].options["start"] for one in passes[:1]]
    assert starts == [[3, 3]]


@pytest.mark.parametrize("bias", [True, False])
def test_batch_normalisation_is_folded_into_a_linear_layer_directly_before_it(bias, images):
    model = classifier(
        layers.Conv2D(4, 3, use_bias=bias, padding="same", strides=2),
        with_statistics(layers.BatchNormalization(), 1, 1, 4),
        layers.Activation("tanh"),
        layers.Flatten(),
        layers.Dense(6, use_bias=bias),
        with_statistics(layers.BatchNormalization(scale=False), 6),
        layers.ReLU(),
    )
    (one,) = convert(model)
    assert kinds(one) == ["convolution", "flatten", "dense", "flatten", "dense"]
    assert_same(model, images)


def test_batch_normalisation_elsewhere_is_a_scale(images):
    model = classifier(
        with_statistics(layers.BatchNormalization(center=False), 1, 1, 1),
        layers.Conv2D(4, 5, activation="relu"),
        with_statistics(layers.BatchNormalization(), 1, 1, 4),
        layers.ReLU(),
    )
    (one,) = convert(model)
    assert kinds(one) == ["scale", "convolution", "scale", "flatten", "dense"]
    assert one.steps[2].options["activation"] == "relu"
    assert_same(model, images)


@pytest.mark.parametrize(
    "middle",
    [
        [layers.MaxPooling2D(3, strides=2, padding="same")],
        [layers.AveragePooling2D(3, strides=2, padding="same"), layers.MaxPooling2D((2, 1))],
        [layers.Conv2D(3, (2, 4), strides=(3, 1), padding="same"), layers.AveragePooling2D(2)],
        [layers.Conv2D(3, 3), layers.GlobalAveragePooling2D()],
        [layers.Conv2D(3, 3, activation="sigmoid"), layers.GlobalMaxPooling2D(keepdims=True)],
        [layers.ZeroPadding2D(((1, 2), (3, 4))), layers.Cropping2D(((2, 0), (5, 1)))],
        [layers.Cropping2D(3), layers.ZeroPadding2D(2), layers.ZeroPadding2D(((0, 1), (1, 0)))],
        [layers.SpatialDropout2D(0.5), layers.GaussianNoise(0.5), layers.Activation("linear")],
        [keras.Sequential([layers.Conv2D(3, 3), layers.BatchNormalization()])],
    ],
)  # fmt: skip
def test_options_stay_what_they_were(middle, images):
    assert_same(classifier(*middle), images)


def test_a_softmax_of_its_own_is_taken(images):
    dense = [layers.Flatten(), layers.Dense(10), layers.Softmax()]
    assert_same(keras.Sequential([keras.Input((28, 28, 1)), *dense]), images)


@pytest.mark.parametrize(
    "layer, detail",
    [
        (layers.DepthwiseConv2D(3, name="odd"), "layer 'odd' (DepthwiseConv2D) cannot"),
        (layers.Conv2D(4, 3, dilation_rate=2, name="odd"), "(Conv2D) with groups or dilation"),
        (layers.Conv2D(4, 3, activation="gelu", name="odd"), "(Conv2D) with the activation gelu"),
        (layers.ReLU(max_value=6, name="odd"), "layer 'odd' (ReLU) with max_value"),
        (layers.LeakyReLU(name="odd"), "layer 'odd' (LeakyReLU) cannot"),
        (layers.BatchNormalization(axis=1, name="odd"), "(BatchNormalization) on axis 1"),
        (layers.Dense(4, name="odd"), "layer 'odd' (Dense) on a tensor of shape (28, 28, 1)"),
    ],
)
def test_an_unknown_layer_is_named(layer, detail):
    with pytest.raises(UserError) as caught:
        convert(classifier(layer))
    assert detail in str(caught.value) and "The page knows Conv2D" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_layer_with_several_inputs_is_named():
    image = keras.Input((28, 28, 1))
    branches = [layers.Conv2D(2, 3)(image) for _ in range(2)]
    flat = layers.Flatten()(layers.Add(name="both")(branches))
    model = keras.Model(image, layers.Dense(10, activation="softmax")(flat))
    with pytest.raises(UserError, match="layer 'both' \\(Add\\) cannot"):
        convert(model)


def test_a_mean_in_the_middle_is_refused():
    image = keras.Input((28, 28, 1))
    flat = [layers.Flatten()(layers.Conv2D(2, 3)(image)) for _ in range(2)]
    model = keras.Model(image, layers.Dense(10, name="last")(layers.Average()(flat)))
    with pytest.raises(UserError, match="layer 'last' \\(Dense\\) comes after a mean"):
        convert(model)


def test_a_mean_of_unequal_parts_keeps_their_shares(images):
    image = keras.Input((28, 28, 1))
    networks = [classifier(layers.Conv2D(2, 3)) for _ in range(3)]
    inner = layers.Average()([network(image) for network in networks[:2]])
    model = keras.Model(image, layers.Average()([inner, networks[2](image)]))
    assert sorted(one.share for one in convert(model)) == [0.25, 0.25, 0.5]
    assert_same(model, images)


def test_a_mean_of_very_many_is_refused():
    network = classifier()
    for _ in range(3):
        network = average_networks([network] * 5)
    with pytest.raises(UserError, match="a mean of 125"):
        convert(network)
