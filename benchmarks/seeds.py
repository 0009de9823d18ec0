"""How good is a recipe, and how much is luck? n seeds of it, at its fixed rule.

    python -m benchmarks.seeds --n 10                          # the default run
    python -m benchmarks.seeds --n 10 --recipe cnn_mnist_101   # another recipe; any flag of the
                                                               # main program changes it

Every seed's test images are read once, at the end; no run is left out. Killed and started again,
it goes on where it was. Prints a Markdown table of mean, standard deviation, median, range and
the 95 % confidence interval of the mean, and writes it to `runs/<study>.md` and `.csv`; the
figures of each seed are in `runs/<study>_each_seed.md` and `.csv`.
"""

import dataclasses
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _00_main import make_settings
from common.command_line import Parser, run_program
from studies.many_runs import run_all
from studies.seed_summary import Summary, check_seed_count, summarise
from studies.settings_flags import parse_changes
from studies.tables import write_table

FIGURES = {  # column of the table -> what it shows of a run's metrics
    "test accuracy in %": lambda metrics: 100 * metrics["test_accuracy"],
    "test loss": lambda metrics: metrics["test_loss"],
    "validation accuracy in %": lambda metrics: 100 * metrics["val_accuracy"],
    "training in s": lambda metrics: metrics["train_seconds"],
    "run before figures in s": lambda metrics: metrics["total_seconds"],
}
FORMATS = dict(zip(FIGURES, (".3f", ".5f", ".3f", ".0f", ".0f"), strict=True))
STATISTICS = {  # row of the table -> field of Summary
    "mean": "mean",
    "standard deviation": "std",
    "median": "median",
    "min": "min",
    "max": "max",
    "95 % interval of the mean, low": "low",
    "95 % interval of the mean, high": "high",
}


def rows_of_seeds(results: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a row per run: its label and its figures."""
    return [
        {"run": label} | {name: figure(metrics) for name, figure in FIGURES.items()}
        for label, metrics in results.items()
    ]


def rows_of_statistics(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row per statistic over the runs, a column per figure."""
    summaries: dict[str, Summary] = {
        name: summarise([row[name] for row in rows]) for name in FIGURES
    }
    return [
        {"statistic": title}
        | {name: getattr(summary, field) for name, summary in summaries.items()}
        for title, field in STATISTICS.items()
    ]


def main(arguments: list[str]) -> None:
    """Run the seeds and print the table."""
    parser = Parser(__doc__)
    parser.add_argument("--n", type=int, default=10, help="how many seeds, from --seed on")
    parser.add_argument("--study", help="its name (default: seeds-DATASET-ARCHITECTURE[-RECIPE])")
    parser.add_argument("--storage", help="database URL (default: runs/studies.db)")
    given, others = parser.parse_known_args(arguments)
    check_seed_count(given.n)
    flags = parse_changes(others, set_here=(), reason="")
    settings = make_settings(flags.recipe or "default", **{"figures": "none"} | flags.changes)
    name = ["seeds", settings.dataset, settings.architecture, *filter(None, [flags.recipe])]
    study = given.study or "-".join(name)
    runs = {
        f"seed {seed}": dataclasses.replace(settings, seed=seed)
        for seed in range(settings.seed, settings.seed + given.n)
    }
    rows = rows_of_seeds(run_all(study, runs, given.storage))
    path = Path(settings.output_dir) / "runs" / re.sub(r"[^\w.-]", "_", study)
    write_table(path.with_name(f"{path.name}_each_seed"), rows, FORMATS)
    print(f"\n{study}: {given.n} seeds\n")
    print(write_table(path, rows_of_statistics(rows), FORMATS))


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
