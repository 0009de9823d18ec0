"""Ways to distort images of digits, each with a strength that can be raised step by step."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import ndimage

SIDE = 28  # pixels
CENTRE = (SIDE - 1) / 2
Distort = Callable[[np.ndarray, float], np.ndarray]  # (n, 28, 28) in [0, 1], strength -> the same


class Distortion(NamedTuple):
    """A distortion and the strengths at which it is tried, among them none."""

    unit: str
    strengths: tuple[float, ...]
    apply: Distort


def _mapped(images: np.ndarray, matrix: np.ndarray, shift: tuple[float, float]) -> np.ndarray:
    """Return images by an affine map about their centre, interpolated linearly.

    Args:
        matrix: (2, 2); the output pixel (row, column) is read at matrix . (row, column) - shift.
    """
    offset = CENTRE - matrix @ (np.array([CENTRE, CENTRE]) + np.array(shift))
    mapped = [ndimage.affine_transform(image, matrix, offset, order=1) for image in images]
    return np.array(mapped, "float32")


def rotated(images: np.ndarray, degrees: float) -> np.ndarray:
    """Turn the first half of the images to the left, the others to the right."""
    angle, half = np.radians(degrees), len(images) // 2
    cos, sin = np.cos(angle), np.sin(angle)
    turns = [np.array([[cos, sign * sin], [-sign * sin, cos]]) for sign in (1, -1)]
    parts = [_mapped(images[:half], turns[0], (0, 0)), _mapped(images[half:], turns[1], (0, 0))]
    return np.concatenate(parts)


def slanted(images: np.ndarray, degrees: float) -> np.ndarray:
    """Lean the first half of the images to the right, the others to the left."""
    slope, half = np.tan(np.radians(degrees)), len(images) // 2
    leans = [np.array([[1, 0], [sign * slope, 1]]) for sign in (1, -1)]
    parts = [_mapped(images[:half], leans[0], (0, 0)), _mapped(images[half:], leans[1], (0, 0))]
    return np.concatenate(parts)


def shifted(images: np.ndarray, pixels: float) -> np.ndarray:
    """Shift a quarter of the images in each diagonal direction."""
    parts = np.array_split(images, 4)
    ways = [(pixels, pixels), (pixels, -pixels), (-pixels, pixels), (-pixels, -pixels)]
    return np.concatenate(
        [_mapped(part, np.eye(2), way) for part, way in zip(parts, ways, strict=True)]
    )


def scaled(images: np.ndarray, factor: float) -> np.ndarray:
    """Make the digits smaller or larger by a factor."""
    return _mapped(images, np.eye(2) / factor, (0, 0))


def thickened(images: np.ndarray, pixels: float) -> np.ndarray:
    """Make strokes thicker by some pixels on each side; thinner, if there are less than none."""
    thick = ndimage.grey_dilation if pixels > 0 else ndimage.grey_erosion
    out, amount = images, abs(pixels)
    while amount > 0:
        share = min(amount, 1.0)
        out = (1 - share) * out + share * thick(out, size=(1, 3, 3))
        amount -= share
    return out.astype("float32")


def with_noise(images: np.ndarray, deviation: float) -> np.ndarray:
    """Add normal noise with this standard deviation; white is 1."""
    noise = np.random.default_rng(0).normal(0, deviation, images.shape)
    return np.clip(images + noise, 0, 1).astype("float32")


def blurred(images: np.ndarray, pixels: float) -> np.ndarray:
    """Blur by a Gaussian with this standard deviation."""
    return ndimage.gaussian_filter(images, (0, pixels, pixels)).astype("float32")


def faded(images: np.ndarray, contrast: float) -> np.ndarray:
    """Leave a share of the contrast, around grey."""
    return (0.5 + contrast * (images - 0.5)).astype("float32")


DISTORTIONS = {
    "rotation": Distortion("degrees", (0, 10, 20, 30, 40), rotated),
    "slant": Distortion("degrees", (0, 10, 20, 30, 40), slanted),
    "shift": Distortion("pixels", (0, 1, 2, 3, 4, 5), shifted),
    "scale": Distortion("factor", (0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3), scaled),
    "thickness": Distortion("pixels per side", (-1, -0.75, -0.5, 0, 0.5, 1, 1.5, 2), thickened),
    "noise": Distortion("standard deviation", (0, 0.1, 0.2, 0.3, 0.4, 0.5), with_noise),
    "blur": Distortion("standard deviation in pixels", (0, 0.5, 1, 1.5, 2, 2.5), blurred),
    "contrast": Distortion("share that is left", (1, 0.8, 0.6, 0.4, 0.2), faded),
}
