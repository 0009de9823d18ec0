"""How long does each recipe train to reach 99.0, 99.5 and 99.7 % test accuracy?

    python -m benchmarks.time_to_accuracy --repetitions 3
    python -m benchmarks.time_to_accuracy --recipes default cnn_mnist_101 --reference-epochs 12

Each training is a process of its own, and the recipes take turns (A B C, A B C, ...): on a machine
whose speed drifts, only ratios within a turn mean anything. No recipe stops by looking at the test
set: the weights of every epoch are kept and read on the test images when the training is over.
`--reference-epochs` ends the reference early, which is enough to say when it reached 99.5 %.
Killed and started again, it goes on where it was; after a change of the code, choose another
`--folder`.

Prints three Markdown tables, and writes them into the folder (by default `runs/time_to_accuracy/`)
with a CSV file beside each: `costs` of the networks, whole `trainings`, and the time to each
`threshold`; "times faster" and "times shorter" are ratios to the reference, cnn_mnist_101, within a
turn. `curves.png` draws the test error over seconds and over FLOPs.
"""

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.reference_101 import RECIPE as REFERENCE
from benchmarks.reference_101 import train_reference
from common.command_line import PROJECT_DIR, Parser, run_program
from common.safe_files import writing
from common.user_error import UserError
from studies.seed_summary import median_and_range
from studies.settings_flags import parse_changes
from studies.tables import write_table
from studies.timed_recipes import (
    SET_BY_TURNS,
    WHY_SET_BY_TURNS,
    time_recipe,
    timed_settings,
    train_with_curve,
)
from studies.timed_runs import take_turns

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RECIPES_COMPARED = ["default", "speedrun_995", "speedrun_990", "keras_example", REFERENCE]
THRESHOLDS = (0.990, 0.995, 0.997)
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe-Ito
Results = Sequence[Mapping[str, Any]]  # of one recipe, a timed training per turn


# --- What is compared ---------------------------------------------------------------------------


def seconds_to(result: Mapping[str, Any], threshold: float, clock: str) -> float | None:
    """Return the seconds at the first epoch's end with at least this test accuracy, or None."""
    for seconds, accuracy in zip(result[clock], result["test_accuracy"], strict=True):
        if accuracy >= threshold:
            return seconds
    return None


def train_seconds(result: Mapping[str, Any]) -> float:
    """Return the seconds of the whole training."""
    return result["train_seconds"][-1]


def ratios_to_reference(
    results: Results, references: Results, seconds: Callable[[Mapping[str, Any]], float | None]
) -> list[float | None]:
    """Return the reference's seconds divided by the recipe's, turn by turn.

    None where one of them never got there.

    Args:
        seconds: what is compared: a function of a timed training.
    """
    ratios: list[float | None] = []
    for result, reference in zip(results, references, strict=False):
        of_recipe, of_reference = seconds(result), seconds(reference)
        if of_recipe is None or of_reference is None:
            ratios.append(None)
        else:
            ratios.append(of_reference / of_recipe)
    return ratios


# --- The tables ---------------------------------------------------------------------------------


COST_FORMATS = {
    "parameters": ",",
    "M multiply-adds per image": ".1f",
    "epochs, median": "g",
    "TFLOP of training, median": ".1f",
    "GFLOP/s, median": ".0f",
    "% of the peak, median": ".0f",
}


def cost_row(recipe: str, results: Results) -> dict[str, Any]:
    """Return what a recipe's network costs, and how fast it was computed."""
    first = results[0]
    epochs = [len(result["train_seconds"]) for result in results]
    speeds = [
        result["flops_per_epoch"] * len(result["train_seconds"]) / train_seconds(result)
        for result in results
    ]
    peaks = [result["peak_flops_per_second"] for result in results]
    shares = [speed / peak for speed, peak in zip(speeds, peaks, strict=True)]
    return {
        "recipe": recipe,
        "n": len(results),
        "parameters": first["n_parameters"],
        "M multiply-adds per image": first["multiply_adds"] / 1e6,
        "epochs, median": statistics.median(epochs),
        "TFLOP of training, median": statistics.median(epochs) * first["flops_per_epoch"] / 1e12,
        "GFLOP/s, median": statistics.median(speeds) / 1e9,
        "% of the peak, median": 100 * statistics.median(shares),
    }


TRAINING_FORMATS = {
    **{f"training in s, {figure}": ".0f" for figure in ("median", "min", "max")},
    "process in s, median": ".0f",
    "final accuracy in %, median": ".2f",
    **{f"times shorter, {figure}": ".1f" for figure in ("median", "min", "max")},
}


def training_row(recipe: str, results: Results, references: Results) -> dict[str, Any]:
    """Return what a recipe's whole training takes and reaches."""
    return {
        "recipe": recipe,
        "n": len(results),
        **median_and_range("training in s", [train_seconds(result) for result in results]),
        "process in s, median": statistics.median(one["process_seconds"][-1] for one in results),
        "final accuracy in %, median": 100
        * statistics.median(result["test_accuracy"][-1] for result in results),
        **median_and_range(
            "times shorter", ratios_to_reference(results, references, train_seconds)
        ),
    }


THRESHOLD_FORMATS = {
    "accuracy in %": ".1f",
    **{f"training in s, {figure}": ".0f" for figure in ("median", "min", "max")},
    **{f"process in s, {figure}": ".0f" for figure in ("median", "min", "max")},
    **{f"times faster, {figure}": ".1f" for figure in ("median", "min", "max")},
}


def threshold_row(
    recipe: str, threshold: float, results: Results, references: Results
) -> dict[str, Any]:
    """Return how long a recipe takes to a test accuracy, in the turns that reach it."""
    to_threshold = partial(seconds_to, threshold=threshold, clock="train_seconds")
    training = [to_threshold(result) for result in results]
    process = [seconds_to(result, threshold, "process_seconds") for result in results]
    return {
        "recipe": recipe,
        "accuracy in %": 100 * threshold,
        "n": len(results),
        "reached": sum(seconds is not None for seconds in training),
        **median_and_range("training in s", training),
        **median_and_range("process in s", process),
        **median_and_range("times faster", ratios_to_reference(results, references, to_threshold)),
    }


def write_tables(
    by_recipe: Mapping[str, Results], folder: Path, reference_is_whole: bool = True
) -> str:
    """Write the three tables into the folder, and return them with their titles.

    Args:
        reference_is_whole: the reference trained until its own end; else no training is said to
            be so many times shorter.
    """
    references = by_recipe.get(REFERENCE, [])
    whole = references if reference_is_whole else []
    costs = [cost_row(recipe, results) for recipe, results in by_recipe.items()]
    trainings = [training_row(recipe, results, whole) for recipe, results in by_recipe.items()]
    thresholds = [
        threshold_row(recipe, threshold, results, references)
        for threshold in THRESHOLDS
        for recipe, results in by_recipe.items()
    ]
    tables = (
        ("Costs", write_table(folder / "costs", costs, COST_FORMATS)),
        ("Trainings", write_table(folder / "trainings", trainings, TRAINING_FORMATS)),
        ("Thresholds", write_table(folder / "thresholds", thresholds, THRESHOLD_FORMATS)),
    )
    return "\n".join(f"{title}:\n\n{table}" for title, table in tables)


# --- The figure ---------------------------------------------------------------------------------


def plot_curves(by_recipe: Mapping[str, Results]) -> "Figure":
    """Draw test error against seconds of training and against FLOPs, both axes logarithmic."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
    for (recipe, results), colour in zip(by_recipe.items(), COLOURS, strict=False):
        for number, result in enumerate(results):
            errors = [100 * (1 - accuracy) for accuracy in result["test_accuracy"]]
            tera_flops = [
                (epoch + 1) * result["flops_per_epoch"] / 1e12 for epoch in range(len(errors))
            ]
            for panel, x in zip(panels, (result["train_seconds"], tera_flops), strict=True):
                label = None if number else recipe
                panel.plot(x, errors, color=colour, marker=".", linewidth=1, label=label)
    for panel, label in zip(panels, ("seconds of training", "TFLOP of training"), strict=True):
        panel.set(xscale="log", yscale="log", xlabel=label)
        panel.grid(alpha=0.3, which="both")
        for threshold in THRESHOLDS:
            panel.axhline(100 * (1 - threshold), color="#767676", linestyle=":", linewidth=1)
    ticks = [0.2, 0.3, 0.5, 1, 2, 5, 10]
    panels[0].set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    panels[0].set_ylabel("test error in %")
    panels[0].legend()
    figure.suptitle("Test error over training; dotted: 99.0, 99.5 and 99.7 % accuracy")
    return figure


# --- The program --------------------------------------------------------------------------------


def compare(
    recipes: Sequence[str],
    repetitions: int,
    folder: Path,
    changes: Mapping[str, Any],
    reference_epochs: int | None = None,
) -> str:
    """Train what is not trained yet, turn by turn; write tables and figure; return the tables.

    Args:
        reference_epochs: the reference ends after at most so many; None: by its own rule.
    """
    import matplotlib

    timed = {}
    for recipe in recipes:
        train, its_changes = train_with_curve, changes
        if recipe == REFERENCE:
            train = train_reference
            if reference_epochs is not None:
                its_changes = dict(changes) | {"epochs": reference_epochs}
        # What cannot be is refused before an hour's work.
        timed_settings(recipe, 0, folder, its_changes)
        timed[recipe] = partial(
            time_recipe, recipe, folder=folder, changes=its_changes, train=train
        )
    by_recipe = take_turns(timed, repetitions)
    tables = write_tables(by_recipe, folder, reference_is_whole=reference_epochs is None)
    matplotlib.use("Agg")
    with writing(folder / "curves.png"):
        plot_curves(by_recipe).savefig(folder / "curves.png", dpi=150)
    return tables


def main(arguments: list[str]) -> None:
    """Compare the recipes; other flags are the main program's, and change every recipe.

    Of the reference, which trains as its project did, they change data, split, epochs and batches.
    """
    parser = Parser(__doc__)
    parser.add_argument("--recipes", nargs="+", default=RECIPES_COMPARED, metavar="RECIPE")
    parser.add_argument("--repetitions", type=int, default=3, help="turns; the seeds are 0, 1, ...")
    parser.add_argument("--reference-epochs", type=int, metavar="N", help="at most so many")
    parser.add_argument("--folder", type=Path, default=PROJECT_DIR / "runs" / "time_to_accuracy")
    given, others = parser.parse_known_args(arguments)
    changes = parse_changes(others, SET_BY_TURNS, WHY_SET_BY_TURNS).changes
    if given.repetitions < 1:
        raise UserError(f"--repetitions must be 1 or more, got {given.repetitions}.")
    tables = compare(
        given.recipes, given.repetitions, given.folder, changes, given.reference_epochs
    )
    print(f"\n{tables}")


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
