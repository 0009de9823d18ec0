"""Test accuracy after each epoch of a run, read when the training is over; and what it cost."""

import time
from typing import Any

import keras
import numpy as np

from _00_main import Settings, run
from _01_data_loader import load_data
from _02_data_preprocess import preprocess
from _03_model_training import evaluate
from averaging import network_of


class EpochWeights(keras.callbacks.Callback):
    """Keeps the weights after each epoch, and the time on two clocks.

    Args:
        classifier: the model whose weights are kept; None: the one inside the trained model.
        process_started: when the process was started, in seconds since the epoch.
    """

    def __init__(self, process_started: float, classifier: keras.Model | None = None):
        super().__init__()
        self.process_started, self.classifier = process_started, classifier
        self.training_started = time.time()
        self.weights: list[list[np.ndarray]] = []
        self.train_seconds: list[float] = []
        self.process_seconds: list[float] = []

    def on_train_begin(self, logs=None):
        """Start the clock at the first phase."""
        if not self.weights:
            self.training_started = time.time()

    def on_epoch_end(self, epoch, logs=None):
        """Keep weights and times."""
        model = self.classifier or self.model.layers[-1]
        self.weights.append(model.get_weights())
        self.train_seconds.append(round(time.time() - self.training_started, 2))
        self.process_seconds.append(round(time.time() - self.process_started, 2))

    def curve(self, model: keras.Model, images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """Return both clocks and the test accuracy, a value an epoch; changes model's weights.

        The last value is that of the model as the training left it: EarlyStopping may have
        returned to an earlier epoch.
        """
        accuracies = [evaluate(model, images, labels).accuracy]
        for weights in reversed(self.weights[:-1]):
            model.set_weights(weights)
            accuracies.append(evaluate(model, images, labels).accuracy)
        return {
            "train_seconds": self.train_seconds,
            "process_seconds": self.process_seconds,
            "test_accuracy": accuracies[::-1],
        }


def train_with_curve(
    settings: Settings, process_started: float
) -> tuple[keras.Model, dict[str, Any]]:
    """Train by the program's own `run()`; return the network and its curve."""
    keeper = EpochWeights(process_started)
    result = run(settings, callbacks=[keeper])
    model = keras.saving.load_model(result.run_folder / "model.keras")
    splits = preprocess(
        load_data(settings.dataset, settings.data_dir), settings.val_size, settings.seed
    )
    curve = keeper.curve(model, splits.x_test, splits.y_test)
    return network_of(model), {**curve, "images_per_epoch": len(splits.y_train)}


def multiply_adds(model: keras.Model) -> int:
    """Return the multiply-adds of a model's convolutions and dense layers, an image."""
    return sum(layer_multiply_adds(layer) for layer in model.layers)


def layer_multiply_adds(layer: keras.layers.Layer) -> int:
    """Return the multiply-adds of a layer, an image; 0 for all but Conv2D and Dense."""
    if isinstance(layer, keras.layers.Conv2D):
        height, width = layer.output.shape[1:3]
        return height * width * int(np.prod(layer.kernel.shape))
    if isinstance(layer, keras.layers.Dense):
        return int(np.prod(layer.kernel.shape))
    return 0


def matrix_product_peak(size: int = 2048, seconds: float = 2.0) -> float:
    """Return the FLOP/s of the back end's float32 matrix product: the best of many, in 2 s."""
    a = keras.random.normal((size, size))
    best, end = np.inf, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        keras.ops.convert_to_numpy(keras.ops.matmul(a, a)[0, 0])  # wait for the result
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best
