"""The networks, by name.

One function a network: `(input_shape, n_classes) -> keras.Model`, untrained, with images in [0, 1]
going in and class probabilities coming out. To add yours, write a file with the function and name
both in ARCHITECTURES; `python _00_main.py --architecture NAME` then trains it.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from user_error import unknown_name

if TYPE_CHECKING:
    import keras

# Name -> module with a function of that name. The module is imported when the network is built,
# so that the names can be checked without waiting for Keras to load.
ARCHITECTURES = {
    "fast_cnn": "architectures.fast_cnn",
    "fast_cnn_tiny": "architectures.fast_cnn",
    "fast_cnn_small": "architectures.fast_cnn",
    "cnn_mnist_101": "architectures.cnn_mnist_101",
    "keras_example": "architectures.keras_example",
}


def check_architecture(name: str) -> None:
    """Raise UserError, with the nearest valid name, if no network is called `name`."""
    if name not in ARCHITECTURES:
        raise unknown_name("architecture", name, ARCHITECTURES)


def build_architecture(
    name: str, input_shape: tuple[int, int, int] = (28, 28, 1), n_classes: int = 10
) -> "keras.Model":
    """Build the network called `name`, with fresh weights from Keras' global seed."""
    return getattr(import_architecture(name), name)(input_shape, n_classes)


def import_architecture(name: str) -> ModuleType:
    """Return the module of a network; importing it also registers layers of its own with Keras."""
    check_architecture(name)
    return import_module(ARCHITECTURES[name])
