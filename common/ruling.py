"""Ruled and squared paper: lines that are fainter than the ink are no ink.

A line of the paper is long and thin. Along some slope, it is inked across most of the picture,
which no digit is. Its ink says how faint lines are, and so much is taken away everywhere: lines
vanish, and strokes that cross them stay whole.
"""

import numpy as np
from scipy import ndimage

from common.ink import ink_mask

LEAST_SIDE = 200  # pixels; in smaller pictures, a stroke of a digit may be as long and thin
STEEPEST = 0.14  # rows per column: the page lies turned by 8 degrees
FINENESS = 400  # a line may leave its place by a pixel in so many of the picture's longer side
MOST_COLUMNS = 200  # that are looked at
SHARE = 0.7  # of the picture's width (or height) that a line spans
THICKEST = 3  # in units of FINENESS; what is thicker is no line of the paper
LEAST_RATIO = 1.4  # between the ink of strokes and of lines
LEAST_DARKER = 0.1  # of what is inked beside the lines: so much is strokes
MARGIN = 1.25  # so much more than the ink of lines is taken away, for it varies


def without_ruling(ink: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return a picture's ink without the lines of the paper.

    Lines that are about as dark as the strokes stay, and so does all ink of a picture without
    lines.

    Args:
        ink: float32 (height, width) from `ink_of`.

    Returns:
        The ink, float32 (height, width); where it is inked, bool (height, width), and the threshold
        at the edges of strokes, both as `ink_mask` returns them.
    """
    mask, edge = ink_mask(ink)
    if max(ink.shape) < LEAST_SIDE:
        return ink, mask, edge
    near_lines, levels = np.zeros(ink.shape, bool), []
    for is_upright in (False, True):
        turned = mask.T if is_upright else mask
        places = lines_of(turned)
        if places is not None:
            lines, nearby = (one.T if is_upright else one for one in places)
            levels.append(float(np.median(ink[lines & mask])))
            near_lines |= nearby
    strokes = ink[mask & ~near_lines]
    line = max(levels, default=0.0)
    darker = strokes[strokes >= LEAST_RATIO * line]  # neither soft edges nor lines that were missed
    if not levels or darker.size <= LEAST_DARKER * strokes.size:
        return ink, mask, edge
    stroke = float(np.median(darker))
    ink = np.maximum(ink - min(MARGIN * line, (line + stroke) / 2), 0)
    return ink, *ink_mask(ink)


def lines_of(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Return where a picture has long thin lines that are nearly level, or None.

    Args:
        mask: bool (height, width), where it is inked.

    Returns:
        bool (height, width), on a line; the same, on a line or beside it.
    """
    height, width = mask.shape
    unit = max(1.0, max(mask.shape) / FINENESS)  # pixels
    columns = np.unique(np.linspace(0, width - 1, MOST_COLUMNS).astype(int))
    looked_at = mask[:, columns]
    least = SHARE * len(columns)
    if looked_at.any(axis=0).sum() >= least:  # few digits are as wide
        thick = ndimage.binary_opening(looked_at, np.ones((int(THICKEST * unit) + 1, 1)))
        looked_at = looked_at & ~thick
    if looked_at.any(axis=0).sum() < least:
        return None
    rows, numbers = np.nonzero(looked_at)
    across, margin = columns - width / 2, STEEPEST * width / 2
    n_places = int((height + 2 * margin) / unit) + 2
    most, slope, is_line = 0, 0.0, np.zeros(n_places, bool)
    for tried in np.arange(-STEEPEST, STEEPEST, unit / width):
        hits = np.zeros((n_places, len(columns)), bool)
        hits[((rows - tried * across[numbers] + margin) / unit).astype(int), numbers] = True
        spanned = hits.sum(axis=1)
        found = spanned >= least
        if spanned[found].sum() > most:
            most, slope, is_line = spanned[found].sum(), tried, found
    if not most:
        return None
    is_near = np.convolve(is_line, np.ones(3), "same") > 0
    level = np.arange(height)[:, None] - slope * (np.arange(width) - width / 2) + margin
    places = (level / unit).astype(int)
    return is_line[places], is_near[places]
