"""The folder of a run: how it is made, what is read from it, and where it belongs.

`settings.json` comes first: settings, machine, git commit and a hash of the data. `history.csv`
and `backup.npz` grow while the run trains. `metrics.json` comes last: a folder that has it is a
finished run. A folder may be moved: it belongs where it lies.
"""

import dataclasses
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from common.command_line import PROJECT_DIR, python_command
from common.data import Arrays, sha256_of
from common.safe_files import read_json, write_json, writing
from common.settings import SETTING_NAMES, Settings
from common.user_error import DivergedError, UserError


class RunResult(NamedTuple):
    """What came out of a run; `metrics` is what metrics.json holds besides `is_record`."""

    test_loss: float
    test_accuracy: float  # in [0, 1]
    n_misclassified: int
    is_record: bool
    run_folder: Path
    metrics: dict[str, Any]


class Description(NamedTuple):
    """What settings.json holds."""

    settings: dict[str, Any]
    machine: dict[str, Any]
    git_commit: str | None
    data_sha256: str | None  # of the raw arrays; None in folders of earlier versions


# --- Making one ---------------------------------------------------------------------------------


def open_or_create(
    resume_folder: Path | None, settings: Settings, machine: Mapping[str, Any], arrays: Arrays
) -> Path:
    """Return the folder to go on with, or a new one.

    Raises:
        UserError: the data are others than those that the interrupted run began with, or a new
            folder cannot be written.
    """
    if resume_folder is None:
        return create_run_folder(settings, machine, sha256_of(*arrays))
    check_same_data(resume_folder, arrays, settings.data_dir)
    return resume_folder


def create_run_folder(settings: Settings, machine: Mapping[str, Any], data_sha256: str) -> Path:
    """Make `runs/<time>-<dataset>-<architecture>-seed<k>/` with settings.json, and return it.

    Raises:
        UserError: the folder cannot be written.
    """
    runs = Path(settings.output_dir) / "runs"
    with writing(runs):
        runs.mkdir(parents=True, exist_ok=True)
    # Brackets and the like, of vgg16(width=0.5), have meanings in a shell.
    architecture = re.sub(r"[^\w.]+", "_", settings.architecture).strip("_")
    name = f"{settings.dataset}-{architecture}-seed{settings.seed}"
    folder = _make_unused(runs, f"{time.strftime('%Y%m%d-%H%M%S')}-{name}")
    chosen = dataclasses.asdict(settings)
    del chosen["output_dir"]  # wherever the folder lies
    content = Description(chosen, dict(machine), git_commit(), data_sha256)
    write_json(folder / "settings.json", content._asdict())
    return folder


def _make_unused(parent: Path, name: str) -> Path:
    """Make a folder of this name; two runs may start in the same second, so a number may follow."""
    for attempt in range(1, 1000):
        folder = parent / (name if attempt == 1 else f"{name}-{attempt}")
        with writing(folder), suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise UserError(f"{parent} has a thousand folders that begin with {name}: delete some.")


def git_commit() -> str | None:
    """Return the project's commit, with `-dirty` if a Python file differs; None without git."""
    commit = _git("rev-parse", "HEAD")
    difference = _git("status", "--porcelain", "--", "*.py")  # not the record: runs rewrite it
    return f"{commit}-dirty" if commit and difference else commit or None


def _git(*arguments: str) -> str:
    """Return what git prints, or an empty string where there is no git or no repository."""
    try:
        answer = subprocess.run(
            ["git", *arguments], cwd=PROJECT_DIR, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


# --- Reading one --------------------------------------------------------------------------------


def read_description(folder: Path) -> Description:
    """Return what settings.json holds.

    Raises:
        UserError: this is no run folder, or its settings.json cannot be read.
    """
    path = folder / "settings.json"
    if not path.is_file():
        raise UserError(f"{folder} is no run folder: it has no settings.json.")
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("settings"), dict):
        raise UserError(f"{path} holds no settings of a run.")
    machine = content.get("machine")
    return Description(
        content["settings"],
        machine if isinstance(machine, dict) else {},
        content.get("git_commit"),
        content.get("data_sha256"),
    )


def read_unfinished(folder: Path) -> Description:
    """Return the description of an interrupted run, with all its settings but output_dir.

    Raises:
        UserError: it is complete, or is no run folder, or lacks settings.
    """
    if (folder / "metrics.json").exists():
        raise UserError(
            f"the run in {folder} is complete; there is nothing to resume. Its figures: "
            f"{python_command('_05_model_plot.py', folder)}"
        )
    description = read_description(folder)
    known = set(SETTING_NAMES) - {"output_dir"}
    settings = {name: value for name, value in description.settings.items() if name != "output_dir"}
    for problem, names in (
        ("lacks", known - settings.keys()),
        ("has the unknown", settings.keys() - known),
    ):
        if names:
            raise UserError(
                f"{folder / 'settings.json'} {problem} {', '.join(sorted(names))}: it is of "
                "another version of the program, which alone can go on with it."
            )
    return description._replace(settings=settings)


def read_finished(folder: Path) -> Description:
    """Return the description of a finished run, whose files are all there.

    Raises:
        UserError: this is no run folder, its run is not finished, or it lacks a file.
    """
    description = read_description(folder)
    if not (folder / "metrics.json").exists():
        raise UserError(
            f"the run in {folder} is not finished. Go on with: {resume_command(folder)}"
        )
    for name in ("model.keras", "history.csv"):
        if not (folder / name).exists():
            raise UserError(f"{folder} has no {name}, which the figures are drawn from.")
    return description


def read_history(folder: Path) -> pd.DataFrame:
    """Return history.csv, a row per epoch; every column but `phase` is a number.

    Raises:
        UserError: it cannot be read.
    """
    path = folder / "history.csv"
    try:
        history = pd.read_csv(path)
        is_complete = {"epoch", "phase", "loss", "val_loss"} <= set(history.columns)
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())}.") from error
    if not is_complete:
        raise UserError(f"{path} is no history of a run: it lacks columns.")
    return history


# --- Going on after an interruption -------------------------------------------------------------


@contextmanager
def hint_when_interrupted(folder: Path) -> Iterator[None]:
    """Say how to go on when Ctrl-C or a full disk ends the block; finished epochs are saved."""
    try:
        yield
    except KeyboardInterrupt:
        print(
            "\nInterrupted; the finished epochs are saved. Go on with:\n  "
            f"{resume_command(folder)}",
            file=sys.stderr,
        )
        raise
    except DivergedError:
        raise
    except UserError as error:
        raise UserError(f"{error} Then go on with: {resume_command(folder)}") from error


def check_same_data(folder: Path, arrays: Arrays, data_dir: str | None) -> None:
    """Check that arrays are those that a run was begun with.

    Args:
        data_dir: where they are from; None: from the public sources.

    Raises:
        UserError: they are others.
    """
    description = read_description(folder)
    if description.data_sha256 not in (None, sha256_of(*arrays)):
        where = data_dir or f"the sources of {description.settings.get('dataset')}"
        raise UserError(
            f"the run in {folder} was begun with other data than those in {where}. Give the same "
            "with --data-dir."
        )


def output_dir_of(folder: Path) -> Path:
    """Return the folder that a run's record belongs to: that of `runs/`, where the run lies."""
    parent = folder.resolve().parent
    return parent.parent if parent.name == "runs" else parent


def resume_command(folder: Path) -> str:
    """Return the command that goes on with an interrupted run."""
    return python_command("_00_main.py", "--resume", folder)
