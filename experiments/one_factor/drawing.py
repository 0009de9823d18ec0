"""The figure: validation accuracy over epochs, a panel for each factor."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from common.run_folder import read_history
from experiments.one_factor.expectations import FACTORS
from figures.screen import our_style, without_screen
from figures.style import GREEN, GREY, LIGHT_GREY, ORANGE
from studies.comparison import Comparison, Entry, label_of, seeds_of

STYLES = ((ORANGE, "-"), (GREEN, "--"))  # of the changes; the default is grey


def draw_curves(comparison: Comparison) -> Figure:
    """Return small multiples: the default in each panel, beside the changes of one factor."""
    entries = {entry.name: entry for entry in comparison.entries}
    with without_screen(), our_style():
        figure, panels = plt.subplots(
            2, 3, figsize=(10, 6), layout="constrained", sharex=True, sharey=True
        )
        for panel, (factor, changes) in zip(panels.flat, FACTORS.items(), strict=True):
            names = {"default": (GREY, "-"), **dict(zip(changes, STYLES, strict=False))}
            for name, style in names.items():
                if name in entries:
                    draw_curve(panel, accuracies_of(entries[name], comparison), name, *style)
            panel.set_title(factor)
            panel.grid(color=LIGHT_GREY, linewidth=0.6)
            if panel.lines:  # --only may leave none
                panel.legend(frameon=False, loc="lower right")
        figure.supxlabel("epoch")
        figure.supylabel("validation accuracy in %")
    return figure


def accuracies_of(entry: Entry, comparison: Comparison) -> np.ndarray:
    """Return the validation accuracies of an entry's seeds in %, float (n_seeds, n_epochs)."""
    folders = [comparison.results[label_of(entry, seed)]["run_folder"] for seed in seeds_of(entry)]
    return 100 * np.array([read_history(folder)["val_accuracy"] for folder in folders])


def draw_curve(panel: Axes, values: np.ndarray, name: str, colour: str, dashes: str) -> None:
    """Draw the mean over the seeds, and a band of one standard deviation to either side."""
    epochs, mean = np.arange(1, values.shape[1] + 1), values.mean(axis=0)
    panel.plot(epochs, mean, dashes, color=colour, label=name)
    if len(values) > 1:
        std = values.std(axis=0, ddof=1)
        panel.fill_between(epochs, mean - std, mean + std, color=colour, alpha=0.2, linewidth=0)
