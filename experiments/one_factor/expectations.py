"""The factors, and what the document expects of them: confirmed, refuted, or too close to tell."""

import math
from typing import Any, NamedTuple

import pandas as pd

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
STANDARD_ERRORS = 2.0  # a difference of fewer is not told from chance


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
        Expectation("larger: broader patterns", "test accuracy in %", "default", BIG_KERNEL),
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
        each: a row per run, with the column "name" and the columns of the expectations.
    """
    rows = []
    for factor, one in ((factor, one) for factor, ones in EXPECTATIONS.items() for one in ones):
        if not {one.smaller, one.larger} <= set(each["name"]):
            continue  # left out by --only
        smaller, larger = (
            each.loc[each["name"] == name, one.column] for name in (one.smaller, one.larger)
        )
        rows.append(
            {
                "factor": factor,
                "expected": one.text,
                "measured": one.column,
                "expected to be less": f"{one.smaller}: {smaller.mean():,.4g}",
                "expected to be more": f"{one.larger}: {larger.mean():,.4g}",
                "verdict": verdict(smaller, larger),
            }
        )
    return rows


def verdict(smaller: pd.Series, larger: pd.Series) -> str:
    """Return whether the first values are smaller than the second ones, as far as seeds can tell.

    Two means differ if they are STANDARD_ERRORS apart; those that are the same for all seeds, such
    as numbers of parameters, if they are not equal.
    """
    if smaller.isna().any() or larger.isna().any():
        return "not measured"
    difference = larger.mean() - smaller.mean()
    squared = [part.var() / len(part) for part in (smaller, larger) if len(part) > 1]
    if abs(difference) <= STANDARD_ERRORS * math.sqrt(sum(squared)):
        return "too close to tell"
    return "confirmed" if difference > 0 else "refuted"
