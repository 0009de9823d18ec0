"""The figure: validation errors over epochs, a panel for each factor."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from common.run_folder import read_history
from experiments.one_factor.expectations import FACTORS
from figures.screen import our_style, without_screen
from figures.style import GREEN, GREY, LIGHT_GREY, ORANGE
from studies.comparison import Comparison, Entry, label_of, seeds_of

ERRORS = (0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 50)  # ticks, in %
STYLES = ((ORANGE, "-"), (GREEN, "--"))  # of the changes; the default is grey


def draw_curves(comparison: Comparison) -> Figure:
    """Return small multiples: the default in each panel, beside the changes of one factor.

    Errors are on a logarithmic axis, or the slow first epoch of one row would press all others
    together.
    """
    entries = {entry.name: entry for entry in comparison.entries}
    with without_screen(), our_style():
        figure, panels = plt.subplots(2, 3, figsize=(10, 6), layout="constrained", sharey=True)
        for panel, (factor, changes) in zip(panels.flat, FACTORS.items(), strict=True):
            names = {"default": (GREY, "-"), **dict(zip(changes, STYLES, strict=False))}
            for name, style in names.items():
                if name in entries:
                    draw_curve(panel, errors_of(entries[name], comparison), name, *style)
            panel.set(title=factor, yscale="log")
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
            panel.grid(color=LIGHT_GREY, linewidth=0.6)
            if panel.lines:  # --only may leave none
                panel.legend(frameon=False, loc="upper right")
        low, high = panels[0, 0].get_ylim()
        ticks = [tick for tick in ERRORS if low < tick < high]
        panels[0, 0].set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        panels[0, 0].yaxis.set_minor_locator(NullLocator())
        figure.supxlabel("epoch")
        figure.supylabel("validation errors in %")
    return figure


def errors_of(entry: Entry, comparison: Comparison) -> np.ndarray:
    """Return the validation errors of an entry's seeds in %, float (n_seeds, n_epochs)."""
    folders = [comparison.results[label_of(entry, seed)]["run_folder"] for seed in seeds_of(entry)]
    return 100 - 100 * np.array([read_history(folder)["val_accuracy"] for folder in folders])


def draw_curve(panel: Axes, values: np.ndarray, name: str, colour: str, dashes: str) -> None:
    """Draw the mean over the seeds, and a band of one standard deviation to either side.

    Args:
        values: errors in %, float (n_seeds, n_epochs).
        name, colour, dashes: of the line.
    """
    epochs, mean = np.arange(1, values.shape[1] + 1), values.mean(axis=0)
    panel.plot(epochs, mean, dashes, color=colour, label=name)
    if len(values) > 1:
        std = values.std(axis=0, ddof=1)
        low = np.maximum(mean - std, mean / 2)  # the axis has no place for 0
        panel.fill_between(epochs, low, mean + std, color=colour, alpha=0.2, linewidth=0)
