"""Network "101": the course project's network (group 101), 99.70 % in its own record."""

import keras
from keras import layers


def cnn_mnist_101(input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """Return the network of the CNN-MNIST-101 project.

    2,230,506 parameters and 33.7 million multiply-adds an image at (28, 28, 1) and 10 classes.
    Twice [two convolutions, pooling, dropout], then two wide dense layers: the first of them
    alone holds 72 % of the parameters.

    Args:
        input_shape: (height, width, channels).
        n_classes: width of the softmax output.
    """
    model = keras.Sequential([layers.Input(input_shape)], name="cnn_mnist_101")
    for filters, kernel_size in ((32, 5), (64, 3)):
        for _ in range(2):
            model.add(layers.Conv2D(filters, kernel_size, padding="same", activation="relu"))
            model.add(layers.BatchNormalization())
        model.add(layers.MaxPooling2D(2))
        model.add(layers.Dropout(0.25))
    model.add(layers.Flatten())
    for units in (512, 1024):
        model.add(layers.Dense(units, activation="relu"))
        model.add(layers.BatchNormalization())
        model.add(layers.Dropout(0.25))
    # Probabilities in float32 also when the rest computes in bfloat16.
    model.add(layers.Dense(n_classes, activation="softmax", dtype="float32"))
    return model
