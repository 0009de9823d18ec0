"""Test accuracy after each epoch of a training, read when the training is over."""

from typing import Any

import keras
import numpy as np

from _03_model_training import evaluate
from studies.costs import multiply_adds
from studies.timed_runs import seconds_since


class WeightsAfterEachEpoch(keras.callbacks.Callback):
    """Keeps the weights after each epoch, and the time on two clocks.

    Nothing in the training looks at the test images: they are read by `curve`, when it is over.

    Args:
        process_started: when the process was started (see `studies.timed_runs`).
        network: the model whose weights are kept; None: the last layer of the model that is
            trained, which in this program is the network behind the augmentation.
    """

    def __init__(self, process_started: float, network: keras.Model | None = None):
        super().__init__()
        self.process_started, self.network = process_started, network
        self.training_started = 0.0  # seconds after the process
        self.weights: list[list[np.ndarray]] = []
        self.process_seconds: list[float] = []

    def on_train_begin(self, logs=None):
        """Start the clock of the training, at its first phase."""
        if not self.weights:
            multiply_adds(self.network or self.model.layers[-1])  # refused now, or never
            self.training_started = seconds_since(self.process_started)

    def on_epoch_end(self, epoch, logs=None):
        """Keep weights and time."""
        network = self.network or self.model.layers[-1]
        self.weights.append(network.get_weights())  # copies
        self.process_seconds.append(seconds_since(self.process_started))

    def curve(self, model: keras.Model, images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """Return a value per epoch of both clocks, in seconds, and of the test accuracy.

        The last accuracy is that of the model as the training left it: EarlyStopping may have
        returned to an earlier epoch. Changes the model's weights.

        Args:
            model: the trained classifier; it may average what the network predicts.
            images: float32 (n, 28, 28, 1) in [0, 1].
            labels: int (n,).
        """
        accuracies = [evaluate(model, images, labels).accuracy]
        for weights in reversed(self.weights[:-1]):
            model.set_weights(weights)
            accuracies.append(evaluate(model, images, labels).accuracy)
        return {
            "train_seconds": [round(s - self.training_started, 2) for s in self.process_seconds],
            "process_seconds": [round(s, 2) for s in self.process_seconds],
            "test_accuracy": accuracies[::-1],
        }
