"""Step 2: from raw arrays to what the network is trained on.

`preprocess()` scales and splits; `RandomAffine` varies the training images while they are fed in.
"""

import math
from typing import NamedTuple

import keras
import numpy as np
from keras import ops
from sklearn.model_selection import train_test_split

from _01_data_loader import Arrays
from user_error import UserError


class Splits(NamedTuple):
    """Images float32 (n, 28, 28, 1) in [0, 1]; labels int32 (n,)."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def preprocess(arrays: Arrays, val_size: float, seed: int) -> Splits:
    """Scale the images and set a share of the training images aside for validation.

    The split is stratified (every class keeps its share) and depends on nothing but the seed.

    Args:
        arrays: the data set as published.
        val_size: share of the training images used for validation, in (0, 1).
        seed: of the shuffle before the split.

    Raises:
        UserError: a class is left without training or validation images.
    """
    labels = arrays.y_train.astype(np.int32)
    train, val = _split_indices(labels, val_size, seed)
    images = scale(arrays.x_train)
    return Splits(
        images[train],
        labels[train],
        images[val],
        labels[val],
        scale(arrays.x_test),
        arrays.y_test.astype(np.int32),
    )


def scale(images: np.ndarray) -> np.ndarray:
    """Return uint8 images (n, 28, 28) as float32 (n, 28, 28, 1), from [0, 255] to [0, 1]."""
    return images[..., np.newaxis].astype(np.float32) / 255.0


def _split_indices(labels: np.ndarray, val_size: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the training and of the validation images."""
    try:
        train, val = train_test_split(
            np.arange(len(labels)), test_size=val_size, stratify=labels, random_state=seed
        )
    except ValueError as error:  # fewer images on one side than there are classes
        raise UserError(_val_size_message(val_size, len(labels))) from error
    classes = np.unique(labels)
    if any(len(np.unique(labels[part])) < len(classes) for part in (train, val)):
        raise UserError(_val_size_message(val_size, len(labels)))
    return train, val


def _val_size_message(val_size: float, n_images: int) -> str:
    return (
        f"val_size {val_size} of {n_images:,} images leaves a class without validation or without "
        "training images. Choose another value, for example 0.1."
    )


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
        self.strength = self.add_weight(
            name="strength", shape=(), initializer="ones", trainable=False
        )

    def call(self, images, training=False):
        if not training or not any((self.rotation, self.zoom, self.shift, self.shear)):
            return images
        return ops.image.affine_transform(
            images,
            self.draw_transforms(ops.shape(images)[0], *images.shape[1:3]),
            interpolation="bilinear",
            fill_mode="constant",
            fill_value=0.0,
            data_format="channels_last",
        )

    def draw_transforms(self, n: int, height: int, width: int):
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
        angle, shear, zoom_x, zoom_y, shift_x, shift_y = ops.unstack(
            draws * limits * self.strength, axis=1
        )
        cos, sin, slope = ops.cos(angle), ops.sin(angle), ops.tan(shear)
        # The product rotation . shear . zoom.
        a0, a1 = cos * (1 + zoom_x), (cos * slope - sin) * (1 + zoom_y)
        b0, b1 = sin * (1 + zoom_x), (sin * slope + cos) * (1 + zoom_y)
        centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
        a2 = centre_x - a0 * centre_x - a1 * centre_y + shift_x
        b2 = centre_y - b0 * centre_x - b1 * centre_y + shift_y
        zero = ops.zeros_like(a0)
        return ops.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1)
