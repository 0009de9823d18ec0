"""The report of a run: one HTML file that holds everything and asks the network for nothing."""

import base64
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from common.safe_files import write_atomically
from common.settings import public_settings
from common.user_error import UserError
from figures.catalogue import FIGURES, FinishedRun

TEMPLATE = "report.html"  # beside this file
LEGIBLE_SCALE = 0.6  # smaller than this, a picture's letters of 10 points are below 10 pixels
CHAPTERS = {
    "run": "How it learned and what it gets wrong",
    "network": "The network",
    "data": "The data",
}


class Column(NamedTuple):
    """A number of a run, and how the report prints it."""

    name: str  # in metrics.json or history.csv
    title: str
    text: Callable[[Any], str]


RESULTS = (
    Column("test_accuracy", "Test accuracy", lambda share: f"{100 * share:.2f} %"),
    Column("n_misclassified", "Misclassified", "{:,}".format),
    Column("test_loss", "Test loss", "{:.4f}".format),
    Column("val_accuracy", "Validation accuracy", lambda share: f"{100 * share:.2f} %"),
    Column("n_parameters", "Parameters", "{:,}".format),
    Column("train_seconds", "Training", "{:,.0f} s".format),
)
EPOCH_COLUMNS = (
    Column("epoch", "epoch", "{:.0f}".format),
    Column("phase", "phase", str),
    Column("loss", "loss", "{:.4f}".format),
    Column("accuracy", "accuracy in %", lambda share: f"{100 * share:.2f}"),
    Column("val_loss", "validation loss", "{:.4f}".format),
    Column("val_accuracy", "validation accuracy in %", lambda share: f"{100 * share:.2f}"),
    Column("learning_rate", "learning rate", "{:.2g}".format),
    Column("seconds", "seconds so far", "{:.0f}".format),
)


class Picture(NamedTuple):
    """A figure in the report."""

    name: str  # of its file, without .png
    title: str
    caption: str
    width: int  # pixels
    height: int
    legible_width: int  # pixels: on narrower screens it scrolls sideways
    base64: str  # the PNG file


def write_report(folder: Path, run: FinishedRun) -> Path:
    """Write `report.html` into a run folder, with the figures that lie in it; return its path.

    Raises:
        UserError: a figure cannot be read, or the page cannot be written.
    """
    settings, machine = run.settings, run.description.machine
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(TEMPLATE).render(
        title=f"{settings['architecture']} on {settings['dataset']}",
        folder=folder.resolve().name,
        results={one.title: one.text(run.metrics[one.name]) for one in RESULTS},
        n_networks=settings.get("networks", 1),  # runs of earlier versions do not say
        averages_shifts=settings.get("average_shifts", False),
        averages_flips=settings.get("average_flips", False),
        chapters=read_chapters(folder),
        epochs=epochs_table(run.history),
        settings=public_settings(dict(settings)),
        machine=machine | {"git commit": run.description.git_commit},
        command=rebuild_command(settings),
    )
    path = folder / TEMPLATE
    write_atomically(path, page)
    return path


def read_chapters(folder: Path) -> dict[str, list[Picture]]:
    """Return the figures of a run folder by the title of their chapter; none is empty."""
    chapters: dict[str, list[Picture]] = {}
    for name, spec in FIGURES.items():
        # The figure by its default options first, then those of other layers and images.
        for path in [*folder.glob(f"{name}.png"), *sorted(folder.glob(f"{name}-*.png"))]:
            chapters.setdefault(CHAPTERS[spec.chapter], []).append(read_picture(path, spec.caption))
    return chapters


def read_picture(path: Path, caption: str) -> Picture:
    """Read a PNG file, with the title that is in its metadata.

    Raises:
        UserError: it cannot be read as a picture.
    """
    try:
        with Image.open(path) as image:
            title, (width, height) = image.info.get("Title", path.stem), image.size
        data = base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise UserError(f"{path} cannot be read as a picture; delete it: {error}.") from error
    legible_width = round(LEGIBLE_SCALE * width)
    return Picture(path.stem, str(title), caption, width, height, legible_width, data)


def epochs_table(history: pd.DataFrame) -> pd.DataFrame:
    """Return the history as the report prints it: a row of texts per epoch."""
    return pd.DataFrame(
        {column.title: history[column.name].map(column.text) for column in EPOCH_COLUMNS}
    )


def rebuild_command(settings: Mapping[str, Any]) -> list[str]:
    """Return the words of the command that trains the same again, quoted for a shell.

    DIR stands for the user's own data folder.
    """
    values = public_settings(dict(settings))
    if settings.get("data_dir") is not None:
        values["data_dir"] = "DIR"
    flags = [
        f"--{name.replace('_', '-')}={str(value).lower() if isinstance(value, bool) else value}"
        for name, value in values.items()
    ]
    return ["python", "_00_main.py", *map(shlex.quote, flags)]
