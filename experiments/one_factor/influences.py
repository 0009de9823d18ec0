"""What a change influences besides accuracy: updates, memory, time, gradients, sizes."""

import dataclasses
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from common.data import Splits
from common.machine import find_gpus
from common.run_folder import read_description, read_history
from common.settings import Settings
from studies.comparison import Comparison, Entry, label_of, seeds_of
from studies.timed_runs import load_or_run
from studies.timed_steps import Repetitions, step_seconds

if TYPE_CHECKING:
    import keras

LAST = 5  # epochs whose unsteadiness is measured
# The settings that sizes, memory and first gradients depend on.
DECISIVE = ("dataset", "architecture", "batch_size", "optimizer", "val_size", "precision", "seed")
CLEAR_REFS = Path("/proc/self/clear_refs")  # see proc(5)
GRADIENTS = 30  # batches at most, of which the gradients are compared
MEMORY_STEPS = 10  # of training, in which the memory is measured
TIMED_STEPS = Repetitions(100, warm_ups=10)
FORMATS = {
    "updates per epoch": ",.0f",
    "memory in MB": ".0f",
    "gradient noise": ".2f",
    "map width": ".0f",
    "parameters": ",.0f",
    "of the convolutions": ",.0f",
    "million multiply-adds": ".2f",
    "s per epoch": ".1f",
    "training in s": ".0f",
    "validation % after 1 epoch": ".2f",
    "unsteadiness": ".2f",
    "test accuracy in %": ".2f",
}


def rows_of_influences(comparison: Comparison) -> pd.DataFrame:
    """Return a row per run, with the columns of FORMATS.

    Sizes are those of the network; memory, gradients and seconds are measured in a process of its
    own for each entry and seed; the rest comes from the run. (Its seconds would tell, too, what
    else the machine did meanwhile.)

    Raises:
        UserError: a process failed, or a file of a run cannot be read.
    """
    rows = []
    for entry in comparison.entries:
        for seed in seeds_of(entry):
            metrics = comparison.results[label_of(entry, seed)]
            measured = measured_once(entry, seed, comparison)
            rows.append(
                {
                    "name": entry.name,
                    "seed": seed,
                    **measured,
                    "training in s": measured["s per epoch"] * metrics["epochs_trained"],
                    **convergence(read_history(metrics["run_folder"])["val_accuracy"].to_numpy()),
                    "test accuracy in %": 100 * metrics["test_accuracy"],
                }
            )
    return pd.DataFrame(rows)


def measured_once(entry: Entry, seed: int, comparison: Comparison) -> dict[str, Any]:
    """Return what is measured in a process of its own; what is kept is not measured again.

    Rows that differ in the rate or in the number of epochs share it.
    """
    run_folder = comparison.results[label_of(entry, seed)]["run_folder"]
    precision = read_description(run_folder).settings["precision"]
    settings = dataclasses.replace(entry.settings, seed=seed, precision=precision)
    decisive = {name: getattr(settings, name) for name in DECISIVE}
    label = re.sub(r"[^\w.]+", "_", "-".join(str(value) for value in decisive.values()))
    return load_or_run(comparison.work_folder, label, measure, settings, decisive)["measured"]


def convergence(accuracies: np.ndarray) -> dict[str, float]:
    """Return how fast and how steadily a training came to its validation accuracy.

    Args:
        accuracies: float (n_epochs,), in [0, 1].

    Returns:
        The accuracy after the first epoch, in %. And the unsteadiness: how far the last LAST
        accuracies lie from a straight line through them, as a standard deviation in percentage
        points. A training that still climbs is not unsteady for that.
    """
    last = accuracies[-LAST:]
    unsteadiness = math.nan
    if len(last) == LAST:
        epochs = np.arange(LAST)
        line = np.polynomial.Polynomial.fit(epochs, last, 1)
        squares = ((last - line(epochs)) ** 2).sum()
        unsteadiness = 100 * math.sqrt(squares / (LAST - 2))  # a line has two parameters
    return {
        "validation % after 1 epoch": 100 * float(accuracies[0]),
        "unsteadiness": unsteadiness,
    }


# --- In a process of its own --------------------------------------------------------------------


def measure(settings: Settings, process_started: float) -> dict[str, Any]:
    """Return what a training needs and what its first gradients are like.

    Memory comes first: data sets that were loaded before would hide what the training takes.

    Args:
        settings: of the training.
        process_started: of no use here.

    Returns:
        Under "measured", a value by column.
    """
    from common.keras_start import prepare

    prepare(settings.seed, settings.precision)
    from keras import layers

    from _02_data_preprocess import load_splits
    from _03_model_training import build_network
    from studies.costs import multiply_adds, plain_layers

    network = build_network(settings)
    memory = memory_of_training(network, settings)
    network = build_network(settings)  # with its first weights again
    splits = load_splits(settings)
    convolutions = [layer for layer in plain_layers(network) if isinstance(layer, layers.Conv2D)]
    updates = math.ceil(len(splits.y_train) / settings.batch_size)
    return {
        "measured": {
            "updates per epoch": updates,
            "memory in MB": memory,
            "gradient noise": gradient_noise(network, splits, settings),
            "s per epoch": updates * step_seconds(network, settings, TIMED_STEPS),
            "map width": convolutions[0].output.shape[2],
            "parameters": network.count_params(),
            "of the convolutions": sum(layer.count_params() for layer in convolutions),
            "million multiply-adds": multiply_adds(network) / 1e6,
        }
    }


def memory_of_training(network: "keras.Model", settings: Settings) -> float | None:
    """Return by how many MB some training steps raise this process's memory, at most.

    Returns:
        None where the system is not Linux, for others cannot reset the maximum; and on a GPU, which
        has a memory of its own.
    """
    if not CLEAR_REFS.exists() or find_gpus():
        return None
    CLEAR_REFS.write_text("5")  # from here on, the largest memory counts anew
    before = status_megabytes("VmRSS")
    step_seconds(network, settings, Repetitions(MEMORY_STEPS, warm_ups=0))
    return status_megabytes("VmHWM") - before


def status_megabytes(field: str) -> float:
    """Return a line of /proc/self/status, which is in kilobytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) / 1e3
    raise KeyError(field)


def gradient_noise(network: "keras.Model", splits: Splits, settings: Settings) -> float:
    """Return how much the gradients of batches differ, at the network's first weights.

    It is the variance of a gradient over up to GRADIENTS batches, summed over all weights, divided
    by the squared length of the true gradient: 1 says that a batch's gradient errs by as much as
    there is to learn. (The mean of n gradients errs, too, and its squared length is too large by an
    n-th of the variance.) A step of plain gradient descent at a rate of 1 moves the weights by the
    gradient, whatever the back end.
    """
    from _03_model_training import make_trainer
    from training.batches import soft_labels

    plain = dataclasses.replace(settings, optimizer="sgd", learning_rate=1, schedule="constant")
    trainer = make_trainer(network, plain, steps_per_epoch=GRADIENTS)
    labels = soft_labels(splits.y_train, network.output_shape[-1])
    first = network.get_weights()
    gradients = []
    for number in range(min(GRADIENTS, len(labels) // settings.batch_size)):  # full ones
        batch = slice(number * settings.batch_size, (number + 1) * settings.batch_size)
        trainer.train_on_batch(splits.x_train[batch], labels[batch])
        moved = zip(first, network.get_weights(), strict=True)
        gradients.append(np.concatenate([(old - new).ravel() for old, new in moved]))
        network.set_weights(first)
    variance = np.var(gradients, axis=0, ddof=1).sum()
    squared_length = (np.mean(gradients, axis=0) ** 2).sum() - variance / len(gradients)
    return float(variance / squared_length)
