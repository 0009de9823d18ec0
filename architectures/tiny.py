"""A network for a microcontroller: as a complete .tflite file, it has less than ten kilobytes."""

from typing import Any

import keras
from keras import layers

from architectures.rounding import RoundedConv2D


def tiny_cnn(input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """Return a network of 4-bit convolutions and no dense layer but the last.

    13,860 weights and biases once batch normalisation is folded, and 0.6 million multiply-adds an
    image at (28, 28, 1) and 10 classes. Three things keep it small: the maps shrink early (a step
    by two pixels, a pooling, no padding at the end); the mean over the last maps stands for a dense
    layer; and two weights share a byte. `python -m apps.export --format int8` makes the file.
    """
    return keras.Sequential(
        [
            layers.Input(input_shape),
            *_convolution(10),
            *_convolution(10, strides=2),
            *_convolution(24, padding="same"),
            layers.MaxPooling2D(2),
            *_convolution(24),
            *_convolution(24),
            layers.AveragePooling2D(2),  # over all that is left
            layers.Flatten(),
            # Probabilities in float32 also when the rest computes in bfloat16.
            layers.Dense(n_classes, activation="softmax", dtype="float32"),
        ],
        name="tiny_cnn",
    )


def _convolution(filters: int, **options: Any) -> list[layers.Layer]:
    """Return a 3x3 convolution, which needs no bias before batch normalisation, and ReLU."""
    return [
        RoundedConv2D(filters, 3, use_bias=False, kernel_initializer="he_normal", **options),
        layers.BatchNormalization(momentum=0.9),
        layers.ReLU(),
    ]
