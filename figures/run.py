"""Figures of a run: how it learned, and what it gets wrong.

Every function takes plain arrays or a table and returns a matplotlib Figure, so notebooks can use
it too.
"""

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator
from scipy.stats import entropy
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from figures.style import BLUE, GREEN, GREY, LIGHT_GREY, ORANGE, draw_image, image_grid

BEST = {"val_loss": "lowest validation loss", "val_accuracy": "highest validation accuracy"}
MAX_MARKED_EPOCHS = 40
GALLERY_COLUMNS, GALLERY_ROWS = 8, 6
N_BINS = 15  # of the calibration error, as in Guo et al., 2017


# --- How it learned -----------------------------------------------------------------------------


def plot_curves(
    history: pd.DataFrame, monitor: str = "val_loss", label_entropy: float = 0.0
) -> Figure:
    """Draw loss, accuracy and learning rate over the epochs, and mark the best epoch.

    Args:
        history: a row per epoch, with the columns of history.csv: epoch, phase, loss, accuracy,
            val_loss, val_accuracy, learning_rate.
        monitor: the column that says which epoch is best: `val_loss` or `val_accuracy`.
        label_entropy: of the labels before the polish, in nats; no loss on them can be smaller,
            so only what lies above it is drawn.
    """
    figure, panels = plt.subplot_mosaic(
        [["loss", "accuracy"], ["rate", "rate"]],
        figsize=(10, 5.5),
        height_ratios=(3, 1),
        layout="constrained",
    )
    epochs, best = history["epoch"], best_epoch(history, monitor)
    _plot_pair(panels["loss"], epochs, _losses_above(history, label_entropy))
    panels["loss"].set(ylabel="cross-entropy loss", yscale="log")
    if label_entropy:
        panels["loss"].set_title("above the entropy of the smoothed labels", fontsize=9)
    _plot_pair(panels["accuracy"], epochs, 100 * history[["accuracy", "val_accuracy"]])
    panels["accuracy"].set_ylabel("accuracy in %")
    _spread_high_accuracies(panels["accuracy"])
    panels["rate"].plot(
        epochs, history["learning_rate"], color=GREEN, marker="o", markersize=_marker_size(epochs)
    )
    panels["rate"].set(ylabel="learning rate", ylim=(0, None))
    for panel in panels.values():
        _mark_polish(panel, epochs[history["phase"] == "polish"])
        panel.axvline(best, color=GREY, linestyle="--", linewidth=1, label="best epoch", zorder=0)
        panel.set(xlabel="epoch", xlim=(epochs.min() - 0.5, epochs.max() + 0.5))
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        panel.grid(alpha=0.3)
    panels["accuracy"].legend(loc="lower right")
    several = f"{len(epochs)} epochs" if len(epochs) > 1 else "1 epoch"
    figure.suptitle(f"Training over {several}; {BEST[monitor]} after epoch {best}")
    return figure


def smoothed_label_entropy(smoothing: float, n_classes: int) -> float:
    """Return the entropy, in nats, of a label that shares `smoothing` among all classes."""
    shares = np.full(n_classes, smoothing / n_classes)
    shares[0] += 1.0 - smoothing
    return float(entropy(shares))


def best_epoch(history: pd.DataFrame, monitor: str) -> int:
    """Return the first epoch with the lowest `val_loss` or the highest `val_accuracy`."""
    costs = -history[monitor] if monitor == "val_accuracy" else history[monitor]
    return int(history["epoch"].iloc[costs.fillna(np.inf).argmin()])  # of a diverged one, NaN


def _losses_above(history: pd.DataFrame, label_entropy: float) -> pd.DataFrame:
    """Return the losses, less the entropy of their labels; in the polish, these have none."""
    entropies = np.where(history["phase"] == "polish", 0.0, label_entropy)
    return history[["loss", "val_loss"]].sub(entropies, axis=0)


def _plot_pair(panel: Axes, epochs: pd.Series, values: pd.DataFrame) -> None:
    """Draw two columns of values: of the training and of the validation images."""
    for column, name, colour, marker in zip(
        values.columns, ("training", "validation"), (BLUE, ORANGE), ("o", "s"), strict=True
    ):
        panel.plot(
            epochs, values[column], color=colour, marker=marker, markersize=_marker_size(epochs),
            label=name,
        )  # fmt: skip


def _marker_size(epochs: pd.Series) -> int:
    """Return the size of the points of a curve: none where they would cover one another."""
    return 4 if len(epochs) <= MAX_MARKED_EPOCHS else 0


def _spread_high_accuracies(panel: Axes) -> None:
    """Scale the axis by the logarithm of the error, so that 99 and 99.9 % are a decade apart."""

    def forward(accuracy):
        return -np.log10(np.maximum(100 - np.asarray(accuracy), 0.01))

    def inverse(decades):
        return 100 - 10 ** -np.asarray(decades)

    values = np.concatenate([np.asarray(line.get_ydata()) for line in panel.lines])
    ticks = np.array([0, 50, 80, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.99])
    low = ticks[ticks <= min(values.min(), 99.9)].max()  # below the top, also where all is right
    high = ticks[(ticks >= min(values.max(), ticks.max())) & (ticks > low)].min()
    panel.set_yscale("function", functions=(forward, inverse))
    ticks = ticks[(ticks >= low) & (ticks <= high)]
    panel.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    panel.set_ylim(low, high)


def _mark_polish(panel: Axes, polish: pd.Series) -> None:
    """Shade the epochs that were trained on unchanged images, if any."""
    if len(polish):
        panel.axvspan(
            polish.min() - 0.5, polish.max() + 0.5, color=GREY, alpha=0.15, linewidth=0,
            label="polish",
        )  # fmt: skip


# --- What it gets wrong -------------------------------------------------------------------------


def plot_confusion_matrix(
    labels: np.ndarray, predicted: np.ndarray, class_names: Sequence[str]
) -> Figure:
    """Draw how often each class was taken for which, with counts; empty cells stay empty."""
    n = len(class_names)
    counts = confusion_matrix(labels, predicted, labels=range(n))
    errors = counts.sum() - np.trace(counts)
    figure, panel = plt.subplots(figsize=(7.5, 6.5), layout="constrained")
    sns.heatmap(
        counts,
        mask=counts == 0,
        annot=True,
        fmt="d",
        cmap="Blues",
        # Logarithmic: on a linear scale four errors look like none beside a thousand hits.
        norm=LogNorm(vmin=1, vmax=max(2, counts.max())),
        xticklabels=class_names,
        yticklabels=class_names,
        linewidths=0.5,
        linecolor="#E5E5E5",
        square=True,
        cbar_kws={
            "label": "images (logarithmic)",
            "ticks": LogLocator(subs=(1, 2, 5)),
            "format": "{x:,.0f}",
        },
        ax=panel,
    )
    panel.collections[0].colorbar.minorticks_off()  # type: ignore[union-attr]
    panel.set(xlabel="predicted class", ylabel="true class")
    figure.suptitle(f"Confusion matrix: {errors:,} of {counts.sum():,} test images misclassified")
    _turn_long_names(panel, class_names)
    panel.tick_params(axis="y", rotation=0)
    return figure


def _turn_long_names(panel: Axes, class_names: Sequence[str]) -> None:
    """Turn the labels of the x axis if they are words, so that they do not overlap."""
    if max(len(name) for name in class_names) > 2:
        plt.setp(panel.get_xticklabels(), rotation=45, ha="right", rotation_mode="anchor")


def rank_misclassified(
    labels: np.ndarray, probabilities: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the misclassified images, the most confidently wrong first.

    Args:
        labels: int (n,), the true classes.
        probabilities: float (n, n_classes).

    Returns:
        Their indices, and for each the difference: probability of the predicted class minus
        probability of the true class.
    """
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    difference = probabilities[wrong, predicted[wrong]] - probabilities[wrong, labels[wrong]]
    order = np.argsort(-difference, kind="stable")
    return wrong[order], difference[order]


def plot_misclassified(
    images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str]
) -> Figure:
    """Draw the misclassified images, each with predicted class, true class and difference."""
    wrong, differences = rank_misclassified(labels, probabilities)
    shown = min(len(wrong), GALLERY_COLUMNS * GALLERY_ROWS)
    figure, panels = image_grid(shown, GALLERY_COLUMNS, cell=1.4, head=0.7, title_height=0.5)
    for panel, index, difference in zip(panels, wrong, differences, strict=False):
        draw_image(panel, images[index])
        predicted = class_names[int(probabilities[index].argmax())]
        true = class_names[int(labels[index])]
        panel.set_title(f"pred. {predicted}\ntrue {true}\ndiff. {difference:.2f}", fontsize=9)
    which = "all" if shown == len(wrong) else f"the first {shown} of"
    title = (
        f"Misclassified test images ({which} {len(wrong):,}), most confidently wrong first\n"
        "diff. = probability of the predicted class - probability of the true class"
    )
    figure.suptitle(title if shown else f"All {len(labels):,} test images are right", fontsize=11)
    return figure


def plot_per_class(labels: np.ndarray, predicted: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Draw precision and recall of each class.

    Precision: of the images taken for the class, the share that belongs to it. Recall: of the
    images of the class, the share that was found. A class with test images that is never predicted
    has precision 0; one without test images has no recall, nor precision if it is never predicted.
    """
    precision, recall, _, n_images = precision_recall_fscore_support(
        labels, predicted, labels=range(len(class_names)), zero_division=0
    )
    # Nothing to find, and nothing taken for it: no point, rather than one at 0.
    recall[n_images == 0] = np.nan
    precision[(n_images == 0) & (np.bincount(predicted, minlength=len(n_images)) == 0)] = np.nan
    figure, panel = plt.subplots(figsize=(7.5, 0.42 * len(class_names) + 1.6), layout="constrained")
    rows = np.arange(len(class_names))
    panel.hlines(rows, 100 * precision, 100 * recall, color=LIGHT_GREY, linewidth=3, zorder=1)
    for values, name, colour, marker, offset in (
        (precision, "precision", BLUE, "o", -0.12),  # one above the other, where both are equal
        (recall, "recall", ORANGE, "D", 0.12),
    ):
        panel.scatter(100 * values, rows + offset, s=45, color=colour, marker=marker, label=name)
    names = [f"{name}  ({n:,})" for name, n in zip(class_names, n_images, strict=True)]
    panel.set_yticks(rows, names)
    panel.invert_yaxis()
    panel.set(xlabel="per cent", ylabel="class (test images)")
    panel.grid(axis="x", alpha=0.3)
    panel.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
    worst = int(np.nanargmin(recall))
    figure.suptitle(
        f"Precision and recall by class; lowest recall: {class_names[worst]}, "
        f"{100 * recall[worst]:.2f} %"
    )
    return figure


# --- How sure it is -----------------------------------------------------------------------------


class Calibration(NamedTuple):
    """Confidence and accuracy in bins of equal width; NaN in bins without an image."""

    confidence: np.ndarray  # float (N_BINS,): mean probability of the predicted class
    accuracy: np.ndarray  # float (N_BINS,): share that is right
    counts: np.ndarray  # int (N_BINS,)
    error: float  # expected calibration error, in [0, 1]


def calibrate(labels: np.ndarray, probabilities: np.ndarray) -> Calibration:
    """Compare how sure the model is with how often it is right.

    The expected calibration error is the mean of |accuracy - confidence| over the bins, weighted
    by their images (Guo et al., 2017, "On calibration of modern neural networks").

    Args:
        labels: int (n,).
        probabilities: float (n, n_classes).
    """
    confidence = np.nan_to_num(probabilities.max(axis=1).astype(np.float64))  # diverged: 0
    right = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
    counts = np.bincount(bins, minlength=N_BINS)
    with np.errstate(invalid="ignore"):  # 0 / 0 in empty bins is NaN, as promised
        mean_confidence = np.bincount(bins, confidence, N_BINS) / counts
        accuracy = np.bincount(bins, right, N_BINS) / counts
    gaps = np.nan_to_num(np.abs(accuracy - mean_confidence))
    return Calibration(mean_confidence, accuracy, counts, float(gaps @ counts / counts.sum()))


def plot_reliability(labels: np.ndarray, probabilities: np.ndarray) -> Figure:
    """Draw accuracy against confidence, and how many images each bin holds."""
    calibration = calibrate(labels, probabilities)
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(6.5, 6.5), height_ratios=(3, 1), sharex=True, layout="constrained"
    )
    left = np.arange(N_BINS) / N_BINS
    top.bar(left, calibration.accuracy, 1 / N_BINS, align="edge", color=BLUE, edgecolor="white")
    top.scatter(
        calibration.confidence, calibration.accuracy, s=22, color=ORANGE, zorder=3, clip_on=False,
        label="mean confidence of the bin",
    )  # fmt: skip
    top.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="perfect calibration")
    top.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
    bottom.bar(left, calibration.counts, 1 / N_BINS, align="edge", color=GREY, edgecolor="white")
    bottom.set(xlabel="confidence: probability of the predicted class", ylabel="images")
    bottom.set_yscale("log")
    bottom.set_ylim(0.5, None)
    for panel in (top, bottom):
        panel.grid(axis="y", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    figure.suptitle(
        f"Reliability: expected calibration error {100 * calibration.error:.2f} percentage points"
    )
    return figure
