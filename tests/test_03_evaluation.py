"""What `evaluate` and `collect_metrics` of step 3 say of a network."""

import math
import time

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers

from _03_model_training import Evaluation, Training, build_network, collect_metrics, evaluate


def reader():
    """Return a classifier that reads its ten probabilities in the first row of the image."""
    image = keras.Input((28, 28, 1))
    return keras.Model(image, layers.Flatten()(layers.Cropping2D(((0, 27), (0, 18)))(image)))


def with_probabilities(probabilities):
    """Return images of which `reader` reads these probabilities (n, 10)."""
    images = np.zeros((len(probabilities), 28, 28, 1), np.float32)
    images[:, 0, :10, 0] = probabilities
    return images


def test_evaluation_of_known_probabilities():
    probabilities = np.full((4, 10), 0.05)
    for image, (digit, probability) in enumerate(((3, 0.55), (3, 0.55), (0, 0.55), (9, 0.55))):
        probabilities[image, digit] = probability
    found = evaluate(reader(), with_probabilities(probabilities), np.array([3, 4, 0, 9]))
    assert found.accuracy == 0.75
    assert found.loss == pytest.approx(-(3 * math.log(0.55) + math.log(0.05)) / 4, rel=1e-6)
    np.testing.assert_allclose(found.probabilities, probabilities, rtol=1e-6)
    assert found.probabilities.dtype == np.float32
    assert isinstance(found.loss, float) and isinstance(found.accuracy, float)


def test_a_network_that_is_certainly_wrong_has_a_finite_loss():
    wrong = with_probabilities(np.eye(10)[[1, 1]])
    assert evaluate(reader(), wrong, np.array([0, 2])).loss == pytest.approx(-math.log(1e-7))
    assert evaluate(reader(), wrong, np.array([0, 1])).loss == pytest.approx(-math.log(1e-7) / 2)
    assert evaluate(reader(), wrong, np.array([1, 1])).loss == 0


def test_every_image_counts_once_however_many_there_are():
    rng = np.random.default_rng(0)
    probabilities, labels = rng.dirichlet(np.ones(10), 1203), rng.integers(0, 10, 1203)
    found = evaluate(reader(), with_probabilities(probabilities), labels)
    np.testing.assert_allclose(found.probabilities, probabilities, rtol=1e-6)
    of_true_class = probabilities[np.arange(1203), labels]
    assert found.loss == pytest.approx(-np.log(of_true_class).mean(), rel=1e-5)
    assert found.accuracy == (probabilities.argmax(axis=1) == labels).mean()


def test_evaluation_agrees_with_keras(splits, tiny_settings):
    model = build_network(tiny_settings)
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    loss, accuracy = model.evaluate(splits.x_test, splits.y_test, verbose=0)
    found = evaluate(model, splits.x_test, splits.y_test)
    assert found.loss == pytest.approx(loss, rel=1e-4)
    assert found.accuracy == pytest.approx(accuracy)


def test_metrics_say_what_was_trained_and_found(splits, tiny_settings):
    network = build_network(tiny_settings)
    probabilities = np.eye(10, dtype=np.float32)[splits.y_test]
    probabilities[:3] = np.roll(probabilities[:3], 1, axis=1)  # three wrong
    of_test = Evaluation(0.25, 0.875, probabilities)
    of_validation = Evaluation(0.5, 0.75, probabilities[:7])
    trained = Training(network, pd.DataFrame(), 12, 34.56, 20.0)
    metrics = collect_metrics(
        trained, of_validation, of_test, splits, started=time.perf_counter() - 100
    )
    total_seconds = metrics.pop("total_seconds")
    assert metrics == {
        "test_loss": 0.25,
        "test_accuracy": 0.875,
        "n_misclassified": 3,
        "val_loss": 0.5,
        "val_accuracy": 0.75,
        "epochs_trained": 12,
        "train_seconds": 34.6,
        "n_parameters": network.count_params(),
    }
    assert 120 <= total_seconds < 180  # interrupted processes included
