"""What the tests of step 3 share: trainings of as few steps as possible."""

import warnings
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import keras
import numpy as np

from _03_model_training import build_network, train


def few_of(splits):
    """Return so few of the digits that an epoch has one step."""
    return splits._replace(
        x_train=splits.x_train[:100],
        y_train=splits.y_train[:100],
        x_val=splits.x_val[:50],
        y_val=splits.y_val[:50],
    )


def train_in(folder, splits, settings, *callbacks, compiled=False, **changes):
    """Train as a new process would: the network is built anew.

    Compiling takes longer than a few steps do without it.
    """
    folder.mkdir(exist_ok=True)
    settings = replace(settings, **changes)
    with nullcontext() if compiled else without_compiling():
        return train(build_network(settings), splits, settings, folder, callbacks)


@contextmanager
def without_compiling():
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Even though the `tf.config")
            yield
    finally:
        tf.config.run_functions_eagerly(False)


def assert_equal_weights(weights, others):
    for a, b in zip(weights, others, strict=True):
        np.testing.assert_array_equal(a, b)


def script_validation_losses(monkeypatch, losses):
    """Let the callbacks see these validation losses, by epoch: noise must not decide a test."""
    for callback in (keras.callbacks.EarlyStopping, keras.callbacks.ReduceLROnPlateau):
        original = callback.on_epoch_end

        def scripted(self, epoch, logs=None, original=original):
            logs["val_loss"] = losses[epoch]
            original(self, epoch, logs)

        monkeypatch.setattr(callback, "on_epoch_end", scripted)
