"""Step 4: what is kept of a run, and the record of all runs.

A run has a folder of its own. The record of a data set is two files in the project folder: the
parameters (`best_parameters.json`) and the model (`best_model.keras`). It is by nature the maximum
over all runs that were ever made, so it says what is possible, not what to expect.
"""

import dataclasses
import hashlib
import itertools
import json
import math
import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from filelock import FileLock, Timeout

from safe_files import cannot_write, remove_if_there, write_atomically, writing
from user_error import UserError

if TYPE_CHECKING:
    import keras

Settings = Any  # _00_main.Settings, which reads as such here: nothing below imports from above
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


# --- The run folder ----------------------------------------------------------------------------


def create_run_folder(settings: Settings, machine: Mapping[str, Any]) -> Path:
    """Make `runs/<time>-<dataset>-<architecture>-seed<k>/` with settings.json, and return it.

    Raises:
        UserError: the folder cannot be written.
    """
    runs = Path(settings.output_dir) / "runs"
    name = f"{settings.dataset}-{settings.architecture}-seed{settings.seed}"
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"
    for attempt in itertools.count(1):  # two runs may start in the same second
        folder = runs / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            runs.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
            break
        except FileExistsError as error:
            if not runs.is_dir():
                raise cannot_write(runs, error) from error
        except OSError as error:
            raise cannot_write(folder, error) from error
    description = {
        "settings": dataclasses.asdict(settings),
        "machine": dict(machine),
        "git_commit": git_commit(),
    }
    write_json(folder / "settings.json", description)
    return folder


def save_run(
    model: "keras.Model",
    settings: Settings,
    metrics: Mapping[str, Any],
    machine: Mapping[str, Any],
    run_folder: Path,
) -> bool:
    """Save model.keras and metrics.json, and make the run the record if it beats it.

    metrics.json comes last: a run folder that has it is complete. Then the backups go.

    Returns:
        Whether the run is the new record.
    """
    save_model(model, run_folder / "model.keras")
    is_record = update_record(
        Path(settings.output_dir),
        settings.dataset,
        metrics["test_loss"],
        metrics["test_accuracy"],
        record_parameters(settings, metrics, machine),
        run_folder / "model.keras",
    )
    write_json(run_folder / "metrics.json", {**metrics, "is_record": is_record})
    for backup in (run_folder / "backup.npz", *run_folder.glob("network_*/backup.npz")):
        remove_if_there(backup)
    return is_record


def record_parameters(
    settings: Settings, metrics: Mapping[str, Any], machine: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the record notes: everything but the user's own paths."""
    own = ("output_dir", "data_dir", "figures", "show")
    chosen = {k: v for k, v in dataclasses.asdict(settings).items() if k not in own}
    measured = {k: v for k, v in metrics.items() if not k.startswith("test_")}
    return chosen | measured | {"machine": dict(machine), "git_commit": git_commit()}


def write_json(path: Path, content: Any) -> None:
    """Write `content` as readable JSON, whole or not at all."""
    write_atomically(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file of a run folder.

    Raises:
        UserError: it is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; is {path.parent} a run folder?") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as JSON: {error}.") from error


def save_model(model: "keras.Model", path: Path) -> None:
    """Save a classifier as a .keras file, whole or not at all."""
    temporary = path.with_name(f".{os.getpid()}.{path.name}")  # Keras insists on the suffix
    try:
        with writing(path):
            model.save(temporary)
            write_atomically(path, temporary.read_bytes())
    finally:
        remove_if_there(temporary)


def git_commit() -> str | None:
    """Return the project's commit, with `-dirty` if a Python file differs; None without git."""
    commit = _git("rev-parse", "HEAD")
    difference = _git("status", "--porcelain", "--", "*.py")  # not the record: runs rewrite it
    return f"{commit}-dirty" if commit and difference else commit or None


def _git(*arguments: str) -> str:
    """Return what git prints, or an empty string where there is no git or no repository."""
    try:
        answer = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


# --- The record --------------------------------------------------------------------------------


def record_paths(output_dir: Path, dataset: str) -> tuple[Path, Path]:
    """Return the paths of the record's parameters and model; MNIST's bear no data set's name."""
    suffix = "" if dataset == "mnist" else f"_{dataset}"
    return output_dir / f"best_parameters{suffix}.json", output_dir / f"best_model{suffix}.keras"


def load_record(output_dir: Path, dataset: str) -> Record | None:
    """Return the record to beat, or None.

    A file that is no record is kept aside as `<name>.corrupt-<time>`, and said so. A change that
    a crash interrupted is completed first.
    """
    with _lock(output_dir, dataset):
        return _load_record(output_dir, dataset)


def update_record(
    output_dir: Path,
    dataset: str,
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
    with _lock(output_dir, dataset):
        before = _load_record(output_dir, dataset)
        if before is not None and not before.is_beaten_by(test_loss, test_accuracy):
            return False
        parameters_path, model_path = record_paths(output_dir, dataset)
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
        write_atomically(_pending(model_path), model)
        write_json(_pending(parameters_path), record)
        _complete_change(parameters_path, model_path)
        if dataset == "mnist":
            _rewrite_readme(output_dir / "README.md", record)
        return True


@contextmanager
def _lock(output_dir: Path, dataset: str) -> Iterator[None]:
    """Keep two programs from changing a record at once."""
    path = record_paths(output_dir, dataset)[0].with_suffix(".lock")
    lock = FileLock(path, timeout=LOCK_TIMEOUT_SECONDS)
    try:
        lock.acquire()
    except Timeout as error:
        raise UserError(
            f"another run has held {path} for {LOCK_TIMEOUT_SECONDS} s; try again when it is done."
        ) from error
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        yield
    finally:
        lock.release()


def _load_record(output_dir: Path, dataset: str) -> Record | None:
    parameters_path, model_path = record_paths(output_dir, dataset)
    _complete_change(parameters_path, model_path)
    if not parameters_path.exists():
        return None
    try:
        return parse_record(parameters_path.read_text(encoding="utf-8"))
    except ValueError as error:
        aside = parameters_path.with_name(
            f"{parameters_path.name}.corrupt-{time.strftime('%Y%m%d-%H%M%S')}"
        )
        os.replace(parameters_path, aside)
        print(f"{parameters_path.name} is no record ({error}); kept aside as {aside.name}.")
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
    english = {GERMAN_KEYS.get(key, key): value for key, value in parameters.items()}
    return Record(float(loss), float(accuracy), english)


def _pending(path: Path) -> Path:
    return path.with_name(f"{path.name}.pending")


def _complete_change(parameters_path: Path, model_path: Path) -> None:
    """Put a prepared record in place; without a complete one, clear what a crash left behind."""
    new_parameters, new_model = _pending(parameters_path), _pending(model_path)
    with writing(parameters_path):
        if new_parameters.exists():
            if new_model.exists():
                os.replace(new_model, model_path)
            os.replace(new_parameters, parameters_path)
        elif new_model.exists():
            new_model.unlink()


def _rewrite_readme(path: Path, record: Mapping[str, Any]) -> None:
    """Replace the text between the two markers of the README, if it has them."""
    if not path.exists():
        return
    text = path.read_text(encoding="utf-8")
    block = f"{BLOCK_BEGIN}\n{describe_record(record)}\n{BLOCK_END}"
    pattern = f"{re.escape(BLOCK_BEGIN)}.*?{re.escape(BLOCK_END)}"
    rewritten = re.sub(pattern, lambda _: block, text, count=1, flags=re.DOTALL)
    if rewritten != text:
        write_atomically(path, rewritten)


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
