"""The catalogue: every figure by name, with its caption and what it is drawn from."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from common.data import Splits
from common.run_folder import Description
from common.user_error import UserError
from figures.data import plot_augmentation, plot_clusters, plot_samples
from figures.layers import convolutions, embedding_layers, find_layer, layers_with_maps
from figures.network import plot_activations, plot_embeddings, plot_filters, plot_network
from figures.run import (
    plot_confusion_matrix,
    plot_curves,
    plot_misclassified,
    plot_per_class,
    plot_reliability,
    smoothed_label_entropy,
)


class FinishedRun(NamedTuple):
    """A run that is over: what its figures and its report are made from."""

    description: Description  # settings.json
    metrics: Mapping[str, Any]  # metrics.json
    history: pd.DataFrame  # history.csv: a row per epoch
    network: keras.Model  # the first, if several are averaged; without test-time augmentation
    splits: Splits
    probabilities: np.ndarray  # float32 (n_test, n_classes): what the run makes of the test set
    class_names: Sequence[str]
    augmentation: keras.layers.Layer  # that the training images went through

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings by name; runs of earlier versions lack some."""
        return self.description.settings

    @property
    def label_entropy(self) -> float:
        """The entropy of the labels before the polish, in nats."""
        smoothing = self.settings.get("label_smoothing", 0.0)  # earlier versions smoothed none
        return smoothed_label_entropy(smoothing, len(self.class_names))

    @property
    def predicted(self) -> np.ndarray:
        """The predicted class of each test image: int (n_test,)."""
        return self.probabilities.argmax(axis=1)


class FigureOptions(NamedTuple):
    """What a figure shows, where there is a choice."""

    layer: str | None = None  # name of a layer; None is the figure's own default
    image: int | None = None  # index of a test image; None is the first

    @property
    def file_suffix(self) -> str:
        """What they add to the name of a figure's file: '-conv2d_1-image7'."""
        layer = "" if self.layer is None else f"-{self.layer}"
        return layer + ("" if self.image is None else f"-image{self.image}")


DEFAULT_OPTIONS = FigureOptions()


class FigureSpec(NamedTuple):
    """How a figure of the catalogue is drawn, and what the report says of it."""

    draw: Callable[[FinishedRun, FigureOptions], Figure]
    chapter: str  # of the report: run, network or data
    caption: str
    # The layers to choose from; None: the figure is not of a layer.
    layers: Callable[[keras.Model], list[keras.layers.Layer]] | None = None
    takes_image: bool = False
    is_slow: bool = False  # takes seconds, because of t-SNE

    def suits(self, model: keras.Model) -> bool:
        """Return whether the model has what the figure shows."""
        return self.layers is None or bool(self.layers(model))


def draw_confusion_matrix(run: FinishedRun, _: FigureOptions) -> Figure:
    """Draw the confusion matrix of the test images."""
    return plot_confusion_matrix(run.splits.y_test, run.predicted, run.class_names)


def draw_misclassified(run: FinishedRun, _: FigureOptions) -> Figure:
    """Draw the misclassified test images."""
    images, labels = run.splits.x_test, run.splits.y_test
    return plot_misclassified(images, labels, run.probabilities, run.class_names)


def draw_activations(run: FinishedRun, options: FigureOptions) -> Figure:
    """Draw the maps that a convolution makes of a test image.

    Raises:
        UserError: no such image or layer.
    """
    index, labels = options.image or 0, run.splits.y_test
    if not 0 <= index < len(labels):
        raise UserError(f"--image must be from 0 to {len(labels) - 1:,}, got {index}.")
    title = f"test image {index} ({run.class_names[int(labels[index])]})"
    return plot_activations(run.network, run.splits.x_test[index], title, options.layer)


def draw_embeddings(run: FinishedRun, options: FigureOptions) -> Figure:
    """Draw where a layer puts the test images."""
    images, labels = run.splits.x_test, run.splits.y_test
    return plot_embeddings(
        run.network, images, labels, run.predicted, run.class_names, options.layer
    )


def draw_augmentation(run: FinishedRun, _: FigureOptions) -> Figure:
    """Draw what the run's augmentation makes of its first training image."""
    name = run.class_names[int(run.splits.y_train[0])]
    return plot_augmentation(run.augmentation, run.splits.x_train[0], name)


FIGURES: dict[str, FigureSpec] = {
    "curves": FigureSpec(
        lambda run, _: plot_curves(run.history, run.settings["monitor"], run.label_entropy),
        "run",
        "Loss, accuracy and learning rate, epoch by epoch. In training, dropout is on and images "
        "may be varied, so the network can look better on the validation images.",
    ),
    "confusion_matrix": FigureSpec(
        draw_confusion_matrix,
        "run",
        "Which class was taken for which. The diagonal is right; an empty cell is none at all.",
    ),
    "misclassified": FigureSpec(
        draw_misclassified,
        "run",
        "The misclassified test images, the most confidently wrong first. Would you have known?",
    ),
    "per_class": FigureSpec(
        lambda run, _: plot_per_class(run.splits.y_test, run.predicted, run.class_names),
        "run",
        "Precision: of the images taken for a class, how many belong to it. Recall: of the "
        "images of a class, how many were found.",
    ),
    "reliability": FigureSpec(
        lambda run, _: plot_reliability(run.splits.y_test, run.probabilities),
        "run",
        "Is the network as often right as it is sure? A dot above the dashed line: more often. "
        "Mind the counts below: a bar of few images says little.",
    ),
    "network": FigureSpec(
        lambda run, _: plot_network(run.network),
        "network",
        "The layers in the order in which an image passes them.",
    ),
    "filters": FigureSpec(
        lambda run, options: plot_filters(run.network, options.layer),
        "network",
        "What a convolution multiplies each neighbourhood of pixels with.",
        layers=convolutions,
    ),
    "activations": FigureSpec(
        draw_activations,
        "network",
        "What each filter answers to an image: bright where it finds what it looks for.",
        layers=layers_with_maps,
        takes_image=True,
    ),
    "embeddings": FigureSpec(
        draw_embeddings,
        "network",
        "Each point is a test image, placed by what a layer makes of it, coloured by its true "
        "class. Circles are misclassified; those come first, the others are drawn at random.",
        layers=embedding_layers,
        is_slow=True,
    ),
    "samples": FigureSpec(
        lambda run, _: plot_samples(run.splits.x_train, run.splits.y_train, run.class_names),
        "data",
        "What the classes look like.",
    ),
    "augmentation": FigureSpec(
        draw_augmentation,
        "data",
        "What the settings of this run make of one image, drawn anew each time it is shown in "
        "training. Without augmentation, it stays as it is.",
    ),
    "clusters": FigureSpec(
        lambda run, _: plot_clusters(run.splits.x_train, run.splits.y_train, run.class_names),
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
        for name, spec in FIGURES.items()
        if spec.suits(model) and not (extent == "quick" and spec.is_slow)
    ]


def check_options(names: Sequence[str], options: FigureOptions, model: keras.Model) -> None:
    """Check that every figure can show what was chosen, before any of them is drawn.

    Raises:
        UserError: a figure is not of a layer or an image, or the model has no such layer.
    """
    for name in names:
        spec = FIGURES[name]
        if spec.layers is not None:
            find_layer(spec.layers(model), options.layer, f"layer for {name}")
        for flag, value, is_taken in (
            ("--layer", options.layer, spec.layers is not None),
            ("--image", options.image, spec.takes_image),
        ):
            if value is not None and not is_taken:
                raise UserError(f"'{name}' takes no {flag}; draw it by itself, without.")
