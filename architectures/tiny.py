"""Networks for a microcontroller: as a complete .tflite file, `tiny_cnn` has less than ten kB."""

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
    return _network("tiny_cnn", 10, 24, input_shape, n_classes)


def tiny_cnn_small(input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """Return `tiny_cnn` with fewer maps: 6,080 weights and biases once folded."""
    return _network("tiny_cnn_small", 6, 16, input_shape, n_classes)


def tiny_cnn_large(input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """Return `tiny_cnn` with more maps: 37,570 weights and biases once folded."""
    return _network("tiny_cnn_large", 16, 40, input_shape, n_classes)


def _network(
    name: str, early: int, late: int, input_shape: tuple[int, int, int], n_classes: int
) -> keras.Model:
    """Return a network with so many filters in its two early and its three late convolutions."""
    return keras.Sequential(
        [
            layers.Input(input_shape),
            *_convolution(early),
            *_convolution(early, strides=2),
            *_convolution(late, padding="same"),
            layers.MaxPooling2D(2),
            *_convolution(late),
            *_convolution(late),
            layers.AveragePooling2D(2),  # over all that is left
            layers.Flatten(),
            # Probabilities in float32 also when the rest computes in bfloat16.
            layers.Dense(n_classes, activation="softmax", dtype="float32"),
        ],
        name=name,
    )


def _convolution(filters: int, **options: Any) -> list[layers.Layer]:
    """Return a 3x3 convolution, which needs no bias before batch normalisation, and ReLU."""
    return [
        RoundedConv2D(filters, 3, use_bias=False, kernel_initializer="he_normal", **options),
        layers.BatchNormalization(momentum=0.9),
        layers.ReLU(),
    ]
