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
    find_layer,
    layers_with_maps,
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
    smoothed_label_entropy,
)
from user_error import UserError


class Material(NamedTuple):
    """What the figures of a run are drawn from."""

    settings: Mapping[str, Any]  # as in settings.json
    history: Sequence[dict[str, float | str]]  # the rows of history.csv
    network: keras.Model  # the first, if several are averaged; without test-time augmentation
    splits: Splits
    probabilities: np.ndarray  # float32 (n_test, n_classes): what the run makes of the test set
    class_names: Sequence[str]

    @property
    def label_entropy(self) -> float:
        """The entropy of the labels before the polish; runs of earlier versions smoothed none."""
        smoothing = self.settings.get("label_smoothing", 0.0)
        return smoothed_label_entropy(smoothing, len(self.class_names))

    @property
    def predicted(self) -> np.ndarray:
        """The predicted class of each test image: int (n_test,)."""
        return self.probabilities.argmax(axis=1)


class Choice(NamedTuple):
    """What to look at, where a figure leaves the choice."""

    layer: str | None = None  # name of a layer; None is the figure's own default
    image: int | None = None  # index of a test image; None is the first

    @property
    def suffix(self) -> str:
        """What the choice adds to the name of a figure's file: '-conv2d_1-image7'."""
        layer = "" if self.layer is None else f"-{self.layer}"
        return layer + ("" if self.image is None else f"-image{self.image}")


class Kind(NamedTuple):
    """A kind of figure."""

    draw: Callable[[Material, Choice], Figure]
    subject: str  # the chapter of the report: run, network or data
    caption: str
    # The layers to choose from; None: the figure is not of a layer.
    layers: Callable[[keras.Model], list[keras.layers.Layer]] | None = None
    takes_image: bool = False
    is_slow: bool = False  # takes seconds, because of t-SNE

    def suits(self, model: keras.Model) -> bool:
        """Return whether the model has what the figure shows."""
        return self.layers is None or bool(self.layers(model))


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
    return plot_activations(m.network, m.splits.x_test[index], title, choice.layer)


def draw_embeddings(m: Material, choice: Choice) -> Figure:
    """Draw where a layer puts the test images."""
    return plot_embeddings(
        m.network, m.splits.x_test, m.splits.y_test, m.predicted, m.class_names, choice.layer
    )


def draw_augmentation(m: Material, _: Choice) -> Figure:
    """Draw what the run's augmentation makes of its first training image."""
    limits = {name: m.settings[name] for name in ("rotation", "zoom", "shift", "shear")}
    augmentation = RandomAffine(**limits, seed=m.settings["seed"])
    return plot_augmentation(augmentation, m.splits.x_train[0], m.class_names[m.splits.y_train[0]])


FIGURES: dict[str, Kind] = {
    "curves": Kind(
        lambda m, _: plot_curves(m.history, m.settings["monitor"], m.label_entropy),
        "run",
        "Loss, accuracy and learning rate, epoch by epoch. In training, dropout is on and images "
        "may be varied, so the network can look better on the validation images.",
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
        "Is the network as often right as it is sure? A dot above the dashed line: more often. "
        "Mind the counts below: a bar of few images says little.",
    ),
    "network": Kind(
        lambda m, _: plot_network(m.network),
        "network",
        "The layers in the order in which an image passes them.",
    ),
    "filters": Kind(
        lambda m, choice: plot_filters(m.network, choice.layer),
        "network",
        "What a convolution multiplies each neighbourhood of pixels with.",
        layers=convolutions,
    ),
    "activations": Kind(
        draw_activations,
        "network",
        "What each filter answers to an image: bright where it finds what it looks for.",
        layers=layers_with_maps,
        takes_image=True,
    ),
    "embeddings": Kind(
        draw_embeddings,
        "network",
        "Each point is a test image, placed by what a layer makes of it, coloured by its true "
        "class. Circles are misclassified; those come first, the others are drawn at random.",
        layers=embedding_layers,
        is_slow=True,
    ),
    "samples": Kind(
        lambda m, _: plot_samples(m.splits.x_train, m.splits.y_train, m.class_names),
        "data",
        "What the classes look like.",
    ),
    "augmentation": Kind(
        draw_augmentation,
        "data",
        "What the settings of this run make of one image, drawn anew each time it is shown in "
        "training. Without augmentation, it stays as it is.",
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


def check_choice(names: Sequence[str], choice: Choice, model: keras.Model) -> None:
    """Check that every figure can show what was chosen, before any of them is drawn.

    Raises:
        UserError: a figure is not of a layer or an image, or the model has no such layer.
    """
    for name in names:
        kind = FIGURES[name]
        if kind.layers is not None:
            find_layer(kind.layers(model), choice.layer, f"layer for {name}")
        for flag, value, is_taken in (
            ("--layer", choice.layer, kind.layers is not None),
            ("--image", choice.image, kind.takes_image),
        ):
            if value is not None and not is_taken:
                raise UserError(f"'{name}' takes no {flag}; draw it by itself, without.")
