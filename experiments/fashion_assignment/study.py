"""The trainings of the assignment as one study, and what its tables and figures show of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from _00_main import make_settings
from common.settings import PLACE_NAMES, Settings
from experiments.fashion_assignment.grading import grade_of
from studies.seed_summary import summarise

EXAMPLE = "fashion_example"
SHARED = (*PLACE_NAMES, "precision", "seed")  # changes that hold for the example, too


class Run(NamedTuple):
    """One training of the study."""

    recipe: str
    settings: Settings


def list_runs(recipe: str, n: int, changes: Mapping[str, Any]) -> dict[str, Run]:
    """Return the runs by label: n seeds of the recipe, and n of the course's example.

    Args:
        changes: settings that the recipe is changed by; where and how to train, and the first
            seed, hold for the example, too.

    Raises:
        UserError: a setting cannot be.
    """
    shared = {name: value for name, value in changes.items() if name in SHARED}
    runs = {}
    for name, of_recipe in ((recipe, changes), (EXAMPLE, shared)):
        first = make_settings(name, **of_recipe).seed
        for seed in range(first, first + n):
            settings = make_settings(name, **{"figures": "none"} | dict(of_recipe) | {"seed": seed})
            runs[f"{name}, seed {seed}"] = Run(name, settings)
    return runs


def rows_of_runs(
    runs: Mapping[str, Run], results: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return a row per run; accuracies in %."""
    return [
        {
            "recipe": run.recipe,
            "network": run.settings.architecture,
            "seed": run.settings.seed,
            "parameters": results[label]["n_parameters"],
            "epochs": results[label]["epochs_trained"],
            "validation accuracy": 100 * results[label]["val_accuracy"],
            "test accuracy": 100 * results[label]["test_accuracy"],
            "test loss": results[label]["test_loss"],
            "grade": grade_of(results[label]["test_accuracy"]),
            "seconds": results[label]["total_seconds"],
        }
        for label, run in runs.items()
    ]


def rows_of_recipes(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row per recipe: the mean over its seeds, and the deviation if there are several."""
    summaries = []
    for recipe in dict.fromkeys(row["recipe"] for row in rows):
        of_recipe = [row for row in rows if row["recipe"] == recipe]
        accuracies = [row["test accuracy"] for row in of_recipe]
        several = summarise(accuracies) if len(accuracies) > 1 else None
        mean = several.mean if several else accuracies[0]
        summaries.append(
            {
                "recipe": recipe,
                "network": of_recipe[0]["network"],
                "parameters": of_recipe[0]["parameters"],
                "n": len(of_recipe),
                "test accuracy in %": mean,
                "deviation": several.std if several else None,
                "grade": grade_of(mean / 100),
                "seconds, mean": sum(row["seconds"] for row in of_recipe) / len(of_recipe),
            }
        )
    return summaries


def best_on_validation(recipe: str, runs: Mapping[str, Run], results: Mapping[str, Any]) -> str:
    """Return the label of the recipe's run that validates best: by accuracy, then by loss.

    The test images have no part in the choice, so its test accuracy stays an honest one.
    """

    def value(label: str) -> tuple[float, float]:
        return results[label]["val_accuracy"], -results[label]["val_loss"]

    return max((label for label, run in runs.items() if run.recipe == recipe), key=value)


def draw_figures(run_folder: Path, path: Path) -> None:
    """Draw what a run takes for what, and its mistakes, with the names of the classes.

    Args:
        path: of the figures, without suffix.

    Raises:
        UserError: a file of the run cannot be read, or a figure cannot be written.
    """
    from _05_model_plot import read_run, save_figure
    from figures.catalogue import DEFAULT_OPTIONS, FIGURES
    from figures.screen import our_style, without_screen

    run = read_run(run_folder)
    with our_style(), without_screen():
        for name, suffix in (("confusion_matrix", ""), ("misclassified", "_misclassified")):
            figure = FIGURES[name].draw(run, DEFAULT_OPTIONS)
            save_figure(figure, path.with_name(f"{path.name}{suffix}.png"))
