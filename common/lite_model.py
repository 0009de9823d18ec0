"""A network as a LiteRT file: it starts in a tenth of a second, where Keras takes seconds.

The file lies beside the Keras model that it was made of, `best_model.tflite` beside
`best_model.keras`, and names the SHA-256 of that model. So a file of an older model is not taken
for the newer one's.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.safe_files import write_atomically
from common.streams import without_startup_chatter, without_stderr
from common.user_error import UserError, reason_of

if TYPE_CHECKING:
    import keras

BATCH_SIZE = 64  # images; more gain nothing, and take memory
LARGEST_DIFFERENCE = 2e-3  # of a probability between the file and Keras
Predict = Callable[[np.ndarray], np.ndarray]


def lite_path(model_path: Path) -> Path:
    """Return where the LiteRT file of a Keras model lies."""
    return model_path.with_suffix(".tflite")


def is_made_of(path: Path, model_path: Path) -> bool:
    """Return whether the LiteRT file is there and was made of this Keras model."""
    try:
        digest = hashlib.sha256(model_path.read_bytes()).hexdigest()
        return digest.encode() in path.read_bytes()
    except OSError:
        return False


def load_lite(path: Path) -> Predict:
    """Return the function of a LiteRT file: images float32 (n, 28, 28, 1) in, (n, n_classes) out.

    Raises:
        UserError: no LiteRT file, or one of another input or output.
        ModuleNotFoundError: the package `ai-edge-litert` is not installed.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        with without_startup_chatter():
            interpreter = Interpreter(str(path), num_threads=os.cpu_count())
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(f"{path} cannot be read as a LiteRT model: {reason}.") from error
    (given, *more), (returned, *_) = (
        interpreter.get_input_details(),
        interpreter.get_output_details(),
    )
    shape = tuple(int(side) for side in given["shape"][1:])
    if more or shape != (28, 28, 1) or given["dtype"] != np.float32:
        raise UserError(
            f"{path} takes {given['dtype'].__name__} {shape}, expected float32 (28, 28, 1)."
        )
    if len(returned["shape"]) != 2:
        raise UserError(f"{path} returns no class probabilities, which are (n, n_classes).")

    def predict_batch(images: np.ndarray) -> np.ndarray:
        if len(images) != interpreter.get_input_details()[0]["shape"][0]:
            interpreter.resize_tensor_input(given["index"], images.shape)
            interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(returned["index"])  # a copy

    return predict_batch


def write_lite(model: "keras.Model", model_path: Path) -> Path:
    """Convert a Keras model, check the file against the model, and lay it beside the model's.

    Weights are kept in float16, which halves the file, unless the answers differ too much then.

    Args:
        model_path: the file that the model was loaded from.

    Raises:
        UserError: the model does not convert or answers otherwise then; the file cannot be written.
    """
    import keras
    from tensorflow.lite.tools import flatbuffer_utils

    digest = hashlib.sha256(model_path.read_bytes()).hexdigest()
    with tempfile.TemporaryDirectory() as folder:
        named = Path(folder, "named.tflite")
        for half in (True, False):
            lite = as_lite(model, model_path, half)
            content = flatbuffer_utils.convert_bytearray_to_object(lite)
            content.description = f"made of the Keras model with SHA-256 {digest}"
            flatbuffer_utils.write_model(content, str(named))
            difference = _difference(load_lite(named), model)
            if difference <= LARGEST_DIFFERENCE:
                break
        else:
            raise UserError(
                f"the LiteRT file of {model_path} answers otherwise than Keras: probabilities "
                f"differ by {difference:.2g}."
            )
        write_atomically(lite_path(model_path), named.read_bytes())
    keras.backend.clear_session()
    return lite_path(model_path)


def as_lite(model: "keras.Model", model_path: Path, half: bool) -> bytes:
    """Return a Keras model as the content of a LiteRT file, which takes batches of any size.

    Args:
        model_path: the file that the model was loaded from, for the error.
        half: keep weights in float16, which halves the file; else in float32.

    Raises:
        UserError: the model does not convert with LiteRT's own operators alone.
    """
    import tensorflow as tf

    # Unless it is told so, Keras lets operators in that only the whole of TensorFlow has.
    target: dict[str, Any] = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
    options: dict[str, Any] = {"target_spec": target}
    if half:
        target["supported_types"] = [tf.float16]
        options["optimizations"] = [tf.lite.Optimize.DEFAULT]
    with tempfile.TemporaryDirectory() as folder, without_stderr():
        path = Path(folder, "raw.tflite")
        try:
            model.export(str(path), format="litert", verbose=False, **options)
        # The converter raises errors of many kinds, none of them documented.
        except Exception as error:
            reason = why_not_converted(error)
            raise UserError(f"{model_path} does not convert to LiteRT: {reason}.") from error
        return path.read_bytes()


def why_not_converted(error: Exception) -> str:
    """Return what an error of the converter says, which buries the operator in its internals."""
    foreign = re.search(r"'tf\.(\w+)' op", str(error))
    return f"LiteRT has no operator for {foreign[1]}" if foreign else reason_of(error)


def _difference(predict: Predict, model: "keras.Model") -> float:
    """Return the largest difference of a probability between file and model, on noise."""
    draw = np.random.default_rng(0)
    images = draw.random((BATCH_SIZE, 28, 28, 1), "float32")
    images[::2] = images[::2] > 0.8
    images[:, :4] = images[:, -4:] = 0
    difference = float(np.abs(predict(images) - np.asarray(model(images))).max())
    return difference if np.isfinite(difference) else np.inf
