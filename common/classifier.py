"""Loading a trained network to use it: through LiteRT where that is possible, else by Keras.

TensorFlow and Keras take four seconds to start, LiteRT a tenth of one. A Keras model that has no
LiteRT file yet gets one beside it at its first use.
"""

import re
import sys
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from common.command_line import PROJECT_DIR
from common.data_files import is_file, is_folder
from common.keras_start import load_keras
from common.lite_model import BATCH_SIZE, Predict, is_made_of, lite_path, load_lite, write_lite
from common.streams import without_startup_chatter
from common.user_error import UserError, reason_of

if TYPE_CHECKING:
    import keras


IMAGE_SHAPE = (28, 28, 1)
# Run folder of a network by the recipe `robust`: what the programs read pictures with by default.
DEFAULT_MODEL = PROJECT_DIR / "apps" / "robust_model"
MAX_BYTES = 1_000_000_000  # of an unpacked .keras file: 250 million parameters


class Classifier(NamedTuple):
    """A trained network that is ready to be used."""

    predict_batch: Predict
    runtime: str  # LiteRT or Keras
    n_classes: int

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return class probabilities, float32 (n, n_classes).

        Args:
            images: float32 (n, 28, 28) or (n, 28, 28, 1) in [0, 1], white on black.
        """
        batches = list(self.predict_in_batches(images))
        return np.concatenate(batches) if batches else np.zeros((0, self.n_classes), "float32")

    def predict_in_batches(self, images: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the probabilities of BATCH_SIZE images after the other."""
        images = np.asarray(images, "float32").reshape(-1, 28, 28, 1)
        for start in range(0, len(images), BATCH_SIZE):
            yield self.predict_batch(images[start : start + BATCH_SIZE])


def load_classifier(path: Path) -> Classifier:
    """Load a network from a .keras or a .tflite file.

    Raises:
        UserError: there is no such file, it is no model, it holds code of its own, or it takes or
            returns something else than an image and its class probabilities.
    """
    path = model_file(path)
    if path.suffix.lower() == ".tflite":
        return _checked(load_lite(path), "LiteRT", path)
    if is_made_of(lite_path(path), path):
        try:
            return _checked(load_lite(lite_path(path)), "LiteRT", path)
        except ModuleNotFoundError:
            print(
                "Without the package ai-edge-litert, Keras starts, which takes longer.",
                file=sys.stderr,
            )
    return _load_with_keras(path)


def model_file(path: Path) -> Path:
    """Return a model's file; of a run's folder, the model in it.

    Raises:
        UserError: there is none.
    """
    path = path / "model.keras" if is_folder(path) else path
    if not is_file(path):
        raise UserError(f"there is no model {path}. Train one, or give another with --model FILE.")
    return path


def _load_with_keras(path: Path) -> Classifier:
    """Load a Keras model, and lay a LiteRT file beside it for the next time if that can be done."""
    model = load_keras_model(path)

    def predict_batch(images: np.ndarray) -> np.ndarray:
        return np.asarray(model(images, training=False), "float32")

    classifier = _checked(predict_batch, "Keras", path)
    try:
        made = write_lite(model, path)
        print(f"Wrote {made}, so that the next start takes less than a second.", file=sys.stderr)
    except (UserError, ModuleNotFoundError) as error:
        print(f"The next start takes as long as this one: {error}", file=sys.stderr)
    return classifier


def load_keras_model(
    path: Path, image_shapes: Collection[tuple[int, ...]] = (IMAGE_SHAPE,)
) -> "keras.Model":
    """Return the classifier of a .keras file; code that the file may hold is not run.

    Args:
        path: the file, or the folder of a run.
        image_shapes: of those images that it may take.

    Raises:
        UserError: it cannot be loaded, or holds no classifier of images of 28x28 pixels.
    """
    path = model_file(path)
    if path.suffix != ".keras":  # of other formats, Keras would run code
        raise UserError(f"{path} is not read: expected a .keras file, as a run saves it.")
    _check_archive(path)
    load_keras()
    import keras

    try:
        with without_startup_chatter():  # TensorFlow looks for a GPU only now
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
    # Keras raises errors of many kinds for foreign or damaged files, none of them documented.
    except Exception as error:
        raise UserError(f"{path} cannot be loaded: {_why_not_loaded(error)}") from error
    if problem := _problem_of(model, image_shapes):
        raise UserError(f"{path} holds no classifier of such images: {problem}.")
    return model


def _why_not_loaded(error: Exception) -> str:
    """Return what Keras has against a file, in words for those who only want to use it."""
    if "Lambda" in str(error):
        return "it holds code of its own (a Lambda layer), which is not run."
    if unknown := re.search(r"Could not locate \w+ '(\w+)'", str(error)):
        return f"it is made of {unknown[1]}, which is no part of Keras. Use Keras' own layers."
    return f"{reason_of(error)}. Save or copy it again."


def _check_archive(path: Path) -> None:
    """Raise UserError for what is no zip file, or would unpack to far more than a network has."""
    try:
        with zipfile.ZipFile(path) as archive:
            n_bytes = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(
            f"{path} cannot be loaded: it is damaged, or no .keras file. Save or copy it again."
        ) from error
    if n_bytes > MAX_BYTES:
        raise UserError(
            f"{path} cannot be loaded: it unpacks to {n_bytes:,} bytes, more than "
            f"{MAX_BYTES / 1e9:.0f} GB."
        )


def _problem_of(model: "keras.Model", image_shapes: Collection[tuple[int, ...]]) -> str | None:
    """Return why a model is no classifier of such images, or None if it may be one."""
    inputs, outputs = getattr(model, "inputs", None), getattr(model, "outputs", None)
    if not inputs or not outputs:
        return "it has no inputs; expected a Sequential or functional model"
    if len(inputs) != 1 or tuple(inputs[0].shape[1:]) not in image_shapes:
        shapes = " and ".join(str(tuple(one.shape[1:])) for one in inputs)
        expected = " or ".join(str(shape) for shape in image_shapes)
        return f"it takes inputs of shape {shapes}, expected {expected}"
    if len(outputs) != 1 or len(outputs[0].shape) != 2 or outputs[0].shape[1] < 2:
        shapes = " and ".join(str(tuple(one.shape[1:])) for one in outputs)
        return f"it returns outputs of shape {shapes}, expected probabilities, such as (10,)"
    return None


def _checked(predict_batch: Predict, runtime: str, path: Path) -> Classifier:
    """Return the classifier, once it has returned probabilities for an empty image."""
    probabilities = predict_batch(np.zeros((1, 28, 28, 1), "float32"))
    is_distribution = probabilities.ndim == 2 and abs(probabilities.sum() - 1) < 1e-3
    if not is_distribution or probabilities.min() < 0:
        raise UserError(f"{path} does not return class probabilities: it must end with softmax.")
    return Classifier(predict_batch, runtime, probabilities.shape[1])
