"""Step 5: the figures of a run.

Every function returns a matplotlib Figure and takes plain arrays, so that notebooks can use it.
Colours are from the Okabe-Ito palette and differ in lightness too.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix

from safe_files import cannot_write

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#767676"
DOTS_PER_INCH = 150
GALLERY_COLUMNS, GALLERY_ROWS = 8, 6


def plot_run(
    folder: Path,
    history: Sequence[dict],
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    show: bool = False,
) -> None:
    """Draw every figure of a run and save it as PNG in its folder.

    Args:
        folder: the run folder.
        history: the rows of history.csv.
        images: float32 (n, 28, 28, 1), the test images.
        labels: int (n,), their true classes.
        probabilities: float32 (n, n_classes), what the model made of them.
        class_names: a name a class.
        show: also open the figures in windows, and wait until they are closed.
    """
    if not show:
        matplotlib.use("Agg")  # draws without a screen
    with plt.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        figures = {
            "curves": plot_curves(history),
            "confusion_matrix": plot_confusion_matrix(
                labels, probabilities.argmax(axis=1), class_names
            ),
            "misclassified": plot_misclassified(images, labels, probabilities, class_names),
        }
    for name, figure in figures.items():
        path = folder / f"{name}.png"
        try:
            figure.savefig(path, dpi=DOTS_PER_INCH, bbox_inches="tight")
        except OSError as error:
            raise cannot_write(path, error) from error
    if show:
        plt.show()
    for figure in figures.values():
        plt.close(figure)


def plot_curves(history: Sequence[dict]) -> Figure:
    """Draw training and validation loss (logarithmic) and accuracy over the epochs."""
    figure, panels = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    epochs = [int(row["epoch"]) for row in history]
    for panel, metric in zip(panels, ("loss", "accuracy"), strict=True):
        scale = 100 if metric == "accuracy" else 1
        for key, name, colour, marker in (
            (metric, "training", BLUE, "o"),
            (f"val_{metric}", "validation", ORANGE, "s"),
        ):
            values = [scale * row[key] for row in history]
            panel.plot(epochs, values, color=colour, marker=marker, markersize=4, label=name)
        _mark_polish(panel, history)
        panel.set(xlabel="epoch", ylabel="accuracy in %" if metric == "accuracy" else "loss")
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.grid(alpha=0.3)
    panels[0].set_yscale("log")
    _spread_high_accuracies(panels[1])
    panels[0].set_title("Cross-entropy loss")
    panels[1].set_title("Accuracy")
    panels[1].legend(loc="lower right")
    return figure


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
    panel.set_title(f"Confusion matrix: {errors:,} of {counts.sum():,} test images misclassified")
    if max(len(name) for name in class_names) > 2:
        panel.tick_params(axis="x", rotation=45)
    panel.tick_params(axis="y", rotation=0)
    return figure


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
    rows = max(1, -(-shown // GALLERY_COLUMNS))
    figure, panels = plt.subplots(
        rows,
        GALLERY_COLUMNS,
        figsize=(1.45 * GALLERY_COLUMNS, 1.95 * rows + 0.9),
        layout="constrained",
        squeeze=False,
    )
    for panel in panels.flat:
        panel.axis("off")
    for panel, index, difference in zip(panels.flat, wrong, differences, strict=False):
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
