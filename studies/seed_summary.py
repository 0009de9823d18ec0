"""What several seeds of one recipe say together."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from common.user_error import UserError


class Summary(NamedTuple):
    """Statistics of one figure over the seeds."""

    mean: float
    std: float  # standard deviation of the sample
    median: float
    min: float
    max: float
    low: float  # ends of the 95 % confidence interval of the mean (Student's t)
    high: float


def summarise(values: Sequence[float]) -> Summary:
    """Return the statistics of two or more values."""
    from scipy import stats

    mean, std = statistics.fmean(values), statistics.stdev(values)
    half_width = float(stats.t.ppf(0.975, len(values) - 1)) * std / len(values) ** 0.5
    return Summary(
        mean,
        std,
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


def median_and_range(name: str, values: Sequence[float | None]) -> dict[str, float | None]:
    """Return three columns of a table: median, smallest and largest of the values that there are.

    Args:
        name: what the columns' names begin with.
        values: None stands for one that was not reached; of none at all, all three are None.
    """
    present = [value for value in values if value is not None]
    if not present:
        return {f"{name}, median": None, f"{name}, min": None, f"{name}, max": None}
    return {
        f"{name}, median": statistics.median(present),
        f"{name}, min": min(present),
        f"{name}, max": max(present),
    }
