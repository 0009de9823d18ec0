"""What all figures share: colours, sizes, pictures of images and clouds of points."""

from collections.abc import Sequence

import matplotlib.patheffects
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#767676"  # of Okabe-Ito's palette
LIGHT_GREY = "#C8C8C8"
# Ten classes: Paul Tol's "muted" palette, which colour-blind readers can tell apart, with dark
# grey for its pale one. Colour does not stand alone: each cloud of points bears its class's name.
CLASS_COLOURS = (
    "#332288", "#88CCEE", "#44AA99", "#117733", "#999933",
    "#DDCC77", "#CC6677", "#882255", "#AA4499", "#555555",
)  # fmt: skip
DOTS_PER_INCH = 120
# What differs from matplotlib's own defaults.
RC_PARAMS = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
LEGEND_COLUMNS = 6  # of words; single digits stand in one line


def image_grid(
    n: int, columns: int, cell: float, head: float, title_height: float = 0.0
) -> tuple[Figure, list[Axes]]:
    """Return a figure and `n` panels without axes, row by row.

    Args:
        n: how many panels; places that are left over in the last row stay empty.
        columns: at most so many side by side.
        cell: width and height of a panel, in inches.
        head: height above the panels, for the title of the figure, in inches.
        title_height: height above each panel, for its own title, in inches.
    """
    columns = max(1, min(n, columns))
    rows = max(1, -(-n // columns))
    # Wide enough for the title of the figure, however few the panels are.
    width = max(cell * columns, 6.5)
    height = rows * (cell + title_height) + head
    figure, panels = plt.subplots(
        rows, columns, figsize=(width, height), layout="constrained", squeeze=False
    )
    for panel in panels.flat:
        panel.axis("off")
    return figure, list(panels.flat[:n])


def draw_image(panel: Axes, image: np.ndarray) -> None:
    """Draw an image (28, 28, 1) in [0, 1], black on white, with a thin frame at its border."""
    panel.imshow(image[..., 0], cmap="gray_r", vmin=0, vmax=1)
    panel.add_patch(
        Rectangle((0, 0), 1, 1, transform=panel.transAxes, fill=False, edgecolor=LIGHT_GREY)
    )


def scatter_classes(
    panel: Axes,
    points: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    colours: Sequence[str] = CLASS_COLOURS,
) -> None:
    """Draw points coloured by class, and each class's name at the median of its points.

    Args:
        panel: where to draw.
        points: float (n, 2).
        labels: int (n,), the class of each point.
        class_names: a name per class.
        colours: a colour per class; with more classes, colours repeat.
    """
    for number in np.unique(labels):
        of_class, colour = points[labels == number], colours[number % len(colours)]
        panel.scatter(*of_class.T, s=12, color=colour, linewidths=0, alpha=0.8)
        panel.annotate(
            class_names[int(number)],
            tuple(np.median(of_class, axis=0)),
            ha="center",
            va="center",
            fontsize=12,
            fontweight="bold",
            color="black",
            zorder=5,
            path_effects=[matplotlib.patheffects.withStroke(linewidth=3, foreground="white")],
        )
    # The coordinates of a map have no unit and no meaning: only neighbourhood has.
    panel.set(xticks=[], yticks=[])
    panel.spines[:].set_visible(False)


def add_class_legend(
    figure: Figure, labels: np.ndarray, class_names: Sequence[str], *others: Artist
) -> None:
    """Say below the panels which colour is which class, of those that occur in `labels`.

    Args:
        others: what else is drawn and has a label of its own.
    """
    numbers = np.unique(labels)
    handles: list[Artist] = [
        Line2D(
            [], [], linestyle="", marker="o", label=class_names[number],
            color=CLASS_COLOURS[number % len(CLASS_COLOURS)],
        )
        for number in numbers
    ]  # fmt: skip
    handles.extend(others)
    are_short = all(len(class_names[number]) <= 2 for number in numbers)
    columns = len(handles) if are_short else LEGEND_COLUMNS
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False)
