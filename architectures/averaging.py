"""Classifiers that predict a mean: over an image's shifts, its mirror image, or several networks.

All add nothing but Keras' own layers, so the classifier loads wherever its networks do.
"""

from collections.abc import Sequence

import keras
from keras import layers, ops

OF_SHIFTS, OF_FLIPS, OF_NETWORKS = "mean_of_five_shifts", "mean_of_flips", "mean_of_networks"
# How many of the two rows (columns) that padding adds are cut off above (to the left).
SHIFTS = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))  # not at all, down, up, right, left


def average_shifts(network: keras.Model) -> keras.Model:
    """Return a classifier that averages what `network` makes of the image and of four shifts.

    A network that steps over pixels answers a little differently when the image moves by one. The
    mean of five answers errs less often than each of them (docs/recipe.md, "Five shifts"), and
    takes five times as long. It has the network's weights.

    Args:
        network: images (n, height, width, channels) in, class probabilities (n, n_classes) out.

    Returns:
        The same in, and float32 out.
    """
    image = keras.Input(network.input_shape[1:])
    # In float32, also where the network computes in bfloat16.
    padded = layers.ZeroPadding2D(1, dtype="float32")(image)
    predictions = [
        network(layers.Cropping2D(((top, 2 - top), (left, 2 - left)), dtype="float32")(padded))
        for top, left in SHIFTS
    ]
    return keras.Model(image, layers.Average(dtype="float32")(predictions), name=OF_SHIFTS)


def average_flips(network: keras.Model) -> keras.Model:
    """Return a classifier that averages what `network` makes of the image and its mirror image.

    For things that may as well look the other way, and for twice the time. It has the network's
    weights.

    Args:
        network: images (n, height, width, channels) in, class probabilities (n, n_classes) out.

    Returns:
        The same in, and float32 out.
    """
    image = keras.Input(network.input_shape[1:])
    predictions = [network(image), network(ops.flip(image, axis=2))]
    return keras.Model(image, layers.Average(dtype="float32")(predictions), name=OF_FLIPS)


def average_networks(networks: Sequence[keras.Model]) -> keras.Model:
    """Return a classifier that averages what several networks make of an image.

    Networks that began with other weights err on other images (Hansen and Salamon, "Neural network
    ensembles", IEEE PAMI 12, 1990). It has the networks' weights.

    Args:
        networks: images (n, height, width, channels) in, class probabilities (n, n_classes) out;
            each by another name.

    Returns:
        The same in, and float32 out.
    """
    image = keras.Input(networks[0].input_shape[1:])
    predictions = [network(image) for network in networks]
    return keras.Model(image, layers.Average(dtype="float32")(predictions), name=OF_NETWORKS)


def network_of(classifier: keras.Model) -> keras.Model:
    """Return the first network inside such a classifier; any other model as it is."""
    while classifier.name in (OF_SHIFTS, OF_FLIPS, OF_NETWORKS):
        classifier = next(layer for layer in classifier.layers if isinstance(layer, keras.Model))
    return classifier
