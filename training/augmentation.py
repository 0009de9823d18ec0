"""Variations of the training images, as layers that only training sees."""

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

AFFINE_SETTINGS = ("rotation", "zoom", "shift", "shear", "stretch")
VARIATION_SETTINGS = (*AFFINE_SETTINGS, "pen", "paper", "flip", "erase")
INK = 0.3  # least brightness of a pixel that belongs to a digit
GREYEST_PAPER, FAINTEST_INK, GRAIN = 0.3, 0.7, 0.2  # of RandomPaper
WIDEST = 2.2  # times: how far a digit is stretched at most


def make_variations(settings: Mapping[str, Any]) -> keras.Sequential:
    """Return the layers that vary the training images, each with a random stream of its own.

    Args:
        settings: the seed and, by VARIATION_SETTINGS, how far they go; what is left out is 0.
    """
    seed = settings["seed"]
    limits = {name: settings.get(name, 0.0) for name in AFFINE_SETTINGS}
    variations: list[Variation] = [RandomAffine(**limits, seed=seed)]
    others = {"pen": RandomPen, "paper": RandomPaper, "flip": RandomFlip, "erase": RandomErasing}
    # A longer list of these begins with the same numbers: the first is left for the past's sake.
    _, *seeds = np.random.SeedSequence([seed, 0]).generate_state(1 + len(others))
    for (name, kind), own_seed in zip(others.items(), seeds, strict=True):
        if settings.get(name):
            variations.append(kind(settings[name], seed=int(own_seed)))
    return keras.Sequential(variations, name="variations")


class Variation(keras.layers.Layer):
    """A layer that varies images, each at random, with `training=True` and not otherwise.

    `strength` is a weight that training sets to 0 for the polish on unchanged images: a weight,
    because the compiled training step reads it anew at each call. The saved classifier does not
    contain such layers.

    Input and output: float (n, height, width, channels).
    """

    def __init__(self, seed: int | None = None):
        # Coordinates need float32: bfloat16 cannot tell a pixel from the middle between two.
        super().__init__(dtype="float32")
        self.random = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        """Add the strength, 1 until it is set to 0."""
        self.strength = self.add_weight(
            name="strength", shape=(), initializer="ones", trainable=False
        )

    def call(self, images, training=False):
        """Return the images, each varied in training."""
        return self.vary(images) if training else images

    def vary(self, images):
        """Return the images, each varied as its own random numbers say."""
        raise NotImplementedError


class VariationOfSome(Variation):
    """A variation that happens to a random share of the images.

    Args:
        share: of the images that this happens to, from 0 to 1.
        seed: of the layer's own random stream.
    """

    def __init__(self, share: float, seed: int | None = None):
        super().__init__(seed)
        self.share = share


class RandomAffine(Variation):
    """One random rotation, zoom, shear, shift and stretch of each training image.

    All are one affine map, so every pixel is interpolated (bilinearly) once; a chain of
    separate layers would blur the image at each step. Pixels from outside are 0, the paper.

    Args:
        rotation: largest angle, in degrees, to either side.
        zoom: largest relative change of width and, drawn separately, of height (0.1: +-10 %).
        shift: largest shift, as a share of the width and height.
        shear: largest shear angle, in degrees.
        stretch: how far half of the digits are widened, at most: with 1, until they are as wide as
            they are high, as digits are that someone scaled to a square; at most WIDEST times.
        seed: of the layer's own random stream.
    """

    def __init__(
        self,
        rotation: float = 0.0,
        zoom: float = 0.0,
        shift: float = 0.0,
        shear: float = 0.0,
        stretch: float = 0.0,
        seed: int | None = None,
    ):
        super().__init__(seed)
        self.rotation, self.zoom, self.shift, self.shear = rotation, zoom, shift, shear
        self.stretch = stretch

    def vary(self, images):
        """Return the images, each varied by a map of its own."""
        if not any((self.rotation, self.zoom, self.shift, self.shear, self.stretch)):
            return images
        n, (height, width) = ops.shape(images)[0], images.shape[1:3]
        widening = self.draw_widening(images) if self.stretch else 1.0
        return ops.image.affine_transform(
            images,
            self.draw_transforms(n, height, width, widening),
            interpolation="bilinear",
            fill_mode="constant",
            fill_value=0,
            data_format="channels_last",
        )

    def draw_widening(self, images):
        """Draw by how much each digit is made wider, float32 (n,): half of them by nothing."""
        ink = ops.max(images, axis=-1) > INK
        height, width = (
            ops.sum(ops.cast(ops.any(ink, axis=axis), "float32"), axis=1) for axis in (2, 1)
        )
        widest = ops.clip(height / ops.maximum(width, 1), 1, WIDEST)
        draws = keras.random.uniform(ops.shape(width), -1.0, 1.0, seed=self.random)
        return widest ** (ops.maximum(draws, 0) * self.stretch * self.strength)

    def draw_transforms(self, n, height: int, width: int, widening: Any = 1.0):
        """Draw one map an image, as float32 (n, 8): [a0, a1, a2, b0, b1, b2, 0, 0].

        The output pixel (x, y) takes its value from (a0 x + a1 y + a2, b0 x + b1 y + b2): the
        convention of `keras.ops.image.affine_transform`. Rotation, zoom and shear turn about the
        centre of the image. `widening`, float (n,), widens what comes out.
        """
        limits = np.array(
            [
                math.radians(self.rotation),
                math.radians(self.shear),
                self.zoom,
                self.zoom,
                self.shift * width,
                self.shift * height,
            ],
            np.float32,
        )
        draws = keras.random.uniform((n, 6), -1.0, 1.0, seed=self.random)
        columns: Any = ops.unstack(draws * limits * self.strength, axis=1)
        angle, shear, zoom_x, zoom_y, shift_x, shift_y = columns
        cos, sin, slope = ops.cos(angle), ops.sin(angle), ops.tan(shear)
        scale_x, scale_y = (1 + zoom_x) / widening, 1 + zoom_y
        # The product rotation . shear . zoom.
        a0, a1 = cos * scale_x, (cos * slope - sin) * scale_y
        b0, b1 = sin * scale_x, (sin * slope + cos) * scale_y
        centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
        a2 = centre_x - a0 * centre_x - a1 * centre_y + shift_x
        b2 = centre_y - b0 * centre_x - b1 * centre_y + shift_y
        zero = ops.zeros_like(a0)
        return ops.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1)


class RandomPen(Variation):
    """Writes each image with another pen, on a scanner of another sharpness.

    The image is blurred and its contrast is raised around a threshold other than the middle:
    strokes get thicker or thinner, corners round, small gaps and holes may close. Black stays black
    and the middle of a stroke stays white.

    Args:
        amount: how far it goes, up to 1: a blur with a standard deviation of 1.15 pixels, a
            threshold from 0.25 to 0.75, a contrast up to 2.5 times the least.
        seed: of the layer's own random stream.
    """

    def __init__(self, amount: float, seed: int | None = None):
        super().__init__(seed)
        self.amount = amount

    def vary(self, images):
        """Return the images, each written with a pen of its own."""
        amount = self.amount * self.strength
        draws = keras.random.uniform((3, ops.shape(images)[0], 1, 1, 1), seed=self.random)
        share = draws[0] * amount / 3  # of a pixel's light that goes to each side, twice
        blurred = images
        for axis in (1, 2, 1, 2):
            blurred = blurred + share * (_neighbours(blurred, axis) - 2 * blurred)
        threshold = 0.5 + (draws[1] - 0.5) * 0.5 * amount
        least = 0.5 / ops.minimum(threshold, 1 - threshold)  # at which 0 stays 0 and 1 stays 1
        contrast = least * (1 + 1.5 * draws[2] * amount)
        return ops.clip(0.5 + contrast * (blurred - threshold), 0, 1)


class RandomPaper(VariationOfSome):
    """Puts some of the images on grey, grainy paper, in fainter ink.

    Paper, which is 0, becomes GREYEST_PAPER at most, and full ink, which is 1, FAINTEST_INK at
    least. Normal noise is added, with a standard deviation of up to GRAIN.
    """

    def vary(self, images):
        """Return the images, some of them on other paper."""
        draws = keras.random.uniform((4, ops.shape(images)[0], 1, 1, 1), seed=self.random)
        amounts = draws[:3] * ops.cast(draws[3] < self.share * self.strength, "float32")
        paper, ink = GREYEST_PAPER * amounts[0], 1 - (1 - FAINTEST_INK) * amounts[1]
        grain = keras.random.normal(ops.shape(images), seed=self.random)
        return ops.clip(paper + (ink - paper) * images + GRAIN * amounts[2] * grain, 0, 1)


class RandomFlip(VariationOfSome):
    """Mirrors some of the images, left to right."""

    def vary(self, images):
        """Return the images, a share of them mirrored."""
        draws = keras.random.uniform((ops.shape(images)[0], 1, 1, 1), seed=self.random)
        return ops.where(draws < self.share * self.strength, ops.flip(images, axis=2), images)


class RandomErasing(VariationOfSome):
    """Covers a rectangle of some of the images with noise, so that no single part decides.

    Source: Zhong et al., "Random erasing data augmentation", arXiv 1708.04896, with its areas and
    proportions, and a random value in each pixel. There, a rectangle that does not fit is drawn
    anew; here, it is cut to the image.
    """

    AREAS = (0.02, 0.4)  # of the rectangle, as a share of the image's
    PROPORTION = 1 / 0.3  # of height to width, at most; as often, of width to height

    def vary(self, images):
        """Return the images, a share of them with a rectangle of noise."""
        noise = keras.random.uniform(ops.shape(images), seed=self.random)
        return ops.where(self.draw_rectangles(*ops.shape(images)[:3]), noise, images)

    def draw_rectangles(self, n, height: int, width: int):
        """Draw at most one rectangle an image, as bool (n, height, width, 1), true inside."""
        draws: Any = keras.random.uniform((5, n, 1, 1, 1), seed=self.random)
        smallest, largest = self.AREAS
        area = (smallest + (largest - smallest) * draws[0]) * height * width
        proportion = ops.exp((2 * draws[1] - 1) * math.log(self.PROPORTION))
        is_erased = draws[2] < self.share * self.strength
        rows = ops.reshape(ops.arange(height, dtype="float32"), (1, height, 1, 1))
        columns = ops.reshape(ops.arange(width, dtype="float32"), (1, 1, width, 1))
        for places, size, side, draw in (
            (rows, height, ops.sqrt(area * proportion), draws[3]),
            (columns, width, ops.sqrt(area / proportion), draws[4]),
        ):
            side = ops.minimum(ops.round(side), size)
            first = ops.floor(draw * (size - side + 1))
            is_erased = is_erased & (places >= first) & (places < first + side)
        return is_erased


def _neighbours(images, axis: int):
    """Return the sum of each pixel's two neighbours along an axis; the edge repeats itself."""
    size = images.shape[axis]
    padding = [(0, 0)] * 4
    padding[axis] = (1, 1)
    padded = ops.pad(images, padding, mode="symmetric")
    parts = [[slice(None)] * 4, [slice(None)] * 4]
    parts[0][axis], parts[1][axis] = slice(0, size), slice(2, size + 2)
    return padded[tuple(parts[0])] + padded[tuple(parts[1])]
