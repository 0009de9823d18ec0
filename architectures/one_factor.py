"""The networks of the experiments that change one factor at a time, and the default they change.

The default has one convolution and one dense layer; its sizes are not published. The other
architecture, with two convolutions and three dense layers, is.
"""

import keras
from keras import layers


def one_convolution(
    input_shape: tuple[int, int, int], n_classes: int, kernel_size: int = 3, strides: int = 1
) -> keras.Model:
    """Return the default: 54,410 parameters at (28, 28, 1) and 10 classes.

    Args:
        input_shape: (height, width, channels).
        n_classes: width of the softmax output.
        kernel_size: height and width of the convolution's kernels.
        strides: pixels by which they move on.
    """
    return keras.Sequential(
        [
            layers.Input(input_shape),
            layers.Conv2D(32, kernel_size, strides, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(n_classes, activation="softmax", dtype="float32"),
        ],
        name="one_convolution",
    )


def two_convolutions(input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """Return the larger one: 905,482 parameters at (28, 28, 1) and 10 classes, as published.

    Args:
        input_shape: (height, width, channels).
        n_classes: width of the softmax output.
    """
    model = keras.Sequential([layers.Input(input_shape)], name="two_convolutions")
    for filters in (32, 64):
        model.add(layers.Conv2D(filters, 3, activation="relu"))
        model.add(layers.MaxPooling2D(2))
    model.add(layers.Flatten())
    for units in (512, 128):
        model.add(layers.Dense(units, activation="relu"))
    model.add(layers.Dense(n_classes, activation="softmax", dtype="float32"))
    return model
