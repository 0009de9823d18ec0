"""A network in whole numbers of eight bits: how `export` makes it, runs it and looks at it.

Weights and maps are int8 (scale times (number minus zero point)), input and output, too. The
scales of the maps come from training images that the converter sends through the network
(B. Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-
Only Inference", CVPR 2018).
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from common.lite_model import why_not_converted
from common.streams import without_startup_chatter, without_stderr
from common.user_error import UserError

if TYPE_CHECKING:
    import keras

LEAST_REPRESENTATIVE, MOST_REPRESENTATIVE = 100, 500  # images
INPUT_SCALE, INPUT_ZERO = 1 / 255, -128  # of pixels in [0, 1]
SCALE_TOLERANCE = 0.1  # as a share: more means that black or white did not occur


class Quantisation(NamedTuple):
    """What the numbers of an int8 tensor stand for: scale * (number - zero_point)."""

    scale: float
    zero_point: int

    def quantise(self, values: np.ndarray) -> np.ndarray:
        """Return the nearest int8 numbers of float values, of the same shape."""
        numbers = np.round(values / self.scale) + self.zero_point
        return np.clip(numbers, -128, 127).astype(np.int8)


class Int8Network:
    """An int8 LiteRT file, ready to run with a batch of one.

    Attributes:
        input: how pixels in [0, 1] are quantised.
        output: what the int8 numbers that it returns stand for.
        types: of the numbers in and out.
        n_classes: how many numbers it returns.
    """

    def __init__(self, content: bytes, reference: bool = False):
        """Load a file's content; `reference`: with the kernels that microcontrollers run, too."""
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        kind = OpResolverType.BUILTIN_REF if reference else OpResolverType.AUTO
        with without_startup_chatter():
            self._interpreter = Interpreter(
                model_content=content, experimental_op_resolver_type=kind
            )
            self._interpreter.allocate_tensors()
        (given,), (returned,) = (
            self._interpreter.get_input_details(),
            self._interpreter.get_output_details(),
        )
        self._input, self._output = given["index"], returned["index"]
        self.input = Quantisation(*given["quantization"])
        self.output = Quantisation(*returned["quantization"])
        self.types = given["dtype"], returned["dtype"]
        self.n_classes = int(returned["shape"][1])

    def run(self, images: np.ndarray) -> np.ndarray:
        """Return the int8 outputs (n, n_classes) of images float32 (n, 28, 28, 1) in [0, 1]."""
        outputs = []
        for image in self.input.quantise(images):
            self._interpreter.set_tensor(self._input, image[None])
            self._interpreter.invoke()
            outputs.append(self._interpreter.get_tensor(self._output)[0])
        return np.array(outputs)


def as_int8(
    network: "keras.Model", images: np.ndarray, per_tensor: bool, model_path: Path
) -> bytes:
    """Return a network as an int8 LiteRT file with a batch of one.

    Args:
        network: in float32, images (n, 28, 28, 1) in.
        images: representative ones, float32 (n, 28, 28, 1) in [0, 1].
        per_tensor: one scale for all channels of a layer, in place of one each: fewer bytes, a
            little less exact.
        model_path: the file that the network was loaded from, for the error.

    Raises:
        UserError: the network does not convert.
    """
    import tensorflow as tf

    shape = tf.TensorSpec((1, *images.shape[1:]), tf.float32)
    call = tf.function(lambda image: network(image, training=False))
    try:
        with _without_converters_chatter():
            converter: Any = tf.lite.TFLiteConverter.from_concrete_functions(
                [call.get_concrete_function(shape)]
            )
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([image[None]] for image in images)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
            converter._experimental_disable_per_channel = per_tensor
            return converter.convert()
    # The converter raises errors of many kinds, none of them documented.
    except Exception as error:
        reason = why_not_converted(error)
        raise UserError(f"{model_path} does not convert to int8: {reason}.") from error


@contextmanager
def _without_converters_chatter() -> Iterator[None]:
    """Hush the converter: notes on options, and pages of internals before its errors."""
    log = logging.getLogger("absl")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), without_stderr():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)


# --- Looking at what came out -------------------------------------------------------------------


def check_quantisation(network: Int8Network, model_path: Path) -> None:
    """Check what most often makes an int8 network useless: its types and the input's scale.

    Raises:
        UserError: it is not int8 in and out, or its input is not scaled for pixels in [0, 1].
    """
    if network.types != (np.int8, np.int8):
        names = " and ".join(one.__name__ for one in network.types)
        raise UserError(f"{model_path} became {names} in and out, expected int8. This is a bug.")
    scale, zero_point = network.input
    is_usual = abs(scale / INPUT_SCALE - 1) <= SCALE_TOLERANCE and zero_point == INPUT_ZERO
    if not is_usual:
        raise UserError(
            f"the input of the int8 network has scale {scale:.5f} and zero point {zero_point}, "
            f"expected about {INPUT_SCALE:.5f} (1/255) and {INPUT_ZERO}: the training images do "
            "not reach from black to white. Train on images from 0 to 255."
        )


def check_answers(outputs: np.ndarray, model_path: Path) -> None:
    """Check that the answers depend on the image.

    Args:
        outputs: int8 (n, n_classes).

    Raises:
        UserError: they are the same for every image.
    """
    if (outputs == outputs[0]).all():
        raise UserError(
            f"{model_path} answers every image alike as int8: its numbers do not fit into eight "
            "bits. Train it longer, or with --precision float32."
        )
