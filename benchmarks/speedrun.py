"""Speedrun: how few seconds from the start of the process to 99.0 % and to 99.5 %?

    python -m benchmarks.speedrun            # both targets, 10 seeds each
    python -m benchmarks.speedrun --n 3

The recipes `speedrun_990` and `speedrun_995` (in `common/recipes.py`) were chosen on validation
images and are trained to their fixed last step; nothing is stopped or picked by the test set, which
is read when the training is over. The clock runs from the start of the process, so it includes
importing Keras and loading the data. Killed and started again, it goes on where it was; after a
change of the code, choose another `--folder`. Prints a Markdown table with a row per recipe, and
writes it into the folder as `table.md` and `table.csv`.
"""

import sys
from functools import partial
from pathlib import Path

from common.command_line import PROJECT_DIR, Parser, run_program
from studies.seed_summary import check_seed_count
from studies.settings_flags import parse_changes
from studies.tables import write_table
from studies.timed_recipes import (
    SET_BY_TURNS,
    TIMING_FORMATS,
    WHY_SET_BY_TURNS,
    time_recipe,
    timing_row,
)
from studies.timed_runs import take_turns

TARGETS = {"speedrun_990": 0.990, "speedrun_995": 0.995}  # recipe -> test accuracy to reach


def main(arguments: list[str]) -> None:
    """Run the seeds, the two recipes in turn, and print the table."""
    parser = Parser(__doc__)
    parser.add_argument("--n", type=int, default=10, help="seeds per recipe: 0, 1, ...")
    parser.add_argument("--folder", type=Path, default=PROJECT_DIR / "runs" / "speedrun")
    given, others = parser.parse_known_args(arguments)
    check_seed_count(given.n)
    changes = parse_changes(others, SET_BY_TURNS, WHY_SET_BY_TURNS).changes
    timed = {
        recipe: partial(time_recipe, recipe, folder=given.folder, changes=changes)
        for recipe in TARGETS
    }
    results = take_turns(timed, given.n)
    rows = [timing_row(recipe, TARGETS[recipe], results[recipe]) for recipe in TARGETS]
    print(f"\n{write_table(given.folder / 'table', rows, TIMING_FORMATS)}")


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
