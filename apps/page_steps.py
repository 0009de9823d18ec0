"""The steps that the page of `draw_a_digit` knows, and how Keras layers become steps.

Batch normalisation and ReLU become part of the convolution or dense layer before them where
nothing lies between. A batch normalisation elsewhere is a scale and a shift per channel.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from keras import layers, ops

from common.user_error import UserError

ACTIVATIONS = ("linear", "relu", "sigmoid", "tanh", "softmax")
KNOWN = (
    "The page knows Conv2D, Dense, BatchNormalization, pooling, padding, cropping, Flatten, "
    f"Dropout, a mean at the end, and the activations {', '.join(ACTIVATIONS)}."
)
WEIGHTED = ("convolution", "dense", "scale")  # the kinds that have an activation of their own
Shape = tuple[int, ...]  # without the batch: (height, width, channels), or (n,)
Weights = dict[str, np.ndarray]  # float64


class Step(NamedTuple):
    """What one layer does to a tensor, or several in a row."""

    kind: str  # a name in STEPS of page/network.js
    name: str  # of the layer
    sources: tuple[int, ...]  # ids of the layers: where they are equal, two passes share the step
    input: Shape
    output: Shape
    options: dict[str, Any]
    weights: Weights


def steps_of(chain: Sequence[Any], shape: Shape) -> list[Step]:
    """Return the steps of a chain of layers, for images of this shape.

    Raises:
        UserError: the page does not know one of them.
    """
    steps: list[Step] = []
    for layer in chain:
        step = step_of(layer, shape)
        shape = step.output
        joined = _join(steps[-1], step) if steps else None
        steps[len(steps) - (joined is not None) :] = [joined or step]
    return [step for step in steps if not _does_nothing(step)]


def step_of(layer: Any, shape: Shape) -> Step:
    """Return one layer as a step, for an input of this shape.

    Raises:
        UserError: the page does not know it, or one of its options.
    """
    convert = CONVERTERS.get(type(layer))
    if convert is None:
        raise no_step(layer)
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise no_step(layer, " with the channels first")
    output = tuple(layer.compute_output_shape((None, *shape))[1:])
    kind, options, weights = convert(layer, shape, output)
    return Step(kind, layer.name, (id(layer),), shape, output, options, weights)


def title(layer: Any) -> str:
    """Return how messages name a layer."""
    return f"layer '{layer.name}' ({type(layer).__name__})"


def no_step(layer: Any, detail: str = "") -> UserError:
    """Return (not raise) the error for a layer that the page cannot compute."""
    return UserError(f"{title(layer)}{detail} cannot be put into the page. {KNOWN}")


# --- A layer by itself: (layer, input shape, output shape) -> kind, options, weights -------------


def _convolution(layer: Any, shape: Shape, output: Shape) -> tuple[str, dict, Weights]:
    if layer.groups != 1 or tuple(layer.dilation_rate) != (1, 1):
        raise no_step(layer, " with groups or dilation")
    options = {
        **_window_options(layer, layer.kernel_size, shape, output),
        "activation": _activation(layer),
    }
    return "convolution", options, _kernel_and_bias(layer)


def _dense(layer: Any, shape: Shape, _: Shape) -> tuple[str, dict, Weights]:
    if len(shape) != 1:
        raise no_step(layer, f" on a tensor of shape {shape}")
    return "dense", {"activation": _activation(layer)}, _kernel_and_bias(layer)


def _pool(layer: Any, shape: Shape, output: Shape) -> tuple[str, dict, Weights]:
    is_max = isinstance(layer, layers.MaxPooling2D)
    options = _window_options(layer, layer.pool_size, shape, output)
    return "pool", {**options, "size": list(layer.pool_size), "max": is_max}, {}


def _global_pool(layer: Any, shape: Shape, _: Shape) -> tuple[str, dict, Weights]:
    is_max = isinstance(layer, layers.GlobalMaxPooling2D)
    options = {"strides": [1, 1], "start": [0, 0], "size": list(shape[:2]), "max": is_max}
    return "pool", options, {}


def _window_options(layer: Any, size: Sequence[int], shape: Shape, output: Shape) -> dict:
    """Return the strides, and where the first window begins: above or left of the image if padded.

    Source: TensorFlow's rule for "same", which pads the odd pixel below and to the right.
    """
    starts = [0, 0]
    if layer.padding == "same":
        sides = zip(size, layer.strides, shape, output, strict=False)
        starts = [-(max((o - 1) * stride + k - i, 0) // 2) for k, stride, i, o in sides]
    return {"strides": list(layer.strides), "start": starts}


def _kernel_and_bias(layer: Any) -> Weights:
    kernel = _numbers(layer.kernel)
    bias = _numbers(layer.bias) if layer.use_bias else np.zeros(kernel.shape[-1])
    return {"kernel": kernel, "bias": bias}


def _numbers(variable: Any) -> np.ndarray:
    return ops.convert_to_numpy(variable).astype(np.float64)


def _normalisation(layer: Any, shape: Shape, _: Shape) -> tuple[str, dict, Weights]:
    """Return what batch normalisation does at inference: times a scale, plus a shift."""
    axis = layer.axis if isinstance(layer.axis, int) else layer.axis[0]
    if axis not in (-1, len(shape)):
        raise no_step(layer, f" on axis {axis}")
    deviation = np.sqrt(_numbers(layer.moving_variance) + layer.epsilon)
    scale = (_numbers(layer.gamma) if layer.scale else 1.0) / deviation
    shift = (_numbers(layer.beta) if layer.center else 0.0) - _numbers(layer.moving_mean) * scale
    return "scale", {"activation": "linear"}, {"scale": scale, "shift": shift}


def _padding(layer: Any, *_: Shape) -> tuple[str, dict, Weights]:
    (top, _below), (left, _right) = layer.padding
    return "window", {"start": [-top, -left]}, {}


def _cropping(layer: Any, *_: Shape) -> tuple[str, dict, Weights]:
    (top, _below), (left, _right) = layer.cropping
    return "window", {"start": [top, left]}, {}


def _relu(layer: Any, *_: Shape) -> tuple[str, dict, Weights]:
    if layer.max_value is not None or layer.negative_slope or layer.threshold:
        raise no_step(layer, " with max_value, negative_slope or threshold")
    return "activation", {"activation": "relu"}, {}


def _activation_layer(layer: Any, *_: Shape) -> tuple[str, dict, Weights]:
    return "activation", {"activation": _activation(layer)}, {}


def _softmax(layer: Any, shape: Shape, _: Shape) -> tuple[str, dict, Weights]:
    if layer.axis not in (-1, len(shape)):
        raise no_step(layer, f" on axis {layer.axis}")
    return "activation", {"activation": "softmax"}, {}


def _flatten(*_: Any) -> tuple[str, dict, Weights]:
    return "flatten", {}, {}


def _activation(layer: Any) -> str:
    name = getattr(layer.activation, "__name__", type(layer.activation).__name__)
    if name not in ACTIVATIONS:
        raise no_step(layer, f" with the activation {name}")
    return name


CONVERTERS = {
    layers.Conv2D: _convolution,
    layers.Dense: _dense,
    layers.BatchNormalization: _normalisation,
    layers.ReLU: _relu,
    layers.Activation: _activation_layer,
    layers.Softmax: _softmax,
    layers.MaxPooling2D: _pool,
    layers.AveragePooling2D: _pool,
    layers.GlobalMaxPooling2D: _global_pool,
    layers.GlobalAveragePooling2D: _global_pool,
    layers.ZeroPadding2D: _padding,
    layers.Cropping2D: _cropping,
    layers.Flatten: _flatten,
}


# --- Two steps in a row that are one ------------------------------------------------------------


def _join(first: Step, second: Step) -> Step | None:
    """Return one step that does what two in a row do, or None if there is none."""
    is_linear = first.kind in WEIGHTED and first.options["activation"] == "linear"
    joined = None
    if is_linear and second.kind == "activation":
        joined = first._replace(options={**first.options, **second.options})
    elif is_linear and first.kind != "scale" and second.kind == "scale":
        joined = first._replace(weights=_fold(first.weights, second.weights))
    elif first.kind == second.kind == "window" and _keeps_all(first):
        (top, left), (below, right) = first.options["start"], second.options["start"]
        joined = first._replace(options={"start": [top + below, left + right]})
    if joined is None:
        return None
    return joined._replace(output=second.output, sources=first.sources + second.sources)


def _fold(weights: Weights, normalisation: Weights) -> Weights:
    """Return weights (..., channels) whose sums are already scaled and shifted."""
    scale, shift = normalisation["scale"], normalisation["shift"]
    return {"kernel": weights["kernel"] * scale, "bias": weights["bias"] * scale + shift}


def _keeps_all(step: Step) -> bool:
    """Return whether a window pads alone: what a crop cuts off, no later window brings back."""
    sides = zip(step.options["start"], step.input, step.output, strict=False)
    return all(start <= 0 and start + out >= into for start, into, out in sides)


def _does_nothing(step: Step) -> bool:
    is_whole = step.kind == "window" and step.options["start"] == [0, 0]
    is_linear = step.kind == "activation" and step.options["activation"] == "linear"
    return is_linear or (is_whole and step.input == step.output)
