"""A network for the tests: everything that training must handle, in as little time as possible."""

import keras
from keras import layers


def tiny(input_shape, n_classes):
    """Return a network with a convolution, batch normalisation and dropout."""
    return keras.Sequential(
        [
            layers.Input(input_shape),
            layers.AveragePooling2D(2),
            layers.Conv2D(8, 3, strides=2, activation="relu"),
            layers.BatchNormalization(momentum=0.8),
            layers.Flatten(),
            layers.Dropout(0.1),
            layers.Dense(n_classes, activation="softmax", dtype="float32"),
        ],
        name="tiny",
    )
