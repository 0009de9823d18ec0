"""The figure of a comparison: every seed's accuracy, their mean, and the published figure."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from figures.screen import our_style, without_screen
from figures.style import BLUE, LIGHT_GREY, ORANGE

ROW_HEIGHT = 0.42  # inches


def draw_accuracies(table: pd.DataFrame, rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Return a figure with a line of dots for each entry.

    Args:
        table: from `studies.comparison.summary_table`.
        rows: from `studies.comparison.rows_of_runs`.
    """
    with without_screen(), our_style():
        size = (7.5, 1.3 + ROW_HEIGHT * len(table))
        figure, panel = plt.subplots(figsize=size, layout="constrained")
        places = {name: -place for place, name in enumerate(table["name"])}
        panel.plot(
            [row["test accuracy"] for row in rows], [places[row["name"]] for row in rows],
            "o", color=BLUE, alpha=0.35, markersize=6, markeredgewidth=0, label="a seed",
        )  # fmt: skip
        panel.plot(
            table["test accuracy in %"], list(places.values()),
            "|", color=BLUE, markersize=16, markeredgewidth=2.5, label="mean",
        )  # fmt: skip
        if "published, in %" in table:
            panel.plot(
                table["published, in %"], list(places.values()),
                "D", color=ORANGE, markersize=6, label="published",
            )  # fmt: skip
        panel.set_yticks(list(places.values()), list(places))
        panel.set(xlabel="test accuracy in %", ylim=(0.6 - len(table), 0.6))
        panel.grid(axis="x", color=LIGHT_GREY, linewidth=0.6)
        panel.tick_params(axis="y", length=0)
        figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure
