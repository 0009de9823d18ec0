"""How far a study is: runs done, an estimate of the time left, the best run so far."""

from typing import NamedTuple

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


def estimate_seconds_left(
    seconds_of_runs: list[float], n_runs: int, n_workers: int
) -> float | None:
    """Return the seconds until all runs are made, if the rest take as long as those before.

    Args:
        seconds_of_runs: of the finished runs.
        n_workers: how many make the rest at the same time.
    """
    if not seconds_of_runs:
        return None
    mean = sum(seconds_of_runs) / len(seconds_of_runs)
    return mean * (n_runs - len(seconds_of_runs)) / max(1, n_workers)


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
