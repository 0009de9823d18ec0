"""What does each factor do? A small network, and nine changes of it, one at a time.

    python -m experiments.one_factor              # an hour of one core
    python -m experiments.one_factor --dry-run    # what it would train, and how long

The default has one convolution and one dense layer, Adam at a rate of 0.001, batches of 64 and ten
epochs. Batch size, kernel, stride, epochs, rate and architecture are changed by themselves. A
course's notes on MNIST say what to expect of each: how often weights are updated, how much memory
and time that takes, how much gradients vary, how many parameters there are, how large the maps are,
how training converges. Each of these is measured here, and each expectation is confirmed, refuted,
or too close to tell.
(Memory and seconds are those of some steps, after all training: best on a machine that does nothing
else then.)

Flags of the main program, such as `--dataset digits`, change all of them. Killed and started again,
it goes on where it was. Prints four tables (accuracies, sizes, influences, expectations), and
writes them into the folder, with a row for each seed and two figures.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from _00_main import make_settings
from common.command_line import run_program
from common.safe_files import write_atomically
from experiments.one_factor import expectations
from experiments.one_factor.expectations import COUNTED, FACTORS, rows_of_expectations, shown
from experiments.one_factor.influences import FORMATS, rows_of_influences
from studies.comparison import Entry, compare
from studies.tables import to_markdown, write_csv, write_table

NAME = "one_factor"
N_SEEDS, DEVIATION = 5, ", deviation"
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
    print(write_table(folder / f"{NAME}_sizes", means_of(each, COUNTED), FORMATS))
    measured = [name for name in FORMATS if name not in COUNTED]
    deviations = {f"{name}{DEVIATION}": FORMATS[name] for name in measured}
    table = means_of(each, measured, with_deviations=True)
    print(write_table(folder / f"{NAME}_influences", table, FORMATS | deviations))
    rows = rows_of_expectations(each)
    write_csv(folder / f"{NAME}_expectations.csv", rows)
    text = to_markdown(pd.DataFrame(shown(rows)), expectations.FORMATS)
    write_atomically(folder / f"{NAME}_expectations.md", text)
    print(text)
    save_figure(draw_curves(comparison), folder / f"{NAME}_curves.png")


def means_of(
    each: pd.DataFrame, columns: Sequence[str], with_deviations: bool = False
) -> pd.DataFrame:
    """Return a row per name: the means over its seeds and, behind each, the deviation.

    Args:
        each: a row per run, with "name" and the columns.
    """
    by_name = each.groupby("name", sort=False)[list(columns)]
    means, deviations = by_name.mean(), by_name.std()
    parts: dict[str, pd.Series] = {}
    for name in columns:
        parts[name] = means[name]
        if with_deviations:
            parts[f"{name}{DEVIATION}"] = deviations[name]
    return pd.DataFrame(parts).reset_index()


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
