"""Networks of a lecture, of a student's sweep, of a course project, and ours: what do they reach?

    python -m experiments.lecture_networks              # ten hours of one core
    python -m experiments.lecture_networks --dry-run    # what it would train, and how long

Each is trained by its own recipe (`common/recipes.py`), as published; what is not published, such
as the rate and the places of dropout, is told there and in `architectures/`. Four things are ours.
A tenth of the training images are validation images. The test images are read once, after the last
epoch. `drop_move_conv` and `drop_full_conv` had shifted images beside the original ones, in a
larger data set; here, all images are shifted, anew in each epoch. And numbers are bfloat16 where
the processor computes them faster (`--precision float32` is slower and as accurate). Network 101
and `sweep_best` stop by validation accuracy, as published; `sweep_best` did so by the test images.

The default predicts the mean over five shifts of an image, the others read it once. Multiply-adds
are those of one reading. Seconds per epoch are timed, by some steps, on the machine that writes the
table.

The published figures are of one training each, but for two: `sweep_best`'s is the mean of 45, and
network 101's is its author's record, the best of some number of trainings.

Killed and started again, it goes on where it was. Prints a table, and writes it into the folder,
with a row for each seed and a figure.
"""

import sys
from collections.abc import Mapping
from typing import Any

from _00_main import make_settings
from common.command_line import run_program
from studies.comparison import Entry, compare

NAME = "lecture_networks"
RECIPES = {  # recipe -> published test accuracy in %, published test loss
    "simple_conv": (98.95, 0.1163),
    "drop_conv": (99.21, 0.0359),
    "drop_move_conv": (99.21, 0.0293),
    "drop_full_conv": (99.27, 0.0250),
    "sweep_baseline": (99.47, None),
    "sweep_best": (99.64, None),
    "cnn_mnist_101": (99.70, 0.0090),  # 45 minutes of one core for each seed
    "default": (None, None),
}


def main(arguments: list[str]) -> None:
    """Train all that is not trained yet; print and write the table and the figure."""
    compare(NAME, __doc__, arguments, list_entries)


def list_entries(changes: Mapping[str, Any]) -> list[Entry]:
    """Return the rows of the table; `changes` are settings that hold for all of them."""
    return [
        Entry(recipe, make_settings(recipe, **changes), published, published_loss=loss)
        for recipe, (published, loss) in RECIPES.items()
    ]


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
