"""From a picture to what MNIST is made of: the digits in it, as images of 28x28 pixels.

    digits = find_digits(read_picture(Path("photo.jpg")))

Ink is told from paper (`common.ink`) and from its lines (`common.ruling`), specks are dropped, and
the parts are put together to digits, line by line and from left to right. Each is scaled until its
longer side has 20 pixels, its strokes are made as thick as MNIST's if they are thinner, and its
centre of mass is moved to the middle (Y. LeCun et al., "Gradient-based learning applied to document
recognition", Proceedings of the IEEE 86, 1998, section III A). The page to draw on
(`apps/draw_a_digit.py`) makes the same of strokes.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from common.ink import ALL_NEIGHBOURS, ink_of
from common.picture_files import read_pixels
from common.ruling import without_ruling

SIDE = 28  # pixels of an image
BOX = 20  # pixels of a digit's longer side in it
STROKE_WIDTH = 2.4  # pixels: thinner strokes get this one, which is the median of MNIST's
GREATEST_WIDTH = 5.0  # pixels: thicker strokes are made thinner; 1 in 100 of MNIST's has over 4.1
FINE_SIDES = (100, 400)  # pixels, least and most, of the longer side while strokes are changed
LEAST_PART = 0.12  # a part that is smaller than this share of the largest is a speck
LEAST_DIGIT = 0.0125  # so is one that is smaller than this share of the picture's longer side
LEAST_PIXELS = 4
RIM = 2  # pixels around a digit that are cut out with it, so that strokes keep their soft edges
COARSE_PICTURE = 12  # pixels of its longer side: where one is as wide as a stroke, greys tell more
LEAST_GREY = 0.1  # of the greatest ink of such a picture: where its digit ends
MOST_PARTS = 1000  # a picture of more is a texture (halftone, cloth, sand) or a page of text
Slices = tuple[slice, slice]


class Digit(NamedTuple):
    """A digit that was found in a picture."""

    image: np.ndarray  # float32 (28, 28) in [0, 1], white on black
    box: tuple[int, int, int, int]  # left, top, right, bottom in pixels of the picture
    line: int  # 0 is the top one


def read_picture(path: Path) -> np.ndarray:
    """Return the ink of a picture file, float32 (height, width): 0 is paper, 1 is full ink.

    Raises:
        UserError: see `read_pixels`.
    """
    return ink_of(read_pixels(path))


def find_digits(ink: np.ndarray, single: bool = False) -> list[Digit]:
    """Return the digits of a picture, line by line, from left to right.

    A picture of more than MOST_PARTS has none: see `has_too_many_parts`. One of at most
    COARSE_PICTURE pixels has one digit: it is enlarged as it is.

    Args:
        ink: float32 (height, width) from `read_picture`, or `ink_of` an array.
        single: all ink is one digit, however many parts it has.
    """
    ink, mask, edge = without_ruling(ink)
    labels, boxes, parts = _parts_of(mask)
    if not 0 < len(parts) <= MOST_PARTS:
        return []
    if max(ink.shape) <= COARSE_PICTURE:
        return [_coarse_digit(ink)]
    padded_ink = np.pad(ink, RIM)
    lines = [[parts]] if single else [_digits(boxes, line) for line in _lines(boxes, parts)]
    return [
        _digit(padded_ink, labels, np.add(digit, 1), _union(boxes, digit), edge, number)
        for number, line in enumerate(lines)
        for digit in line
    ]


def has_too_many_parts(ink: np.ndarray) -> bool:
    """Return whether a picture has so many parts that no digits are looked for in it."""
    return len(_parts_of(without_ruling(ink)[1])[-1]) > MOST_PARTS


# --- Parts and digits ---------------------------------------------------------------------------


def _parts_of(mask: np.ndarray) -> tuple[np.ndarray, list[Slices], list[int]]:
    """Return what is connected in a picture, of which the mask says where it is inked.

    Returns:
        int (height, width), the number of the part at each pixel, or 0; the box of each part; the
        indices of the boxes of parts that are no specks.
    """
    labels, _ = ndimage.label(mask, ALL_NEIGHBOURS)
    boxes = ndimage.find_objects(labels)
    return labels, boxes, _without_specks(boxes, LEAST_DIGIT * max(mask.shape))


def _without_specks(boxes: list[Slices], least_digit: float) -> list[int]:
    """Return the indices of the parts that are large enough to belong to a digit.

    Args:
        least_digit: pixels of the longer side that the largest part must have.
    """
    sizes = [_longer_side(box) for box in boxes]
    largest = max(sizes, default=0)
    if largest < max(LEAST_PIXELS, least_digit):
        return []
    return [k for k, size in enumerate(sizes) if size >= LEAST_PART * largest]


def _digits(boxes: list[Slices], line: list[int]) -> list[list[int]]:
    """Put the parts of a line together to digits; return the digits' parts, from left to right.

    A part is of its own, unless it lies over or under another, or near it: small parts may be a
    little farther away.
    """
    height = max(_height(boxes[k]) for k in line)
    digits: list[list[int]] = []
    for k in sorted(line, key=lambda k: boxes[k][1].start):
        if digits and _belongs(_union(boxes, digits[-1]), boxes[k], height):
            digits[-1].append(k)
        else:
            digits.append([k])
    return digits


def _lines(boxes: list[Slices], parts: list[int]) -> list[list[int]]:
    """Return the parts of each line, from top to bottom; large parts make the lines."""
    largest = max((_height(boxes[k]) for k in parts), default=0)
    by_size = sorted(parts, key=lambda k: -_height(boxes[k]))
    lines: list[list[int]] = []
    for k in by_size:
        centre = (boxes[k][0].start + boxes[k][0].stop) / 2
        distances = []
        for line in lines:
            extent = _union(boxes, line)[0]
            distances.append(max(extent.start - centre, centre - extent.stop, 0))
        nearest = int(np.argmin(distances)) if lines else -1
        # A small part, such as the bar of a five, may lie a little above its line.
        slack = 0.25 * largest if _height(boxes[k]) < 0.5 * largest else 0
        if lines and distances[nearest] <= slack:
            lines[nearest].append(k)
            continue
        for line in lines:
            if any(_are_halves(boxes[k], boxes[other], largest) for other in line):
                line.append(k)
                break
        else:
            lines.append([k])
    return sorted(lines, key=lambda line: _union(boxes, line)[0].start)


def _are_halves(first: Slices, second: Slices, largest: int) -> bool:
    """Return whether two parts, one over the other, are one digit that the pen has left in two.

    The upper one is flat, as the bar of a five is, the gap is small, and both together are no
    taller than a digit: than one as wide as they are, or than the largest part allows. (Of MNIST's
    258 fives in two parts, 246 are found whole by this, and 225 without.)
    """
    upper, lower = sorted((first, second), key=lambda box: box[0].start)
    gap = lower[0].start - upper[0].stop
    height = max(upper[0].stop, lower[0].stop) - upper[0].start
    return (
        _height(upper) <= _width(upper)
        and _overlap(upper, lower) > 0
        and gap <= 0.25 * max(_height(upper), _height(lower))
        and height <= max(1.1 * max(_width(upper), _width(lower)), 1.6 * largest)
    )


def _belongs(digit: Slices, part: Slices, line_height: int) -> bool:
    """Return whether a part belongs to the digit at its left."""
    overlap = _overlap(digit, part)
    if overlap >= 0.5 * min(_width(digit), _width(part)):
        return True
    is_piece = min(_height(digit), _height(part)) < 0.75 * line_height
    return -overlap <= (0.12 if is_piece else 0.06) * line_height


def _union(boxes: list[Slices], parts: list[int]) -> Slices:
    """Return the bounding box of several parts."""
    rows, columns = zip(*(boxes[k] for k in parts), strict=True)
    return tuple(  # pyright: ignore[reportReturnType]
        slice(min(s.start for s in side), max(s.stop for s in side)) for side in (rows, columns)
    )


def _height(box: Slices) -> int:
    return box[0].stop - box[0].start


def _width(box: Slices) -> int:
    return box[1].stop - box[1].start


def _overlap(first: Slices, second: Slices) -> int:
    """Return how many columns two boxes share; if none, how many lie between them, negative."""
    return min(first[1].stop, second[1].stop) - max(first[1].start, second[1].start)


def _longer_side(box: Slices) -> int:
    return max(side.stop - side.start for side in box)


# --- A digit as MNIST has it --------------------------------------------------------------------


def _digit(
    padded_ink: np.ndarray,
    labels: np.ndarray,
    own: np.ndarray,
    place: Slices,
    edge: float,
    line: int,
) -> Digit:
    """Return the digit whose parts have these labels.

    Args:
        padded_ink: float32, with RIM pixels of paper on each side.
        labels: int (height, width), the part that each pixel belongs to.
        own: int, the labels of the digit's parts.
        place: the box around them.
    """
    rows, columns = place
    nearby = np.pad(np.isin(labels[place], own), RIM)
    nearby = ndimage.binary_dilation(nearby, ALL_NEIGHBOURS, iterations=RIM)
    # In the padded ink, the same slices begin earlier by the rim.
    wider = (slice(rows.start, rows.stop + 2 * RIM), slice(columns.start, columns.stop + 2 * RIM))
    cut_out = np.where(nearby, np.clip(padded_ink[wider], 0, 1), 0)
    box = (columns.start, rows.start, columns.stop, rows.stop)
    return Digit(_as_in_mnist(cut_out, edge), box, line)


def _coarse_digit(ink: np.ndarray) -> Digit:
    """Return the digit of a picture whose pixels are as wide as its strokes.

    Thresholds would lose what its greys tell, so it is enlarged with them (C. Duchon, "Lanczos
    filtering in one and two dimensions", Journal of Applied Meteorology 18, 1979).
    """
    ink = np.clip(ink / ink.max(), 0, 1)
    rows, columns = ndimage.find_objects((ink > LEAST_GREY).astype("uint8"))[0]
    box = (columns.start, rows.start, columns.stop, rows.stop)
    cut_out = np.pad(ink[rows, columns], 1)
    factor = FINE_SIDES[0] // (max(cut_out.shape) - 2)
    height, width = (factor * side for side in cut_out.shape)
    fine = np.asarray(Image.fromarray(cut_out).resize((width, height), Image.Resampling.LANCZOS))
    inside = np.zeros(fine.shape, bool)
    inside[factor:-factor, factor:-factor] = True
    return Digit(_placed(np.clip(fine, 0, 1), inside), box, line=0)


def _as_in_mnist(ink: np.ndarray, edge: float) -> np.ndarray:
    """Return a cut-out digit as float32 (28, 28): size, stroke width and place as in MNIST."""
    fine = _enlarged(ink, edge)
    inside = fine > edge
    depth = ndimage.distance_transform_edt(inside)
    # Along a stroke, depths of 1, 2, ..., width / 2 are equally frequent.
    width = max(1.0, 4 * float(depth[inside].mean()) - 2)
    longer = _longer_side(ndimage.find_objects(inside.astype("uint8"))[0])
    wanted = np.clip(width * BOX / longer, STROKE_WIDTH, GREATEST_WIDTH)
    # By growing a rim on all sides, strokes get thicker and the digit gets larger.
    rim = (wanted * longer / BOX - width) / (2 * (1 - wanted / BOX))
    if abs(rim) < 0.5:
        coverage = np.clip(fine / float(np.median(fine[inside])), 0, 1)
        return _placed(coverage, coverage >= 0.5)
    margin = max(0, int(np.ceil(rim))) + 1
    inside = np.pad(inside, margin)
    if rim > 0:
        distance = ndimage.distance_transform_edt(~inside)
    else:
        distance = 1 - ndimage.distance_transform_edt(inside)
        rim = max(rim, -0.25 * width)  # breaks no thin stroke
    coverage = np.clip(rim + 1 - distance, 0, 1)
    return _placed(coverage, coverage >= 0.5)


def _enlarged(ink: np.ndarray, edge: float) -> np.ndarray:
    """Return a cut-out digit with the longer side of its ink as FINE_SIDES say."""
    inked = ndimage.find_objects((ink > edge).astype("uint8"))[0]
    longer = _longer_side(inked)
    factor = float(np.clip(longer, *FINE_SIDES)) / longer
    height, width = ink.shape
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    how = Image.Resampling.BICUBIC if factor >= 1 else Image.Resampling.BOX
    fine = np.asarray(Image.fromarray(ink.astype("float32")).resize(size, how))
    return np.pad(fine, 1)


def _placed(coverage: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Average a fine digit down to 20 pixels, with its centre of mass in the middle of 28.

    Args:
        coverage: float (height, width) in [0, 1].
        inside: bool (height, width): what has to lie in the image.
    """
    rows, columns = ndimage.find_objects(inside.astype("uint8"))[0]
    fine_pixels = _longer_side((rows, columns)) / BOX  # per pixel of the image
    half = SIDE / 2 * fine_pixels
    reach = half - 0.5 * fine_pixels  # a soft edge lies outside of what is inside
    centre = [c + 0.5 for c in ndimage.center_of_mass(coverage)]
    row, column = (
        min(max(c, side.stop - reach), side.start + reach)
        for c, side in zip(centre, (rows, columns), strict=True)
    )
    margin = int(np.ceil(2 * half))
    wide = Image.fromarray(np.pad(coverage, margin).astype("float32"))
    box = (column - half, row - half, column + half, row + half)
    image = wide.resize((SIDE, SIDE), Image.Resampling.BOX, tuple(c + margin for c in box))
    return np.clip(np.asarray(image), 0, 1)
