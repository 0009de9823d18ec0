"""The networks, by name.

One function a network: `(input_shape, n_classes) -> keras.Model`, untrained, with images in [0, 1]
going in and class probabilities coming out. To add yours, write a file with the function and name
both in ARCHITECTURES; `python _00_main.py --architecture NAME` then trains it.

A function may take more, by name. Such values stand in brackets behind the network's name:
`--architecture "vgg16(width=0.5)"`.
"""

import ast
import inspect
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from common.user_error import UserError, reason_of, unknown_name

if TYPE_CHECKING:
    import keras

# Name -> module with a function of that name. The module is imported when the network is built,
# so that the names can be checked without waiting for Keras to load.
ARCHITECTURES = {
    "fast_cnn": "architectures.fast_cnn",
    "fast_cnn_tiny": "architectures.fast_cnn",
    "fast_cnn_small": "architectures.fast_cnn",
    "cnn_mnist_101": "architectures.cnn_mnist_101",
    "tiny_cnn": "architectures.tiny",
    "tiny_cnn_small": "architectures.tiny",
    "tiny_cnn_large": "architectures.tiny",
    "keras_example": "architectures.keras_example",
    "fashion_cnn": "architectures.fashion_cnn",
    "fashion_example": "architectures.fashion_example",
    **dict.fromkeys(("simple_conv", "drop_conv"), "architectures.lecture"),
    **dict.fromkeys(("sweep_baseline", "sweep_best"), "architectures.sweep"),
    **dict.fromkeys(("one_convolution", "two_convolutions"), "architectures.one_factor"),
    **dict.fromkeys(
        ("lenet5", "alexnet", "vgg16", "googlenet", "resnet20"), "architectures.classic"
    ),
}


def check_architecture(text: str) -> None:
    """Raise UserError if `text` names no network, or has values that cannot be read."""
    parse_architecture(text)


def parse_architecture(text: str) -> tuple[str, dict[str, Any]]:
    """Return the name of a network, and by name the values in the brackets behind it.

    Raises:
        UserError: no network is called so (the nearest valid name is given), or the brackets hold
            anything but names and values.
    """
    name, bracket, values = text.partition("(")
    if name not in ARCHITECTURES:
        raise unknown_name("architecture", name, ARCHITECTURES)
    if not bracket:
        return name, {}
    try:
        call = ast.parse(f"f({values}", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
            raise ValueError("not only names and values")
        names = [one.arg or "**" for one in call.keywords]
        if len({*names}) < len(names):
            raise ValueError("a name twice")
        read = [ast.literal_eval(one.value) for one in call.keywords]
        return name, dict(zip(names, read, strict=True))
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise UserError(
            f"architecture {text!r} cannot be read: expected a name, or a name with values, such "
            "as vgg16(width=0.5)."
        ) from error


def build_architecture(
    text: str, input_shape: tuple[int, int, int] = (28, 28, 1), n_classes: int = 10
) -> "keras.Model":
    """Build a network by its name, with fresh weights from Keras' global seed.

    Args:
        text: the name, and in brackets behind it what its function takes besides the shapes.
        input_shape: (height, width, channels).
        n_classes: width of the softmax output.

    Raises:
        UserError: the function takes no such value, or what it returns is no classifier that can
            be trained and saved.
    """
    name, values = parse_architecture(text)
    function = getattr(import_architecture(name), name)
    network = _build(function, text, values, input_shape, n_classes)
    if problem := problem_of(network, input_shape, n_classes):
        raise UserError(f"architecture '{text}' cannot be used: {problem}.")
    return network


def _build(
    function: Callable[..., Any],
    text: str,
    values: dict[str, Any],
    input_shape: tuple[int, int, int],
    n_classes: int,
) -> Any:
    """Return what a network's function makes of the values that the user has given."""
    if not values:
        return function(input_shape, n_classes)
    _, _, *names = inspect.signature(function).parameters
    for name in values:
        if name not in names:
            raise unknown_name(f"value in architecture '{text}'", name, names)
    try:
        return function(input_shape, n_classes, **values)
    except Exception as error:  # the function may raise anything: width="wide", units=10**12, ...
        raise UserError(f"architecture '{text}' cannot be built: {reason_of(error)}.") from error


def import_architecture(name: str) -> ModuleType:
    """Return the module of a network; importing it also registers layers of its own with Keras."""
    check_architecture(name)
    return import_module(ARCHITECTURES[name])


def problem_of(network: Any, input_shape: tuple[int, int, int], n_classes: int) -> str | None:
    """Return why an object is no classifier for such images, or None if it is one.

    A network must be a graph of layers that can be saved and loaded, and a few images must come
    out as probabilities. Otherwise it would train to nothing, or be lost after the training.
    """
    import keras

    if not isinstance(network, keras.Model):
        return f"its function returned {type(network).__name__}, expected a keras.Model"
    inputs = getattr(network, "inputs", None)
    if inputs is None:
        return (
            f"it has no inputs. Begin a Sequential with keras.Input({input_shape}); write a "
            "subclass of keras.Model as a functional model, or its layers cannot be saved"
        )
    if len(inputs) != 1:
        return f"it has {len(inputs)} inputs, expected 1"
    if inputs[0].shape[1:] != input_shape:
        return f"it takes images of shape {inputs[0].shape[1:]}, expected {input_shape}"
    output = network(keras.Input(input_shape))  # as other models will call it
    if not isinstance(output, keras.KerasTensor):
        structure = type(output).__name__
        return f"it returns a {structure} of {len(network.outputs)} outputs, expected one tensor"
    return _problem_of_outputs(network, input_shape, n_classes) or _problem_of_saving(network)


def _problem_of_outputs(
    network: "keras.Model", input_shape: tuple[int, int, int], n_classes: int
) -> str | None:
    """Return what is wrong with what the network makes of a black and of a grey image."""
    import keras
    import numpy as np

    images = np.stack([np.zeros(input_shape, np.float32), np.full(input_shape, 0.5, np.float32)])
    outputs = keras.ops.convert_to_numpy(network(images, training=False)).astype(np.float64)
    if outputs.shape != (2, n_classes):
        return f"its output has shape {outputs.shape[1:]}, expected ({n_classes},)"
    if not np.isfinite(outputs).all():
        return "its outputs are not finite numbers"
    sums = outputs.sum(axis=1)
    if outputs.min() < -0.001 or np.abs(sums - 1).max() > 0.01:
        return (
            f"its outputs run from {outputs.min():.3g} to {outputs.max():.3g} and sum to "
            f"{sums[0]:.3g}, expected probabilities: end it with activation='softmax'"
        )
    return None


def _problem_of_saving(network: "keras.Model") -> str | None:
    """Return what keeps the network from being saved and loaded again."""
    import keras

    try:
        config = keras.saving.serialize_keras_object(network)
        loaded = keras.saving.deserialize_keras_object(config)
    # A layer of the user's may raise anything here.
    except Exception as error:
        cause = str(error).rpartition("Exception encountered: ")[2]  # Keras wraps the error
        reason = " ".join(cause.split())[:200]
        return f"it cannot be saved and loaded again ({type(error).__name__}: {reason})"
    if [w.shape for w in loaded.weights] != [w.shape for w in network.weights]:
        return "once saved and loaded, it has other weights"
    return None
