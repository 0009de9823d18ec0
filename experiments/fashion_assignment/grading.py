"""The assignment's grade, and the network in the form in which it is submitted."""

from pathlib import Path
from typing import TYPE_CHECKING

from common.classifier import load_keras_model, model_file

if TYPE_CHECKING:
    import keras

FULL_MARKS = 0.8  # accuracy
SUBMISSION_SHAPE = (28, 28)


def grade_of(accuracy: float) -> float:
    """Return the grade, in [0, 1] with two decimals: linear up to full marks at 80 %.

    Args:
        accuracy: in [0, 1].
    """
    return round(min(max(accuracy / FULL_MARKS, 0.0), 1.0), 2)


def as_submission(model: "keras.Model") -> "keras.Model":
    """Return a classifier of images without the axis of channels, as a submission needs it.

    Args:
        model: float32 (n, 28, 28, 1) in [0, 1] in, class probabilities (n, n_classes) out.

    Returns:
        float32 (n, 28, 28) in, the same out; of Keras' own layers, so that it loads anywhere.
    """
    import keras

    return keras.Sequential(
        [keras.Input(SUBMISSION_SHAPE), keras.layers.Reshape((*SUBMISSION_SHAPE, 1)), model],
        name="submission",
    )


def load_submission(path: Path) -> "keras.Model":
    """Return the network of a run folder or of a .keras file, ready to be submitted.

    Raises:
        UserError: there is no model, or it is no classifier of such images.
    """
    model = load_keras_model(model_file(path), ((*SUBMISSION_SHAPE, 1), SUBMISSION_SHAPE))
    return model if model.input_shape[1:] == SUBMISSION_SHAPE else as_submission(model)
