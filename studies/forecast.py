"""What a study would make, and what it would cost: for --dry-run."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from _01_data_loader import load_data
from common.keras_start import load_keras
from common.settings import Settings
from studies.many_runs import look_at
from studies.progress import describe_duration
from studies.tables import to_markdown
from studies.timed_steps import Repetitions, step_seconds

REPETITIONS = Repetitions(5, warm_ups=2)  # of each network: enough to plan an evening
FORMATS = {"epochs, at most": "d", "TFLOP": ",.1f", "training in min": ",.1f"}


class ImageCost(NamedTuple):
    """What it costs to train a network on one image, once."""

    flops: float
    seconds: float


def print_forecast(
    study_name: str,
    runs: Mapping[str, Settings],
    storage: str | None,
    at_most: Callable[[Settings], Settings] = lambda settings: settings,
) -> None:
    """Print a row per run: whether it is finished, its epochs at most, and what these cost.

    Args:
        at_most: settings of a run -> those that its costs are taken from; for a search, the
            costliest ones that it may draw.

    Raises:
        UserError: the database fails, or a run's settings cannot be.
    """
    load_keras()
    runs, finished = look_at(study_name, runs, storage)
    rows = forecast_rows({label: at_most(of_run) for label, of_run in runs.items()}, finished)
    seconds_left = sum(60 * row["training in min"] for row in rows if row["state"] == "to do")
    print(to_markdown(pd.DataFrame(rows), FORMATS))
    print(
        f"{len(runs) - len(finished)} of {len(runs)} runs to do: at most "
        f"{describe_duration(seconds_left)} of training by one worker on this machine."
    )


def forecast_rows(runs: Mapping[str, Settings], finished: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row per run."""
    costs = costs_per_image([*runs.values()])
    rows = []
    for (label, settings), cost in zip(runs.items(), costs, strict=True):
        epochs = settings.networks * (settings.epochs + settings.polish_epochs)
        n_train = len(load_data(settings.dataset, settings.data_dir).y_train)
        n_images = epochs * n_train * (1 - settings.val_size)
        rows.append(
            {
                "run": label,
                "state": "finished" if label in finished else "to do",
                "epochs, at most": epochs,
                "TFLOP": cost.flops * n_images / 1e12,
                "training in min": cost.seconds * n_images / 60,
            }
        )
    return rows


def costs_per_image(
    all_settings: Sequence[Settings], repetitions: Repetitions = REPETITIONS
) -> list[ImageCost]:
    """Return what training on one image costs by each of the settings.

    Those that differ only in seed, length and rate are timed once, and cost the same.
    """
    shared = {"seed": 0, "epochs": 1, "polish_epochs": 1, "networks": 1, "learning_rate": 1e-3}
    timed = [dataclasses.replace(settings, **shared) for settings in all_settings]
    costs = {settings: cost_per_image(settings, repetitions) for settings in dict.fromkeys(timed)}
    return [costs[settings] for settings in timed]


def cost_per_image(settings: Settings, repetitions: Repetitions) -> ImageCost:
    """Return what training on one image costs, on this machine; its precision must not be auto."""
    import keras

    from _03_model_training import build_network
    from studies.costs import multiply_adds, training_flops

    keras.config.set_dtype_policy(settings.precision)
    network = build_network(settings)
    seconds = step_seconds(network, settings, repetitions) / settings.batch_size
    keras.config.set_dtype_policy("float32")  # that of training must not outlive it
    return ImageCost(training_flops(multiply_adds(network), 1), seconds)
