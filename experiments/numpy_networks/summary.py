"""What the trainings say together, as rows of tables."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.numpy_networks.recipes import BATCHES, PER_IMAGE, PUBLISHED, Recipe
from experiments.numpy_networks.runs import Training

Results = Mapping[Training, Mapping[str, Any]]


def summary_rows(
    results: Results, seconds: Mapping[Recipe, Sequence[float]]
) -> list[dict[str, Any]]:
    """Return a row per network and way of training; those image by image are always listed.

    Accuracies are in %; `test %` is the mean over the seeds, of networks trained on all training
    images; `validation %` is that of seed 0, trained on the first five sixths.
    """
    ways = dict.fromkeys((one.name, one.how, one.recipe) for one in results)
    for name in dict.fromkeys(one.name for one in results if one.name in PER_IMAGE):
        ways[name, "per image", PER_IMAGE[name]] = None
    rows = [summary_row(name, how, recipe, results, seconds) for name, how, recipe in ways]
    return sorted(rows, key=lambda row: (row["network"], row["images per step"]))


def summary_row(
    name: str,
    how: str,
    recipe: Recipe,
    results: Results,
    seconds: Mapping[Recipe, Sequence[float]],
) -> dict[str, Any]:
    """Return one row; None where there is nothing to say."""
    of_this = {one: r for one, r in results.items() if (one.name, one.how) == (name, how)}
    accuracies = [100 * r["accuracy"] for one, r in of_this.items() if one.is_final]
    validation = [100 * r["accuracy"] for one, r in of_this.items() if not one.is_final]
    slow = PER_IMAGE.get(name)
    ratio = None
    if slow and slow != recipe:  # turn by turn
        pairs = zip(seconds[slow], seconds[recipe], strict=True)
        ratio = statistics.median(one / other for one, other in pairs)
    return {
        "network": name,
        "trained": how,
        "images per step": recipe.batch_size,
        "CPU s per epoch": statistics.median(seconds[recipe]),
        "times as fast": ratio,
        "epochs": recipe.epochs,
        "seeds": len(accuracies),
        "validation %": validation[0] if validation else None,
        "test %": statistics.fmean(accuracies) if accuracies else None,
        "std": statistics.stdev(accuracies) if len(accuracies) > 1 else None,
        "published %": PUBLISHED.get(name) if name in BATCHES else None,
    }


def seed_rows(results: Results) -> list[dict[str, Any]]:
    """Return a row per training, accuracies in [0, 1]."""
    return [
        {
            "network": one.name,
            "trained": one.how,
            "seed": one.seed,
            "evaluated on": "test" if one.is_final else "validation",
            "accuracy": result["accuracy"],
            "loss": result["history"][-1]["evaluation_loss"],
            "cpu_seconds": result["cpu_seconds"],
        }
        for one, result in results.items()
    ]


def epoch_rows(results: Results) -> list[dict[str, Any]]:
    """Return a row per epoch of the trainings with validation images: the numbers of the curves."""
    return [
        {"network": one.name, "trained": one.how, "seed": one.seed, **row}
        for one, result in results.items()
        if not one.is_final
        for row in result["history"]
    ]
