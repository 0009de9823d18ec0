"""Step 4: what is kept of a run, and the record of all runs.

A run has a folder of its own. The record of a data set is two files in the project folder: the
parameters (`best_parameters.json`) and the model (`best_model.keras`). It is by nature the maximum
over all runs that were ever made, so it says what is possible, not what to expect.
"""

import dataclasses
import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from filelock import FileLock, Timeout

from _01_data_loader import DATA_SETS
from common.data import Arrays, Splits, sha256_of
from common.run_folder import RunResult, git_commit
from common.safe_files import (
    cannot_write,
    remove_if_there,
    write_atomically,
    write_json,
    writing,
)
from common.settings import Settings, public_settings
from common.text_block import rewrite_block
from common.user_error import UserError

if TYPE_CHECKING:
    import keras

# The course's own files name the parameters in German.
GERMAN_KEYS = {
    "angegebene epochs": "epochs",
    "tatsaelich benoetigte epochs": "epochs_trained",
    "Split der Validierungsdaten:": "val_size",
    "Seed": "seed",
}
RECORD_NOTE = "The best of all runs so far (a maximum, not a mean): see README for what to expect."
BLOCK_BEGIN, BLOCK_END = "<!-- record:begin -->", "<!-- record:end -->"
LOCK_TIMEOUT_SECONDS = 60


class Record(NamedTuple):
    """The best run so far on a data set."""

    test_loss: float
    test_accuracy: float  # in [0, 1]
    parameters: dict[str, Any]  # settings and circumstances, with English snake_case keys

    def is_beaten_by(self, test_loss: float, test_accuracy: float) -> bool:
        """Higher accuracy wins; at equal accuracy, lower loss. Loss alone never does."""
        return (test_accuracy, -test_loss) > (self.test_accuracy, -self.test_loss)


class RecordPlace(NamedTuple):
    """The files of the record of one data set, in one folder."""

    parameters: Path
    model: Path
    readme: Path | None  # whose record block is rewritten


def record_place(settings: Settings, arrays: Arrays) -> RecordPlace:
    """Return where the record of a run's data is kept.

    MNIST's files bear no data set's name. Of the user's own data, each has a record of its own, by
    the hash of its arrays: accuracies on different images do not compare.
    """
    output_dir, suffix = Path(settings.output_dir), f"_{settings.dataset}"
    if settings.dataset == "mnist":
        suffix = ""
    elif DATA_SETS[settings.dataset].sha256 is None:
        suffix += f"_{sha256_of(*arrays)[:12]}"
    # Where a file is a link, what it leads to is replaced, and the link stays.
    parameters, model = (
        Path(os.path.realpath(output_dir / name))
        for name in (f"best_parameters{suffix}.json", f"best_model{suffix}.keras")
    )
    return RecordPlace(parameters, model, output_dir / "README.md" if not suffix else None)


# --- The run folder's results -------------------------------------------------------------------


def save_run(
    model: "keras.Model",
    settings: Settings,
    metrics: Mapping[str, Any],
    machine: Mapping[str, Any],
    run_folder: Path,
    place: RecordPlace,
) -> RunResult:
    """Save model.keras and metrics.json, and make the run the record if it beats it.

    metrics.json comes last: a run folder that has it is complete. Then the backups go.
    """
    save_model(model, run_folder / "model.keras")
    is_record = update_record(
        place,
        metrics["test_loss"],
        metrics["test_accuracy"],
        record_parameters(settings, metrics, machine),
        run_folder / "model.keras",
    )
    write_json(run_folder / "metrics.json", {**metrics, "is_record": is_record})
    for backup in (run_folder / "backup.npz", *run_folder.glob("network_*/backup.npz")):
        remove_if_there(backup)
    return RunResult(
        metrics["test_loss"],
        metrics["test_accuracy"],
        metrics["n_misclassified"],
        is_record,
        run_folder,
        dict(metrics),
    )


def record_parameters(
    settings: Settings, metrics: Mapping[str, Any], machine: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the record notes: everything but the user's own paths."""
    chosen = public_settings(dataclasses.asdict(settings))
    measured = {k: v for k, v in metrics.items() if not k.startswith("test_")}
    return chosen | measured | {"machine": dict(machine), "git_commit": git_commit()}


def save_model(model: "keras.Model", path: Path) -> None:
    """Save a classifier as a .keras file, whole or not at all."""
    temporary = path.with_name(f".{os.getpid()}.{path.name}")  # Keras insists on the suffix
    try:
        with writing(path):
            model.save(temporary)
            write_atomically(path, temporary.read_bytes())
    finally:
        remove_if_there(temporary)


# --- The record ---------------------------------------------------------------------------------


def load_record(place: RecordPlace) -> Record | None:
    """Return the record to beat, or None.

    A file that is no record is kept aside as `<name>.corrupt-<time>`, and said so. A change that
    a crash interrupted is completed first.

    Raises:
        UserError: the files cannot be read or written.
    """
    with _lock(place):
        return _load_record(place)


def update_record(
    place: RecordPlace,
    test_loss: float,
    test_accuracy: float,
    parameters: Mapping[str, Any],
    model_file: Path,
) -> bool:
    """Make this run the record if it beats it; rewrite the README's record block too.

    Args:
        test_accuracy: in [0, 1].
        parameters: what to note beside loss and accuracy.
        model_file: the run's saved model, to be copied.

    Returns:
        Whether this run is the new record.
    """
    if not math.isfinite(test_loss):  # the training diverged
        return False
    with _lock(place):
        before = _load_record(place)
        if before is not None and not before.is_beaten_by(test_loss, test_accuracy):
            return False
        model = model_file.read_bytes()
        record = {
            "note": RECORD_NOTE,
            "test_loss": test_loss,
            "test_accuracy": test_accuracy,
            "parameters": dict(parameters),
            "model_sha256": hashlib.sha256(model).hexdigest(),
        }
        # Two files cannot be replaced at one stroke. So both new ones are first put beside the
        # old; from the moment that the second of them is in place, the change counts as made,
        # and _complete_change() carries it out, now or, after a crash, at the next start.
        write_atomically(_pending(place.model), model)
        write_json(_pending(place.parameters), record)
        _complete_change(place)
        if place.readme is not None:
            rewrite_block(place.readme, BLOCK_BEGIN, BLOCK_END, describe_record(record))
        return True


@contextmanager
def _lock(place: RecordPlace) -> Iterator[None]:
    """Keep two programs from changing a record at once."""
    path = place.parameters.with_suffix(".lock")
    lock = FileLock(path, timeout=LOCK_TIMEOUT_SECONDS)
    try:
        lock.acquire()
    except Timeout as error:
        raise UserError(
            f"another run has held {path} for {LOCK_TIMEOUT_SECONDS} s; try again when it is done."
        ) from error
    except (OSError, NotImplementedError) as error:  # the latter: a file system without locks
        raise cannot_write(path, OSError(str(error))) from error
    try:
        yield
    finally:
        lock.release()


def _load_record(place: RecordPlace) -> Record | None:
    _complete_change(place)
    path = place.parameters
    if not path.exists():
        return None
    try:
        return parse_record(path.read_bytes().decode("utf-8-sig"))  # Windows may put a mark first
    except OSError as error:
        raise UserError(f"cannot read the record {path}: {error.strerror or error}.") from error
    except ValueError as error:
        aside = path.with_name(f"{path.name}.corrupt-{time.strftime('%Y%m%d-%H%M%S')}")
        with writing(aside):
            os.replace(path, aside)
        print(f"{path.name} is no record ({error}); kept aside as {aside.name}.")
        return None


def parse_record(text: str) -> Record:
    """Parse the JSON of a record; the course's German parameter names become English.

    Raises:
        ValueError: not JSON, a missing key, or a loss or accuracy that cannot be.
    """
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")
    missing = {"test_loss", "test_accuracy", "parameters"} - content.keys()
    if missing:
        raise ValueError(f"lacks {', '.join(sorted(missing))}")
    loss, accuracy, parameters = (
        content[key] for key in ("test_loss", "test_accuracy", "parameters")
    )
    for name, value, limit in (("test_loss", loss, math.inf), ("test_accuracy", accuracy, 1.0)):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or not 0 <= value <= limit:
            raise ValueError(f"{name} is {value!r}")
    if not isinstance(parameters, dict):
        raise ValueError("parameters is not an object")
    english = {GERMAN_KEYS.get(str(key), str(key)): value for key, value in parameters.items()}
    return Record(float(loss), float(accuracy), english)


def _pending(path: Path) -> Path:
    return path.with_name(f"{path.name}.pending")


def _complete_change(place: RecordPlace) -> None:
    """Put a prepared record in place; without a complete one, clear what a crash left behind."""
    new_parameters, new_model = _pending(place.parameters), _pending(place.model)
    with writing(place.parameters):
        if new_parameters.exists():
            if new_model.exists():
                _put_in_place(new_model, place.model)
            _put_in_place(new_parameters, place.parameters)
        elif new_model.exists():
            new_model.unlink()


def _put_in_place(new: Path, path: Path) -> None:
    """Replace a file by a new one, which takes over its rights."""
    if path.exists():
        shutil.copymode(path, new)
    os.replace(new, path)


def describe_record(record: Mapping[str, Any]) -> str:
    """Return the README's record block, in Markdown."""
    parameters = record["parameters"]
    several = f"{parameters['networks']} × " if parameters["networks"] > 1 else ""
    return (
        f"**Record** (the best of all runs, not a mean): test accuracy "
        f"**{100 * record['test_accuracy']:.2f} %**, test loss {record['test_loss']:.6f}, by "
        f"{several}`{parameters['architecture']}` with seed {parameters['seed']} after "
        f"{parameters['epochs_trained']} epochs in {parameters['train_seconds']:.0f} s of training "
        "(all its parameters: `best_parameters.json`)."
    )


# --- What a run says ----------------------------------------------------------------------------


def announce(settings: Settings, splits: Splits, record: Record | None) -> None:
    """Say what is about to be trained, and which record there is to beat."""
    print(
        f"Data:     {settings.dataset}: {len(splits.x_train):,} training, {len(splits.x_val):,} "
        f"validation and {len(splits.x_test):,} test images"
    )
    several = f"{settings.networks} × " if settings.networks > 1 else ""
    print(
        f"Training: {several}{settings.architecture}, epochs: at most {settings.epochs} and "
        f"{settings.polish_epochs} of polish, seed {settings.seed}"
    )
    print(f"Record:   {percent(record.test_accuracy) if record else 'none yet'}", flush=True)


def report(result: RunResult, n_test: int, record_to_beat: Record | None) -> None:
    """Print the result of a run."""
    before = percent(record_to_beat.test_accuracy) if record_to_beat else "none"
    print(f"\nTest loss:      {result.test_loss}")
    print(f"Test accuracy:  {percent(result.test_accuracy)}")
    print(f"Misclassified:  {result.n_misclassified:,} of {n_test:,} test images")
    print(f"New record:     {'yes' if result.is_record else 'no'} (before this run: {before})")
    print(f"Run folder:     {result.run_folder}", flush=True)


def percent(share: float) -> str:
    """Format a share of 1 as per cent, in steps of one of 10,000 test images."""
    return f"{100 * share:.2f} %"
