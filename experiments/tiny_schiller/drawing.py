"""The figure: what each predictor needs, how the networks learned, and when their writing loops."""

import io
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from figures.screen import our_style, without_screen
from figures.style import BLUE, CLASS_COLOURS, DOTS_PER_INCH, GREY, LIGHT_GREY

DASHES, MARKERS = ("-", "--", ":", "-."), ("o", "s", "^", "D")


def draw(scores: pd.DataFrame, curves: Mapping[str, pd.DataFrame], repeats: pd.DataFrame) -> bytes:
    """Return the figure as the content of a PNG file.

    Args:
        scores: a row per predictor, with `predictor`, `bits` and `weights` (NaN for no network).
        curves: by network, a row per epoch, with `epoch`, `bits` and perhaps `validation_bits`.
        repeats: a row per network, penalty and temperature, with `share`; may be empty.
    """
    with without_screen(), our_style():
        figure = plt.figure(figsize=(10, 7.5), layout="constrained")
        halves: Any = figure.subfigures(2, 1, height_ratios=(0.6 + 0.3 * len(scores), 4.0))
        draw_scores(halves[0].subplots(), scores)
        panels = halves[1].subplots(1, 1 if repeats.empty else 2, squeeze=False)[0]
        draw_curves(panels[0], curves)
        if len(panels) > 1:
            draw_repeats(panels[1], repeats)
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=DOTS_PER_INCH)
        plt.close(figure)
    return content.getvalue()


def draw_scores(panel: Axes, scores: pd.DataFrame) -> None:
    """Draw a bar per predictor, networks in blue."""
    ordered = scores.sort_values("bits", ascending=False)
    colours = [GREY if missing else BLUE for missing in ordered["weights"].isna()]
    bars = panel.barh(ordered["predictor"], ordered["bits"], color=colours, height=0.7)
    panel.bar_label(bars, fmt="%.3f", padding=3)
    panel.invert_yaxis()
    panel.set_xlabel("bits per character (less is better)")
    panel.margins(x=0.08)


def draw_curves(panel: Axes, curves: Mapping[str, pd.DataFrame]) -> None:
    """Draw a line per network: its bits in training; thin, those of the validation part."""
    for number, (name, curve) in enumerate(curves.items()):
        colour, dashes = CLASS_COLOURS[2 * number], DASHES[number % len(DASHES)]
        panel.plot(curve["epoch"], curve["bits"], dashes, color=colour, label=name)
        if "validation_bits" in curve:
            panel.plot(
                curve["epoch"], curve["validation_bits"], dashes,
                color=colour, linewidth=0.8, label=f"{name}, validation",
            )  # fmt: skip
    panel.set(xlabel="epoch", ylabel="bits per character in training")
    panel.grid(color=LIGHT_GREY, linewidth=0.6)
    panel.legend(frameon=False)


def draw_repeats(panel: Axes, repeats: pd.DataFrame) -> None:
    """Draw a line per network and penalty: the share of repeated runs over the temperature."""
    for number, ((name, penalty), rows) in enumerate(
        repeats.groupby(["network", "penalty"], sort=False)
    ):
        label = f"{name}, penalty {penalty:g}" if penalty else f"{name}, no penalty"
        panel.plot(
            rows["temperature"], 100 * rows["share"], DASHES[number % 2],
            marker=MARKERS[number % 4], color=CLASS_COLOURS[2 * (number // 2)], label=label,
        )  # fmt: skip
    panel.set(xlabel="temperature", ylabel="repeated runs of 8 characters in %", ylim=(0, 100))
    panel.grid(color=LIGHT_GREY, linewidth=0.6)
    panel.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
