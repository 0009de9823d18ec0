"""Reading a picture with a trained network: what the published program lacks."""

from pathlib import Path

import numpy as np

from common.pictures import find_digits, read_picture
from common.user_error import UserError
from experiments.numpy_networks.weights_file import load


def read(picture: Path, weights: Path) -> str:
    """Return what a network reads in a picture, in words: a line of text per line of digits.

    Raises:
        UserError: a file cannot be read, or there is no digit in the picture.
    """
    network = load(weights)
    digits = find_digits(read_picture(picture))
    if not digits:
        raise UserError(
            f"{picture}: no digit was found. Expected strokes that stand out from the paper."
        )
    answers = network.predict(np.array([digit.image for digit in digits]).reshape(len(digits), -1))
    lines = np.array([digit.line for digit in digits])
    return "\n".join(describe(picture, answers[lines == line]) for line in np.unique(lines))


def describe(picture: Path, answers: np.ndarray) -> str:
    """Return one line of digits in words.

    Args:
        answers: float (n, 10), the probabilities of each digit.
    """
    text = "".join(str(digit) for digit in answers.argmax(axis=1))
    surest = answers.max(axis=1)
    least = "" if len(text) == 1 else f" for the '{text[surest.argmin()]}', the least certain one"
    return f"{picture} reads {text}: {100 * surest.min():.2f} %{least}"
