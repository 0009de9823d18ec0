"""Test-time augmentation: a prediction is the mean over an image and its shifts by one pixel.

A network that steps over pixels answers a little differently when the image moves by one. The
mean of five answers errs less often than each of them: docs/recipe.md, "Five shifts".
"""

import keras
from keras import layers

NAME = "mean_of_five_shifts"
# How many of the two rows (columns) that padding adds are cut off above (to the left).
SHIFTS = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))  # not at all, down, up, right, left


def average_shifts(network: keras.Model) -> keras.Model:
    """Return a classifier that averages what `network` makes of the image and of four shifts.

    It is made of Keras' own layers, has the network's weights, and takes five times as long.

    Args:
        network: images (n, height, width, channels) in, class probabilities out.
    """
    image = keras.Input(network.input_shape[1:])
    # In float32, also where the network computes in bfloat16.
    padded = layers.ZeroPadding2D(1, dtype="float32")(image)
    predictions = [
        network(layers.Cropping2D(((top, 2 - top), (left, 2 - left)), dtype="float32")(padded))
        for top, left in SHIFTS
    ]
    return keras.Model(image, layers.Average(dtype="float32")(predictions), name=NAME)


def network_of(classifier: keras.Model) -> keras.Model:
    """Return the network inside an augmented classifier; any other model as it is."""
    if classifier.name != NAME:
        return classifier
    return next(layer for layer in classifier.layers if isinstance(layer, keras.Model))
