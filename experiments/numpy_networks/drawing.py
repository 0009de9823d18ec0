"""The figure: how the losses fall, and what the first layers look for."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import LogLocator, NullFormatter

from experiments.numpy_networks.network import Network
from figures.screen import our_style, without_screen
from figures.style import BLUE, DOTS_PER_INCH, ORANGE

UNITS = 14  # of each first layer that are shown
LOSS_NAMES = {"MeanSquaredError": "mean squared error", "SoftmaxCrossEntropy": "cross-entropy"}


def draw(histories: Mapping[str, list[dict[str, Any]]], networks: Mapping[str, Network]) -> bytes:
    """Return the figure as the content of a PNG file.

    Args:
        histories: by name, a row per epoch, with `loss` and `evaluation_loss`.
        networks: by the same names, each with a Dense layer first.
    """
    import matplotlib.pyplot as plt

    with without_screen(), our_style():
        figure = plt.figure(figsize=(11, 7.4), layout="constrained")
        halves: Any = figure.subfigures(2, 1, height_ratios=(1, 1.35))
        draw_losses(halves[0], histories, networks)
        draw_first_weights(halves[1], networks)
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=DOTS_PER_INCH)
        plt.close(figure)
    return content.getvalue()


def draw_losses(
    figure: Figure | SubFigure,
    histories: Mapping[str, list[dict[str, Any]]],
    networks: Mapping[str, Network],
) -> None:
    """Draw a panel per network: its losses in training and on validation images over epochs."""
    panels = figure.subplots(1, len(histories), squeeze=False)[0]
    for panel, (name, history) in zip(panels, histories.items(), strict=True):
        epochs = [row["epoch"] for row in history]
        panel.plot(epochs, [row["loss"] for row in history], "-", color=BLUE, label="training")
        panel.plot(
            epochs,
            [row["evaluation_loss"] for row in history],
            "--",
            color=ORANGE,
            label="validation",
        )
        panel.set(title=name, xlabel="epoch", ylabel=LOSS_NAMES[networks[name].loss_name])
        panel.title.set_fontsize(10)
        panel.set_yscale("log")
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_minor_formatter(NullFormatter())
        panel.grid(alpha=0.3, which="both")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)


def draw_first_weights(figure: Figure | SubFigure, networks: Mapping[str, Network]) -> None:
    """Draw a row per network: the weights of UNITS units of its first layer, as 28 x 28 pixels."""
    panels = figure.subplots(len(networks), 1, squeeze=False)[:, 0]
    for panel, (name, network) in zip(panels, networks.items(), strict=True):
        image = side_by_side(network.layers[network.first].parameters["weights"][:, :UNITS])
        # One scale for a row: without the few largest weights, which would make the rest pale.
        most = float(np.nanquantile(np.abs(image), 0.995))
        drawn = panel.imshow(image, "RdBu_r", vmin=-most, vmax=most, interpolation="nearest")
        panel.set(xticks=[], yticks=[])
        panel.set_ylabel(name.split()[0], rotation=0, ha="right", va="center", fontweight="bold")
        panel.spines[:].set_visible(False)
        bar = figure.colorbar(drawn, ax=panel, ticks=[-most, 0, most], format="{x:.2f}")
        bar.ax.tick_params(labelsize=8)
    figure.suptitle(
        f"{UNITS} units of each first layer: the weight of each pixel "
        "(red: ink excites the unit; blue: ink inhibits it)",
        fontsize=10,
    )


def side_by_side(weights: np.ndarray) -> np.ndarray:
    """Return the weights (784, n) of n units as one image (28, 29 n - 1), NaN between them."""
    side = round(len(weights) ** 0.5)
    images = weights.T.reshape(-1, side, side)
    gap = np.full((side, 1), np.nan)
    return np.hstack([part for image in images for part in (image, gap)][:-1])
