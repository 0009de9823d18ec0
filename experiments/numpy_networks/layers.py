"""The layers of a network, each with a forward and a backward pass. Read this file first.

Forward, a layer makes outputs of its inputs. Backward, it is told how the loss changes with each
of its outputs, and says how the loss changes with each of its inputs: the chain rule, one layer at
a time. A layer that has parameters notes on the way how the loss changes with each of these. That
is all of back-propagation (D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning
representations by back-propagating errors", Nature 323, 1986).

In the code, L is the loss, and `d_outputs` is dL/d outputs: an array of the shape of the outputs.
The first axis of all inputs and outputs is the image. One image alone is a batch of n = 1.
"""

import functools
import math
from typing import Any

import numpy as np

Array = np.ndarray


class Layer:
    """What all layers have in common."""

    def __init__(self) -> None:
        self.parameters: dict[str, Array] = {}  # what is learned, by name
        self.gradients: dict[str, Array] = {}  # dL/d parameter, of the same shapes
        self.needs_d_inputs = True  # a network's first layer does not: images are not learned

    def forward(self, inputs: Array, training: bool = False) -> Array:
        """Return the outputs, and keep what the backward pass will need."""
        raise NotImplementedError

    def backward(self, d_outputs: Array) -> Array:
        """Return dL/d inputs, and keep dL/d parameters in `gradients`."""
        raise NotImplementedError

    def declare(self, **parameters: Array) -> None:
        """Declare the parameters, and make room for their gradients."""
        self.parameters = parameters
        self.gradients = {name: np.zeros_like(value) for name, value in parameters.items()}


class Dense(Layer):
    """Each output is a weighted sum of all inputs, plus a bias.

    outputs[n, o] = sum over i of inputs[n, i] * weights[i, o] + bias[o]

    Args:
        n_inputs, n_outputs: sizes.
        make: see `Maker`; draws the first weights.

    Shapes: inputs (n, n_inputs), outputs (n, n_outputs), weights (n_inputs, n_outputs).
    """

    def __init__(self, n_inputs: int, n_outputs: int, make: "Maker") -> None:
        super().__init__()
        self.declare(
            weights=make.weights((n_inputs, n_outputs), n_inputs), bias=make.zeros(n_outputs)
        )

    def forward(self, inputs: Array, training: bool = False) -> Array:
        """Return (n, n_outputs)."""
        self.inputs = inputs
        return inputs @ self.parameters["weights"] + self.parameters["bias"]

    def backward(self, d_outputs: Array) -> Array:
        """Return (n, n_inputs).

        A weight joins one input with one output. It moves that output by its input, in each
        image: so dL/d weight is their product, summed over the images.
        """
        # Of one image, this is the outer product of two vectors. `out` saves making a new array.
        np.dot(self.inputs.T, d_outputs, out=self.gradients["weights"])
        d_outputs.sum(axis=0, out=self.gradients["bias"])
        if not self.needs_d_inputs:
            return np.empty(0)
        # An input reaches all outputs, each through one weight: what comes back is their sum.
        return d_outputs @ self.parameters["weights"].T


class Sigmoid(Layer):
    """Squeezes each number into 0 to 1: a = 1 / (1 + exp(-z)). Any shape."""

    def forward(self, inputs: Array, training: bool = False) -> Array:
        """Return the outputs, of the same shape."""
        # The same function by the hyperbolic tangent: exp(-z) would overflow for z = -1000.
        self.outputs = 0.5 + 0.5 * np.tanh(0.5 * inputs)
        return self.outputs

    def backward(self, d_outputs: Array) -> Array:
        """Return dL/dz = dL/da * a (1 - a): next to nothing where the output is near 0 or 1."""
        return d_outputs * self.outputs * (1 - self.outputs)


class ReLU(Layer):
    """Lets positive numbers through and makes the others 0. Any shape."""

    def forward(self, inputs: Array, training: bool = False) -> Array:
        """Return the outputs, of the same shape."""
        self.is_positive = inputs > 0
        return inputs * self.is_positive

    def backward(self, d_outputs: Array) -> Array:
        """Return what passes back: all of it where the input was positive, else nothing."""
        return d_outputs * self.is_positive


class Dropout(Layer):
    """In training, makes a random share of the inputs 0, so that no unit relies on one other.

    Those that stay are made larger, so that their sum is on average the same. When the network is
    used, all stay as they are (N. Srivastava et al., "Dropout", JMLR 15, 2014). Any shape.
    """

    def __init__(self, rate: float, make: "Maker") -> None:
        super().__init__()
        self.keep, self.rng = 1 - rate, make.rng

    def forward(self, inputs: Array, training: bool = False) -> Array:
        """Return the outputs, of the same shape."""
        if not training:
            self.factors: Any = 1
            return inputs
        stays = self.rng.random(inputs.shape, dtype=np.float32) < self.keep
        self.factors = stays * inputs.dtype.type(1 / self.keep)
        return inputs * self.factors

    def backward(self, d_outputs: Array) -> Array:
        """Return what passes back: nothing where the forward pass put a 0."""
        return d_outputs * self.factors


class Reshape(Layer):
    """Gives the same numbers another shape: (784,) becomes (28, 28, 1), or the other way round."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, inputs: Array, training: bool = False) -> Array:
        """Return (n, *shape)."""
        self.before = inputs.shape
        return inputs.reshape(-1, *self.shape)

    def backward(self, d_outputs: Array) -> Array:
        """Return the gradient in the shape that the inputs had."""
        return d_outputs.reshape(self.before)


class Conv2D(Layer):
    """A Dense layer that sees a small window, moved over the whole image with the same weights.

    All windows become the rows of one matrix ("im2col"); so a convolution is one product of
    matrices, which BLAS does fast. Without a margin, the outputs are size - 1 smaller.

    Args:
        size: height and width of the window.
        n_channels, n_filters: how many numbers a pixel of the inputs, and of the outputs, has.
        make: see `Maker`; draws the first weights.

    Shapes: inputs (n, h, w, n_channels), outputs (n, h - size + 1, w - size + 1, n_filters),
    weights (size, size, n_channels, n_filters).
    """

    def __init__(self, size: int, n_channels: int, n_filters: int, make: "Maker") -> None:
        super().__init__()
        self.size = size
        shape = (size, size, n_channels, n_filters)
        self.declare(
            weights=make.weights(shape, size * size * n_channels), bias=make.zeros(n_filters)
        )

    def forward(self, inputs: Array, training: bool = False) -> Array:
        """Return (n, h - size + 1, w - size + 1, n_filters)."""
        window, self.inputs_shape = (self.size, self.size), inputs.shape
        # A view: (n, rows, columns, n_channels, size, size), nothing is copied yet ...
        windows = np.lib.stride_tricks.sliding_window_view(inputs, window, axis=(1, 2))
        self.map_shape = windows.shape[:3]
        # ... but here: a row per window, its numbers in the order of the weights.
        self.rows = windows.transpose(0, 1, 2, 4, 5, 3).reshape(math.prod(self.map_shape), -1)
        weights = self.parameters["weights"]
        outputs = self.rows @ weights.reshape(-1, weights.shape[-1])
        outputs += self.parameters["bias"]
        return outputs.reshape(*self.map_shape, -1)

    def backward(self, d_outputs: Array) -> Array:
        """Return (n, h, w, n_channels).

        For the weights, this is Dense: a weight serves in all windows, so they are summed, too.
        """
        weights = self.parameters["weights"]
        d_rows_out = d_outputs.reshape(len(self.rows), -1)
        d_weights = self.gradients["weights"].reshape(-1, weights.shape[-1])
        np.dot(self.rows.T, d_rows_out, out=d_weights)
        d_rows_out.sum(axis=0, out=self.gradients["bias"])
        if not self.needs_d_inputs:
            return np.empty(0)
        return self._back_to_pixels(d_rows_out)

    def _back_to_pixels(self, d_rows_out: Array) -> Array:
        """Return dL/d inputs: a pixel lies in up to size * size windows, and all are summed.

        Args:
            d_rows_out: (n * rows * columns, n_filters), a row per window.
        """
        d_inputs = np.zeros(self.inputs_shape, d_rows_out.dtype)
        n, rows, columns = self.map_shape
        for i, j in np.ndindex(self.size, self.size):
            # To the pixel at (i, j) of each window leads one matrix of weights, as in Dense.
            d_pixels = d_rows_out @ self.parameters["weights"][i, j].T
            d_pixels = d_pixels.reshape(n, rows, columns, -1)
            d_inputs[:, i : i + rows, j : j + columns] += d_pixels
        return d_inputs


class MaxPool(Layer):
    """Keeps the largest number of each square of size * size pixels, channel by channel.

    Shapes: inputs (n, h, w, c), outputs (n, h // size, w // size, c). `size` must divide h and w.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def corners(self, array: Array) -> list[Array]:
        """Return size * size views: the first pixels of all squares, their second ones, ..."""
        steps = range(self.size)
        return [array[:, i :: self.size, j :: self.size] for i in steps for j in steps]

    def forward(self, inputs: Array, training: bool = False) -> Array:
        """Return (n, h // size, w // size, c)."""
        self.inputs = inputs
        self.outputs = functools.reduce(np.maximum, self.corners(inputs))
        return self.outputs

    def backward(self, d_outputs: Array) -> Array:
        """Return (n, h, w, c): only the largest pixel of a square moved the output.

        Where several are the largest, the first one gets it all.
        """
        d_inputs = np.empty_like(self.inputs)
        is_free = np.ones(self.outputs.shape, bool)
        for pixels, d_pixels in zip(self.corners(self.inputs), self.corners(d_inputs), strict=True):
            is_largest = (pixels == self.outputs) & is_free
            np.multiply(d_outputs, is_largest, out=d_pixels)
            is_free &= ~is_largest
        return d_inputs


class Maker:
    """Draws first weights.

    Args:
        rng: the one source of all that is random in a training.
        dtype: float32 or float64, of all parameters.
        deviation: standard deviation of the first weights. None: sqrt(2 / inputs of a unit), with
            which ReLU layers neither blow signals up nor let them fade (K. He et al., "Delving
            deep into rectifiers", ICCV 2015).
    """

    def __init__(self, rng: np.random.Generator, dtype: str, deviation: float | None) -> None:
        self.rng, self.dtype, self.deviation = rng, dtype, deviation

    def weights(self, shape: tuple[int, ...], n_inputs: int) -> Array:
        """Return normally distributed weights of this shape."""
        deviation = (2 / n_inputs) ** 0.5 if self.deviation is None else self.deviation
        return (deviation * self.rng.standard_normal(shape)).astype(self.dtype)

    def zeros(self, n: int) -> Array:
        """Return a bias of n zeros."""
        return np.zeros(n, self.dtype)
