"""Five classics of image recognition and our network: what does accuracy cost?

    python -m experiments.classic_networks              # an hour and a half of one core
    python -m experiments.classic_networks --dry-run    # what it would train, and how long

All are trained by our default recipe, which was chosen for our network; another one might do more
for each of the others. But three deep networks without normalisation train by Adam, on the same
schedule: by Muon, AlexNet and GoogLeNet were worse than LeNet-5, and VGG16 learned nothing, while
LeNet-5 itself is better by Muon (validation accuracies, docs/log.md). How their authors trained
them stands in `architectures/classic.py`. All but LeNet-5 and ResNet-20 were made for a thousand
classes of photos, and have a quarter of their width here. Flags of the main program change the
recipe.

Accuracy is the mean over five shifts of an image, as in the recipe. The multiply-adds are those of
one of them. Seconds per epoch are timed, by some steps, on the machine that writes the table.

Killed and started again, it goes on where it was. Prints a table, and writes it into the folder,
with a row for each seed and a figure: accuracy against parameters, multiply-adds and seconds.
"""

import sys
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from _00_main import make_settings
from common.command_line import run_program
from figures.screen import our_style, without_screen
from figures.style import BLUE, GREEN, GREY, LIGHT_GREY, ORANGE
from studies.comparison import Entry, compare

NAME = "classic_networks"
NETWORKS = {  # as the table calls them -> architecture
    "LeNet-5": "lenet5",
    "AlexNet, 1/4 wide": "alexnet",
    "VGG16, 1/4 wide": "vgg16",
    "GoogLeNet, 1/4 wide": "googlenet",
    "ResNet-20": "resnet20",
    "ours": "fast_cnn",
}
STYLES = dict(  # by name, so that --only changes none
    zip(
        NETWORKS,
        ((BLUE, "o"), (GREEN, "s"), (GREY, "D"), (BLUE, "^"), (GREEN, "v"), (ORANGE, "*")),
        strict=True,
    )
)
ADAM = {"optimizer": "adam", "learning_rate": 1e-3}
BY_ADAM = ("AlexNet, 1/4 wide", "VGG16, 1/4 wide", "GoogLeNet, 1/4 wide")
N_SEEDS = 3
ERRORS = (0.2, 0.3, 0.4, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20, 50, 100)  # ticks, in %
COSTS = {  # column of the table -> axis
    "parameters": "parameters",
    "million multiply-adds": "million multiply-adds per image",
    "s per epoch": "seconds per epoch",
}


def main(arguments: list[str]) -> None:
    """Train all that is not trained yet; print and write the table and the figures."""
    comparison = compare(NAME, __doc__, arguments, list_entries)
    if comparison is not None:
        from _05_model_plot import save_figure

        save_figure(draw_costs(comparison.table), comparison.folder / f"{NAME}_costs.png")


def list_entries(changes: Mapping[str, Any]) -> list[Entry]:
    """Return the rows of the table; `changes` are settings that hold for all of them."""
    entries = []
    for name, architecture in NETWORKS.items():
        optimizer = ADAM if name in BY_ADAM else {}
        settings = make_settings(architecture=architecture, **(optimizer | dict(changes)))
        entries.append(Entry(name, settings, n=N_SEEDS))
    return entries


def draw_costs(table: pd.DataFrame) -> Figure:
    """Return a figure of test errors against each of the costs, both on logarithmic axes.

    Args:
        table: a row per network, with the columns "name" and "test accuracy in %", those of COSTS
            and, for several seeds, "standard deviation".
    """
    errors = 100 - table["test accuracy in %"]
    deviation = table.get("standard deviation", 0 * errors).fillna(0)
    with without_screen(), our_style():
        figure, panels = plt.subplots(
            1, len(COSTS), figsize=(11, 4.4), layout="constrained", sharey=True
        )
        for panel, (column, label) in zip(panels, COSTS.items(), strict=True):
            for row, name in table["name"].items():
                colour, marker = STYLES[name]
                panel.errorbar(
                    table.loc[row, column], errors[row], deviation[row],
                    color=colour, marker=marker, markersize=9, ecolor=GREY, capsize=3, linestyle="",
                    label=name,
                )  # fmt: skip
            panel.set(xscale="log", yscale="log", xlabel=label)
            panel.margins(x=0.15, y=0.15)
            panel.grid(color=LIGHT_GREY, linewidth=0.6)
        figure.legend(
            *panels[0].get_legend_handles_labels(),
            loc="outside lower center", ncols=min(6, len(table)), frameon=False,
        )  # fmt: skip
        panels[0].set_ylabel("test errors in % (mean ± standard deviation)")
        ticks = [tick for tick in ERRORS if errors.min() / 1.5 < tick < 1.5 * errors.max()]
        panels[0].set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        panels[0].yaxis.set_minor_locator(NullLocator())
    return figure


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
