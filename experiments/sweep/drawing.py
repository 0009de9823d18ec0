"""The figure of the sweep: what mattered, and every trial as a line through its values."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from figures.screen import our_style, without_screen
from figures.style import BLUE, LIGHT_GREY

ACCURACY = "validation accuracy in %"


def draw_sweep(table: pd.DataFrame, names: Sequence[str], shares: Mapping[str, float]) -> Figure:
    """Return a figure of the importances, if there are any, above parallel coordinates.

    Args:
        table: a row per trial, with a column per parameter, ACCURACY, and "ended early".
        names: of the parameters.
        shares: importance of each; may be empty.
    """
    with without_screen(), our_style():
        height, ratios = (6.2, (1, 2.6)) if shares else (4.5, (1,))
        figure, panels = plt.subplots(
            len(ratios), 1, figsize=(9, height), layout="constrained", height_ratios=ratios,
            squeeze=False,
        )  # fmt: skip
        if shares:
            _draw_shares(panels[0, 0], shares)
        _draw_lines(figure, panels[-1, 0], table, names)
    return figure


def _draw_shares(panel: Axes, shares: Mapping[str, float]) -> None:
    """Draw a bar per parameter, the most important on top."""
    names = list(shares)[::-1]
    bars = panel.barh(names, [shares[name] for name in names], color=BLUE)
    panel.bar_label(bars, fmt="%.2f", padding=3)
    panel.set(xlabel="importance for the validation accuracy", xlim=(0, 1))


def _draw_lines(figure: Figure, panel: Axes, table: pd.DataFrame, names: Sequence[str]) -> None:
    """Draw a line per trial through its values, each scaled to the range that was tried."""
    columns = [*names, ACCURACY]
    finished = table[table["ended early"] == "no"].sort_values(ACCURACY)
    low, high = table[columns].min(), table[columns].max()
    low[ACCURACY] = finished[ACCURACY].min()  # those that ended early are not comparable
    span = (high - low).replace(0, 1)
    colours, scale = plt.get_cmap("viridis"), Normalize(low[ACCURACY], high[ACCURACY])
    early = table[table["ended early"] == "yes"]
    for _, row in early.iterrows():
        heights = ((row[names] - low[names]) / span[names]).astype(float)
        panel.plot(range(len(names)), heights, color=LIGHT_GREY, linewidth=0.7)
    for _, row in finished.iterrows():
        heights = ((row[columns] - low) / span).astype(float)
        panel.plot(range(len(columns)), heights, color=colours(scale(row[ACCURACY])), linewidth=1.4)
    for place, column in enumerate(columns):
        panel.axvline(place, color="black", linewidth=0.8)
        for end, height, side in ((low, 0, "top"), (high, 1, "bottom")):
            text = f"{end[column]:.4g}" if column != ACCURACY else f"{end[column]:.2f}"
            panel.annotate(text, (place, height), (0, -4 if side == "top" else 4),
                           textcoords="offset points", ha="center", va=side,
                           bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
    labels = [*names, "validation\naccuracy in %"]
    panel.set_xticks(np.arange(len(columns)), labels)
    panel.set(yticks=[], ylim=(-0.09, 1.09))
    panel.tick_params(axis="x", length=0, pad=8)
    panel.spines["left"].set_visible(False)
    panel.set_title("a line per trial; grey: ended early", fontsize=10)
