"""How far a study is: runs done, an estimate of the time left, the best run so far."""

import re
import statistics
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from studies.study_storage import extras

BAR_WIDTH = 30
WIDTH = 200  # one line, in a log file too; in a narrow terminal, it is the terminal that breaks it


class Progress(NamedTuple):
    """The state of a study between two runs."""

    study_name: str
    n_done: int
    n_runs: int
    seconds_left: float | None  # None: nothing is finished yet to estimate it from
    best_label: str | None  # of the run with the highest validation accuracy so far, or not shown
    best_accuracy: float | None  # of that run on its validation images, in [0, 1]


def progress_of(
    study_name: str,
    labels: Collection[str],
    results: Mapping[str, Mapping[str, Any]],
    n_running: int,
    show_best: bool,
) -> Progress:
    """Return how far a study is.

    Args:
        labels: of all runs.
        results: metrics of those that are finished, by label.
        n_running: how many are under way.
        show_best: whether it names the best run.
    """
    ranked = results if show_best else {}
    best = max(ranked, key=lambda label: ranked[label]["val_accuracy"], default=None)
    seconds = {label: metrics["total_seconds"] for label, metrics in results.items()}
    return Progress(
        study_name,
        len(results),
        len(labels),
        estimate_seconds_left(seconds, labels, n_running + 1),  # this worker begins one, too
        best,
        None if best is None else results[best]["val_accuracy"],
    )


def estimate_seconds_left(
    seconds: Mapping[str, float], labels: Collection[str], n_workers: int
) -> float | None:
    """Return the seconds until all runs are made; None as long as nothing tells.

    A run takes as long as those whose labels differ from its own in the last number alone, the
    seed; if none of them is finished, as long as all others.

    Args:
        seconds: of the finished runs, by label.
        labels: of all runs.
        n_workers: how many make the rest at the same time.
    """
    if not seconds:
        return None
    by_kind: dict[str, list[float]] = {}
    for label, of_run in seconds.items():
        by_kind.setdefault(_kind_of(label), []).append(of_run)
    others = statistics.fmean(seconds.values())
    left = [
        statistics.fmean(by_kind.get(_kind_of(label), [others]))
        for label in labels
        if label not in seconds
    ]
    return sum(left) / max(1, n_workers)


def _kind_of(label: str) -> str:
    return re.sub(r"\d+$", "", label)


def show_progress(progress: Progress) -> None:
    """Print a bar and what it means; where stdout is no terminal, as plain text.

    It is printed between the runs, and does not move: during a run, Keras prints its own.

    Raises:
        UserError: rich is not installed.
    """
    with extras():
        from rich.console import Console
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

    line = Table.grid(padding=(0, 1))
    bar = ProgressBar(progress.n_runs, progress.n_done, width=BAR_WIDTH)
    line.add_row(Text(progress.study_name), bar, Text(describe(progress)))
    console = Console()
    console.width = max(console.width, WIDTH)
    console.print(line)


def describe(progress: Progress) -> str:
    """Return the progress in words."""
    text = f"{progress.n_done} of {progress.n_runs} runs"
    if progress.seconds_left and progress.n_done < progress.n_runs:
        text += f", about {describe_duration(progress.seconds_left)} left"
    if progress.best_accuracy is not None:
        accuracy = f"{100 * progress.best_accuracy:.2f} %"
        text += f"; best validation accuracy so far: {accuracy} ({progress.best_label})"
    return text


def describe_duration(seconds: float) -> str:
    """Return a duration in words: in seconds, in minutes, or in hours and minutes."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
