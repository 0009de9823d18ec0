import math

import keras
import numpy as np
import pytest

from architectures import build_architecture
from common.settings import OPTIMIZER_NAMES
from training.optimizers import OPTIMIZERS, ScheduledAdam, ScheduledMuon, ScheduledSGD

RATE, BETA_2, TOTAL_STEPS, WARM_UP = 0.01, 0.9, 10, 0.3
FIRST_KERNEL, TALL_KERNEL, WIDE_KERNEL = (3, 3, 1, 4), (3, 3, 4, 5), (1, 3, 5, 24)
BIAS, DENSE_KERNEL = (5,), (7, 3)
SHAPES = (FIRST_KERNEL, TALL_KERNEL, WIDE_KERNEL, BIAS, DENSE_KERNEL)


# --- The rules, written once more, in NumPy and float64 ---


def rate_at(step):
    """Return the rate of a step: it rises to the peak in the first 30 %, then falls to 0."""
    done = step / TOTAL_STEPS
    return RATE * (0.1 + 0.9 * done / 0.3 if done < 0.3 else (1 - done) / 0.7)


def adam(weight, gradients, rates):
    """Kingma and Ba, arXiv 1412.6980, algorithm 1, with epsilon as Keras adds it."""
    mean, square = np.zeros(weight.shape), np.zeros(weight.shape)
    for t, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        mean = 0.9 * mean + 0.1 * gradient
        square = BETA_2 * square + (1 - BETA_2) * gradient**2
        correction = math.sqrt(1 - BETA_2**t) / (1 - 0.9**t)
        weight = weight - rate * correction * mean / (np.sqrt(square) + 1e-7)
    return weight


def muon(weight, gradients, rates):
    """Jordan et al., 2024, with Nesterov momentum, and the step's size of arXiv 2502.16982."""
    momentum = np.zeros(weight.shape)
    for gradient, rate in zip(gradients, rates, strict=True):
        momentum = 0.9 * momentum + gradient
        ahead = gradient + 0.9 * momentum
        matrix = ahead.reshape(-1, weight.shape[-1])
        step = 0.2 * math.sqrt(max(matrix.shape)) * near_orthogonal(matrix)
        weight = weight - 10 * rate * step.reshape(weight.shape)
    return weight


def sgd(weight, gradients, rates):
    """Robbins and Monro, 1951: against the gradient."""
    return weight - sum(rate * of_step for rate, of_step in zip(rates, gradients, strict=True))


def near_orthogonal(matrix):
    """Return the matrix with five Newton-Schulz steps taken by each of its singular values."""
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    values = values / np.linalg.norm(values)
    for _ in range(5):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return (left * values) @ right


# --- Many steps ---


@pytest.fixture(scope="module")
def gradients():
    """Return those of nine steps: the same direction under much noise, of another size each."""
    rng = np.random.default_rng(0)
    fixed = [rng.normal(size=shape) for shape in SHAPES]
    return [
        [size * (0.5 * kept + rng.normal(size=kept.shape)) for kept in fixed]
        for size in (1, 3, 0.1, 2, 0.5, 1, 4, 0.2, 1)
    ]


def trained(name, gradients, plateau_after=None):
    """Return the weights before and after training by an optimizer of the program."""
    optimizer = OPTIMIZERS[name](RATE, BETA_2, TOTAL_STEPS, WARM_UP)
    rng = np.random.default_rng(1)
    start = [rng.normal(size=shape) for shape in SHAPES]
    weights = [keras.Variable(weight.astype(np.float32)) for weight in start]
    optimizer.build(weights)
    for step, of_step in enumerate(gradients):
        if step == plateau_after:
            optimizer.learning_rate = float(optimizer.learning_rate) * 0.2  # ReduceLROnPlateau
        optimizer.apply([keras.ops.array(g, "float32") for g in of_step], weights)
    return start, [weight.numpy() for weight in weights]


@pytest.mark.parametrize("plateau_after", [None, 4])
@pytest.mark.parametrize("name", OPTIMIZER_NAMES)
def test_steps_follow_the_rule_and_the_schedule(name, gradients, plateau_after):
    start, found = trained(name, gradients, plateau_after)
    cut = plateau_after if plateau_after is not None else len(gradients)
    rates = [rate_at(step) * (1.0 if step < cut else 0.2) for step in range(len(gradients))]
    for i, shape in enumerate(SHAPES):
        rule = sgd if name == "sgd" else adam
        if name == "muon" and shape in (TALL_KERNEL, WIDE_KERNEL):
            rule = muon
        expected = rule(start[i], [of_step[i] for of_step in gradients], rates)
        # Of the way, not of the weights: these are as large as a hundred steps.
        way = np.abs(expected - start[i]).max()
        np.testing.assert_allclose(found[i], expected, rtol=0, atol=0.002 * way)


def test_schedule_rises_then_falls_to_zero():
    optimizer = ScheduledAdam(0.1, 0.99, total_steps=100, warm_up=0.2)
    shares = [float(optimizer.share(step)) for step in (0, 10, 20, 60, 100, 120)]
    assert shares == pytest.approx([0.1, 0.55, 1.0, 0.5, 0.0, 0.0], abs=1e-6)


@pytest.mark.parametrize(
    ("scheduled", "plain"),
    [
        (ScheduledAdam, keras.optimizers.Adam(0.01, beta_2=0.95)),
        (ScheduledSGD, keras.optimizers.SGD(0.01)),
    ],
)
def test_constant_schedule_is_the_plain_optimizer(scheduled, plain, gradients):
    weights = []
    for optimizer in (scheduled(0.01, 0.95, total_steps=None, warm_up=0.2), plain):
        weights.append(keras.Variable(np.ones(BIAS, np.float32)))
        for of_step in gradients:
            optimizer.apply([of_step[SHAPES.index(BIAS)].astype(np.float32)], [weights[-1]])
    np.testing.assert_allclose(weights[0], weights[1], rtol=1e-6)


# --- Muon ---


@pytest.mark.parametrize("shape", [(9, 4), (4, 9), (6, 6)])
def test_orthogonalised_matrix_keeps_its_directions(shape):
    matrix = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    found = np.asarray(ScheduledMuon(0.1, 0.99, None, 0.1).orthogonalise(keras.ops.array(matrix)))
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    assert found.shape == shape
    singular = np.diag(left.T @ found @ right.T)
    assert singular.min() > 0.6 and singular.max() < 1.3
    np.testing.assert_allclose(left @ np.diag(singular) @ right, found, atol=1e-4)


def test_a_kernel_without_gradient_stays():
    weight = keras.Variable(np.ones(TALL_KERNEL, np.float32))
    optimizer = ScheduledMuon(0.1, 0.99, None, 0.1)
    optimizer.apply([np.zeros(TALL_KERNEL, np.float32)], [weight])
    np.testing.assert_array_equal(weight, np.ones(TALL_KERNEL))


def test_muon_trains_the_kernels_of_all_convolutions_but_the_first():
    network = build_architecture("fast_cnn")
    convolutions = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    inner = [layer.kernel.path for layer in convolutions[1:]]
    trained_by_muon = [v.path for v in network.trainable_variables if ScheduledMuon.trains(v)]
    assert trained_by_muon == inner and len(inner) == 4


def test_settings_know_the_optimizers():
    assert set(OPTIMIZER_NAMES) == set(OPTIMIZERS)
