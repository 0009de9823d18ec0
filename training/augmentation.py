"""Variations of the training images, as a layer that only training sees."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops


class RandomAffine(keras.layers.Layer):
    """One random rotation, zoom, shear and shift of each training image.

    All four are one affine map, so every pixel is interpolated (bilinearly) once; a chain of
    separate layers would blur the image at each step. Pixels from outside are 0, the paper.
    Active only with `training=True`; the saved classifier does not contain this layer.

    Args:
        rotation: largest angle, in degrees, to either side.
        zoom: largest relative change of width and, drawn separately, of height (0.1: +-10 %).
        shift: largest shift, as a share of the width and height.
        shear: largest shear angle, in degrees.
        seed: of the layer's own random stream.

    `strength` is a weight that training sets to 0 for the polish on unchanged images: a weight,
    because the compiled training step reads it anew at each call.

    Input and output: float (n, height, width, channels).
    """

    def __init__(
        self,
        rotation: float = 0.0,
        zoom: float = 0.0,
        shift: float = 0.0,
        shear: float = 0.0,
        seed: int | None = None,
    ):
        # Coordinates need float32: bfloat16 cannot tell a pixel from the middle between two.
        super().__init__(dtype="float32")
        self.rotation, self.zoom, self.shift, self.shear = rotation, zoom, shift, shear
        self.random = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        """Add the strength, 1 until it is set to 0."""
        self.strength = self.add_weight(
            name="strength", shape=(), initializer="ones", trainable=False
        )

    def call(self, images, training=False):
        """Return the images, each varied by a map of its own in training."""
        if not training or not any((self.rotation, self.zoom, self.shift, self.shear)):
            return images
        return ops.image.affine_transform(
            images,
            self.draw_transforms(ops.shape(images)[0], *images.shape[1:3]),
            interpolation="bilinear",
            fill_mode="constant",
            fill_value=0,
            data_format="channels_last",
        )

    def draw_transforms(self, n, height: int, width: int):
        """Draw one map an image, as float32 (n, 8): [a0, a1, a2, b0, b1, b2, 0, 0].

        The output pixel (x, y) takes its value from (a0 x + a1 y + a2, b0 x + b1 y + b2): the
        convention of `keras.ops.image.affine_transform`. Rotation, zoom and shear turn about the
        centre of the image.
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
        # The product rotation . shear . zoom.
        a0, a1 = cos * (1 + zoom_x), (cos * slope - sin) * (1 + zoom_y)
        b0, b1 = sin * (1 + zoom_x), (sin * slope + cos) * (1 + zoom_y)
        centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
        a2 = centre_x - a0 * centre_x - a1 * centre_y + shift_x
        b2 = centre_y - b0 * centre_x - b1 * centre_y + shift_y
        zero = ops.zeros_like(a0)
        return ops.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1)
