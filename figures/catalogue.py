"""The catalogue: every figure by name, with its caption and what it is drawn from."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from matplotlib.figure import Figure

from _02_data_preprocess import RandomAffine, Splits
from figures.data import plot_augmentation, plot_clusters, plot_samples
from figures.network import (
    convolutions,
    embedding_layers,
    plot_activations,
    plot_embeddings,
    plot_filters,
    plot_network,
)
from figures.run import (
    plot_confusion_matrix,
    plot_curves,
    plot_misclassified,
    plot_per_class,
    plot_reliability,
)
from user_error import UserError


class Material(NamedTuple):
    """What the figures of a run are drawn from."""

    settings: Mapping[str, Any]  # as in settings.json
    history: Sequence[dict[str, float | str]]  # the rows of history.csv
    model: keras.Model
    splits: Splits
    probabilities: np.ndarray  # float32 (n_test, n_classes): what the model makes of the test set
    class_names: Sequence[str]

    @property
    def predicted(self) -> np.ndarray:
        """The predicted class of each test image: int (n_test,)."""
        return self.probabilities.argmax(axis=1)


class Choice(NamedTuple):
    """What to look at, where a figure leaves the choice."""

    layer: str | None = None  # name of a layer; None is the figure's own default
    image: int | None = None  # index of a test image; None is the first

    def suffix(self, uses: Sequence[str]) -> str:
        """Return what the choice adds to the name of a figure's file: '-conv2d_1-image7'."""
        layer = f"-{self.layer}" if self.layer and "layer" in uses else ""
        return layer + (f"-image{self.image}" if self.image is not None and "image" in uses else "")


class Kind(NamedTuple):
    """A kind of figure."""

    draw: Callable[[Material, Choice], Figure]
    subject: str  # the chapter of the report: run, network or data
    caption: str
    uses: tuple[str, ...] = ()  # which fields of the choice
    is_slow: bool = False  # takes seconds, because of t-SNE
    suits: Callable[[keras.Model], bool] = lambda model: True


def draw_confusion_matrix(m: Material, _: Choice) -> Figure:
    """Draw the confusion matrix of the test images."""
    return plot_confusion_matrix(m.splits.y_test, m.predicted, m.class_names)


def draw_misclassified(m: Material, _: Choice) -> Figure:
    """Draw the misclassified test images."""
    return plot_misclassified(m.splits.x_test, m.splits.y_test, m.probabilities, m.class_names)


def draw_activations(m: Material, choice: Choice) -> Figure:
    """Draw the maps that a convolution makes of a test image.

    Raises:
        UserError: no such image or layer.
    """
    index = choice.image or 0
    if not 0 <= index < len(m.splits.y_test):
        raise UserError(f"--image must be from 0 to {len(m.splits.y_test) - 1:,}, got {index}.")
    name = m.class_names[m.splits.y_test[index]]
    title = f"test image {index} ({name})"
    return plot_activations(m.model, m.splits.x_test[index], title, choice.layer)


def draw_embeddings(m: Material, choice: Choice) -> Figure:
    """Draw where a layer puts the test images."""
    return plot_embeddings(
        m.model, m.splits.x_test, m.splits.y_test, m.predicted, m.class_names, choice.layer
    )


def draw_augmentation(m: Material, _: Choice) -> Figure:
    """Draw what the run's augmentation makes of its first training image."""
    limits = {name: m.settings[name] for name in ("rotation", "zoom", "shift", "shear")}
    augmentation = RandomAffine(**limits, seed=m.settings["seed"])
    return plot_augmentation(augmentation, m.splits.x_train[0], m.class_names[m.splits.y_train[0]])


def has_convolution(model: keras.Model) -> bool:
    """Return whether there are filters and maps to draw."""
    return bool(convolutions(model))


FIGURES: dict[str, Kind] = {
    "curves": Kind(
        lambda m, _: plot_curves(m.history, m.settings["monitor"]),
        "run",
        "Loss, accuracy and learning rate, epoch by epoch. The training images are varied and "
        "seen with dropout, so their curve can lie on the wrong side of the validation curve.",
    ),
    "confusion_matrix": Kind(
        draw_confusion_matrix,
        "run",
        "Which class was taken for which. The diagonal is right; an empty cell is none at all.",
    ),
    "misclassified": Kind(
        draw_misclassified,
        "run",
        "The misclassified test images, the most confidently wrong first. Would you have known?",
    ),
    "per_class": Kind(
        lambda m, _: plot_per_class(m.splits.y_test, m.predicted, m.class_names),
        "run",
        "Precision: of the images taken for a class, how many belong to it. Recall: of the "
        "images of a class, how many were found.",
    ),
    "reliability": Kind(
        lambda m, _: plot_reliability(m.splits.y_test, m.probabilities),
        "run",
        "Is the network as often right as it is sure? Bars above the dashed line: it is right "
        "more often than it claims. Mind the counts below: a bar of few images says little.",
    ),
    "network": Kind(
        lambda m, _: plot_network(m.model),
        "network",
        "The layers in the order in which an image passes them.",
    ),
    "filters": Kind(
        lambda m, choice: plot_filters(m.model, choice.layer),
        "network",
        "What a convolution multiplies each neighbourhood of pixels with.",
        uses=("layer",),
        suits=has_convolution,
    ),
    "activations": Kind(
        draw_activations,
        "network",
        "What each filter answers to an image: bright where it finds what it looks for.",
        uses=("layer", "image"),
        suits=has_convolution,
    ),
    "embeddings": Kind(
        draw_embeddings,
        "network",
        "Each point is a test image, placed by what a layer makes of it, coloured by its true "
        "class; circles are misclassified. All of those are drawn, and others at random.",
        uses=("layer",),
        is_slow=True,
        suits=lambda model: bool(embedding_layers(model)),
    ),
    "samples": Kind(
        lambda m, _: plot_samples(m.splits.x_train, m.splits.y_train, m.class_names),
        "data",
        "What the classes look like.",
    ),
    "augmentation": Kind(
        draw_augmentation,
        "data",
        "The network never sees the same image twice: each time it is turned, scaled, sheared "
        "and shifted at random. Only the polish at the end sees images as they are.",
    ),
    "clusters": Kind(
        lambda m, _: plot_clusters(m.splits.x_train, m.splits.y_train, m.class_names),
        "data",
        "How far one gets without a network: each point is an image, placed by its pixels alone. "
        "Purity is the share of images that belong to the majority of their k-means cluster.",
        is_slow=True,
    ),
}


def choose_figures(model: keras.Model, extent: str) -> list[str]:
    """Return the names of the figures that suit a model: all, or without the slow ones (quick)."""
    return [
        name
        for name, kind in FIGURES.items()
        if kind.suits(model) and not (extent == "quick" and kind.is_slow)
    ]
