import re

import keras
import numpy as np
import pytest
from keras import layers

from _00_main import make_settings
from architectures import (
    ARCHITECTURES,
    build_architecture,
    check_architecture,
    classic,
    import_architecture,
    parse_architecture,
    problem_of,
)
from common.user_error import UserError
from studies.costs import multiply_adds
from tests.training.test_precision import NAMES as CONVERTED

NAMES = list(ARCHITECTURES)  # without those that other tests register


@pytest.fixture(scope="module")
def networks():
    """Return every registered network, by its name."""
    return {name: build_architecture(name) for name in NAMES}


# --- The networks ---


@pytest.mark.parametrize(
    ("name", "n_parameters", "millions_of_multiply_adds"),
    [
        ("cnn_mnist_101", 2_230_506, 33.7),
        ("fast_cnn_tiny", 42_762, 1.05),
        ("fast_cnn_small", 45_778, 2.2),
        ("fast_cnn", 301_002, 15.8),
        ("keras_example", 34_826, 2.4),
        ("tiny_cnn", 14_136, 0.6),
        ("tiny_cnn_small", 6_260, 0.25),
        ("tiny_cnn_large", 38_026, 1.55),
        ("fashion_cnn", 850_122, 38.3),
        ("fashion_example", 101_770, 0.1),
        ("simple_conv", 132_106, 0.33),
        ("drop_conv", 132_106, 0.33),
        ("sweep_baseline", 62_834, 2.79),
        ("sweep_best", 379_476, 21.94),
        ("one_convolution", 54_410, 0.25),
        ("one_convolution(kernel_size=5)", 46_922, 0.51),
        ("one_convolution(strides=2)", 11_850, 0.06),
        ("two_convolutions", 905_482, 3.31),
        ("lenet5", 61_706, 0.42),
        ("alexnet", 1_555_514, 14.95),
        ("vgg16", 2_112_442, 14.09),
        ("googlenet", 376_838, 19.35),
        ("resnet20", 273_754, 31.02),
    ],
)
def test_published_sizes(networks, name, n_parameters, millions_of_multiply_adds):
    network = networks.get(name) or build_architecture(name)
    assert network.count_params() == n_parameters
    assert multiply_adds(network) / 1e6 == pytest.approx(millions_of_multiply_adds, abs=0.05)


def test_all_kinds_of_layers_are_converted_to_float32_in_a_test(networks):
    """By test_precision.py, in these networks."""

    def kinds(names):
        return {type(one) for name in names for one in networks[name]._flatten_layers()}

    assert kinds(networks) <= kinds(name for name in CONVERTED if name != "tiny")


def test_width_1_is_the_published_width():
    """As the papers count: 138 million of VGG16 are 15 million of convolutions and the rest."""
    vgg16, googlenet = classic.vgg16, classic.googlenet
    convolutions = [
        layer.count_params()
        for layer in vgg16((28, 28, 3), 10, width=1).layers
        if isinstance(layer, layers.Conv2D)
    ]
    assert sum(convolutions) == 14_714_688 and len(convolutions) == 13
    # 1,024 maps come out of the last module, and feed the output.
    assert googlenet((28, 28, 1), 10, width=1).layers[-1].count_params() == 1024 * 10 + 10


def test_recipe_best_trains_for_at_most_half_a_petaflop(networks):
    settings = make_settings("best")
    images = 60_000 * (1 - settings.val_size) * (settings.epochs + settings.polish_epochs)
    images *= settings.networks
    flops = 2 * 3 * multiply_adds(networks[settings.architecture]) * images
    assert 0.15e15 < flops <= 0.5e15


def test_network_101_has_the_layers_of_its_project(networks):
    names = [type(layer).__name__ for layer in networks["cnn_mnist_101"].layers]
    convolution = ["Conv2D", "BatchNormalization"]
    dense = ["Dense", "BatchNormalization", "Dropout"]
    block = [*convolution, *convolution, "MaxPooling2D", "Dropout"]
    assert names == [*block, *block, "Flatten", *dense, *dense, "Dense"]


def test_fast_cnn_convolves_small_maps_and_normalises_only_those(networks):
    network = networks["fast_cnn"]
    names = [type(layer).__name__ for layer in network.layers]
    shrinking = ["MaxPooling2D", "BatchNormalization"]
    assert names == [
        *["Conv2D", "Conv2D", "BatchNormalization", "ReLU"],
        *["Conv2D", *shrinking, "Conv2D", "Conv2D", *shrinking],
        *["Flatten", "Dropout", "Dense"],
    ]
    convolutions = [one for one in network.layers if isinstance(one, layers.Conv2D)]
    assert [one.input.shape[1] for one in convolutions] == [28, 26, 12, 6, 6]
    assert {type(one.kernel_initializer).__name__ for one in convolutions} == {"HeNormal"}


@pytest.mark.parametrize(
    "name", ["fast_cnn", "fast_cnn_small", "fast_cnn_tiny", "tiny_cnn", "fashion_cnn"]
)
def test_averages_of_batches_are_those_of_a_short_training(networks, name):
    found = [one for one in networks[name].layers if isinstance(one, layers.BatchNormalization)]
    assert found and {one.momentum for one in found} == {0.9}


@pytest.mark.parametrize(
    ("name", "kind", "number"),
    [
        ("fashion_cnn", layers.Add, 3),
        ("resnet20", layers.Add, 9),
        ("googlenet", layers.Concatenate, 9),
    ],
)
def test_branches_meet_and_go_on(networks, name, kind, number):
    """What is added or joined comes from several layers."""
    meetings = [one for one in networks[name].layers if isinstance(one, kind)]
    assert len(meetings) == number
    for meeting in meetings:
        assert len({id(tensor) for tensor in meeting.input}) == (2 if kind is layers.Add else 4)


def test_kerass_example_has_the_layers_of_its_publication(networks):
    names = [type(layer).__name__ for layer in networks["keras_example"].layers]
    assert names == [*["Conv2D", "MaxPooling2D"] * 2, "Flatten", "Dropout", "Dense"]


def test_the_courses_fashion_example_has_the_layers_of_its_solution(networks):
    flatten, hidden, _ = networks["fashion_example"].layers
    assert isinstance(flatten, layers.Flatten) and hidden.units == 128


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        ("cnn_mnist_101", [0.25] * 4),
        ("fast_cnn", [0.25]),
        ("fast_cnn_small", [0.1]),
        ("fast_cnn_tiny", [0.1]),
        ("keras_example", [0.5]),
        ("simple_conv", []),
        ("drop_conv", [0.25, 0.25]),
        ("sweep_baseline", [0.2] * 3),
        ("sweep_best", [0.4] * 4),
        ("alexnet", [0.5, 0.5]),
        ("vgg16", [0.5, 0.5]),
        ("googlenet", [0.4]),
        ("fashion_cnn", [0.25]),
    ],
)
def test_dropout(networks, name, rates):
    found = [one.rate for one in networks[name].layers if isinstance(one, layers.Dropout)]
    assert found == rates


def test_the_networks_of_the_sweep_have_noise_penalties_and_a_sigmoid(networks):
    for name, noise, penalised in (
        ("sweep_baseline", [0.1], [64]),
        ("sweep_best", [0.75] * 4, [82, 54]),
    ):
        network = networks[name]
        found = [one.stddev for one in network.layers if isinstance(one, layers.GaussianNoise)]
        assert found == noise
        dense = [one for one in network.layers if isinstance(one, layers.Dense)]
        assert [one.units for one in dense if one.kernel_regularizer] == penalised
        assert {round(float(one.kernel_regularizer.l2), 6) for one in dense[:-1]} == {0.07}
    assert [one.activation.__name__ for one in dense] == ["relu", "sigmoid", "softmax"]
    assert [one.use_bias for one in dense] == [True, True, False]
    convolutions = [one for one in network.layers if isinstance(one, layers.Conv2D)]
    assert [(one.kernel_size[0], one.strides[0], one.use_bias) for one in convolutions] == [
        (3, 1, True), (3, 1, True), (5, 2, False)
    ] * 2  # fmt: skip


def test_narrower_networks_are_fast_cnn_with_fewer_filters(networks):
    def shape_of(name):
        kept = [one for one in networks[name].layers if not isinstance(one, layers.Cropping2D)]
        return [(type(one).__name__, getattr(one, "strides", None)) for one in kept]

    assert shape_of("fast_cnn_small") == shape_of("fast_cnn_tiny") == shape_of("fast_cnn")
    tiny = networks["fast_cnn_tiny"]
    images = np.zeros((1, 28, 28, 1), np.float32)
    images[0, 3, 3] = images[0, -4, -4] = 1  # the outermost pixels that it does not cut off
    outside = np.ones((1, 28, 28, 1), np.float32)
    outside[:, 3:-3, 3:-3] = 0
    empty = np.asarray(tiny(np.zeros_like(images)))
    np.testing.assert_array_equal(tiny(outside), empty)
    assert np.abs(np.asarray(tiny(images)) - empty).max() > 0


# Two have sigmoids or tangents, and past the blocks of a ResNet leads a bare convolution.
@pytest.mark.parametrize("name", sorted({*NAMES} - {"sweep_best", "lenet5", "resnet20"}))
def test_every_layer_with_weights_but_the_last_is_followed_by_a_relu(networks, name):
    *hidden, last = networks[name].layers
    has_relu = False
    for layer in reversed(hidden):
        is_relu = getattr(layer, "activation", None) == keras.activations.relu
        if isinstance(layer, layers.Conv2D | layers.Dense):
            assert is_relu or has_relu, layer.name
            has_relu = False
        has_relu |= isinstance(layer, layers.ReLU)
    assert last.activation == keras.activations.softmax


@pytest.mark.parametrize("name", NAMES)
def test_output_is_a_float32_probability_per_class_in_bfloat16_too(name, splits):
    keras.config.set_dtype_policy("mixed_bfloat16")
    network = getattr(import_architecture(name), name)((28, 28, 1), 7)
    probabilities = np.asarray(network(splits.x_test[:5]))
    assert probabilities.shape == (5, 7) and probabilities.min() >= 0
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", ["fast_cnn", "cnn_mnist_101", "keras_example"])
def test_seed_decides_the_first_weights(name):
    build = getattr(import_architecture(name), name)
    weights = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        weights.append(build((28, 28, 1), 10).get_weights()[0])
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


# --- The registry ---


def test_unknown_name_suggests_the_nearest():
    for function in (check_architecture, build_architecture):
        with pytest.raises(UserError, match="'fast_cn'. Did you mean 'fast_cnn'"):
            function("fast_cn")
    check_architecture("fast_cnn")


def test_values_in_brackets_reach_the_function():
    network = build_architecture("fast_cnn(filters=(4, 4, 4, 4, 4), dropout=0.0)", n_classes=3)
    assert network.layers[0].filters == 4 and network.output_shape == (None, 3)
    assert parse_architecture("vgg16( width = 0.5 )") == ("vgg16", {"width": 0.5})
    assert parse_architecture("vgg16()") == ("vgg16", {})


@pytest.mark.parametrize(
    "text",
    ["vgg16(0.5)", "vgg16(width=", "vgg16(width=0.5)(1)", "vgg16(width=open('x'))",
     "vgg16(width=0.5, width=0.1)", "vgg16(width=0.5), alexnet", "vgg16(width=0.5).layers",
     "vgg16(*[1])", "vgg16(width=\0)"],
)  # fmt: skip
def test_brackets_hold_names_and_plain_values_only(text):
    with pytest.raises(UserError, match=r"cannot be read: expected a name, or a name with values"):
        check_architecture(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vgg16(widht=0.5)", r"unknown value in architecture '.*' 'widht'. Did you mean 'width'"),
        ("fast_cnn(input_shape=(1, 1, 1))", "unknown value in architecture"),
        ("simple_conv(dropout=2)", r"architecture 'simple_conv\(dropout=2\)' cannot be built: "),
        ("vgg16(width='wide')", "cannot be built"),
        ("vgg16(width=-1)", "cannot be built: width must be above 0"),
        ("fashion_cnn(filters=())", "cannot be built"),
        ("fast_cnn(filters=(0, 1, 1, 1, 1))", "cannot be built"),
        ("vgg16(**{})", "unknown value"),
        ("drop_conv(dropout=0.1)", "unknown value"),
    ],
)
def test_values_that_a_network_does_not_take_are_refused_in_one_line(text, message):
    with pytest.raises(UserError, match=message) as caught:
        build_architecture(text)
    assert "\n" not in str(caught.value)


def test_a_network_that_cannot_be_used_is_named(monkeypatch):
    monkeypatch.setattr("tests.tiny.tiny", lambda input_shape, n_classes: None)
    with pytest.raises(UserError, match="architecture 'tiny' cannot be used: .*NoneType.*Model"):
        build_architecture("tiny")


# --- What is a classifier ---


@pytest.mark.parametrize("name", NAMES)
def test_registered_networks_are_classifiers(networks, name):
    assert problem_of(networks[name], (28, 28, 1), 10) is None


class Subclass(keras.Model):
    def __init__(self):
        super().__init__()
        self.flatten, self.dense = layers.Flatten(), layers.Dense(10, activation="softmax")

    def call(self, images):
        return self.dense(self.flatten(images))


class Unregistered(layers.Layer):
    def call(self, values):
        return values * 2


@keras.saving.register_keras_serializable("tests")
class WithoutConfig(layers.Layer):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, values):
        return self.function(values)


@keras.saving.register_keras_serializable("tests")
class Forgetful(layers.Layer):
    """Forgets in its configuration how many weights it has."""

    def __init__(self, n=1, **options):
        super().__init__(**options)
        self.n = n

    def build(self, input_shape):
        self.scales = self.add_weight((self.n,), initializer="ones")

    def call(self, values):
        return values * keras.ops.mean(self.scales)

    def get_config(self):
        return super().get_config()


def sequential(*between, activation="softmax", units=10):
    flat = layers.Flatten()
    last = layers.Dense(units, activation=activation)
    return keras.Sequential([keras.Input((28, 28, 1)), flat, *between, last])


def functional(outputs_of):
    image = keras.Input((28, 28, 1))
    probabilities = layers.Dense(10, activation="softmax")(layers.Flatten()(image))
    return keras.Model(image, outputs_of(probabilities))


def without_input():
    return keras.Sequential([layers.Flatten(), layers.Dense(10, activation="softmax")])


def of_shape(*shape):
    last = layers.Dense(10, activation="softmax")
    return keras.Sequential([keras.Input(shape), layers.Flatten(), last])


def with_two_inputs():
    both = [keras.Input((28, 28, 1)), keras.Input((28, 28, 1))]
    flat = layers.Flatten()(layers.Add()(both))
    return keras.Model(both, layers.Dense(10, activation="softmax")(flat))


PROBLEMS = {
    "no network": (lambda: None, "NoneType, expected a keras.Model"),
    "a class": (lambda: Subclass, "type, expected a keras.Model"),
    "no softmax": (lambda: sequential(activation=None), "sum to 0, .*activation='softmax'"),
    "sigmoid": (lambda: sequential(activation="sigmoid"), "sum to 5, .*activation='softmax'"),
    "hyperbolic tangent": (lambda: sequential(activation="tanh"), "activation='softmax'"),
    "negative with sum 1": (
        lambda: functional(lambda p: layers.Rescaling(11, offset=-1)(p)),
        r"run from -0\.\d+ .* sum to 1",
    ),
    "one output": (
        lambda: sequential(units=1, activation="sigmoid"),
        r"shape \(1,\), expected \(10,\)",
    ),
    "eleven classes": (lambda: sequential(units=11), r"shape \(11,\), expected \(10,\)"),
    "maps": (
        lambda: keras.Sequential([keras.Input((28, 28, 1)), layers.ReLU()]),
        r"shape \(28, 28, 1\), expected \(10,\)",
    ),
    "two outputs": (lambda: functional(lambda p: [p, p]), "a list of 2 outputs"),
    "a list": (lambda: functional(lambda p: [p]), "a list of 1 outputs"),
    "a dictionary": (lambda: functional(lambda p: {"digit": p}), "a dict of 1 outputs"),
    "two inputs": (with_two_inputs, "2 inputs, expected 1"),
    "a subclass": (Subclass, "subclass of keras.Model as a functional model"),
    "no input": (without_input, r"keras.Input\(\(28, 28, 1\)\)"),
    "colour": (lambda: of_shape(28, 28, 3), r"\(28, 28, 3\), expected \(28, 28, 1\)"),
    "flat images": (lambda: of_shape(784), r"\(784,\), expected \(28, 28, 1\)"),
    "not a number": (lambda: sequential(layers.Rescaling(np.nan)), "not finite"),
    "unregistered": (lambda: sequential(Unregistered()), "'Unregistered'.*register_keras"),
    "no get_config": (lambda: sequential(WithoutConfig(abs)), "WithoutConfig.*get_config"),
    "wrong get_config": (lambda: sequential(Forgetful(3)), "other weights"),
    "lambda": (lambda: sequential(layers.Lambda(lambda v: v / 2)), "cannot be saved.*`Lambda`"),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_what_is_no_classifier_is_refused_with_the_reason(problem):
    build, said = PROBLEMS[problem]
    message = problem_of(build(), (28, 28, 1), 10)
    assert message is not None and re.search(said, message), message
    assert "\n" not in message and len(message) < 300


def test_a_small_deviation_from_sum_one_is_accepted():
    keras.config.set_dtype_policy("mixed_bfloat16")  # so that the softmax itself is rounded
    assert problem_of(sequential(), (28, 28, 1), 10) is None
