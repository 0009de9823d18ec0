"""Submitting a network: the server sends images, it gets the classes and answers with a grade.

The protocol is that of the package `kerasltisubmission` 0.4.9. The network stays here.

    GET  /assignment/ID/size      {"size": N}
    GET  /assignment/ID/inputs/K  {"predict": [{"hash": SHA-256, "matrix": 28 rows}, ...]}, page K
    POST /submit                  {"predictions": {hash: class}, "user_token", "assignment_id"}
                                  -> {"accuracy", "grade", "message"}
"""

import hashlib
import math
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import numpy as np

from common.user_error import UserError
from experiments.fashion_assignment.server import Server, ask
from studies.progress import describe_duration

if TYPE_CHECKING:
    import keras

IMAGE_SHAPE = (28, 28)
MOST_INPUTS = 1_000_000
SHOW_PROGRESS_SECONDS = 5


class Verdict(NamedTuple):
    """What the server makes of a submission."""

    accuracy: float  # in [0, 1], on the server's images
    grade: float  # in [0, 1]
    message: str  # without the token


def submit(server: Server, assignment_id: str, model: "keras.Model") -> Verdict:
    """Predict the server's images in one call, and send the classes.

    Args:
        model: float32 (n, 28, 28) in [0, 1] in, class probabilities (n, n_classes) out.

    Raises:
        UserError: the server cannot be reached, refuses, or answers what cannot be.
    """
    inputs = load_inputs(server, assignment_id)
    silent: Any = 0
    images = np.stack(list(inputs.values())).astype("float32")
    classes = model.predict(images, batch_size=256, verbose=silent).argmax(axis=1)
    body = {
        "predictions": {key: int(number) for key, number in zip(inputs, classes, strict=True)},
        "user_token": server.token,
        "assignment_id": assignment_id,
    }
    answer = ask(server, "submit", body)
    accuracy, grade = (_share(server, answer, name) for name in ("accuracy", "grade"))
    return Verdict(accuracy, grade, server.said(answer.get("message") or ""))


def load_inputs(server: Server, assignment_id: str) -> dict[str, np.ndarray]:
    """Return the server's images by their hash, each float64 (28, 28) in [0, 1].

    Raises:
        UserError: as `ask`; or they are not as many as announced, one comes twice, is no such
            image, or does not have its hash.
    """
    path = f"assignment/{quote(assignment_id, safe='')}"
    n = _size(server, path)
    inputs: dict[str, np.ndarray] = {}
    begun = shown = time.monotonic()
    for page in range(n):  # at most: a page holds one input or more
        entries = ask(server, f"{path}/inputs/{page}").get("predict")
        if not isinstance(entries, list):
            raise UserError(f"page {page} of the server's inputs has no list 'predict'.")
        for entry in entries:
            _add(inputs, entry)
        if len(inputs) >= n or not entries:
            break
        if time.monotonic() - shown > SHOW_PROGRESS_SECONDS:
            shown = time.monotonic()
            left = (shown - begun) / len(inputs) * (n - len(inputs))
            print(f"Inputs: {len(inputs)} of {n}, about {describe_duration(left)} left", flush=True)
    if len(inputs) != n:
        raise UserError(f"the server announced {n} inputs, but sent {len(inputs)}.")
    return inputs


def _size(server: Server, path: str) -> int:
    """Return how many inputs the server announces."""
    n = ask(server, f"{path}/size").get("size")
    if not isinstance(n, int) or isinstance(n, bool) or not 0 < n <= MOST_INPUTS:
        raise UserError(
            f"the server announced {server.said(n)} inputs, expected from 1 to {MOST_INPUTS:,}."
        )
    return n


def _add(inputs: dict[str, np.ndarray], entry: Any) -> None:
    """Check one input and add it to those that came before."""
    where = f"input {len(inputs)} of the server"
    entry = entry if isinstance(entry, dict) else {}
    key, matrix = entry.get("hash"), entry.get("matrix")
    if not isinstance(key, str) or matrix is None:
        raise UserError(f"{where} lacks 'hash' or 'matrix'.")
    if key in inputs:
        raise UserError(f"{where} comes twice.")
    try:
        image = np.asarray(matrix, "float64")
    except (ValueError, TypeError, OverflowError):
        raise UserError(f"{where} is no matrix of numbers.") from None
    if image.shape != IMAGE_SHAPE:
        raise UserError(f"{where} has shape {image.shape}, expected {IMAGE_SHAPE}.")
    if not (np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1):
        raise UserError(f"{where} has pixels outside 0 to 1, expected those of an image / 255.")
    if key.lower() not in hashes_of(image):
        raise UserError(f"{where} does not have its hash: it was damaged on its way.")
    inputs[key] = image


def hashes_of(image: np.ndarray) -> set[str]:
    """Return the SHA-256 of an image's bytes, in C order, as float64 and as float32.

    The server hashes its own array, of which JSON does not tell the type.
    """
    return {hashlib.sha256(image.astype(kind).tobytes()).hexdigest() for kind in ("<f8", "<f4")}


def _share(server: Server, answer: dict[str, Any], name: str) -> float:
    """Return a number from 0 to 1 of the server's answer."""
    value: Any = answer.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not 0 <= value <= 1:
        raise UserError(
            f"the server's {name} is {server.said(value)}, expected a number from 0 to 1. Whether "
            "the submission counts, only the course's page can tell."
        )
    return float(value)
