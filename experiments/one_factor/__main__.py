"""What does each factor do? A small network, and nine changes of it, one at a time.

    python -m experiments.one_factor
    python -m experiments.one_factor --dry-run    # what it would train, and how long

The default has one convolution and one dense layer, Adam at a rate of 0.001, batches of 64 and ten
epochs. Batch size, kernel, stride, epochs, rate and architecture are changed by themselves, as in a
document that says of each what it expects: how often weights are updated, how much memory and time
that takes, how much gradients vary, how many parameters there are, how large the maps are, how
training converges. Each of these is measured here, and each expectation is confirmed or refuted.

Flags of the main program, such as `--dataset digits`, change all of them. Killed and started again,
it goes on where it was. Prints three tables (accuracies, influences, expectations), and writes them
into the folder, with a row for each seed and two figures.
"""

import sys
from collections.abc import Mapping
from typing import Any

from _00_main import make_settings
from common.command_line import run_program
from experiments.one_factor.expectations import FACTORS, rows_of_expectations
from experiments.one_factor.influences import FORMATS, rows_of_influences
from studies.comparison import Entry, compare
from studies.tables import write_csv, write_table

NAME = "one_factor"
N_SEEDS = 5
SET_HERE = (
    "recipe", "architecture", "batch_size", "epochs", "learning_rate", "early_stopping_enabled"
)  # fmt: skip


def main(arguments: list[str]) -> None:
    """Train and measure all that is missing; print and write the tables and the figures."""
    comparison = compare(NAME, __doc__, arguments, list_entries, SET_HERE)
    if comparison is None:
        return
    from _05_model_plot import save_figure
    from experiments.one_factor.drawing import draw_curves

    folder = comparison.folder
    each = rows_of_influences(comparison)
    write_csv(folder / f"{NAME}_influences_each_seed.csv", each)
    influences = each.groupby("name", sort=False).mean().drop(columns="seed").reset_index()
    print(write_table(folder / f"{NAME}_influences", influences, FORMATS))
    print(write_table(folder / f"{NAME}_expectations", rows_of_expectations(each), {}))
    save_figure(draw_curves(comparison), folder / f"{NAME}_curves.png")


def list_entries(changes: Mapping[str, Any]) -> list[Entry]:
    """Return the default and its changes; `changes` are settings that hold for all of them."""
    entries = [Entry("default", make_settings("one_factor", **changes), n=N_SEEDS)]
    for of_factor in FACTORS.values():
        for name, change in of_factor.items():
            settings = make_settings("one_factor", **{**changes, **change})
            entries.append(Entry(name, settings, n=N_SEEDS))
    return entries


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
