"""The figure: how the losses fall, and what the first layers look for."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from experiments.numpy_networks.network import Network
from figures.screen import our_style, without_screen
from figures.style import BLUE, DOTS_PER_INCH, ORANGE

UNITS = 14  # of each first layer that are shown
LOSS_NAMES = {"MeanSquaredError": "mean squared error", "SoftmaxCrossEntropy": "cross-entropy"}


def draw(histories: Mapping[str, list[dict[str, Any]]], networks: Mapping[str, Network]) -> bytes:
    """Return the figure as the content of a PNG file.

    Args:
        histories: by name, a row per epoch, with `loss` and `judge_loss`.
        networks: by the same names, each with a Dense layer first.
    """
    import io

    import matplotlib.pyplot as plt

    with without_screen(), our_style():
        figure = plt.figure(figsize=(11, 7.4), layout="constrained")
        above, below = figure.subfigures(2, 1, height_ratios=(1, 1.35))
        draw_losses(above, histories, networks)
        draw_first_weights(below, networks)
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
            epochs, [row["judge_loss"] for row in history], "--", color=ORANGE, label="validation"
        )
        panel.set(title=name, xlabel="epoch", ylabel=LOSS_NAMES[networks[name].loss_name])
        panel.title.set_fontsize(10)
        panel.set_yscale("log")
        panel.grid(alpha=0.3, which="both")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)


def draw_first_weights(figure: Figure | SubFigure, networks: Mapping[str, Network]) -> None:
    """Draw a row per network: the weights of UNITS units of its first layer, as 28 x 28 pixels."""
    panels = figure.subplots(len(networks), UNITS, squeeze=False)
    for row, (name, network) in zip(panels, networks.items(), strict=True):
        weights = network.layers[network.first].parameters["weights"]
        # One scale for a row: without the few largest weights, which would make the rest pale.
        most = float(np.quantile(np.abs(weights), 0.995))
        for unit, panel in enumerate(row):
            panel.set_axis_off()
            if unit < weights.shape[1]:
                drawn = draw_weights(panel, weights[:, unit], most)
        row[0].text(
            -0.15, 0.5, name.split()[0], transform=row[0].transAxes, ha="right", va="center",
            fontsize=12, fontweight="bold",
        )  # fmt: skip
    bar = figure.colorbar(drawn, ax=panels, shrink=0.6, ticks=[-most, 0, most])
    bar.ax.set_yticklabels(["ink speaks\nagainst it", "does not\nmatter", "ink speaks\nfor it"])
    figure.suptitle(
        f"Weights of {UNITS} units of the first layer; each row has its own scale", fontsize=10
    )


def draw_weights(panel: Axes, weights: np.ndarray, most: float) -> Any:
    """Draw 784 weights as an image: blue below 0, white at 0, red above."""
    side = round(len(weights) ** 0.5)
    image = weights.reshape(side, side)
    return panel.imshow(image, cmap="RdBu_r", vmin=-most, vmax=most, interpolation="nearest")
