"""Tables of results: Markdown to be read, and a CSV file beside it that has every digit."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from common.command_line import PROJECT_DIR
from common.safe_files import write_atomically, writing

MISSING = "-"


def results_folder(write_docs: bool, folder: Path) -> Path:
    """Return where results belong: into the documents, or into the program's own folder."""
    return PROJECT_DIR / "docs" / "results" if write_docs else folder


def write_table(
    path: Path, table: pd.DataFrame | Iterable[Mapping[str, Any]], formats: Mapping[str, str]
) -> str:
    """Write a table as `<path>.md` and `<path>.csv`, and return the Markdown.

    Args:
        path: without suffix; its folder is made if need be.
        table: one value per cell; or its rows, a value by column's name.
        formats: by column, how its numbers are shown in the Markdown, for example ".2f"; the CSV
            file has all their digits.

    Raises:
        UserError: a file cannot be written.
    """
    rows = pd.DataFrame(table)
    write_csv(path.with_name(f"{path.name}.csv"), rows)
    markdown = to_markdown(rows, formats)
    write_atomically(path.with_name(f"{path.name}.md"), markdown)
    return markdown


def write_csv(path: Path, table: pd.DataFrame | Iterable[Mapping[str, Any]]) -> None:
    """Write a table, or its rows, as CSV alone: for the raw numbers, which nobody reads as a text.

    Args:
        path: of the file; its folder is made if need be.
        table: one value per cell; or its rows, a value by column's name.

    Raises:
        UserError: the file cannot be written.
    """
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, pd.DataFrame(table).to_csv(index=False))


def to_markdown(table: pd.DataFrame, formats: Mapping[str, str]) -> str:
    """Return a table in Markdown, numbers to the right; a missing value is a dash."""
    shown = pd.DataFrame(
        {
            column: [format_cell(value, formats.get(column, "")) for value in table[column]]
            for column in table.columns
        }
    )
    is_number = [
        column in formats or pd.api.types.is_numeric_dtype(table[column])
        for column in table.columns
    ]
    alignment = ["right" if numeric else "left" for numeric in is_number]
    text = shown.to_markdown(index=False, disable_numparse=True, colalign=alignment)
    return f"{text}\n"


def format_cell(value: Any, form: str) -> str:
    """Return a cell's text; a bar would end the cell and is escaped."""
    if pd.isna(value):
        return MISSING
    text = str(value) if isinstance(value, str) else format(value, form)
    return text.replace("|", "\\|")
