"""A run of which all is known, and its figures, drawn once for all tests of this folder."""

from pathlib import Path
from typing import Any, NamedTuple

from common.keras_start import load_keras

load_keras()  # pytest may import this file first

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers
from matplotlib.figure import Figure

import _05_model_plot
from common.data import Splits
from common.run_folder import Description
from figures.catalogue import FIGURES, FinishedRun
from training.augmentation import RandomAffine

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# Test image: what it is taken for, instead of what it is. Not symmetric: 3 is taken for 5 twice,
# 5 never for 3.
MISTAKES = {3: 5, 13: 5, 21: 8}
SETTINGS = {
    "dataset": "digits", "architecture": "small", "val_size": 0.2, "seed": 7,
    "precision": "float32", "monitor": "val_accuracy",
    "rotation": 12.0, "zoom": 0.1, "shift": 0.1, "shear": 8.0,
    "label_smoothing": 0.1, "networks": 1, "average_shifts": True, "data_dir": None,
    "early_stopping_enabled": True, "figures": "all", "show": False,
}  # fmt: skip
METRICS = {
    "test_loss": 0.25539, "test_accuracy": 0.9501, "n_misclassified": 1234, "val_loss": 0.1,
    "val_accuracy": 0.9012, "epochs_trained": 3, "train_seconds": 1234.5, "total_seconds": 1300.0,
    "n_parameters": 56789, "is_record": False,
}  # fmt: skip
HISTORY = pd.DataFrame(
    [
        (1, "augmented", 1.5, 0.80, 1.40, 0.90, 3e-3, 2.2),
        (2, "augmented", 1.2, 0.90, 1.05, 0.99, 2e-3, 4.4),
        (3, "polish", 0.1, 0.97, 0.07, 0.95, 1e-3, 8.8),
    ],
    columns=[
        "epoch", "phase", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"
    ],
)  # fmt: skip


class DrawnRun(NamedTuple):
    """A run folder with all its figures and its report."""

    folder: Path
    run: FinishedRun
    figures: dict[str, Figure]  # by name, as they were saved


def small_network() -> keras.Model:
    """Return an untrained network with two convolutions and a hidden Dense layer."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(5, 3, strides=2, activation="relu", name="first"),
            layers.Conv2D(7, (3, 5), name="second"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Flatten(name="flat"),
            layers.Dense(6, activation="tanh", name="hidden"),
            layers.Dense(10, activation="softmax", name="output"),
        ],
        name="small",
    )


def known_probabilities(labels: np.ndarray) -> np.ndarray:
    """Return probabilities that are right but for MISTAKES, of all degrees of confidence."""
    predicted = labels.copy()
    predicted[list(MISTAKES)] = list(MISTAKES.values())
    confidence = np.linspace(0.3, 0.999, len(labels))
    probabilities = np.repeat((1 - confidence)[:, np.newaxis] / 9, 10, axis=1)
    probabilities[np.arange(len(labels)), predicted] = confidence
    return probabilities.astype(np.float32)


@pytest.fixture(scope="session")
def known_run(splits) -> FinishedRun:
    """Return a run whose test images show 0, 1, ..., 9, 0, 1, ... and whose mistakes are known."""
    by_class = [np.flatnonzero(splits.y_test == number)[:6] for number in range(10)]
    order = np.stack(by_class, axis=1).ravel()
    part = Splits(
        splits.x_train[:150], splits.y_train[:150], splits.x_val[:20], splits.y_val[:20],
        splits.x_test[order], splits.y_test[order],
    )  # fmt: skip
    machine: dict[str, Any] = {"backend": "abacus 1.0", "device": "ten fingers", "threads": 2}
    return FinishedRun(
        Description(dict(SETTINGS), machine, "0123abc", None), METRICS, HISTORY, small_network(),
        part, known_probabilities(part.y_test), NAMES, RandomAffine(12, 0.1, 0.1, 8, seed=7),
    )  # fmt: skip


@pytest.fixture(scope="session")
def drawn(known_run, tmp_path_factory) -> DrawnRun:
    """Draw every figure of the catalogue once, and the report."""
    folder = tmp_path_factory.mktemp("drawn")
    figures = {}

    def keep(figure, path):
        figures[path.stem] = figure
        save(figure, path)

    save = _05_model_plot.save_figure
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_05_model_plot, "save_figure", keep)
        _05_model_plot.draw(folder, known_run, list(FIGURES))
    return DrawnRun(folder, known_run, figures)


def project(vectors: np.ndarray) -> np.ndarray:
    """Return a map of vectors (n, d) at once, where t-SNE takes seconds: float (n, 2)."""
    return vectors @ np.random.default_rng(0).normal(size=(vectors.shape[1], 2))


@pytest.fixture
def quick_tsne(monkeypatch):
    """Put `project` in the place of t-SNE, and return it."""
    monkeypatch.setattr("figures.network.reduce_by_tsne", project)
    monkeypatch.setattr("figures.data.reduce_by_tsne", project)
    return project
