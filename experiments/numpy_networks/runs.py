"""Many trainings, several at a time; what is finished is kept, so that a killed program goes on."""

import dataclasses
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from threadpoolctl import threadpool_limits

from common.data import Arrays, sha256_of
from common.safe_files import read_json, write_json, writing
from common.user_error import UserError
from experiments.numpy_networks.recipes import Recipe
from experiments.numpy_networks.training import Data, evaluate, train
from experiments.numpy_networks.weights_file import save
from studies.progress import describe_duration
from studies.timed_runs import call_in_new_processes

VALIDATION_SHARE = 6  # the last sixth of the training images: 10,000 of MNIST's
PROGRAM = 2  # raise it when a change of the code changes results: kept ones are then made again
LINE_EVERY = 30  # seconds, at least, between two lines of one training


class Training(NamedTuple):
    """One network to be trained."""

    name: str  # of the recipe
    how: str  # per image, or mini-batches
    recipe: Recipe
    seed: int
    is_final: bool  # on all training images, evaluated on the test images at the end; else on the
    # first five sixths, evaluated on the last sixth after each epoch: to choose, and for the curves


def file_of(training: Training, folder: Path) -> Path:
    """Return where the weights of a training belong; its results lie beside them as .json."""
    part = "" if training.is_final else " validation"
    words = re.findall(r"[a-z0-9]+", f"{training.name} {training.how}{part}".lower())
    return folder / f"{'-'.join(words)}-seed{training.seed}.npz"


def finished(training: Training, data_hash: str, folder: Path) -> dict[str, Any] | None:
    """Return the kept results of a training; None if there are none of this recipe and these data.

    Raises:
        UserError: the file cannot be read.
    """
    weights = file_of(training, folder)
    results = weights.with_suffix(".json")  # written last
    if not (results.exists() and weights.exists()):
        return None
    try:
        kept = read_json(results)
    except UserError as error:
        raise UserError(f"{error} Delete it; it is then trained again.") from error
    is_this = isinstance(kept, dict) and kept.get("made of") == made_of(training, data_hash)
    return kept if is_this else None


def made_of(training: Training, data_hash: str) -> dict[str, Any]:
    """Return, as JSON has it, what must be the same for results to be those of a training."""
    recipe = json.loads(json.dumps(dataclasses.asdict(training.recipe)))
    return {"program": PROGRAM, "recipe": recipe, "seed": training.seed, "data": data_hash}


def data_for(training: Training, arrays: Arrays) -> Data:
    """Return the images that a training sees, and those that it is evaluated on, in rows of 784."""
    images, labels = arrays.x_train.reshape(len(arrays.x_train), -1), arrays.y_train
    if training.is_final:
        return Data(images, labels, arrays.x_test.reshape(len(arrays.x_test), -1), arrays.y_test)
    n = len(images) - len(images) // VALIDATION_SHARE
    return Data(images[:n], labels[:n], images[n:], labels[n:])


def make(training: Training, arrays: Arrays, folder: Path) -> dict[str, Any]:
    """Train a network and keep it; return its results.

    BLAS gets one thread: small matrices gain nothing by two, and sums are then always added in
    the same order, so that equal seeds give equal results to the last digit.
    """
    data, history, started = data_for(training, arrays), [], time.monotonic()
    told, file = started, file_of(training, folder)
    with threadpool_limits(1, user_api="blas"):
        for network, row in train(training.recipe, data, training.seed):
            is_last = row["epoch"] == training.recipe.epochs
            if is_last or not training.is_final:  # the test images are read once, at the end
                evaluated = evaluate(network, data.evaluation_images, data.evaluation_labels)
                row |= {f"evaluation_{name}": value for name, value in evaluated.items()}
            history.append(row)
            if is_last:
                save(network, file)
            elif time.monotonic() - told > LINE_EVERY:
                told = time.monotonic()
                tell(training, row, told - started)
    result = {
        "made of": made_of(training, sha256_of(*arrays)),
        "accuracy": history[-1]["evaluation_accuracy"],
        "cpu_seconds": sum(row["cpu_seconds"] for row in history),
        "history": history,
    }
    write_json(file.with_suffix(".json"), result)
    return result


def tell(training: Training, row: dict[str, Any], seconds: float) -> None:
    """Print how far a training is."""
    epoch, epochs = row["epoch"], training.recipe.epochs
    left = describe_duration(seconds / epoch * (epochs - epoch))
    so_far = f"epoch {epoch} of {epochs}, loss {row['loss']:.4f}"
    print(f"  {title(training)}: {so_far}, about {left} left", flush=True)


def title(training: Training) -> str:
    """Return a training in words."""
    part = "" if training.is_final else ", validation"
    return f"{training.name}, {training.how}, seed {training.seed}{part}"


# --- Several at a time --------------------------------------------------------------------------


def make_all(
    trainings: Sequence[Training],
    arrays: Arrays,
    folder: Path,
    n_workers: int,
    seconds: Mapping[Recipe, Sequence[float]],
) -> dict[Training, dict[str, Any]]:
    """Make all trainings that are not finished yet, and return the results of all.

    Args:
        seconds: of an epoch of each recipe, measured once or more, for the estimate of the time
            that is left.

    Raises:
        UserError: a file cannot be read or written, or a training's process was ended.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    data_hash = sha256_of(*arrays)
    results = {training: finished(training, data_hash, folder) for training in trainings}
    todo = [training for training, result in results.items() if result is None]
    if todo:
        print(
            f"{len(trainings) - len(todo)} of {len(trainings)} trainings are finished.", flush=True
        )
    cost = {one: min(seconds[one.recipe]) * one.recipe.epochs for one in todo}
    remaining = sum(cost.values())
    for training, result in _made(todo, arrays, folder, n_workers):
        results[training] = result
        remaining -= cost[training]
        left = describe_duration(max(0.0, remaining) / n_workers)
        accuracy = f"{100 * result['accuracy']:.2f} %"
        print(f"{title(training)}: {accuracy}; about {left} left in all", flush=True)
    return {training: result for training, result in results.items() if result is not None}


def _made(
    trainings: Sequence[Training], arrays: Arrays, folder: Path, n_workers: int
) -> Iterator[tuple[Training, dict[str, Any]]]:
    """Yield each training with its results, in the order in which they are finished."""
    if n_workers == 1 or len(trainings) < 2:
        yield from ((training, make(training, arrays, folder)) for training in trainings)
        return
    by_title = {title(training): training for training in trainings}
    arguments = {label: (training, arrays, folder) for label, training in by_title.items()}
    for label, result in call_in_new_processes(_make_in_process, arguments, n_workers):
        yield by_title[label], result


def _make_in_process(
    argument: tuple[Training, Arrays, Path], _process_started: float
) -> dict[str, Any]:
    return make(*argument)


def usable_cores() -> int:
    """Return how many processors this program may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
