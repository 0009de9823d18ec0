"""What a network costs to compute, and how fast the machine could compute it at best."""

import math
import time

import keras

from common.user_error import UserError

FLOPS_PER_MULTIPLY_ADD = 2
PASSES = 3  # forward, and backward to the inputs and to the weights: each costs the same


def multiply_adds(network: keras.Model) -> int:
    """Return the multiply-adds of a network per image: of its convolutions and dense layers.

    A network inside a network counts once.

    Raises:
        UserError: it has a layer whose multiply-adds are not known.
    """
    return sum(layer_multiply_adds(layer) for layer in plain_layers(network))


def plain_layers(network: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers of a network and of the networks inside it, in order."""
    return [layer for layer in network._flatten_layers() if not isinstance(layer, keras.Model)]


def layer_multiply_adds(layer: keras.layers.Layer) -> int:
    """Return the multiply-adds of a layer per image; 0 for one without matrices of weights.

    Raises:
        UserError: the layer has matrices of weights, but is of no type known here.
    """
    if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
        shape = layer.output.shape
        height, width = shape[2:] if layer.data_format == "channels_first" else shape[1:3]
        return height * width * math.prod(layer.kernel.shape)
    if isinstance(layer, keras.layers.Dense):
        return math.prod(layer.output.shape[1:-1]) * math.prod(layer.kernel.shape)
    if any(len(weights.shape) > 1 for weights in layer.trainable_weights):
        name = type(layer).__name__
        raise UserError(f"the multiply-adds of a {name} layer are unknown to studies/costs.py.")
    return 0


def training_flops(multiply_adds_per_image: int, n_images: int) -> int:
    """Return the floating-point operations of training on so many images."""
    return FLOPS_PER_MULTIPLY_ADD * PASSES * multiply_adds_per_image * n_images


def compute_dtype(precision: str) -> str:
    """Return what a precision multiplies in: mixed_bfloat16 in bfloat16, float32 in float32."""
    return keras.DTypePolicy(precision).compute_dtype


def matrix_product_peak(dtype: str, size: int = 2048, seconds: float = 2.0) -> float:
    """Return the FLOP/s of the back end's matrix product: the best of all that fit in the time.

    Args:
        dtype: float32 or bfloat16.
        size: rows and columns of the square matrices.
        seconds: how long to go on; at least two products are made.
    """
    matrix = keras.ops.cast(keras.random.normal((size, size)), dtype)
    shortest, n_products, end = math.inf, 0, time.perf_counter() + seconds
    while n_products < 2 or time.perf_counter() < end:
        started = time.perf_counter()
        product = keras.ops.matmul(matrix, matrix)
        float(keras.ops.cast(product[0, 0], "float32"))  # wait for the result
        shortest = min(shortest, time.perf_counter() - started)
        n_products += 1
    return FLOPS_PER_MULTIPLY_ADD * size**3 / shortest
