"""Data sets with few labels, as files that `--dataset custom` reads."""

import io
from pathlib import Path

import numpy as np

from common.data import Arrays
from common.safe_files import write_atomically, writing


def for_validation(arrays: Arrays) -> Arrays:
    """Return a data set whose test images are the last sixth of the training images.

    10,000 of MNIST's 60,000. Choices are made on them.
    """
    n_train = len(arrays.y_train) - len(arrays.y_train) // 6
    images, labels = arrays.x_train, arrays.y_train
    return Arrays(images[:n_train], labels[:n_train], images[n_train:], labels[n_train:])


def write_data(path: Path, images: np.ndarray, labels: np.ndarray, arrays: Arrays) -> None:
    """Write images and labels as the training part, and the test part of `arrays`, as .npz.

    The images are repeated until they are as many as the training images of `arrays`, so an epoch
    has the same number of steps, however few they are. The copies of an image lie side
    by side, where compression finds them.

    Args:
        path: ends in .npz; its folder is made if need be.
        images: uint8 (n, 28, 28).
        labels: int (n,).
        arrays: the data set that they are from.

    Raises:
        UserError: the file cannot be written.
    """
    n, n_all = len(labels), max(len(labels), len(arrays.y_train))
    indices = np.arange(n_all) * n // n_all  # each as often as any other, or once more
    content = io.BytesIO()
    np.savez_compressed(
        content,
        x_train=images[indices],
        y_train=labels[indices].astype(np.uint8),
        x_test=arrays.x_test,
        y_test=arrays.y_test,
    )
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.getvalue())
