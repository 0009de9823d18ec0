"""Figures of a network: its layers, what its filters look like, what they answer to an image.

Every function takes a built Keras model and returns a matplotlib Figure.
"""

from collections.abc import Sequence
from typing import Any

import keras
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.ticker import MaxNLocator

from figures.layers import (
    MAP_LAYERS,
    POOLING_LAYERS,
    convolutions,
    default_embedding,
    embedding_layers,
    find_layer,
    layers_with_maps,
    outputs_of,
)
from figures.projections import reduce_by_pca, reduce_by_tsne
from figures.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    add_class_legend,
    draw_image,
    image_grid,
    scatter_classes,
)

MAP_COLUMNS = 8
# Below the maps, which keep their full width.
BAR_BELOW: dict[str, Any] = {"location": "bottom", "shrink": 0.5, "aspect": 40}
# What a layer is for, and its colour in the diagram: the first that fits.
LAYER_COLOURS = (
    ("convolution", MAP_LAYERS, BLUE),
    ("dense", (keras.layers.Dense,), ORANGE),
    ("pooling, flattening", (*POOLING_LAYERS, keras.layers.Flatten), GREEN),
    ("others", (keras.layers.Layer,), GREY),
)


# --- The layers ---------------------------------------------------------------------------------


def plot_network(model: keras.Model) -> Figure:
    """Draw the layers from top to bottom, with what they do, output shapes and parameters."""
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    n = len(layers)
    figure, panel = plt.subplots(figsize=(8.5, 0.46 * (n + 3)), layout="constrained")
    panel.set(xlim=(0, 10), ylim=(n + 1.2, -1.2))
    panel.axis("off")
    _write_row(panel, -0.6, "layer", "output", "parameters", fontweight="bold")
    _draw_box(panel, 0, "input", GREY)
    _write_row(panel, 0, None, shape_text(model.inputs[0].shape), "")
    for row, layer in enumerate(layers, start=1):
        colour = next(colour for _, types, colour in LAYER_COLOURS if isinstance(layer, types))
        _draw_box(panel, row, describe_layer(layer), colour)
        _write_row(panel, row, None, shape_text(layer.output.shape), f"{layer.count_params():,}")
    _draw_arrows(panel, model, layers)
    handles = [
        Line2D([], [], color=colour, linewidth=6, label=purpose)
        for purpose, _, colour in LAYER_COLOURS
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    figure.suptitle(f"{model.name}: {model.count_params():,} parameters")
    return figure


def shape_text(shape: Sequence[int | None]) -> str:
    """Return (None, 28, 28, 1) as 28 x 28 x 1."""
    return " × ".join(str(size) for size in shape[1:])


def describe_layer(layer: keras.layers.Layer) -> str:
    """Return a layer's name and what it does, in a line: `conv2d: Conv2D 32, 3 × 3, relu`."""
    config = layer.get_config()
    details = []
    for key in ("filters", "units", "kernel_size", "pool_size", "rate"):
        value = config.get(key)
        if isinstance(value, list | tuple):
            details.append(" × ".join(str(size) for size in value))
        elif value is not None:
            details.append(str(value))
    strides = config.get("strides")
    if strides and strides[0] > 1 and "pool_size" not in config:
        details.append(f"stride {strides[0]}")
    activation = config.get("activation")
    if isinstance(activation, str) and activation != "linear":
        details.append(activation)
    return f"{layer.name}: {type(layer).__name__} {', '.join(details)}".rstrip()


def _draw_box(panel: Axes, row: float, text: str, colour: str) -> None:
    style = "round,pad=0,rounding_size=0.12"
    panel.add_patch(FancyBboxPatch((0.4, row - 0.3), 5.6, 0.6, style, color=colour, alpha=0.18))
    panel.add_patch(FancyBboxPatch((0.4, row - 0.3), 0.1, 0.6, "square,pad=0", color=colour))
    panel.text(0.65, row, text, va="center", fontsize=9)


def _write_row(
    panel: Axes, row: float, layer: str | None, shape: str, parameters: str, **options
) -> None:
    if layer:
        panel.text(0.4, row, layer, va="center", **options)
    panel.text(7.9, row, shape, va="center", ha="right", **options)
    panel.text(9.8, row, parameters, va="center", ha="right", **options)


def _draw_arrows(panel: Axes, model: keras.Model, layers: Sequence[keras.layers.Layer]) -> None:
    """Draw an arrow from each layer's inputs to it; those that skip layers go round the left."""
    row_of = {id(tensor): 0 for tensor in model.inputs}
    for row, layer in enumerate(layers, start=1):
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        for tensor in inputs:
            start = row_of.get(id(tensor), row - 1)
            skips = row - start > 1
            x, bend = (0.4, 0.35) if skips else (5.7, 0)
            ends = ((x, start), (x, row)) if skips else ((x, start + 0.3), (x, row - 0.3))
            panel.add_patch(
                FancyArrowPatch(
                    *ends,
                    arrowstyle="-|>",
                    mutation_scale=8,
                    color=GREY,
                    shrinkA=0,
                    shrinkB=0,
                    connectionstyle=f"arc3,rad={bend}",
                )
            )
        row_of[id(layer.output)] = row


# --- Filters and maps ---------------------------------------------------------------------------


def plot_filters(model: keras.Model, layer_name: str | None = None) -> Figure:
    """Draw every filter of a convolution, by default the first.

    A filter has one small matrix of weights per input channel. With one channel they stand in a
    grid; with more, each row is a filter and each column is an input channel.

    Raises:
        UserError: no convolution of this name.
    """
    layer = find_layer(convolutions(model), layer_name, "layer for filters")
    kernel = keras.ops.convert_to_numpy(layer.kernel).astype(np.float32)
    channels, n_filters = kernel.shape[2:]
    limit = float(np.abs(kernel).max()) or 1.0
    title = f"{layer.name}: its {n_filters} filters of {kernel.shape[0]} × {kernel.shape[1]}"
    if channels == 1:
        figure, panels = image_grid(n_filters, MAP_COLUMNS, 1.0, head=1.2, title_height=0.2)
        for number, panel in enumerate(panels):
            drawn = panel.imshow(kernel[:, :, 0, number], cmap="PuOr", vmin=-limit, vmax=limit)
            panel.set_title(str(number), fontsize=8)
        figure.colorbar(drawn, ax=panels, label="weight", ticks=MaxNLocator(5), **BAR_BELOW)
    else:
        figure, panel = plt.subplots(figsize=_mosaic_size(kernel), layout="compressed")
        drawn = panel.imshow(mosaic(kernel), cmap="PuOr", vmin=-limit, vmax=limit)
        _number_tiles(panel, kernel)
        panel.set(xlabel="input channel", ylabel="filter")
        figure.colorbar(drawn, ax=panel, label="weight", shrink=0.8)
        title += f", each with {channels} input channels"
    figure.suptitle(title)
    return figure


def mosaic(kernel: np.ndarray) -> np.ndarray:
    """Lay the matrices of a kernel (height, width, channels, filters) side by side.

    Returns:
        float (filters * (height + 1) - 1, channels * (width + 1) - 1): a row of tiles per filter,
        a column of tiles per channel, and NaN, which is drawn empty, between them.
    """
    height, width, channels, n_filters = kernel.shape
    tiles = np.full((n_filters, height + 1, channels, width + 1), np.nan, kernel.dtype)
    tiles[:, :height, :, :width] = kernel.transpose(3, 0, 2, 1)
    return tiles.reshape(n_filters * (height + 1), channels * (width + 1))[:-1, :-1]


def _mosaic_size(kernel: np.ndarray) -> tuple[float, float]:
    """Return a figure size at which a tile stays visible, within a page."""
    height, width, channels, n_filters = kernel.shape
    inch = 0.03 * (1 if max(channels * width, n_filters * height) > 250 else 2)
    return (
        float(np.clip(inch * channels * (width + 1) + 2, 6.5, 14)),
        float(np.clip(inch * n_filters * (height + 1) + 1.2, 4, 14)),
    )


def _number_tiles(panel: Axes, kernel: np.ndarray) -> None:
    height, width, channels, n_filters = kernel.shape
    for axis, n, size in ((panel.xaxis, channels, width + 1), (panel.yaxis, n_filters, height + 1)):
        numbers = np.arange(0, n, max(1, n // 8))
        axis.set_ticks(numbers * size + (size - 2) / 2, numbers)
    panel.spines[:].set_visible(False)


def plot_activations(
    model: keras.Model, image: np.ndarray, title: str, layer_name: str | None = None
) -> Figure:
    """Draw every map that a convolution, by default the first, makes of an image, beside it.

    Args:
        image: float32 (28, 28, 1) in [0, 1].
        title: what the image is.

    Raises:
        UserError: no convolution of this name.
    """
    layer = find_layer(layers_with_maps(model), layer_name, "layer for activations")
    maps = outputs_of(model, layer, image[np.newaxis])[0]
    n_maps = maps.shape[-1]
    figure, panels = image_grid(n_maps + 1, MAP_COLUMNS + 1, 1.05, head=1.2, title_height=0.2)
    draw_image(panels[0], image)
    panels[0].set_title("image", fontsize=8)
    for number, panel in enumerate(panels[1:]):
        drawn = panel.imshow(maps[..., number], cmap="viridis", vmin=maps.min(), vmax=maps.max())
        panel.set_title(str(number), fontsize=8)
    figure.colorbar(drawn, ax=panels, label="activation", **BAR_BELOW)
    size = f"{maps.shape[0]} × {maps.shape[1]}"
    figure.suptitle(f"{layer.name}: its {n_maps} maps of {size}, for {title}")
    return figure


# --- Embeddings ---------------------------------------------------------------------------------


def choose_points(wrong: np.ndarray, n_images: int, n_points: int) -> np.ndarray:
    """Return the indices of at most `n_points` images: misclassified first, others at random.

    At most a quarter are misclassified, or a weak model's map would show nothing else.

    Args:
        wrong: int (k,), indices of the misclassified images.
        n_images: how many images there are.
        n_points: at least 4.
    """
    random = np.random.default_rng(0)
    others = np.setdiff1d(np.arange(n_images), wrong)
    if len(wrong) > n_points // 4:
        wrong = random.choice(wrong, n_points // 4, replace=False)
    n_others = min(n_points - len(wrong), len(others))
    return np.concatenate([wrong, random.choice(others, n_others, replace=False)]).astype(int)


def plot_embeddings(
    model: keras.Model,
    images: np.ndarray,
    labels: np.ndarray,
    predicted: np.ndarray,
    class_names: Sequence[str],
    layer_name: str | None = None,
    n_points: int = 800,
) -> Figure:
    """Draw where a layer puts the images: PCA and t-SNE, coloured by true class.

    Args:
        images: float32 (n, 28, 28, 1).
        labels: int (n,), the true classes.
        predicted: int (n,), what the model takes them for.
        class_names: a name per class.
        layer_name: a Dense, Flatten or pooling layer; None is the first hidden Dense layer or,
            without one, the last layer that embeds.
        n_points: at most so many images; see choose_points.

    Raises:
        UserError: no such layer.
    """
    name = layer_name or default_embedding(model)
    layer = find_layer(embedding_layers(model), name, "layer for embeddings")
    chosen = choose_points(np.flatnonzero(labels != predicted), len(labels), n_points)
    vectors = outputs_of(model, layer, images[chosen]).reshape(len(chosen), -1)
    wrong, n_wrong = labels[chosen] != predicted[chosen], (labels != predicted).sum()
    figure, panels = plt.subplots(1, 2, figsize=(12, 6), layout="constrained")
    maps = {"PCA": reduce_by_pca(vectors), "t-SNE": reduce_by_tsne(vectors)}
    for panel, (title, points) in zip(panels, maps.items(), strict=True):
        scatter_classes(panel, points, labels[chosen], class_names)
        panel.scatter(
            *points[wrong].T, s=45, facecolors="none", edgecolors="black", linewidths=1,
            label=f"misclassified ({wrong.sum():,} of {n_wrong:,})",
        )  # fmt: skip
        panel.set_title(title)
    add_class_legend(figure, labels[chosen], class_names, panels[0].collections[-1])
    figure.suptitle(
        f"{layer.name}: {vectors.shape[1]:,} values per image, of {len(chosen):,} test images"
    )
    return figure
