"""The layers of a network that figures can be made of, by name, and what they make of images."""

from collections.abc import Sequence

import keras
import numpy as np

from common.user_error import UserError, unknown_name

BATCH_SIZE = 500  # large maps of many images would need gigabytes at once
POOLING_LAYERS = tuple(
    getattr(keras.layers, name) for name in dir(keras.layers) if name.endswith("Pooling2D")
)
EMBEDDING_LAYERS = (keras.layers.Dense, keras.layers.Flatten, *POOLING_LAYERS)
MAP_LAYERS = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
    keras.layers.Conv2DTranspose,
)


def convolutions(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the model's Conv2D layers: those whose filters see all input channels."""
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]


def layers_with_maps(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the model's convolutions of every kind."""
    return [layer for layer in model.layers if isinstance(layer, MAP_LAYERS)]


def embedding_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the Dense, Flatten and pooling layers before the output layer.

    The output layer is the last Dense one, or the last of all; a softmax may follow it.
    """
    dense = [n for n, layer in enumerate(model.layers) if isinstance(layer, keras.layers.Dense)]
    hidden = model.layers[: dense[-1] if dense else -1]
    return [layer for layer in hidden if isinstance(layer, EMBEDDING_LAYERS)]


def find_layer(
    layers: Sequence[keras.layers.Layer], name: str | None, what: str
) -> keras.layers.Layer:
    """Return the layer of this name, or the first without a name.

    Args:
        what: what the layer is wanted as, for the message: "layer for filters".

    Raises:
        UserError: there is none of this name, or `layers` is empty.
    """
    if not layers:
        raise UserError(f"this network has no {what}.")
    if name is None:
        return layers[0]
    by_name = {layer.name: layer for layer in layers}
    if name not in by_name:
        raise unknown_name(what, name, by_name)
    return by_name[name]


def default_embedding(model: keras.Model) -> str | None:
    """Return the first hidden Dense layer or, without one, the last layer that embeds an image."""
    layers = embedding_layers(model)
    dense = [layer for layer in layers if isinstance(layer, keras.layers.Dense)]
    return next((layer.name for layer in [*dense, *reversed(layers)]), None)


def outputs_of(model: keras.Model, layer: keras.layers.Layer, images: np.ndarray) -> np.ndarray:
    """Return what a layer makes of images: float32 (n, ...)."""
    to_layer = keras.Model(model.inputs[0], layer.output)  # a list of one would be warned about
    batches = [images[i : i + BATCH_SIZE] for i in range(0, len(images), BATCH_SIZE)]
    return np.concatenate(
        [keras.ops.convert_to_numpy(to_layer(batch, training=False)) for batch in batches]
    ).astype(np.float32)
