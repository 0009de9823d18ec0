import keras
import numpy as np
import pytest

from _00_main import OPTIMIZER_NAMES
from architectures import build_architecture
from optimizers import OPTIMIZERS, ScheduledAdam, ScheduledMuon


def test_schedule_rises_then_falls_to_zero_and_scales_what_the_plateau_sets():
    optimizer = ScheduledAdam(0.1, 0.99, total_steps=100, warm_up=0.2)
    shares = [float(optimizer.share(step)) for step in (0, 10, 20, 60, 100, 120)]
    assert shares == pytest.approx([0.1, 0.55, 1.0, 0.5, 0.0, 0.0], abs=1e-6)

    # Adam's first step is the rate itself, whatever the gradient.
    for plateau, expected in ((0.1, 0.01), (0.02, 0.002)):
        optimizer = ScheduledAdam(0.1, 0.99, total_steps=100, warm_up=0.2)
        optimizer.learning_rate = plateau
        weight = keras.Variable([1.0, 1.0])
        optimizer.apply([np.array([3.0, -0.5], np.float32)], [weight])
        np.testing.assert_allclose(weight, [1 - expected, 1 + expected], rtol=1e-4)


def test_constant_schedule_is_plain_adam():
    weights = []
    for optimizer in (
        ScheduledAdam(0.01, 0.95, total_steps=None, warm_up=0.2),
        keras.optimizers.Adam(0.01, beta_2=0.95),
    ):
        weights.append(keras.Variable([1.0, 2.0]))
        for gradient in ([3.0, -0.5], [1.0, 0.5], [-2.0, 0.1]):
            optimizer.apply([np.array(gradient, np.float32)], [weights[-1]])
    np.testing.assert_allclose(weights[0], weights[1], rtol=1e-6)


def test_settings_know_the_optimizers():
    assert set(OPTIMIZER_NAMES) == set(OPTIMIZERS)


@pytest.mark.parametrize("shape", [(9, 4), (4, 9), (6, 6)])
def test_orthogonalised_matrix_keeps_its_directions(shape):
    matrix = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    found = np.asarray(ScheduledMuon(0.1, 0.99, None, 0.1).orthogonalise(keras.ops.array(matrix)))
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    assert found.shape == shape
    singular = np.diag(left.T @ found @ right.T)
    assert singular.min() > 0.6 and singular.max() < 1.3
    np.testing.assert_allclose(left @ np.diag(singular) @ right, found, atol=1e-4)


def test_muon_trains_inner_kernels_and_adam_the_rest():
    model = build_architecture("fast_cnn")
    muon, adam = (OPTIMIZERS[name](0.001, 0.99, None, 0.1) for name in ("muon", "adam"))
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    rng = np.random.default_rng(0)
    gradients = [rng.normal(size=v.shape).astype(np.float32) for v in model.trainable_variables]
    before = [v.numpy() for v in model.trainable_variables]
    muon.apply(gradients, model.trainable_variables)
    adam.apply(gradients, twin.trainable_variables)
    inner = 0
    for start, a, b in zip(
        before, model.trainable_variables, twin.trainable_variables, strict=True
    ):
        if len(a.shape) == 4 and a.shape[2] > 1:
            inner += 1
            # The step's root mean square: 10 rates of 0.2 of Adam's typical step.
            size = np.sqrt(np.mean((a.numpy() - start) ** 2))
            assert size == pytest.approx(0.001 * 10 * 0.2, rel=0.25)
        else:
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    assert inner == 4
