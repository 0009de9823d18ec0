"""A course's example for its Fashion-MNIST assignment (into-ai, deeplearning2020, week 2)."""

import keras
from keras import layers


def fashion_example(input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """Return a network of one hidden layer, which sees no neighbourhoods, only pixels.

    101,770 parameters and as many multiply-adds an image at (28, 28, 1) and 10 classes, but for
    the biases.

    Args:
        input_shape: (height, width, channels).
        n_classes: width of the softmax output.
    """
    return keras.Sequential(
        [
            layers.Input(input_shape),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(n_classes, activation="softmax", dtype="float32"),
        ],
        name="fashion_example",
    )
