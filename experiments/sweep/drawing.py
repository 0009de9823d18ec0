"""The figure of the sweep: what mattered, and every trial as a line through its values."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.screen import our_style, without_screen
from figures.style import BLUE, LIGHT_GREY
from studies.search import Range, Space

ACCURACY = "validation accuracy in %"


def draw_sweep(table: pd.DataFrame, space: Space, shares: Mapping[str, float]) -> Figure:
    """Return a figure of the importances, if there are any, above parallel coordinates.

    Args:
        table: a row per trial, with a column per parameter, ACCURACY, and "ended early".
        space: what was searched.
        shares: importance of each parameter; may be empty.
    """
    with without_screen(), our_style():
        height, ratios = (6.2, (1, 2.6)) if shares else (4.5, (1,))
        figure, panels = plt.subplots(
            len(ratios), 1, figsize=(9, height), layout="constrained", height_ratios=ratios,
            squeeze=False,
        )  # fmt: skip
        if shares:
            _draw_shares(panels[0, 0], shares)
        _draw_lines(panels[-1, 0], table, space)
    return figure


def _draw_shares(panel: Axes, shares: Mapping[str, float]) -> None:
    """Draw a bar per parameter, the most important on top."""
    names = list(shares)[::-1]
    bars = panel.barh(names, [shares[name] for name in names], color=BLUE)
    panel.bar_label(bars, fmt="%.2f", padding=3)
    panel.set(xlabel="importance for the validation accuracy", xlim=(0, 1))


def height_of(value: float, values: Range | Sequence[Any]) -> float:
    """Return how high a value is on its axis, in [0, 1]; those of a list are at equal distances."""
    if isinstance(values, Range):
        return (value - values.low) / (values.high - values.low)
    return list(values).index(value) / max(1, len(values) - 1)


def _draw_lines(panel: Axes, table: pd.DataFrame, space: Space) -> None:
    """Draw a line per trial through its values, and through its accuracy if it is finished."""
    early = table[table["ended early"] == "yes"]
    finished = table[table["ended early"] == "no"].sort_values(ACCURACY)
    accuracies = Range(finished[ACCURACY].min(), finished[ACCURACY].max(), 0.0)
    if accuracies.low == accuracies.high:  # one trial alone
        accuracies = accuracies._replace(low=accuracies.low - 1)
    for _, row in early.iterrows():
        heights = [height_of(row[name], values) for name, values in space.items()]
        panel.plot(heights, color=LIGHT_GREY, linewidth=0.7)
    colours = plt.get_cmap("viridis")
    for _, row in finished.iterrows():
        heights = [height_of(row[name], values) for name, values in space.items()]
        heights.append(height_of(row[ACCURACY], accuracies))
        panel.plot(heights, color=colours(heights[-1]), linewidth=1.4)
    for place, values in enumerate([*space.values(), accuracies]):
        panel.axvline(place, color="black", linewidth=0.8)
        form = ".2f" if values is accuracies else "g"
        for value in values[:2] if isinstance(values, Range) else values:
            panel.annotate(f"{value:{form}}", (place, height_of(value, values)), ha="center",
                           va="center", bbox={"facecolor": "white", "edgecolor": "none",
                                              "pad": 1})  # fmt: skip
    panel.set_xticks(range(len(space) + 1), [*space, "validation\naccuracy in %"])
    panel.set(yticks=[], ylim=(-0.06, 1.06))
    panel.tick_params(axis="x", length=0, pad=8)
    panel.spines["left"].set_visible(False)
    panel.set_title("a line per trial, coloured by its accuracy; grey: ended early", fontsize=10)
