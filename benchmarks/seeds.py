"""How good is a recipe, and how much is luck? n seeds of it, at its fixed rule.

    python -m benchmarks.seeds --n 10                          # the default run
    python -m benchmarks.seeds --n 10 --recipe cnn_mnist_101   # another recipe; any flag of the
                                                               # main program changes it

Every seed's test images are read once, at the end; no run is left out. Killed and started again,
it goes on where it was. Prints a Markdown table and writes it to `runs/<study>.md`.
"""

import dataclasses
import statistics
import sys
from collections.abc import Sequence
from typing import NamedTuple

from scipy import stats

from _00_main import PROJECT_DIR, Settings, parse_command_line
from command_line import Parser, run_program
from experiments.many_runs import run_all
from safe_files import write_atomically
from user_error import UserError


class Summary(NamedTuple):
    """Statistics of one figure over the seeds."""

    n: int
    mean: float
    deviation: float  # of the sample
    median: float
    smallest: float
    largest: float
    low: float  # ends of the 95 % confidence interval of the mean (Student's t)
    high: float


def summarise(values: Sequence[float]) -> Summary:
    """Return the statistics of two or more values."""
    mean, deviation = statistics.fmean(values), statistics.stdev(values)
    half_width = stats.t.ppf(0.975, len(values) - 1) * deviation / len(values) ** 0.5
    return Summary(
        len(values),
        mean,
        deviation,
        statistics.median(values),
        min(values),
        max(values),
        mean - half_width,
        mean + half_width,
    )


def check_seed_count(n: int) -> None:
    """Raise UserError for fewer than the two seeds that a standard deviation needs."""
    if n < 2:
        raise UserError(f"--n must be 2 or more, got {n}: one run has no deviation.")


FIGURES = {  # column of the table -> what it shows of a run's metrics, and its number format
    "test accuracy in %": (lambda metrics: 100 * metrics["test_accuracy"], ".3f"),
    "test loss": (lambda metrics: metrics["test_loss"], ".5f"),
    "validation accuracy in %": (lambda metrics: 100 * metrics["val_accuracy"], ".3f"),
    "training in s": (lambda metrics: metrics["train_seconds"], ".0f"),
    "run before figures in s": (lambda metrics: metrics["total_seconds"], ".0f"),
}


def make_table(study: str, all_metrics: Sequence[dict]) -> str:
    """Return the statistics of every figure as a Markdown table."""
    lines = [
        f"{study}: {len(all_metrics)} seeds",
        "",
        "| figure | mean ± std | median | min | max | 95 % interval of the mean |",
        "|---|---|---|---|---|---|",
    ]
    for name, (figure, form) in FIGURES.items():
        s = summarise([figure(metrics) for metrics in all_metrics])
        mean, deviation, median, smallest, largest, low, high = (f"{x:{form}}" for x in s[1:])
        cells = [name, f"{mean} ± {deviation}", median, smallest, largest, f"{low} to {high}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    """Run the seeds and print the table."""
    parser = Parser(__doc__)
    parser.add_argument("--n", type=int, default=10, help="how many seeds, from --seed on")
    parser.add_argument(
        "--study", help="name of the study (default: seeds-<dataset>-<architecture>)"
    )
    parser.add_argument("--storage", help="database URL (default: runs/studies.db)")
    own, others = parser.parse_known_args(arguments)
    check_seed_count(own.n)
    settings, _ = parse_command_line(["--figures=none", *others])
    study = own.study or f"seeds-{settings.dataset}-{settings.architecture}"
    runs: dict[str, Settings] = {
        f"seed {seed}": dataclasses.replace(settings, seed=seed)
        for seed in range(settings.seed, settings.seed + own.n)
    }
    table = make_table(study, list(run_all(study, runs, own.storage).values()))
    write_atomically(PROJECT_DIR / "runs" / f"{study}.md", table)
    print(f"\n{table}")


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
