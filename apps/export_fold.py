"""Rewriting a network so that eight bits suffice for it: no late batch normalisation is left.

Batch normalisation behind a pooling multiplies each channel by a number of its own. Where a channel
is nearly always zero, that number is a hundred times the others'. Stored in eight bits with one
scale for all, most of them become zero, and the network answers all images alike. Convolutions have
a scale for each channel, so the numbers are moved there: for a > 0,

    a * max_pool(relu(x)) = max_pool(relu(a * x))

What the normalisation adds goes into the bias of the layer behind it, unless that pads with zeros.
The converter then leaves out what multiplies by one and adds zero, so the file gets smaller, too.
It does the same itself where nothing stands between convolution and normalisation.

Source: M. Nagel et al., "Data-Free Quantization through Weight Equalization and Bias Correction",
ICCV 2019, section 4.
"""

from typing import Any

import keras
import numpy as np
from keras import layers

# What a channel's positive factor, and what a number added to a channel, may be moved through.
PASS_FACTOR = (layers.MaxPooling2D, layers.AveragePooling2D, layers.ReLU, layers.Dropout)
PASS_SUMMAND = (layers.MaxPooling2D, layers.Dropout, layers.Flatten)
# Layers that compute with their weights as they are; what is made of these classes may not.
WEIGHTED = (layers.Conv2D, layers.Dense)


def fold_normalisations(network: keras.Model) -> keras.Model:
    """Return a network that computes the same, with batch normalisations moved into weights.

    Args:
        network: is left as it is. What is no chain of layers is returned itself.
    """
    if not isinstance(network, keras.Sequential):
        return network
    folded = keras.models.clone_model(network)
    folded.set_weights(network.get_weights())
    for index, layer in enumerate(folded.layers):
        if isinstance(layer, layers.BatchNormalization) and layer.axis == -1:
            source = _source(folded.layers[:index])
            target = _target(folded.layers[index + 1 :])
            if source is not None:
                _move_factor(source, layer)
            if source is not None and target is not None:
                _move_summand(layer, target)
    return folded


def _source(before: list[Any]) -> Any | None:
    """Return the layer whose weights can take a factor, if the layers between let it pass.

    Args:
        before: the layers before the factor.
    """
    for layer in reversed(before):
        if type(layer) in WEIGHTED:
            is_passing = layer.activation in (keras.activations.relu, keras.activations.linear)
            return layer if is_passing else None
        is_bent = isinstance(layer, layers.ReLU) and (layer.max_value or layer.threshold)
        if not isinstance(layer, PASS_FACTOR) or is_bent:
            return None
    return None


def _target(behind: list[Any]) -> Any | None:
    """Return the layer whose bias can take a summand, if the layers between let it pass.

    Args:
        behind: the layers behind the summand.
    """
    for layer in behind:
        if type(layer) in WEIGHTED:
            # Where zeros are padded, the summand would be missing.
            is_whole = getattr(layer, "padding", "valid") == "valid" and layer.use_bias
            return layer if is_whole else None
        if not isinstance(layer, PASS_SUMMAND):
            return None
    return None


def _move_factor(source: Any, normalisation: layers.BatchNormalization) -> None:
    """Multiply a layer's weights by what the normalisation multiplies by, but for the sign."""
    mean, variance = normalisation.moving_mean, normalisation.moving_variance
    gamma = normalisation.gamma if normalisation.scale else np.ones(mean.shape, "float32")
    factor = np.asarray(gamma) / np.sqrt(np.asarray(variance) + normalisation.epsilon)
    source.set_weights([weights * np.abs(factor) for weights in source.get_weights()])
    mean.assign(np.asarray(mean) * np.abs(factor))
    variance.assign(np.full(mean.shape, 1 - normalisation.epsilon))
    if normalisation.scale:
        normalisation.gamma.assign(np.where(factor < 0, -1.0, 1.0))


def _move_summand(normalisation: layers.BatchNormalization, target: Any) -> None:
    """Add to a layer's bias what comes of the number that the normalisation adds."""
    mean = normalisation.moving_mean
    sign = np.asarray(normalisation.gamma) if normalisation.scale else 1.0
    beta = np.asarray(normalisation.beta) if normalisation.center else 0.0
    summand = beta - np.asarray(mean) * sign
    kernel, bias = target.get_weights()
    by_channel = kernel.reshape(-1, len(summand), kernel.shape[-1]).sum(0)
    target.set_weights([kernel, bias + summand @ by_channel])
    mean.assign(np.zeros(mean.shape))
    if normalisation.center:
        normalisation.beta.assign(np.zeros(mean.shape))
