import keras
import numpy as np
import pytest
from keras import layers

from architectures import build_architecture
from common.user_error import UserError
from studies.costs import (
    compute_dtype,
    layer_multiply_adds,
    matrix_product_peak,
    multiply_adds,
    plain_layers,
    training_flops,
)


def test_multiply_adds_by_hand():
    network = keras.Sequential(
        [
            keras.Input((12, 10, 3)),
            layers.Conv2D(4, 3, strides=2),  # 5 x 4 places, 4 outputs of 3 x 3 x 3 weights
            layers.BatchNormalization(),
            layers.Conv2D(6, (1, 3), padding="same", groups=2),  # 20 places, 6 of 1 x 3 x 2
            layers.DepthwiseConv2D(3, padding="same"),  # 20 places, 6 of 3 x 3
            layers.Flatten(),
            layers.Dense(10, use_bias=False),  # 10 of 120
        ]
    )
    counts = [layer_multiply_adds(layer) for layer in network.layers]
    assert counts == [20 * 4 * 27, 0, 20 * 6 * 6, 20 * 6 * 9, 0, 1200]
    assert multiply_adds(network) == sum(counts)


def test_dense_layer_on_a_sequence_counts_each_step():
    network = keras.Sequential([keras.Input((7, 5)), layers.Dense(3)])
    assert multiply_adds(network) == 7 * 5 * 3


def test_network_inside_a_network_counts_once():
    inner = keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(10)])
    outer = keras.Sequential([keras.Input((28, 28, 1)), inner, layers.Dense(4)])
    assert multiply_adds(outer) == 7840 + 40
    assert not any(isinstance(layer, keras.Model) for layer in plain_layers(outer))


def test_published_count_of_network_101():
    assert multiply_adds(build_architecture("cnn_mnist_101")) == pytest.approx(33.7e6, rel=0.002)


def test_layer_that_is_not_known_is_refused():
    network = keras.Sequential([keras.Input((7, 5)), layers.GRU(3)])
    with pytest.raises(UserError, match="a GRU layer are unknown"):
        multiply_adds(network)


def test_training_costs_three_passes_of_two_operations():
    assert training_flops(multiply_adds_per_image=1000, n_images=54) == 324_000


def test_dtype_of_a_precision():
    assert compute_dtype("float32") == "float32"
    assert compute_dtype("mixed_bfloat16") == "bfloat16"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_peak_is_that_of_the_best_product(monkeypatch, dtype):
    seen, clock = [], iter([0.0, 1.0, 5.0, 6.0, 8.0, 9.0, 9.5, 10.0, 11.0, 99.0])
    product = keras.ops.matmul

    def spy(a, b):
        seen.append((keras.backend.standardize_dtype(a.dtype), a.shape))
        return product(a, b)

    monkeypatch.setattr("keras.ops.matmul", spy)
    monkeypatch.setattr("studies.costs.time.perf_counter", lambda: next(clock))
    # From 1 to 5, from 6 to 8 (the time for a third is there), from 9.5 to 10 s; 11 is the end.
    peak = matrix_product_peak(dtype, size=8, seconds=10.5)
    np.testing.assert_allclose(peak, 2 * 8**3 / 0.5)
    assert seen == [(dtype, (8, 8))] * 3
