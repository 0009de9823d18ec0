"""The factors, and what the course expects of them: confirmed, refuted, or too close to tell."""

import math
from typing import Any, NamedTuple

import pandas as pd
from scipy import stats

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


class Expectation(NamedTuple):
    """That a figure is smaller in one row than in another."""

    text: str
    column: str  # of the influences
    smaller: str  # name of the row in which it is expected to be smaller
    larger: str


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
        Expectation("larger: more parameters", "parameters", "default", BIG_KERNEL),
        Expectation("... of convolutions", "of the convolutions", "default", BIG_KERNEL),
        Expectation(
            "larger: broader patterns, so more accuracy",
            "test accuracy in %",
            "default",
            BIG_KERNEL,
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
    """Return a row per expectation whose rows are there: the two means, and the verdict.

    Args:
        each: a row per run, with the columns "name" and "seed" and those of the expectations.
    """
    rows = []
    for factor, expectations in EXPECTATIONS.items():
        for one in expectations:
            if {one.smaller, one.larger} <= set(each["name"]):  # --only leaves out others
                smaller, larger = (
                    values_of(each, one, one.smaller),
                    values_of(each, one, one.larger),
                )
                rows.append(
                    {
                        "factor": factor,
                        "expected": one.text,
                        "measured": one.column,
                        "expected to be less": f"{one.smaller}: {smaller.mean():,.4g}",
                        "expected to be more": f"{one.larger}: {larger.mean():,.4g}",
                        "verdict": verdict(larger - smaller, one.column in COUNTED),
                    }
                )
    return rows


def values_of(each: pd.DataFrame, expectation: Expectation, name: str) -> pd.Series:
    """Return what was measured in the runs of a row, by seed."""
    return each[each["name"] == name].set_index("seed")[expectation.column]


def verdict(differences: pd.Series, is_counted: bool) -> str:
    """Return whether differences are above 0, as far as seeds can tell.

    Runs of one seed have the same split, order and first weights, so each is compared with its
    twin. What is measured differs if 0 is outside the interval of the mean difference (Student's
    t, CONFIDENCE).

    Args:
        differences: what is expected to be larger less what is expected to be smaller, by seed.
        is_counted: whether chance has no part in it.
    """
    mean, n = differences.mean(), len(differences)
    if differences.isna().any():
        return "not measured"
    if not is_counted and n < 2:
        return "one seed cannot tell"
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) if n > 1 else 0.0
    error = 0.0 if is_counted else quantile * differences.std() / math.sqrt(n)
    if abs(mean) <= error:
        return "too close to tell"
    return "confirmed" if mean > 0 else "refuted"
