"""The figure of `predict --show`: each picture, and what the network sees of it."""

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from apps.answers import Answer, Reading, printable
from common.picture_files import read_pixels
from figures.style import BLUE, ORANGE

DIGITS_IN_A_ROW = 7
PICTURE_WIDTH = 2.5  # in widths of a digit


class Row(NamedTuple):
    """A picture in the figure, and how many of its digits are drawn beside it."""

    reading: Reading
    n_digits: int


def rows_of(readings: Sequence[Reading], most_digits: int) -> list[Row]:
    """Return what is drawn of these pictures: all up to the digit `most_digits`."""
    rows, left = [], most_digits
    for reading in readings:
        if left > 0:
            rows.append(Row(reading, min(left, len(reading.images))))
            left -= max(1, len(reading.images))  # an empty picture takes a row, too
    return rows


def what_is_drawn(rows: Sequence[Row], readings: Sequence[Reading]) -> str:
    """Return how much of these pictures is drawn, in words; nothing if it is all of them."""
    parts = []
    if len(rows) < len(readings):
        parts.append(f"{len(rows):,} of {len(readings):,} pictures")
    drawn, found = sum(row.n_digits for row in rows), sum(len(one.images) for one in readings)
    if drawn < found:
        parts.append(f"{drawn:,} of {found:,} digits")
    return f"{' and '.join(parts)} drawn" if parts else ""


def plot_seen(rows: Sequence[Row], remark: str = "") -> Figure:
    """Draw the pictures at the left, and the images that the network sees beside them.

    Args:
        rows: of picture files, at least one.
        remark: a second line for the title.
    """
    columns = max(1, *(min(row.n_digits, DIGITS_IN_A_ROW) for row in rows))
    heights = [max(1, -(-row.n_digits // columns)) for row in rows]  # in rows of digits
    figure = plt.figure(
        figsize=(1.5 * (PICTURE_WIDTH + columns), 1.75 * sum(heights) + 0.6), layout="constrained"
    )
    title = "Left: as it is. Right: what the network sees, white ink on black"
    figure.suptitle(f"{title}\n{remark}" if remark else title, fontsize=10)
    grid = figure.add_gridspec(
        sum(heights), 1 + columns, width_ratios=[PICTURE_WIDTH] + columns * [1]
    )
    top = 0
    for (reading, n_digits), height in zip(rows, heights, strict=True):
        _draw_picture(figure.add_subplot(grid[top : top + height, 0]), reading)
        answers = reading.answers
        for k in range(n_digits):
            panel = figure.add_subplot(grid[top + k // columns, 1 + k % columns])
            panel.axis("off")
            panel.imshow(reading.images[k], cmap="gray", vmin=0, vmax=1)
            panel.set_title(_title(answers[k]), fontsize=9)
        top += height
    return figure


def _title(answer: Answer) -> str:
    """Return what stands over a digit."""
    if answer.is_doubtful:
        second = f"{answer.runner_up}: {100 * answer.runner_up_probability:.0f} %"
        return f"{answer.digit}? {100 * answer.probability:.0f} %, {second}"
    return f"{answer.digit}: {100 * answer.probability:.1f} %"


def _draw_picture(panel: Axes, reading: Reading) -> None:
    """Draw a picture with a frame around each digit."""
    panel.axis("off")
    pixels = read_pixels(reading.path)
    panel.imshow(pixels[..., 0] if pixels.shape[2] == 1 else pixels, cmap="gray", vmin=0, vmax=1)
    for box, answer in zip(reading.boxes, reading.answers, strict=True):
        if box is not None:
            left, top, right, bottom = box
            colour = ORANGE if answer.is_doubtful else BLUE
            panel.add_patch(
                Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=colour)
            )
    name = printable(reading.name)
    name = name if len(name) <= 24 else f"{name[:22]}…"
    title = name if reading.answers else f"{name}\nno digit found"
    panel.set_title(title, fontsize=9, parse_math=False)  # a name may hold dollar signs
