import keras
import numpy as np
import pytest

from _00_main import parse_command_line
from architectures import ARCHITECTURES, build_architecture
from benchmarks.epoch_curve import multiply_adds
from user_error import UserError


@pytest.mark.parametrize(
    ("name", "n_parameters", "millions_of_multiply_adds"),
    [
        ("cnn_mnist_101", 2_230_506, 33.7),
        ("fast_cnn_tiny", 42_762, 1.05),
        ("fast_cnn_small", 45_778, 2.2),
        ("fast_cnn", 301_002, 15.8),
        ("keras_example", 34_826, 2.4),
    ],
)
def test_published_sizes(name, n_parameters, millions_of_multiply_adds):
    model = build_architecture(name)
    assert model.count_params() == n_parameters
    assert multiply_adds(model) / 1e6 == pytest.approx(millions_of_multiply_adds, abs=0.05)


def test_recipe_best_trains_for_at_most_half_a_petaflop():
    settings, _ = parse_command_line(["--recipe", "best"])
    images = 60_000 * (1 - settings.val_size) * (settings.epochs + settings.polish_epochs)
    images *= settings.networks
    flops = 2 * 3 * multiply_adds(build_architecture(settings.architecture)) * images
    assert 0.15e15 < flops <= 0.5e15


def test_network_101_has_the_layers_of_its_project():
    kinds = [type(layer).__name__ for layer in build_architecture("cnn_mnist_101").layers]
    convolution = ["Conv2D", "BatchNormalization"]
    dense = ["Dense", "BatchNormalization", "Dropout"]
    block = [*convolution, *convolution, "MaxPooling2D", "Dropout"]
    assert kinds == [*block, *block, "Flatten", *dense, *dense, "Dense"]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_output_is_a_probability_a_class(name, splits):
    model = build_architecture(name, (28, 28, 1), 7)
    probabilities = np.asarray(model(splits.x_test[:5]))
    assert probabilities.shape == (5, 7) and probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_seed_decides_the_first_weights(name):
    weights = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        weights.append(build_architecture(name).get_weights()[0])
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(UserError, match="'fast_cn'. Did you mean 'fast_cnn'"):
        build_architecture("fast_cn")
