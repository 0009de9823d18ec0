"""What the page of `draw_a_digit` knows of a network: its steps as JSON, its weights as base64.

The kernels are int16, each in a unit of its own, if the probabilities stay what they were; else
float32. That is tried out on real images, by a computation of the same steps in Python. (float16
errs ten times as much: an exponent for every weight is worth less than further digits.) Biases,
scales and shifts are few, and stand in the JSON as they are.
"""

import base64
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from apps.page_network import Pass, convert
from apps.page_steps import Step
from common.user_error import UserError

TOLERANCE = 1e-3  # of a probability, between the page and Keras
PRECISIONS = ("int16", "float32")  # the shorter first
LARGEST_INT16 = 32767


class PageData(NamedTuple):
    """A network in the form that the page reads."""

    network: dict[str, Any]  # {"precision", "steps": [...], "passes": [{"share", "steps"}, ...]}
    weights: str  # base64 of all kernels, one after the other, little-endian
    precision: str  # int16 or float32
    difference: float  # the largest of a probability from Keras', on the images


def make_page_data(model: keras.Model, images: np.ndarray) -> PageData:
    """Return a classifier as the page reads it, in the shortest precision that serves.

    Args:
        model: images (n, height, width, channels) in, class probabilities (n, n_classes) out.
        images: float32 (n, height, width, channels) in [0, 1], real ones, to try it out.

    Raises:
        UserError: a layer is unknown to the page, the outputs are no probabilities, or what the
            page would compute differs from them.
    """
    passes = convert(model)
    expected = ops.convert_to_numpy(model(images, training=False)).astype(np.float32)
    if not (np.abs(expected.sum(axis=1) - 1) < 0.01).all():  # NaN neither
        raise UserError(
            f"the model's outputs sum to {expected[0].sum():.3g}; expected probabilities, which "
            "sum to 1. End the model with activation='softmax'."
        )
    difference = np.inf
    for precision in PRECISIONS:
        rounded = [_rounded(one, precision) for one in passes]
        difference = float(np.abs(predict(rounded, images) - expected).max())
        if difference <= TOLERANCE / 2:  # the other half is for the browser's own rounding
            network, weights = _pack(passes, precision)
            return PageData(network, weights, precision, difference)
    raise UserError(
        f"the page would differ from the model by {difference:.2g} in a probability; at most "
        f"{TOLERANCE:g} is allowed. Train the model in float32, or leave out unusual layers."
    )


# --- Packing ------------------------------------------------------------------------------------


def _rounded(one: Pass, precision: str) -> Pass:
    """Return the pass with its weights as the page will have them."""
    steps = []
    for step in one.steps:
        weights = dict(step.weights)
        if "kernel" in weights:
            stored, unit = _stored(weights["kernel"], precision)
            weights["kernel"] = stored * unit
        steps.append(step._replace(weights=weights))
    return Pass(one.share, tuple(steps))


def _stored(kernel: np.ndarray, precision: str) -> tuple[np.ndarray, float]:
    """Return a kernel as it is stored, and the unit that its numbers are in."""
    if precision == "float32":
        return kernel.astype(np.float32), 1.0
    unit = float(np.abs(kernel).max() / LARGEST_INT16) or 1.0  # of zeros, any unit
    return np.rint(kernel / unit), unit


def _pack(passes: Sequence[Pass], precision: str) -> tuple[dict[str, Any], str]:
    """Return the network and its weights; a step that several passes share is there once."""
    steps: dict[Any, Step] = {}
    for one in passes:
        for step in one.steps:
            steps.setdefault(_identity(step), step)
    places = {identity: place for place, identity in enumerate(steps)}
    start, described, kernels = 0, [], []
    for step in steps.values():
        weights: dict[str, Any] = {
            name: [float(f"{number:.8g}") for number in array]  # as exact as float32
            for name, array in step.weights.items()
            if name != "kernel"
        }
        if "kernel" in step.weights:
            kernel, unit = _stored(step.weights["kernel"], precision)
            weights["kernel"] = {"start": start, "shape": kernel.shape, "unit": unit}
            kernels.append(kernel)
            start += kernel.size
        described.append(_description(step, weights))
    network = {
        "precision": precision,
        "steps": described,
        "passes": [
            {"share": one.share, "steps": [places[_identity(step)] for step in one.steps]}
            for one in passes
        ],
    }
    return network, _to_base64(kernels, precision)


def _identity(step: Step) -> Any:
    return step.sources, step.input


def _description(step: Step, weights: dict[str, Any]) -> dict[str, Any]:
    shapes = {"input": _as_map(step.input), "output": _as_map(step.output)}
    return {"kind": step.kind, "name": step.name, **shapes, **step.options, "weights": weights}


def _as_map(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return (height, width, channels), also for a vector."""
    return (1, 1, *shape) if len(shape) == 1 else shape


def _to_base64(arrays: Iterable[np.ndarray], precision: str) -> str:
    dtype = np.dtype(precision).newbyteorder("<")
    content = b"".join(np.ascontiguousarray(array, dtype).tobytes() for array in arrays)
    return base64.b64encode(content).decode()


# --- The same computation in Python -------------------------------------------------------------


def predict(passes: Sequence[Pass], images: np.ndarray) -> np.ndarray:
    """Return what the passes make of images (n, height, width, channels): float32 (n, n_classes).

    It says whether the steps are the model, before they are put into a page.
    """
    total = np.zeros(())
    for one in passes:
        tensor = ops.convert_to_tensor(images)
        for step in one.steps:
            tensor = _activate(step, ops.reshape(_compute(step, tensor), (-1, *step.output)))
        total = total + one.share * ops.convert_to_numpy(tensor)
    return total.astype(np.float32)


def _compute(step: Step, tensor: Any) -> Any:
    """Return a step's output before its activation."""
    weights = {name: array.astype(np.float32) for name, array in step.weights.items()}
    options = step.options
    match step.kind:
        case "convolution":
            framed = _window(step, tensor, weights["kernel"].shape[:2])
            return ops.conv(framed, weights["kernel"], options["strides"]) + weights["bias"]
        case "dense":
            return ops.matmul(tensor, weights["kernel"]) + weights["bias"]
        case "scale":
            return tensor * weights["scale"] + weights["shift"]
        case "pool" if options["max"]:
            return ops.max_pool(tensor, options["size"], options["strides"], _padding(step))
        case "pool":
            return ops.average_pool(tensor, options["size"], options["strides"], _padding(step))
        case "window":
            return _window(step, tensor, (1, 1))
    return tensor  # flatten, or an activation


def _window(step: Step, tensor: Any, size: Sequence[int]) -> Any:
    """Return the part of the tensor that the step looks at, with zeros where it has nothing."""
    frame, part = [(0, 0)], [slice(None)]
    strides = step.options.get("strides", (1, 1))
    for axis in range(2):
        start = step.options["start"][axis]
        stop = start + (step.output[axis] - 1) * strides[axis] + size[axis]
        frame.append((max(-start, 0), max(stop - step.input[axis], 0)))
        part.append(slice(max(start, 0), max(start, 0) + stop - start))
    return ops.pad(tensor, [*frame, (0, 0)])[tuple(part)]


def _padding(step: Step) -> str:
    """Return Keras' word: "same" where the last window of a pooling reaches beyond the tensor."""
    if len(step.output) == 1:  # one window over the whole
        return "valid"
    sides = zip(
        step.output, step.options["strides"], step.options["size"], step.input, strict=False
    )
    fits = all((out - 1) * stride + size <= into for out, stride, size, into in sides)
    return "valid" if fits else "same"


def _activate(step: Step, tensor: Any) -> Any:
    name = step.options.get("activation", "linear")
    return tensor if name == "linear" else getattr(keras.activations, name)(tensor)
