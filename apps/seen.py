"""The figure of `predict --show`: each picture, and what the network sees of it."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from apps.answers import Answer, Reading
from common.picture_files import read_pixels
from common.user_error import UserError
from figures.style import BLUE, ORANGE, draw_image

DIGITS_IN_A_ROW = 6


def plot_seen(readings: Sequence[Reading], most_digits: int) -> Figure:
    """Draw the pictures at the left, and the images that the network sees beside them.

    Args:
        readings: of picture files.
        most_digits: pictures that come after so many digits are left out, and so are the digits.
    """
    rows: list[tuple[Reading, int]] = []  # with the number of the row's first digit
    n_digits = 0
    for reading in readings:
        n_digits += len(reading.images)
        rows += [(reading, k) for k in range(0, max(1, len(reading.images)), DIGITS_IN_A_ROW)]
        if n_digits >= most_digits:
            break
    if not rows:
        raise UserError("there is no picture to show: --show draws picture files.")
    columns = 1 + max(min(len(one.images), DIGITS_IN_A_ROW) for one, _ in rows)
    figure, panels = plt.subplots(
        len(rows), max(2, columns), figsize=(1.9 * max(2, columns), 2.0 * len(rows) + 0.3),
        layout="constrained", squeeze=False,
    )  # fmt: skip
    for panel in panels.flat:
        panel.axis("off")
    for (reading, first), row in zip(rows, panels, strict=True):
        if first == 0:
            _draw_picture(row[0], reading)
        last = first + DIGITS_IN_A_ROW
        for panel, image, answer in zip(
            row[1:], reading.images[first:last], reading.answers[first:last], strict=False
        ):
            draw_image(panel, image[..., None])
            panel.set_title(_title(answer), fontsize=9)
    return figure


def _title(answer: Answer) -> str:
    """Return what stands over a digit."""
    doubt = f"?  or {answer.runner_up}: {100 * answer.runner_up_probability:.0f} %"
    return f"{answer.digit}: {100 * answer.probability:.1f} %{doubt if answer.is_doubtful else ''}"


def _draw_picture(panel: Axes, reading: Reading) -> None:
    """Draw a picture with a frame around each digit."""
    pixels = read_pixels(reading.path)
    panel.imshow(pixels.squeeze(), cmap="gray", vmin=0, vmax=1)
    for box, answer in zip(reading.boxes, reading.answers, strict=True):
        if box is not None:
            left, top, right, bottom = box
            colour = ORANGE if answer.is_doubtful else BLUE
            panel.add_patch(
                Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=colour)
            )
    name = reading.name if len(reading.name) <= 24 else f"{reading.name[:22]}…"
    panel.set_title(name if reading.answers else f"{name}\nno digit found", fontsize=9)
