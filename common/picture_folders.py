"""Labelled pictures: folders named 0 to 9, each with pictures of that digit.

Such folders may lie in folders named train and test. A picture of 28x28 pixels that is light on
dark is taken as it is; any other goes the way of `common.pictures`.
"""

from pathlib import Path

import numpy as np

from common.array_checks import Labelled
from common.data_files import entries, is_folder
from common.ink import ink_of
from common.picture_files import PICTURE_ENDS, read_pixels
from common.pictures import SIDE, find_digits
from common.user_error import UserError

DIGIT_FOLDERS = frozenset("0123456789")
PART_NAMES = {"train": "train", "training": "train", "test": "test", "testing": "test"}


def find_picture_folders(folder: Path) -> dict[str, Path]:
    """Return the folder with folders 0 to 9 by part: "train" and "test", or "all"; {} for none."""
    folders = [entry for entry in entries(folder) if is_folder(entry)]
    if any(entry.name in DIGIT_FOLDERS for entry in folders):
        return {"all": folder}
    parts = {PART_NAMES[e.name.lower()]: e for e in folders if e.name.lower() in PART_NAMES}
    return {
        part: path
        for part, path in parts.items()
        if any(e.name in DIGIT_FOLDERS and is_folder(e) for e in entries(path))
    }


def read_picture_folder(folder: Path) -> Labelled:
    """Return the pictures in folders 0 to 9 as images uint8 (n, 28, 28), white on black.

    Raises:
        UserError: no picture, one that cannot be read, or one without a digit.
    """
    images, labels = [], []
    for of_digit in entries(folder):
        if of_digit.name not in DIGIT_FOLDERS or not is_folder(of_digit):
            continue
        for path in entries(of_digit):
            if path.suffix.lower() in PICTURE_ENDS:
                images.append(_image_of(path))
                labels.append(int(of_digit.name))
    if not images:
        raise UserError(f"the folders 0 to 9 in {folder} have no pictures, such as PNG files.")
    return Labelled(np.array(images), np.array(labels, "uint8"))


def _image_of(path: Path) -> np.ndarray:
    """Return a picture of one digit as uint8 (28, 28)."""
    pixels = read_pixels(path)
    if pixels.shape[:2] == (SIDE, SIDE):
        grey = pixels.mean(axis=2)
        border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
        if np.median(border) < 0.5:
            return (255 * grey).round().astype("uint8")
    digits = find_digits(ink_of(pixels), single=True)
    if not digits:
        raise UserError(f"{path} has no digit that can be found. Remove it, or write it darker.")
    return (255 * digits[0].image).round().astype("uint8")
