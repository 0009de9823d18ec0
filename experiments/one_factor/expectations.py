"""The factors, and what the course expects of them: confirmed, refuted, or too close to tell."""

import math
from typing import Any, NamedTuple

import pandas as pd
from scipy import stats

from experiments.one_factor.influences import FORMATS as INFLUENCES

# Factor -> row of the table -> settings that it changes.
FACTORS: dict[str, dict[str, dict[str, Any]]] = {
    "batch size": {"batch of 128": {"batch_size": 128}, "batch of 256": {"batch_size": 256}},
    "kernel size": {"kernel of 5x5": {"architecture": "one_convolution(kernel_size=5)"}},
    "stride": {"stride of 2": {"architecture": "one_convolution(strides=2)"}},
    "epochs": {"5 epochs": {"epochs": 5}, "20 epochs": {"epochs": 20}},
    "learning rate": {
        "rate of 0.0001": {"learning_rate": 1e-4},
        "rate of 0.01": {"learning_rate": 1e-2},
    },
    "architecture": {"2 convolutions, 3 dense": {"architecture": "two_convolutions"}},
}
# What is counted, and the same for all seeds. All else is measured, and varies.
COUNTED = (
    "updates per epoch", "map width", "parameters", "of the convolutions", "million multiply-adds"
)  # fmt: skip
CONFIDENCE = 0.99  # of an interval: there are a dozen comparisons, and chance would decide one
FORMATS = {"half interval": ".2g", "n": "d"}


class Expectation(NamedTuple):
    """That a figure is smaller in one row than in another."""

    text: str
    column: str  # of the influences
    smaller: str  # name of the row in which it is expected to be smaller
    larger: str
    is_ours: bool = False  # our reading: the document has no figure in mind


FINE, COARSE = "default", "batch of 256"
BIG_KERNEL, DEEP = "kernel of 5x5", "2 convolutions, 3 dense"
EXPECTATIONS = {  # by factor
    "batch size": (
        Expectation("smaller: more frequent updates", "updates per epoch", COARSE, FINE),
        Expectation("smaller: less memory", "memory in MB", FINE, COARSE),
        Expectation("smaller: slower training", "s per epoch", COARSE, FINE),
        Expectation("larger: gradients vary less", "gradient noise", COARSE, FINE),
    ),
    "kernel size": (
        # It counts the weights of a kernel. All in all there are fewer: the maps become smaller,
        # and so does the dense layer.
        Expectation("larger: more parameters", "of the convolutions", "default", BIG_KERNEL),
        Expectation(
            "larger: broader patterns", "test accuracy in %", "default", BIG_KERNEL, is_ours=True
        ),
    ),
    "stride": (
        Expectation("larger: smaller output", "map width", "stride of 2", "default"),
        Expectation("larger: less to compute", "million multiply-adds", "stride of 2", "default"),
        Expectation("larger: fewer parameters", "parameters", "stride of 2", "default"),
        Expectation("larger: faster training", "s per epoch", "stride of 2", "default"),
    ),
    "epochs": (Expectation("more: longer training", "training in s", "5 epochs", "20 epochs"),),
    "learning rate": (
        Expectation(
            "smaller: slower training", "validation % after 1 epoch", "rate of 0.0001", "default"
        ),
        Expectation(
            "smaller: steadier convergence", "unsteadiness", "rate of 0.0001", "rate of 0.01"
        ),
    ),
    "architecture": (
        Expectation("more layers: more parameters", "parameters", "default", DEEP),
        Expectation("more layers: slower training", "s per epoch", "default", DEEP),
        Expectation("more layers: more accuracy", "test accuracy in %", "default", DEEP),
    ),
}


def rows_of_expectations(each: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a row per expectation whose rows are there: means, their difference, and the verdict.

    Args:
        each: a row per run, with the columns "name" and "seed" and those of the expectations.
    """
    names = set(each["name"])  # --only leaves out others
    return [
        row_of(factor, one, each)
        for factor, expectations in EXPECTATIONS.items()
        for one in expectations
        if {one.smaller, one.larger} <= names
    ]


def row_of(factor: str, expectation: Expectation, each: pd.DataFrame) -> dict[str, Any]:
    """Return the row of an expectation."""
    smaller, larger = (
        values_of(each, expectation, name) for name in (expectation.smaller, expectation.larger)
    )
    differences, is_counted = larger - smaller, expectation.column in COUNTED
    return {
        "factor": factor,
        "expected": expectation.text,
        "by": "us" if expectation.is_ours else "the document",
        "measured": expectation.column,
        "lower: row": expectation.smaller,
        "lower: mean": smaller.mean(),
        "higher: row": expectation.larger,
        "higher: mean": larger.mean(),
        "difference": differences.mean(),
        "half interval": half_width(differences, is_counted),
        "n": len(differences),
        "verdict": verdict(differences, is_counted),
    }


def shown(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with each mean as a text, in the format of what was measured."""
    means = ("lower: mean", "higher: mean", "difference")
    return [
        {**row, **{name: format(row[name], INFLUENCES[row["measured"]]) for name in means}}
        for row in rows
    ]


def values_of(each: pd.DataFrame, expectation: Expectation, name: str) -> pd.Series:
    """Return what was measured in the runs of a row, by seed."""
    return each[each["name"] == name].set_index("seed")[expectation.column]


def verdict(differences: pd.Series, is_counted: bool) -> str:
    """Return whether differences are above 0, as far as seeds can tell.

    Runs of one seed have the same split and order of the images, so each is compared with its
    twin. What is measured differs if 0 is outside the interval of the mean difference (Student's
    t, CONFIDENCE).

    Args:
        differences: what is expected to be larger less what is expected to be smaller, by seed.
        is_counted: whether chance has no part in it.
    """
    mean, error = differences.mean(), half_width(differences, is_counted)
    if differences.isna().any():
        return "not measured"
    if math.isnan(error):
        return "one seed cannot tell"
    if abs(mean) <= error:
        return "too close to tell"
    return "confirmed" if mean > 0 else "refuted"


def half_width(differences: pd.Series, is_counted: bool) -> float:
    """Return half of the interval of a mean difference; NaN for one seed. Args as of `verdict`."""
    n = len(differences)
    if is_counted:
        return 0.0
    if n < 2:
        return math.nan
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * differences.std() / math.sqrt(n)
