"""The figure: accuracy over labels per class, and what ten labels reach by a graph."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.screen import our_style, without_screen
from figures.style import BLUE, GREEN, GREY, LIGHT_GREY, ORANGE

TICKS = (10, 30, 50, 70, 80, 90, 95, 98, 99, 99.5, 99.7)  # per cent
STYLES = {  # choice and whether varied -> colour, marker, its face, line
    ("typical", "yes"): (BLUE, "o", BLUE, "-"),
    ("typical", "no"): (BLUE, "o", "white", "--"),
    ("random", "yes"): (ORANGE, "s", ORANGE, "-"),
    ("random", "no"): (ORANGE, "s", "white", "--"),
}
MARKERS = ("^", "v", "D")  # one per method of ten labels
PUBLISHED = {  # the course project's: labels per class, accuracy in %, what it is
    "published: 1 per class, validation images": (1, 39.0, "X"),
    "published: 500 per class, random, varied": (500, 98.74, "P"),
}
LEAST_ERROR = 0.2  # per cent, the end of the axis: it is logarithmic, and has no place for 0


def draw(curve: pd.DataFrame, ten: pd.DataFrame, what: str) -> Figure:
    """Return the figure.

    Errors are on a logarithmic axis that names accuracies, for nine tenths of the story lie
    between 98 and 99.7 %. Bands and bars are one standard deviation to either side.

    Args:
        curve: a row per choice, number of labels per class and whether they were varied; all
            labels are at the mean number per class.
        ten: a row per method of ten labels and choice of them. Either may be without rows.
        what: which images were read: test or validation.
    """
    with without_screen(), our_style():
        figure, axes = plt.subplots(figsize=(8.5, 6.2), layout="constrained")
        _draw_curve(axes, curve)
        _draw_ten(axes, ten)
        for label, (count, accuracy, marker) in PUBLISHED.items():
            axes.plot(
                count, 100 - accuracy, marker, color=GREY, markersize=9, linestyle="", label=label
            )
        axes.set(
            xscale="log", yscale="log", xlim=(0.55, 9000), ylim=(95, LEAST_ERROR),
            xlabel="labelled images per class", ylabel=f"accuracy on the {what} images in %",
        )  # fmt: skip
        counts = sorted({1, 5, 10, 50, 100, 500, *curve["per class"].tolist()})
        axes.set_xticks(counts, [f"{count:,.0f}" for count in counts])
        axes.set_yticks([100 - tick for tick in TICKS], [f"{tick:g}" for tick in TICKS])
        axes.minorticks_off()
        if len(ten):
            axes.annotate("ten labels in all", (0.6, 0.5), color=GREEN)
        axes.grid(color=LIGHT_GREY, linewidth=0.6)
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def _draw_curve(axes: Axes, curve: pd.DataFrame) -> None:
    """Draw a line with a band for each choice and variation; all labels end each line."""
    for (choice, varied), (colour, marker, face, dashes) in STYLES.items():
        ends_it = curve["labels"].isin([choice, "all"]) & (curve["varied"] == varied)
        line = curve[ends_it].sort_values("per class")
        if not (line["labels"] == choice).any():
            continue
        error, std = 100 - line["accuracy"], line["std"].fillna(0)
        name = f"{choice} images, {'varied' if varied == 'yes' else 'unvaried'}"
        axes.plot(
            line["per class"], error.clip(LEAST_ERROR), dashes,
            color=colour, marker=marker, markerfacecolor=face, markersize=5, label=name,
        )  # fmt: skip
        low, high = (error - std).clip(LEAST_ERROR), (error + std).clip(LEAST_ERROR)
        axes.fill_between(line["per class"], low, high, color=colour, alpha=0.18, linewidth=0)


def _draw_ten(axes: Axes, ten: pd.DataFrame) -> None:
    """Draw what ten labels reach by each method, side by side: filled for typical images."""
    for number, method in enumerate(ten["method"].unique()):
        for choice, colour, face in (("typical", GREEN, GREEN), ("random", GREEN, "white")):
            row = ten[(ten["method"] == method) & (ten["labels"] == choice)]
            if not len(row):
                continue
            error = (100 - row["accuracy"]).clip(LEAST_ERROR)
            std = row["std"].fillna(0)
            place = [(0.68, 1.0, 1.47)[number] * (0.93 if choice == "typical" else 1.07)]
            axes.errorbar(
                place * len(row), error, yerr=[(std.clip(upper=error - LEAST_ERROR)), std],
                fmt=MARKERS[number], color=colour, markerfacecolor=face, markersize=7,
                capsize=2, linestyle="", label=f"{method}, {choice}",
            )  # fmt: skip
