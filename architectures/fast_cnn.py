"""The default network, most accuracy per second on an ordinary CPU; and narrower ones.

What makes it fast:

- the second convolution already steps by two pixels, so three of five see 12x12 or less;
- batch normalisation, which moves much memory and computes little, stands only where the maps are
  small: after the step and after each pooling.
"""

from typing import Any

import keras
from keras import layers


def fast_cnn(
    input_shape: tuple[int, int, int],
    n_classes: int,
    filters: tuple[int, int, int, int, int] = (32, 48, 80, 128, 128),
    dropout: float = 0.25,
    border: int = 0,
    name: str = "fast_cnn",
) -> keras.Model:
    """Return a small convolutional network that is built for training on a CPU.

    301,002 parameters and 15.8 million multiply-adds an image at (28, 28, 1) and 10 classes: a
    seventh and half of network "101".

    Args:
        input_shape: (height, width, channels).
        n_classes: width of the softmax output.
        filters: of the five convolutions.
        dropout: share of the last maps' values that are dropped in training.
        border: pixels that are first cut off at each side.
        name: of the model.
    """
    first, second, third, fourth, fifth = filters
    return keras.Sequential(
        [
            layers.Input(input_shape),
            *([layers.Cropping2D(border)] if border else []),
            _convolution(first, activation="relu"),
            _convolution(second, strides=2, use_bias=False),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
            _convolution(third, padding="same", activation="relu", use_bias=False),
            *_shrink(),
            _convolution(fourth, padding="same", activation="relu"),
            _convolution(fifth, padding="same", activation="relu", use_bias=False),
            *_shrink(),
            layers.Flatten(),
            layers.Dropout(dropout),
            # Probabilities in float32 also when the rest computes in bfloat16.
            layers.Dense(n_classes, activation="softmax", dtype="float32"),
        ],
        name=name,
    )


def _convolution(filters: int, **options: Any) -> layers.Layer:
    return layers.Conv2D(filters, 3, kernel_initializer="he_normal", **options)


def _shrink() -> list[layers.Layer]:
    """Return the layers that halve the maps; the next convolution's bias is in the second."""
    return [layers.MaxPooling2D(2), layers.BatchNormalization(momentum=0.9)]


def fast_cnn_tiny(input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """Return fast_cnn at a 15th of the cost: 42,762 parameters, 1.05 million multiply-adds."""
    return fast_cnn(input_shape, n_classes, (8, 16, 32, 48, 48), 0.1, 3, name="fast_cnn_tiny")


def fast_cnn_small(input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """Return fast_cnn at a seventh of the cost: 45,778 parameters, 2.2 million multiply-adds."""
    return fast_cnn(input_shape, n_classes, (12, 16, 32, 48, 48), 0.1, name="fast_cnn_small")
