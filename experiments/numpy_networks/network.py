"""A network: layers in a row, and a loss at the end."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.numpy_networks import layers as all_layers
from experiments.numpy_networks.layers import Layer, Maker
from experiments.numpy_networks.losses import MeanSquaredError, SoftmaxCrossEntropy

Spec = tuple[Any, ...]  # a layer's name and sizes: ("Dense", 784, 100), ("Sigmoid",)
WITH_RANDOMNESS = ("Dense", "Conv2D", "Dropout")
WITHOUT = ("Sigmoid", "ReLU", "Reshape", "MaxPool")
LOSSES = {"MeanSquaredError": MeanSquaredError, "SoftmaxCrossEntropy": SoftmaxCrossEntropy}
IMAGES_AT_ONCE = 500  # so that the windows of a convolution stay small


class Network:
    """Layers in a row, and a loss.

    Args:
        specs: a layer each.
        loss: a name in LOSSES.
        make: draws the first weights.
    """

    def __init__(self, specs: Sequence[Spec], loss: str, make: Maker) -> None:
        self.specs, self.loss_name, self.dtype = tuple(specs), loss, np.dtype(make.dtype)
        self.layers = [make_layer(spec, make) for spec in specs]
        self.loss = LOSSES[loss]()
        # The first layer that learns: no gradient needs to go back beyond it.
        self.first = next(k for k, layer in enumerate(self.layers) if layer.parameters)
        self.layers[self.first].needs_d_inputs = False

    def forward(self, images: np.ndarray, training: bool = False) -> np.ndarray:
        """Return the outputs of the last layer, (n, n_classes), of images (n, 784) in [0, 1]."""
        outputs = images
        for layer in self.layers:
            outputs = layer.forward(outputs, training)
        return outputs

    def backward(self) -> None:
        """Find the gradients of all parameters, from the last layer back to the first.

        Belongs behind `loss.forward` of the outputs of a forward pass in training.
        """
        gradient = self.loss.backward()
        for layer in reversed(self.layers[self.first :]):
            gradient = layer.backward(gradient)

    def forward_backward(self, images: np.ndarray, labels: np.ndarray) -> float:
        """Make both passes for a batch; the gradients are then in the layers. Return the loss.

        Args:
            images: float (n, 784) in [0, 1].
            labels: whole numbers (n,).
        """
        loss = self.loss.forward(self.forward(images, training=True), labels)
        self.backward()
        return loss

    def parameters_and_gradients(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return all parameters with their gradients: the arrays themselves, to be changed."""
        return [
            (layer.parameters[name], layer.gradients[name])
            for layer in self.layers
            for name in layer.parameters
        ]

    def named_parameters(self) -> dict[str, np.ndarray]:
        """Return all parameters by the number of their layer and their name: `0 weights`."""
        return {
            f"{number} {name}": parameter
            for number, layer in enumerate(self.layers)
            for name, parameter in layer.parameters.items()
        }

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return the probabilities of the classes, float (n, n_classes).

        Args:
            images: (n, 784): uint8 from 0 to 255, or float in [0, 1].
        """
        starts = range(0, len(images), IMAGES_AT_ONCE)
        parts = [
            self.loss.probabilities(
                self.forward(scaled(images[k : k + IMAGES_AT_ONCE], self.dtype))
            )
            for k in starts
        ]
        return np.concatenate(parts)


def make_layer(spec: Spec, make: Maker) -> Layer:
    """Return the layer of a specification.

    Raises:
        KeyError: there is no such layer.
        TypeError: the sizes are not those that this layer takes.
    """
    name, *sizes = spec
    if name in WITH_RANDOMNESS:
        return getattr(all_layers, name)(*sizes, make)
    if name in WITHOUT:
        return getattr(all_layers, name)(*sizes)
    raise KeyError(name)


def scaled(images: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return images as numbers from 0 to 1 of this type; uint8 ones are divided by 255."""
    factor = 1 / 255 if images.dtype == np.uint8 else 1
    return np.multiply(images, factor, dtype=dtype)
