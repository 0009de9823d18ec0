"""The two forms in which data pass between the steps."""

import hashlib
from typing import NamedTuple

import numpy as np


class Arrays(NamedTuple):
    """A data set as published: images uint8 (n, 28, 28) in [0, 255], labels uint8 (n,)."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


class Splits(NamedTuple):
    """Images float32 (n, 28, 28, 1) in [0, 1]; labels int32 (n,)."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def sha256_of(*arrays: np.ndarray) -> str:
    """Return the SHA-256 of the raw bytes of arrays, one after the other, in C order."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
