"""Tables of labelled images as on Kaggle: a row per image, its label and its 784 pixels.

Read are commas, semicolons, tabs or spaces, with or without a header, plain or gzip. The label is
the column that the header calls label (or class, target, ...), else the first of 785. Blank lines
are passed over, wherever they stand, and counted where a message names a line.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from common.data_files import HEAD_BYTES, entries, is_folder, open_content, words_of
from common.user_error import UserError

CSV_NAME = re.compile(r"\.(csv|tsv)(\.gz)?$", re.IGNORECASE)
PART_WORDS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
LABEL_NAMES = {"label", "labels", "class", "target", "digit", "y"}
ROW_NUMBER_NAMES = {"", "id", "index", "imageid", "image_id", "unnamed: 0"}
N_PIXELS = 28 * 28
END_OF_LINE = re.compile(r"\r\n|\r|\n")
BLANK = " \t,;\"'"  # a line of these alone is blank: spreadsheets keep their separators
ROWS_AT_ONCE = 5_000  # a table of 60,000 rows as numbers of 8 bytes would take 377 MB


class CsvName(NamedTuple):
    """What the name of a table says."""

    data_set: tuple[str, ...]  # its other words: ("mnist",) of mnist_train.csv
    part: str  # train, test, or all for a name with neither word


class Layout(NamedTuple):
    """How a table is written, as its first line shows; lines are counted from 1."""

    separator: str
    decimal: str
    header: list[str] | None  # names in lower case
    n_columns: int
    first_line: int  # that is not blank
    first_row: int  # the line of the first row


def parse_csv_name(name: str) -> CsvName | None:
    """Return what a file name says, or None if it is not one of a table."""
    if not CSV_NAME.search(name):
        return None
    words = words_of(CSV_NAME.sub("", name))
    parts = {PART_WORDS[word] for word in words if word in PART_WORDS}
    part = parts.pop() if len(parts) == 1 else "all"
    return CsvName(tuple(word for word in words if word not in PART_WORDS), part)


def find_csv_files(folder: Path) -> dict[tuple[str, ...], dict[str, list[Path]]]:
    """Return the tables of a folder: by data set, then by part (train, test, all)."""
    found: dict[tuple[str, ...], dict[str, list[Path]]] = {}
    for entry in entries(folder):
        name = parse_csv_name(entry.name)
        if name and not is_folder(entry):
            found.setdefault(name.data_set, {}).setdefault(name.part, []).append(entry)
    return found


def read_csv(path: Path, n_classes: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Read a table.

    Args:
        path: the file.
        n_classes: labels run from 0 to n_classes - 1.

    Returns:
        The pixels (n, 784), uint8 if all are whole numbers from 0 to 255, else float32; and the
        labels float64 (n,), or None if the table has none.

    Raises:
        UserError: unreadable, not a table of this kind, or a cell that is not a number; the
            message names the line.
    """
    layout = _read_layout(path)
    label, pixels = _find_columns(layout, path)
    images, labels = [], []
    for block in _read_numbers(path, layout):
        images.append(_compact(block[:, pixels]))
        labels.append(block[:, label or 0])
    if not images:
        raise UserError(f"{path} has no rows. Expected a row per image: its label and 784 pixels.")
    images, labels = np.concatenate(images), np.concatenate(labels)
    if label is None:
        return images, None
    is_named = layout.header is not None and layout.header[label] in LABEL_NAMES
    if not is_named and _last_may_be_label(labels, images[:, -1], n_classes):
        raise UserError(
            f"{path}: the first column, where the label is expected, is the same in all rows, and "
            "the last one may be the label. Name the label's column in the first line: label."
        )
    return images, labels


def _read_layout(path: Path) -> Layout:
    """Look at the first line of a table that is not blank."""
    with open_content(path) as file:
        head = file.peek(HEAD_BYTES)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head:
        raise UserError(f"{path} is not a table of plain text: save it as CSV in UTF-8.")
    text = head.removeprefix(b"\xef\xbb\xbf").decode("latin-1")  # digits are the same everywhere
    lines = END_OF_LINE.split(text)
    filled = [number for number, line in enumerate(lines, 1) if line.strip(BLANK)] or [1]
    line = lines[filled[0] - 1].lstrip("# ")  # np.savetxt: "# label,..."
    separator = next((mark for mark in ";\t, " if mark in line), ",")
    decimal = "," if separator in ";\t" and "," in text else "."
    cells = [cell.strip(" \"'").lower() for cell in line.split(separator)]
    header = cells if _is_header(cells, decimal) else None
    rows = filled if header is None else [*filled[1:], filled[0] + 1]
    return Layout(separator, decimal, header, len(cells), filled[0], rows[0])


def _is_header(cells: list[str], decimal: str) -> bool:
    """Return whether the cells of the first line are names: mostly no numbers, or 0, 1, 2, ..."""
    numbers = pd.to_numeric(pd.Series(cells).str.replace(decimal, "."), errors="coerce").to_numpy()
    counts_up = len(cells) >= N_PIXELS and (np.diff(numbers[-N_PIXELS:]) == 1).all()
    return bool(counts_up) or np.isnan(numbers).mean() > 0.5


def _find_columns(layout: Layout, path: Path) -> tuple[int | None, list[int]]:
    """Return the label's column, or None, and those of the pixels."""
    names = layout.header or ["?"] * layout.n_columns
    columns = list(range(layout.n_columns))
    if layout.header and names[0] in ROW_NUMBER_NAMES:
        del columns[0]
    labels = [column for column in columns if names[column] in LABEL_NAMES]
    if len(labels) > 1:
        listed = ", ".join(names[column] for column in labels)
        raise UserError(f"{path} has {len(labels)} columns of labels ({listed}). Leave one in.")
    if not labels and len(columns) == 1 + N_PIXELS:
        labels = columns[:1]
    pixels = [column for column in columns if column not in labels]
    if len(pixels) != N_PIXELS:
        raise UserError(
            f"{path} has {layout.n_columns:,} columns in line {layout.first_line}. Expected 785: "
            "the label and 28x28 pixels, separated by commas."
        )
    numbers = [[int(number) for number in re.findall(r"\d+", names[pixel])] for pixel in pixels]
    if numbers != sorted(numbers):
        raise UserError(
            f"{path} names its pixels in another order than row by row ({names[pixels[0]]}, "
            f"{names[pixels[1]]}, {names[pixels[2]]}, ...). Sort the columns."
        )
    return labels[0] if labels else None, pixels


def _read_numbers(path: Path, layout: Layout) -> Iterator[np.ndarray]:
    """Yield the rows in blocks, as float64 arrays.

    Raises:
        UserError: with the line of what is not a number, or of too many or too few columns.
    """
    options = {"sep": layout.separator, "decimal": layout.decimal, "skipinitialspace": True}
    options |= {"header": None, "skiprows": layout.first_row - 1, "index_col": False}
    options |= {"encoding": "latin-1", "skip_blank_lines": False, "low_memory": False}
    with open_content(path) as file:
        if file.peek(3).startswith(b"\xef\xbb\xbf"):
            file.read(3)
        try:
            for block in pd.read_csv(file, chunksize=ROWS_AT_ONCE, **options):
                numbers = _to_numbers(block, layout, path)
                if len(numbers):  # not blank lines alone
                    yield numbers
        except pd.errors.EmptyDataError:
            return
        except pd.errors.ParserError as error:
            raise _no_table(str(error), layout, path) from error


def _no_table(reason: str, layout: Layout, path: Path) -> UserError:
    """Return (not raise) the error for what pandas could not split into columns."""
    found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", reason)
    if found is None:
        reason = reason.strip().removeprefix("Error tokenizing data. C error: ")
        return UserError(f"{path} is no table: {reason}. Check the quotation marks.")
    expected, line, saw = map(int, found.groups())
    if expected != layout.n_columns:  # pandas expects what the first row of numbers has
        line, saw = layout.first_row, expected
    return UserError(f"{path}, line {line} has {saw} columns. Expected {layout.n_columns}.")


def _to_numbers(block: pd.DataFrame, layout: Layout, path: Path) -> np.ndarray:
    """Return a block as float64, without blank lines.

    Raises:
        UserError: for the first cell that is not a number, with its line.
    """
    if block.shape[1] != layout.n_columns:
        raise UserError(
            f"{path}, line {layout.first_row} has {block.shape[1]} columns. Expected "
            f"{layout.n_columns}, as in line {layout.first_line}."
        )
    try:
        numbers = block.to_numpy(np.float64)
    except (ValueError, OverflowError):  # text, or hundreds of digits, among the numbers
        numbers = block.astype(str).apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    is_wrong = ~np.isfinite(numbers)
    if not is_wrong.any():
        return numbers
    is_blank = block.replace(r"^\s*$", np.nan, regex=True).isna().to_numpy().all(axis=1)
    wrong = np.argwhere(is_wrong & ~is_blank[:, np.newaxis])
    if len(wrong):
        row, column = wrong[0]
        cell = block.iat[row, column]
        what = "empty, or the line too short" if pd.isna(cell) else repr(str(cell)[:30])
        raise UserError(
            f"{path}, line {layout.first_row + block.index[row]}: column {column + 1} is {what}. "
            f"Expected {layout.n_columns} numbers."
        )
    return numbers[~is_blank]


def _compact(pixels: np.ndarray) -> np.ndarray:
    """Return pixels as uint8 where that loses nothing, else as float32."""
    with np.errstate(invalid="ignore", over="ignore"):  # numbers out of range are refused later
        whole = pixels.astype(np.uint8)
        return whole if (whole == pixels).all() else pixels.astype(np.float32)


def _last_may_be_label(first: np.ndarray, last: np.ndarray, n_classes: int) -> bool:
    """Return whether the last column looks like labels, and the first like a pixel of a corner."""
    return bool(np.ptp(first) == 0 and np.ptp(last) > 0 and last.max() < n_classes)
