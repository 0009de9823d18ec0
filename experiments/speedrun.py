"""Speedrun: how few seconds from the start of the process to 99.0 % and to 99.5 %?

    python -m experiments.speedrun            # both targets, 10 seeds each
    python -m experiments.speedrun --n 3

The recipes `speedrun_990` and `speedrun_995` (in `_00_main.py`) were chosen on validation images
and are trained to their fixed last step; nothing is stopped or picked by the test set, which is
read when the training is over. The clock runs from the start of the process, so it includes
importing Keras and loading the data. Killed and started again, it goes on where it was.
"""

import statistics
import sys
from pathlib import Path
from typing import Any

from _00_main import PROJECT_DIR
from benchmarks.seeds import check_seed_count, summarise
from benchmarks.time_to_accuracy import check_flags, load_or_train, median_and_range
from command_line import Parser, run_program
from safe_files import write_atomically

TARGETS = {"speedrun_990": 0.990, "speedrun_995": 0.995}


def make_table(by_recipe: dict[str, list[dict[str, Any]]]) -> str:
    """Return, for each recipe, seconds and accuracy over the seeds as a Markdown table."""
    lines = [
        "| recipe | target | seeds | process in s: median (min to max) | training in s: median "
        "| test accuracy in %: mean ± std | median | seeds at the target |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for recipe, results in by_recipe.items():
        process = [result["process_seconds"][-1] for result in results]
        accuracies = [100 * result["test_accuracy"][-1] for result in results]
        accuracy = summarise(accuracies)
        reached = sum(value >= 100 * TARGETS[recipe] for value in accuracies)
        cells = [
            recipe,
            f"{100 * TARGETS[recipe]:.1f} %",
            str(len(results)),
            median_and_range(process),
            f"{statistics.median(result['train_seconds'][-1] for result in results):.1f}",
            f"{accuracy.mean:.3f} ± {accuracy.deviation:.3f}",
            f"{accuracy.median:.2f}",
            f"{reached} of {len(results)}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    """Run the seeds, the two recipes in turn, and print the table."""
    parser = Parser(__doc__)
    parser.add_argument("--n", type=int, default=10, help="seeds a recipe: 0, 1, ...")
    parser.add_argument("--folder", type=Path, default=PROJECT_DIR / "runs" / "speedrun")
    own, flags = parser.parse_known_args(arguments)
    check_seed_count(own.n)
    check_flags(flags)
    by_recipe: dict[str, list[dict[str, Any]]] = {recipe: [] for recipe in TARGETS}
    for seed in range(own.n):
        for recipe, results in by_recipe.items():
            results.append(load_or_train(recipe, seed, own.folder, flags))
    table = make_table(by_recipe)
    write_atomically(own.folder / "table.md", table)
    print(f"\n{table}")


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
