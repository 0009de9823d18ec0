"""The report of a run: one HTML file that holds everything and asks the network for nothing."""

import base64
import html
import string
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from _03_model_training import read_history
from _04_data_saver import read_json
from figures.catalogue import FIGURES
from safe_files import write_atomically

TEMPLATE = Path(__file__).with_name("report.html")
LEGIBLE_SCALE = 0.6  # smaller than this, a picture's letters of 10 points are below 10 pixels
CHAPTERS = {
    "run": "How it learned and what it gets wrong",
    "network": "The network",
    "data": "The data",
}


def write_report(folder: Path) -> Path:
    """Write `report.html` from a run folder's JSON files, history and figures; return its path.

    Raises:
        UserError: the folder lacks a file of a finished run, or cannot be written.
    """
    description = read_json(folder / "settings.json")
    settings, metrics = description["settings"], read_json(folder / "metrics.json")
    history = read_history(folder / "history.csv")
    page = string.Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=html.escape(f"{settings['architecture']} on {settings['dataset']}"),
        folder=html.escape(folder.resolve().name),
        tiles=make_tiles(metrics),
        note=make_note(settings.get("networks", 1)),  # runs of earlier versions do not say
        chapters="\n".join(make_chapter(folder, subject) for subject in CHAPTERS),
        settings=make_table(public_settings(settings)),
        machine=make_table(description["machine"] | {"git commit": description["git_commit"]}),
        history=make_history(history),
        command=html.escape(rebuild_command(settings)),
    )
    path = folder / "report.html"
    write_atomically(path, page)
    return path


def make_tiles(metrics: Mapping[str, Any]) -> str:
    """Return the figures that matter most as HTML: the name small, the value large."""
    tiles = {
        "Test accuracy": f"{100 * metrics['test_accuracy']:.2f} %",
        "Misclassified": f"{metrics['n_misclassified']:,}",
        "Test loss": f"{metrics['test_loss']:.4f}",
        "Validation accuracy": f"{100 * metrics['val_accuracy']:.2f} %",
        "Parameters": f"{metrics['n_parameters']:,}",
        "Training": f"{metrics['train_seconds']:,.0f} s",
    }
    return "\n".join(
        f"<div><dt>{name}</dt><dd>{html.escape(value)}</dd></div>" for name, value in tiles.items()
    )


def make_note(n_networks: int) -> str:
    """Return as HTML what to know of a run that averages several networks; else nothing."""
    if n_networks == 1:
        return ""
    return (
        f"<p>The classifier averages {n_networks} networks, trained one after another. The curves, "
        "the table of the epochs and the figures of layers show the first of them; results and "
        "mistakes are those of all together.</p>"
    )


def make_chapter(folder: Path, subject: str) -> str:
    """Return the figures of a subject as HTML, or nothing if the folder has none of them."""
    figures = [
        make_figure(path, FIGURES[name].caption)
        for name, kind in FIGURES.items()
        if kind.subject == subject
        # The figure by its default choice first, then those of other layers and images.
        for path in [*folder.glob(f"{name}.png"), *sorted(folder.glob(f"{name}-*.png"))]
    ]
    if not figures:
        return ""
    return "\n".join(["<section>", f"<h2>{CHAPTERS[subject]}</h2>", *figures, "</section>"])


def make_figure(path: Path, caption: str) -> str:
    """Return a PNG file as an HTML figure with the picture inside."""
    with Image.open(path) as image:
        title, (width, height) = image.text.get("Title", path.stem), image.size
    data = base64.b64encode(path.read_bytes()).decode()
    name = html.escape(path.stem)
    return (
        f'<figure id="{name}">\n'
        f'<div class="scroll" tabindex="0" role="region" aria-label="Figure {name}">\n'
        f'<img alt="{html.escape(title)}" width="{width}" height="{height}" '
        f'style="--legible: {LEGIBLE_SCALE * width:.0f}px" '
        f'src="data:image/png;base64,{data}">\n</div>\n'
        f"<figcaption>{html.escape(caption)}</figcaption>\n</figure>"
    )


def make_table(content: Mapping[str, Any]) -> str:
    """Return names and values as the rows of an HTML table; None is left out."""
    return make_rows(
        (f'<th scope="row">{html.escape(name)}</th>', f"<td>{html.escape(str(value))}</td>")
        for name, value in content.items()
        if value is not None
    )


def make_history(history: list[dict[str, float | str]]) -> str:
    """Return the epochs as the rows of an HTML table."""
    return make_rows(
        (
            f'<th scope="row">{row["epoch"]:.0f}</th>',
            f"<td>{html.escape(str(row['phase']))}</td>",
            f"<td>{row['loss']:.4f}</td>",
            f"<td>{100 * row['accuracy']:.2f}</td>",
            f"<td>{row['val_loss']:.4f}</td>",
            f"<td>{100 * row['val_accuracy']:.2f}</td>",
            f"<td>{row['learning_rate']:.2g}</td>",
            f"<td>{row['seconds']:.0f}</td>",
        )
        for row in history
    )


def make_rows(rows: Iterable[Iterable[str]]) -> str:
    """Return cells as the rows of an HTML table."""
    return "\n".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)


def public_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that shape the result: without the user's paths and what is shown."""
    own = ("output_dir", "data_dir", "figures", "show")
    return {name: value for name, value in settings.items() if name not in own}


def rebuild_command(settings: Mapping[str, Any]) -> str:
    """Return the command that trains the same again; DIR stands for the user's own data folder."""
    values = public_settings(settings)
    if settings["data_dir"] is not None:
        values["data_dir"] = "DIR"
    flags = [
        f"--{name.replace('_', '-')}={str(value).lower() if isinstance(value, bool) else value}"
        for name, value in values.items()
    ]
    return " ".join(["python _00_main.py", *flags])
