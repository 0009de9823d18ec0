"""A network as an ONNX file, which many runtimes read, and running it by one of them."""

import importlib
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.streams import without_stderr
from common.user_error import UserError, reason_of

if TYPE_CHECKING:
    import keras

PACKAGES = ("onnx", "tf2onnx", "onnxruntime")
BATCH_SIZE = 500  # images


def as_onnx(model: "keras.Model", model_path: Path) -> bytes:
    """Return a Keras model as the content of an ONNX file, which takes batches of any size.

    Args:
        model_path: the file that the model was loaded from, for the error.

    Raises:
        UserError: a package is missing, or the model does not convert.
    """
    _check_packages()
    model(np.zeros((1, *model.input_shape[1:]), "float32"))  # Keras exports only what was called
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        try:
            with warnings.catch_warnings(), without_stderr():
                warnings.simplefilter("ignore")
                model.export(str(path), format="onnx", verbose=False)
        # The converter raises errors of many kinds, none of them documented.
        except Exception as error:
            raise UserError(
                f"{model_path} does not convert to ONNX: {reason_of(error)}."
            ) from error
        return path.read_bytes()


def run_onnx(content: bytes, images: np.ndarray) -> np.ndarray:
    """Return the outputs (n, n_classes) of an ONNX file for images float32 (n, 28, 28, 1)."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    parts = (images[start : start + BATCH_SIZE] for start in range(0, len(images), BATCH_SIZE))
    return np.concatenate([np.asarray(session.run(None, {name: part})[0]) for part in parts])


def _check_packages() -> None:
    """Raise UserError if a package that the export needs is not installed."""
    for name in PACKAGES:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise UserError(
                f"'{error.name}' is not installed. Run 'pip install -r requirements-extras.txt', "
                f"or 'pip install {' '.join(PACKAGES)}'."
            ) from error
