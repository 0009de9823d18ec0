"""A network in whole numbers of eight bits: how `export` makes it and looks at it.

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
from typing import TYPE_CHECKING, Any

import numpy as np

from common.int8_network import Int8Network
from common.lite_model import why_not_converted
from common.streams import without_stderr
from common.user_error import UserError

if TYPE_CHECKING:
    import keras

LEAST_REPRESENTATIVE, MOST_REPRESENTATIVE = 100, 500  # images
INPUT_SCALE, INPUT_ZERO = 1 / 255, -128  # of pixels in [0, 1]
SCALE_TOLERANCE = 0.1  # as a share: more means that black or white did not occur


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
    function = call.get_concrete_function(shape)
    if any("While" in operation.type for operation in function.graph.get_operations()):
        # In the search for their scales, TensorFlow's converter crashes, and the program with it.
        raise UserError(
            f"{model_path} does not convert to int8: it has a loop, as recurrent layers do. Try "
            "--format onnx."
        )
    try:
        with _without_converters_chatter():
            converter: Any = tf.lite.TFLiteConverter.from_concrete_functions([function])
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
