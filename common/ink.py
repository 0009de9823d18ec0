"""Telling ink from paper: any colours, dark on light or light on dark, in uneven light.

Sources: N. Otsu, "A threshold selection method from gray-level histograms", IEEE Transactions on
Systems, Man and Cybernetics 9, 1979; two thresholds as in J. Canny, "A computational approach to
edge detection", IEEE PAMI 8, 1986.
"""

import numpy as np
from PIL import Image
from scipy import ndimage

LEAST_CONTRAST = 0.05  # between ink and paper, as a share of the paper's brightness
TINY_SIDE = 40  # pixels; such an image is no photo
SMALL_SIDE = 320  # pixels; enough to tell dark ink from light
COARSE_SIDE = 128  # pixels; the paper's brightness changes slowly, so it is found on few
ALL_NEIGHBOURS = np.ones((3, 3))


def ink_of(pixels: np.ndarray) -> np.ndarray:
    """Return how much ink there is at each pixel.

    The colour channel in which ink and paper differ most decides.

    Args:
        pixels: (height, width) or (height, width, channels); bool, any integers, or floats in
            [0, 1] or 0..255.

    Returns:
        float32 (height, width): 0 is paper, 1 is as far from the paper's brightness as can be, and
        what is negative differs from the paper in the other direction.
    """
    pixels = in_unit_range(pixels)
    channels = np.moveaxis(pixels[..., None] if pixels.ndim == 2 else pixels, -1, 0)
    if len(channels) > 1:
        channels = [max(channels, key=lambda channel: _contrast(_reduced(channel, SMALL_SIDE)))]
    return _ink_of_channel(channels[0])


def in_unit_range(pixels: np.ndarray) -> np.ndarray:
    """Return pixels as float32 in [0, 1], whatever range they came in."""
    pixels = np.asarray(pixels)
    if pixels.dtype == np.uint16:
        return pixels.astype("float32") / 65535
    pixels = np.nan_to_num(pixels.astype("float32"), posinf=0, neginf=0)
    return np.clip(pixels / (255 if pixels.max(initial=0) > 1 else 1), 0, 1)


def ink_mask(ink: np.ndarray) -> tuple[np.ndarray, float]:
    """Return where a picture is inked, and the threshold at the edges of its strokes.

    A pixel is inked if its ink is over a low threshold and it is connected with one that is over a
    high one, so that strokes are kept where they grow faint, and grain of the paper is not.

    Args:
        ink: float32 (height, width) from `ink_of`.

    Returns:
        bool (height, width), all False on empty paper; the low threshold, in the units of `ink`.
    """
    # Mean and standard deviation of the paper, if its grain is normal, from the lightest quarter:
    # three quarters of a tightly cut picture may be ink.
    # The two lie far apart, so that whole steps of brightness between them do not count for much.
    lightest, quarter = (float(q) for q in np.quantile(ink, (0.05, 0.25)))
    grain = (quarter - lightest) / 0.971
    paper = quarter + 0.674 * grain
    high = max(otsu_threshold(ink), paper + 5 * grain)
    mask = ink > high
    if not mask.any():
        return mask, high
    # Where ink is rare, Otsu's threshold lies too near to the paper: again beside the ink.
    reach = max(1, round(max(ink.shape) / 50))
    nearby = ndimage.maximum_filter(mask, 2 * reach + 1)
    high = max(otsu_threshold(ink[nearby]), paper + 4 * grain)
    mask = ink > high
    if not mask.any() or ink[mask].mean() - paper < LEAST_CONTRAST:
        return np.zeros(ink.shape, bool), high
    low = max(0.45 * high, paper + 3 * grain)
    labels, n_parts = ndimage.label(ink > low, ALL_NEIGHBOURS)
    is_ink = np.zeros(n_parts + 1, bool)
    is_ink[np.unique(labels[mask])] = True
    is_ink[0] = False
    return is_ink[labels], low


def otsu_threshold(values: np.ndarray) -> float:
    """Return the threshold that divides values into two classes as far apart as possible."""
    counts, edges = np.histogram(values, bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below, total = np.cumsum(counts), counts.sum()
    sum_below, sum_of_all = np.cumsum(counts * centres), (counts * centres).sum()
    with np.errstate(divide="ignore", invalid="ignore"):  # where a class is empty
        distance = sum_below / below - (sum_of_all - sum_below) / (total - below)
    between = np.nan_to_num(below * (total - below) * distance**2)
    best = np.flatnonzero(between == between.max())
    return float(edges[1 + int(best.mean())])


def _ink_of_channel(channel: np.ndarray) -> np.ndarray:
    """Return the ink of one channel, float32 (height, width).

    Where the picture's border is of one brightness, that is the paper; in an image of a few pixels,
    too, whose border a digit often touches. Else the light is uneven.
    """
    border = np.concatenate([channel[0], channel[-1], channel[:, 0], channel[:, -1]])
    darkest, quarter, median, three_quarters, lightest = np.quantile(
        border, (0, 0.25, 0.5, 0.75, 1)
    )
    low, high = min(darkest, channel.min()), max(lightest, channel.max())
    is_even = three_quarters - quarter <= 0.03 * (high - low)
    if is_even or max(channel.shape) <= TINY_SIDE:
        paper = np.full_like(channel, median)
        return _difference(channel, paper, is_negative=median < (low + high) / 2)
    if max(channel.shape) > SMALL_SIDE:
        channel = ndimage.gaussian_filter(channel, 1, mode="nearest")  # the grain of a camera
    paper = _uneven_paper(channel)
    dark, light = (_difference(channel, paper, negative) for negative in (False, True))
    return light if _like_strokes(light) > _like_strokes(dark) else dark


def _difference(channel: np.ndarray, paper: np.ndarray, is_negative: bool) -> np.ndarray:
    """Return how much darker than the paper; if `is_negative`, how much lighter."""
    if is_negative:
        channel, paper = 1 - channel, 1 - paper
    return 1 - channel / np.maximum(paper, 0.05)


def _uneven_paper(channel: np.ndarray) -> np.ndarray:
    """Return the brightness of the paper at each pixel: what is left when thin strokes are gone.

    A median along rows and columns removes them, but keeps slopes and the edges of shadows.
    """
    coarse = _reduced(channel, COARSE_SIDE)
    reach = max(3, max(coarse.shape) // 3) | 1  # more than twice as wide as a stroke
    for size in ((1, reach), (reach, 1)):
        coarse = ndimage.median_filter(coarse, size, mode="nearest")
    height, width = channel.shape
    paper = Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(paper)


def _like_strokes(ink: np.ndarray) -> float:
    """Return how much what is inked looks like strokes: strong in contrast and thin.

    That is the contrast, divided by the greatest width of the largest part as a share of its longer
    side. Shadows and what lies between strokes are faint and thick.
    """
    ink = _reduced(ink, SMALL_SIDE)
    mask, _ = ink_mask(ink)
    labels, n_parts = ndimage.label(mask, ALL_NEIGHBOURS)
    if not n_parts:
        return 0.0
    boxes = ndimage.find_objects(labels)
    longer = [max(side.stop - side.start for side in box) for box in boxes]
    largest = int(np.argmax(longer))
    part = labels[boxes[largest]] == largest + 1
    depth = float(ndimage.distance_transform_edt(np.pad(part, 1)).max())
    contrast = float(ink[boxes[largest]][part].mean())
    return contrast * longer[largest] / (2 * depth - 1)


def _contrast(channel: np.ndarray) -> float:
    """Return the mean ink of what is inked in a channel; 0 for empty paper."""
    ink = _ink_of_channel(channel)
    mask, _ = ink_mask(ink)
    return float(ink[mask].mean()) if mask.any() else 0.0


def _reduced(channel: np.ndarray, side: int) -> np.ndarray:
    """Return a channel averaged down to at most `side` pixels along its longer side."""
    height, width = channel.shape
    factor = min(1.0, side / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Image.fromarray(channel).resize(size, Image.Resampling.BOX))
