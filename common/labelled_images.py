"""Images to test a network on, from wherever people have them: of any size, with their labels."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.array_checks import Labelled, check_part, to_labels
from common.array_files import read_parts
from common.ink import ink_of
from common.npz_files import read_npz_images
from common.pictures import SIDE, find_digits
from common.user_error import UserError

N_CLASSES = 10
FLAT = SIDE * SIDE


class LabelledImages(NamedTuple):
    """Images float32 (n, 28, 28) in [0, 1], white on black, and their labels (n,)."""

    images: np.ndarray
    labels: np.ndarray


def read_labelled_images(path: Path) -> LabelledImages:
    """Return the test images of a data set; of one in a single part, all images.

    Args:
        path: an .npz, IDX or CSV file, or a folder with such files or with folders 0 to 9 of
            pictures. Images in an .npz file may be of any one size: those of 28x28 pixels are taken
            as they are, others are read as pictures are. One without ink becomes a black image.

    Raises:
        UserError: there are no such data, or they have no labels.
    """
    if path.suffix.lower() == ".npz":
        images, labels = read_npz_images(path)
        if labels is None:
            raise UserError(f"{path} has images, but no labels: save them as y, or y_test.")
        if images.shape[1:] not in {(FLAT,), (SIDE, SIDE), (SIDE, SIDE, 1), (1, SIDE, SIDE)}:
            return _read_as_pictures(images, labels, path)
        part = Labelled(images, labels)
    else:
        train, test = read_parts(path, path.name, N_CLASSES)
        part = test or train
    checked = check_part(part, N_CLASSES, f"{path}: the")
    return LabelledImages(checked.images / np.float32(255), checked.labels)


def _read_as_pictures(images: np.ndarray, labels: np.ndarray, path: Path) -> LabelledImages:
    """Return images of another size as MNIST has them."""
    if images.ndim not in (3, 4) or images.dtype.kind not in "buif":
        raise UserError(
            f"{path}: the images are {images.dtype} {images.shape}; expected uint8 (n, height, "
            "width)."
        )
    labels = to_labels(labels, N_CLASSES, f"{path}: the labels")
    if len(images) != len(labels) or len(images) == 0:
        raise UserError(
            f"{path} has {len(images):,} images and {len(labels):,} labels. Expected a label for "
            "each image."
        )
    read = np.zeros((len(images), SIDE, SIDE), "float32")
    for number, pixels in enumerate(images):
        for digit in find_digits(ink_of(pixels), single=True):
            read[number] = digit.image
    return LabelledImages(read, labels)
