"""The network of Keras' own MNIST example, `mnist_convnet` (Chollet, 2015; 99.2 % by its text)."""

import keras
from keras import layers


def keras_example(input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """Return two convolutions, each with pooling, and one dense layer.

    34,826 parameters and 2.4 million multiply-adds an image at (28, 28, 1) and 10 classes.

    Args:
        input_shape: (height, width, channels).
        n_classes: width of the softmax output.
    """
    return keras.Sequential(
        [
            layers.Input(input_shape),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(n_classes, activation="softmax", dtype="float32"),
        ],
        name="keras_example",
    )
