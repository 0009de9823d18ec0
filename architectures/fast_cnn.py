"""The default network, most accuracy per second on an ordinary CPU; narrower and wider ones."""

import keras
from keras import layers


def fast_cnn(
    input_shape: tuple[int, int, int],
    n_classes: int,
    filters: tuple[int, int, int, int, int] = (24, 32, 64, 96, 96),
    dropout: float = 0.2,
    name: str = "fast_cnn",
) -> keras.Model:
    """Return a small convolutional network that is built for training on a CPU.

    173,338 parameters and 8.8 million multiply-adds an image at (28, 28, 1) and 10 classes: a
    thirteenth and a quarter of network "101". What makes it fast:

    - the second convolution already steps by two pixels, so three of five see 12x12 or less;
    - batch normalisation, which moves much memory and computes little, stands only where the
      maps are small: after the step and after each pooling.

    Args:
        input_shape: (height, width, channels).
        n_classes: width of the softmax output.
        filters: of the five convolutions.
        dropout: share of the last 3x3 maps' values that are dropped in training.
        name: of the model.
    """
    model = keras.Sequential([layers.Input(input_shape)], name=name)

    def convolution(number, **options):
        layer = layers.Conv2D(filters[number], 3, kernel_initializer="he_normal", **options)
        model.add(layer)

    convolution(0, activation="relu")
    convolution(1, strides=2, use_bias=False)
    model.add(layers.BatchNormalization(momentum=0.9))
    model.add(layers.ReLU())

    convolution(2, padding="same", activation="relu", use_bias=False)
    model.add(layers.MaxPooling2D(2))
    model.add(layers.BatchNormalization(momentum=0.9))

    convolution(3, padding="same", activation="relu")
    convolution(4, padding="same", activation="relu", use_bias=False)
    model.add(layers.MaxPooling2D(2))
    model.add(layers.BatchNormalization(momentum=0.9))

    model.add(layers.Flatten())
    model.add(layers.Dropout(dropout))
    # Probabilities in float32 also when the rest computes in bfloat16.
    model.add(layers.Dense(n_classes, activation="softmax", dtype="float32"))
    return model


def fast_cnn_half(input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """Return fast_cnn at half the cost: 84,874 parameters, 4.4 million multiply-adds an image."""
    return fast_cnn(input_shape, n_classes, (16, 24, 48, 64, 64), name="fast_cnn_half")


def fast_cnn_eighth(input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """Return fast_cnn at an eighth of the cost: 22,858 parameters, 1.1 million multiply-adds."""
    return fast_cnn(input_shape, n_classes, (8, 12, 24, 32, 32), name="fast_cnn_eighth")


def fast_cnn_wide(input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """Return fast_cnn at 5.8 times the cost: 952,474 parameters, 50.6 million multiply-adds."""
    return fast_cnn(input_shape, n_classes, (56, 80, 160, 224, 224), 0.4, name="fast_cnn_wide")
