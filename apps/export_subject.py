"""What `export` exports: a model, and the data that it was trained on."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from apps.export_int8 import LEAST_REPRESENTATIVE, MOST_REPRESENTATIVE
from common.classifier import load_keras_model, model_file
from common.keras_start import load_keras
from common.safe_files import read_json
from common.user_error import UserError

if TYPE_CHECKING:
    import keras

    from common.data import Arrays


class Subject(NamedTuple):
    """What is exported, and the images that it is checked on."""

    path: Path
    network: "keras.Model"  # in float32
    dataset: str
    arrays: "Arrays"
    images: np.ndarray  # the test images, float32 (n, 28, 28, 1) in [0, 1]


def load_subject(model_path: Path, is_single: bool) -> Subject:
    """Load the model and the data that it was trained on, and print what is exported.

    Args:
        is_single: of a mean over shifts or networks, take the first network.

    Raises:
        UserError: the model or the data cannot be loaded, or Keras runs on another back end.
    """
    path = model_file(model_path)
    load_keras()  # before what imports Keras
    import keras

    from _01_data_loader import load_data
    from _02_data_preprocess import scale
    from architectures.averaging import network_of
    from training.precision import in_float32

    if keras.backend.backend() != "tensorflow":
        raise UserError("only the back end TensorFlow can export: unset KERAS_BACKEND.")
    classifier = in_float32(load_keras_model(path))
    network = network_of(classifier) if is_single else classifier
    note = "" if network is classifier else f"; the first of the networks in {classifier.name}"
    print(f"Network:    {network.name}, {network.count_params():,} parameters{note}", flush=True)
    dataset, data_dir = data_of(path)
    arrays = load_data(dataset, data_dir)
    return Subject(path, network, dataset, arrays, scale(arrays.x_test))


def data_of(model_path: Path) -> tuple[str, str | None]:
    """Return the data set that a model was trained on, and its folder, if it was the user's.

    That is what settings.json in a run's folder says, or the record's parameters; else MNIST.

    Raises:
        UserError: such a file is there, but cannot be read.
    """
    stem = model_path.stem.replace("best_model", "best_parameters")
    name, part = ("settings", "settings") if stem == model_path.stem else (stem, "parameters")
    path = model_path.with_name(f"{name}.json")
    content = read_json(path) if path.is_file() else {}
    settings = content.get(part) if isinstance(content, dict) else None
    if not isinstance(settings, dict):
        return "mnist", None
    return str(settings.get("dataset", "mnist")), settings.get("data_dir")


def representative_images(subject: Subject, n: int) -> np.ndarray:
    """Return random training images, float32 (n, 28, 28, 1); the same at every call.

    Raises:
        UserError: too few or too many are asked for, or the data set has not as many.
    """
    from _02_data_preprocess import scale

    if not LEAST_REPRESENTATIVE <= n <= MOST_REPRESENTATIVE:
        raise UserError(
            f"--representative {n} is not from {LEAST_REPRESENTATIVE} to {MOST_REPRESENTATIVE}: "
            "fewer images set the scales badly, more set them no better."
        )
    images = subject.arrays.x_train
    if len(images) < n:
        raise UserError(
            f"{subject.dataset} has {len(images):,} training images, fewer than the {n} that "
            f"--representative asks for. At least {LEAST_REPRESENTATIVE} are needed."
        )
    return scale(images[np.random.default_rng(0).choice(len(images), n, replace=False)])
