"""Figures of a run: how it learned, and what it gets wrong.

Every function takes plain arrays and returns a matplotlib Figure, so notebooks can use it too.
"""

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from scipy.stats import entropy
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from figures.style import BLUE, GREEN, GREY, ORANGE, image_grid

GALLERY_COLUMNS, GALLERY_ROWS = 8, 6
N_BINS = 15  # of the calibration error, as in Guo et al., 2017


# --- How it learned -----------------------------------------------------------------------------


def plot_curves(
    history: Sequence[dict], monitor: str = "val_loss", label_entropy: float = 0.0
) -> Figure:
    """Draw loss, accuracy and learning rate over the epochs, and mark the best epoch.

    Args:
        history: the rows of history.csv.
        monitor: the column that says which epoch is best: `val_loss` or `val_accuracy`.
        label_entropy: of the labels before the polish; no loss on them can be smaller, so only
            what lies above it is drawn.
    """
    if label_entropy:
        history = [_without_entropy(row, label_entropy) for row in history]
    figure, panels = plt.subplot_mosaic(
        [["loss", "accuracy"], ["rate", "rate"]],
        figsize=(10, 5.5),
        height_ratios=(3, 1),
        layout="constrained",
    )
    epochs = [int(row["epoch"]) for row in history]
    for metric in ("loss", "accuracy"):
        _plot_metric(panels[metric], history, metric)
    panels["loss"].set_yscale("log")
    if label_entropy:
        panels["loss"].set_title("above the entropy of the smoothed labels", fontsize=9)
    _spread_high_accuracies(panels["accuracy"])
    rates = [row["learning_rate"] for row in history]
    panels["rate"].plot(epochs, rates, color=GREEN, marker="o", markersize=4)
    panels["rate"].set(ylabel="learning rate", ylim=(0, None))
    best = best_epoch(history, monitor)
    for panel in panels.values():
        _mark_polish(panel, history)
        panel.axvline(best, color=GREY, linestyle="--", linewidth=1, label="best epoch", zorder=0)
        panel.set(xlabel="epoch")
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.grid(alpha=0.3)
    panels["accuracy"].legend(loc="lower right")
    what = {"val_loss": "lowest validation loss", "val_accuracy": "highest validation accuracy"}
    figure.suptitle(f"Training over {len(epochs)} epochs; {what[monitor]} after epoch {best}")
    return figure


def smoothed_label_entropy(smoothing: float, n_classes: int) -> float:
    """Return the entropy, in nats, of a label that shares `smoothing` among all classes."""
    shares = np.full(n_classes, smoothing / n_classes)
    shares[0] += 1.0 - smoothing
    return float(entropy(shares))


def _without_entropy(row: dict, label_entropy: float) -> dict:
    """Return a row of the history whose losses are counted from the entropy of its labels."""
    if row["phase"] == "polish":
        return row
    return row | {name: row[name] - label_entropy for name in ("loss", "val_loss")}


def best_epoch(history: Sequence[dict], monitor: str) -> int:
    """Return the epoch with the lowest `val_loss` or the highest `val_accuracy`."""
    better = max if monitor == "val_accuracy" else min
    return int(better(history, key=lambda row: row[monitor])["epoch"])


def _plot_metric(panel: plt.Axes, history: Sequence[dict], metric: str) -> None:
    """Draw loss or accuracy of the training and of the validation images."""
    scale = 100 if metric == "accuracy" else 1
    epochs = [int(row["epoch"]) for row in history]
    for key, name, colour, marker in (
        (metric, "training", BLUE, "o"),
        (f"val_{metric}", "validation", ORANGE, "s"),
    ):
        values = [scale * row[key] for row in history]
        panel.plot(epochs, values, color=colour, marker=marker, markersize=4, label=name)
    panel.set(ylabel="accuracy in %" if metric == "accuracy" else "cross-entropy loss")


def _spread_high_accuracies(panel: plt.Axes) -> None:
    """Scale the axis by the logarithm of the error, so that 99 and 99.9 % are a decade apart."""

    def forward(accuracy):
        return -np.log10(np.maximum(100 - np.asarray(accuracy), 0.01))

    def inverse(decades):
        return 100 - 10 ** -np.asarray(decades)

    values = np.concatenate([line.get_ydata() for line in panel.lines])
    ticks = np.array([0, 50, 80, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.99])
    low = ticks[ticks <= min(values.min(), 99.9)].max()  # below the top, also where all is right
    high = ticks[(ticks >= min(values.max(), ticks.max())) & (ticks > low)].min()
    panel.set_yscale("function", functions=(forward, inverse))
    ticks = ticks[(ticks >= low) & (ticks <= high)]
    panel.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    panel.set_ylim(low, high)


def _mark_polish(panel: plt.Axes, history: Sequence[dict]) -> None:
    """Shade the epochs that were trained on unchanged images."""
    polish = [int(row["epoch"]) for row in history if row["phase"] == "polish"]
    if polish:
        panel.axvspan(polish[0] - 0.5, polish[-1] + 0.5, color=GREY, alpha=0.15, label="polish")


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
        cbar_kws={"label": "images (logarithmic)"},
        ax=panel,
    )
    panel.set(xlabel="predicted class", ylabel="true class")
    figure.suptitle(f"Confusion matrix: {errors:,} of {counts.sum():,} test images misclassified")
    _turn_long_names(panel, class_names)
    panel.tick_params(axis="y", rotation=0)
    return figure


def _turn_long_names(panel: plt.Axes, class_names: Sequence[str]) -> None:
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
        panel.imshow(images[index, ..., 0], cmap="gray_r", vmin=0, vmax=1)
        predicted = class_names[probabilities[index].argmax()]
        panel.set_title(
            f"pred. {predicted}\ntrue {class_names[labels[index]]}\ndiff. {difference:.2f}",
            fontsize=9,
        )
    which = "all" if shown == len(wrong) else f"the first {shown} of"
    figure.suptitle(
        f"Misclassified test images ({which} {len(wrong):,}), most confidently wrong first\n"
        "diff. = probability of the predicted class - probability of the true class",
        fontsize=11,
    )
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
    panel.hlines(rows, 100 * precision, 100 * recall, color="#C8C8C8", linewidth=3, zorder=1)
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
