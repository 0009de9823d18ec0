"""Recipes trained against the clock, and what the clock says of them."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from _00_main import make_settings, run
from common.settings import Settings
from common.user_error import UserError
from studies.seed_summary import median_and_range, summarise
from studies.timed_runs import TimedFunction, load_or_run

# A machine's folder and what is shown change nothing in the result of a timed run.
NOT_COMPARED = ("output_dir", "figures", "show")
# What a program that times recipes sets itself, and why it takes no flags for it.
SET_BY_TURNS = ("seed", "recipe", "output_dir")
WHY_SET_BY_TURNS = (
    "the seeds are 0, 1, ..., each recipe is trained in turn, and --folder says where"
)


def timed_settings(recipe: str, seed: int, folder: Path, changes: Mapping[str, Any]) -> Settings:
    """Return the settings of a timed training, whose run folder will be in `folder`.

    Raises:
        UserError: an unknown recipe, or one that trains several networks.
    """
    place = {"seed": seed, "output_dir": folder / f"{recipe}-{seed}"}
    settings = make_settings(recipe, **{"figures": "none"} | dict(changes) | place)
    if settings.networks > 1:
        raise UserError(
            f"'{recipe}' would train {settings.networks} networks, but a curve is that of one: "
            "give --networks 1."
        )
    return settings


# --- In a process of its own ---------------------------------------------------------------------


def train_with_curve(settings: Settings, process_started: float) -> dict[str, Any]:
    """Train by the program's own `run()`; return curve, costs and machine.

    Args:
        process_started: when this process was started (see `studies.timed_runs`).

    Returns:
        See `describe_training`.
    """
    from common.keras_start import load_keras

    load_keras()  # before what imports Keras
    import keras

    from _02_data_preprocess import load_splits
    from common.run_folder import read_description
    from studies.accuracy_curve import WeightsAfterEachEpoch

    keeper = WeightsAfterEachEpoch(process_started)
    result = run(settings, callbacks=[keeper])
    classifier = keras.saving.load_model(result.run_folder / "model.keras")
    splits = load_splits(settings)
    curve = keeper.curve(classifier, splits.x_test, splits.y_test)
    machine = read_description(result.run_folder).machine
    return describe_training(classifier, curve, len(splits.y_train), machine)


def describe_training(
    classifier: Any, curve: Mapping[str, Any], n_train: int, machine: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what is kept of a timed training.

    Args:
        classifier: the trained Keras model; a network that it averages over shifts counts once.
        curve: from `WeightsAfterEachEpoch.curve`.
        n_train: training images per epoch.
        machine: what it was trained on, as settings.json describes it.

    Returns:
        The curve's lists, a value per epoch; parameters, multiply-adds per image and FLOPs per
        epoch of the network; the machine and its peak in FLOP/s, in the training's precision.
    """
    from studies.costs import compute_dtype, matrix_product_peak, multiply_adds, training_flops

    cost = multiply_adds(classifier)
    return {
        **curve,
        "n_parameters": classifier.count_params(),
        "multiply_adds": cost,
        "flops_per_epoch": training_flops(cost, n_train),
        "peak_flops_per_second": matrix_product_peak(compute_dtype(machine["precision"])),
        "machine": dict(machine),
    }


# --- In the process that compares ----------------------------------------------------------------


def time_recipe(
    recipe: str,
    seed: int,
    folder: Path,
    changes: Mapping[str, Any],
    train: TimedFunction = train_with_curve,
) -> dict[str, Any]:
    """Return the result of a timed training from the folder, or train it there.

    Args:
        train: how the child process trains.

    Raises:
        UserError: see `timed_settings`; or the folder has this training with other settings, or
            the training failed.
    """
    settings = timed_settings(recipe, seed, folder, changes)
    saved = {k: v for k, v in dataclasses.asdict(settings).items() if k not in NOT_COMPARED}
    return load_or_run(folder, f"{recipe}-{seed}", train, settings, saved)


# --- What the clock says ------------------------------------------------------------------------


TIMING_FORMATS = {
    "target in %": ".1f",
    **{
        f"{clock} in s, {figure}": ".1f"
        for clock in ("process", "training")
        for figure in ("median", "min", "max")
    },
    **{f"test accuracy in %, {figure}": ".3f" for figure in ("mean", "std")},
    "test accuracy in %, median": ".2f",
}


def timing_row(name: str, target: float, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a table's row on two or more trainings of one recipe to their last epoch.

    Args:
        target: test accuracy in [0, 1] that the recipe is to reach.
    """
    accuracies = [100 * result["test_accuracy"][-1] for result in results]
    accuracy = summarise(accuracies)
    return {
        "recipe": name,
        "target in %": 100 * target,
        "n": len(results),
        **median_and_range("process in s", [one["process_seconds"][-1] for one in results]),
        **median_and_range("training in s", [one["train_seconds"][-1] for one in results]),
        "test accuracy in %, mean": accuracy.mean,
        "test accuracy in %, std": accuracy.std,
        "test accuracy in %, median": accuracy.median,
        "seeds at the target": sum(one["test_accuracy"][-1] >= target for one in results),
    }
