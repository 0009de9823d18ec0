"""The figure of `predict --show`: each picture, and what the network sees of it."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from apps.answers import Answer, Reading, printable
from common.picture_files import read_pixels
from common.user_error import UserError
from figures.style import BLUE, ORANGE, draw_image

DIGITS_IN_A_ROW = 7
PICTURE_WIDTH = 2.5  # in widths of a digit


def plot_seen(readings: Sequence[Reading], most_digits: int) -> Figure:
    """Draw the pictures at the left, and the images that the network sees beside them.

    Args:
        readings: of picture files.
        most_digits: pictures that come after so many digits are left out.

    Raises:
        UserError: there is no picture.
    """
    shown, n_digits = [], 0
    for reading in readings:
        if n_digits < most_digits:
            shown.append(reading)
            n_digits += max(1, len(reading.images))  # an empty picture takes a row, too
    if not shown:
        raise UserError("there is no picture to show: --show draws picture files.")
    columns = max(1, *(min(len(one.images), DIGITS_IN_A_ROW) for one in shown))
    heights = [max(1, -(-len(one.images) // columns)) for one in shown]  # in rows of digits
    figure = plt.figure(
        figsize=(1.5 * (PICTURE_WIDTH + columns), 1.75 * sum(heights) + 0.2), layout="constrained"
    )
    grid = figure.add_gridspec(
        sum(heights), 1 + columns, width_ratios=[PICTURE_WIDTH] + columns * [1]
    )
    row = 0
    for reading, height in zip(shown, heights, strict=True):
        _draw_picture(figure.add_subplot(grid[row : row + height, 0]), reading)
        for k, (image, answer) in enumerate(zip(reading.images, reading.answers, strict=True)):
            panel = figure.add_subplot(grid[row + k // columns, 1 + k % columns])
            panel.axis("off")
            draw_image(panel, image[..., None])
            panel.set_title(_title(answer), fontsize=9)
        row += height
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
    panel.imshow(pixels.squeeze(), cmap="gray", vmin=0, vmax=1)
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
