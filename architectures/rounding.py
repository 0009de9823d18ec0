"""Convolutions that learn with rounded weights, so that rounding them later costs nothing.

A weight of 4 bits is one of 15 values, -7 to 7 times a scale of its output channel. In training,
the layer computes with the rounded weights, and the gradient goes to exact ones behind them, as if
nothing had been rounded (the straight-through estimator: Y. Bengio, N. Leonard and A. Courville,
"Estimating or propagating gradients through stochastic neurons", arXiv 1308.3432). A batch
normalisation after it only changes the scale of each channel, so the grid survives the folding of
one into the other.
"""

from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="digits")
class RoundedConv2D(keras.layers.Conv2D):
    """A convolution whose kernel is rounded to `bits` bits for each output channel."""

    def __init__(self, *arguments: Any, bits: int = 4, **options: Any):
        super().__init__(*arguments, **options)
        self.bits = bits

    def rounded_kernel(self):
        """Return the kernel on its grid, float (height, width, in, out)."""
        largest = 2 ** (self.bits - 1) - 1
        extent = ops.max(ops.abs(self.kernel), axis=(0, 1, 2), keepdims=True)
        scale = ops.maximum(extent, 1e-8) / largest
        return ops.round(self.kernel / scale) * scale

    def call(self, inputs):
        """Return the convolution with the rounded kernel; gradients pass the rounding by."""
        kernel = self.kernel + ops.stop_gradient(self.rounded_kernel() - self.kernel)
        outputs = ops.conv(
            inputs,
            ops.cast(kernel, self.compute_dtype),
            strides=self.strides,
            padding=self.padding,
            data_format=self.data_format,
            dilation_rate=self.dilation_rate,
        )
        if self.bias is not None:
            outputs = outputs + ops.cast(self.bias, self.compute_dtype)
        return self.activation(outputs)

    def get_config(self):
        """Return what the layer can be made of again."""
        return {**super().get_config(), "bits": self.bits}


def with_rounded_weights(network: keras.Model) -> keras.Model:
    """Return the network with plain convolutions, their weights rounded; one without, as it is."""
    if not any(isinstance(layer, RoundedConv2D) for layer in network.layers):
        return network
    plain = keras.models.clone_model(network, clone_function=_plain)
    for layer, source in zip(plain.layers, network.layers, strict=True):
        weights = source.get_weights()
        if isinstance(source, RoundedConv2D):
            weights[0] = np.asarray(ops.convert_to_numpy(source.rounded_kernel()))
        layer.set_weights(weights)
    return plain


def _plain(layer: keras.layers.Layer) -> keras.layers.Layer:
    config = layer.get_config()
    if isinstance(layer, RoundedConv2D):
        del config["bits"]
        return keras.layers.Conv2D.from_config(config)
    return layer.__class__.from_config(config)
