"""What `predict` is asked to read: picture files, folders of them, tables and arrays of images."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.data_files import entries, is_file, is_folder, type_of
from common.picture_files import PICTURE_ENDS
from common.user_error import UserError

TABLE_ENDS = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".npz", ".npy")


class Picture(NamedTuple):
    """A picture file."""

    path: Path
    label: int | None  # the digit that its folder is named after

    @property
    def name(self) -> str:
        """What it is called in a table: pictures in folders 0 to 9 are often all called alike."""
        inner = "" if self.label is None else f"{self.label}/"
        return f"{inner}{self.path.name}"


class ImageTable(NamedTuple):
    """Images of 28x28 pixels from one file."""

    name: str
    images: np.ndarray  # uint8 (n, 28, 28), white on black
    labels: np.ndarray | None  # (n,)


def is_table(path: str) -> bool:
    """Return whether a path names a file of images of 28x28 pixels, by its ending."""
    return path.lower().endswith(TABLE_ENDS)


def find_pictures(paths: Sequence[str], errors: list[str]) -> list[Picture]:
    """Return the pictures that are named, and those in the folders that are named.

    A folder's own folders count, too; the pictures in those named 0 to 9 are labelled. Patterns
    such as *.png are resolved where the shell has not done it.

    Args:
        errors: gets a line for each path that leads to no picture; the others are returned.
    """
    pictures: list[Picture] = []
    for name in paths:
        try:
            pictures.extend(_pictures_at(name))
        except UserError as error:
            errors.append(str(error))
    return pictures


def _pictures_at(name: str) -> list[Picture]:
    """Return the pictures that one argument leads to.

    Raises:
        UserError: there is none.
    """
    if not name.strip():  # pathlib would take it for the working directory
        raise UserError(f"expected a picture or a folder, got {name!r}. Check the path.")
    path = Path(name)
    if any(sign in name for sign in "*?[") and not path.exists():
        try:
            matches = sorted(Path(path.anchor).glob(_below_anchor(path)))
        except (ValueError, NotImplementedError) as error:
            raise UserError(f"{name} is no pattern that can be searched: {error}.") from error
        found = [one for match in matches for one in _pictures_of(match)]
        if not found:
            raise UserError(f"no picture matches {name}. Check the path.")
        return found
    if not path.exists() and not path.is_symlink():
        raise UserError(f"there is no picture {name}. Check the path.")
    if type_of(path) == "file":
        return [Picture(path, _label_of(path.absolute().parent))]
    found = _pictures_below(path)
    if not found:
        ends = ", ".join(sorted(PICTURE_ENDS))
        raise UserError(f"{name} has no pictures. Expected files ending in {ends}.")
    return found


def _pictures_of(match: Path) -> list[Picture]:
    """Return the pictures that a match of a pattern leads to; what is none is passed over."""
    if is_folder(match):
        return _pictures_below(match)
    if is_file(match) and match.suffix.lower() in PICTURE_ENDS:
        return [Picture(match, _label_of(match.absolute().parent))]
    return []


def _below_anchor(path: Path) -> str:
    """Return a path's part below its root or drive, which may be a pattern."""
    return str(path.relative_to(path.anchor)) if path.anchor else str(path)


def _pictures_below(folder: Path) -> list[Picture]:
    """Return the pictures in a folder and in its folders, sorted."""
    found: list[Picture] = []
    for entry in entries(folder):
        if is_folder(entry) and not entry.is_symlink():  # a link could lead round in a circle
            found.extend(_pictures_below(entry))
        elif entry.suffix.lower() in PICTURE_ENDS and is_file(entry):
            found.append(Picture(entry, _label_of(folder.absolute())))
    return found


def _label_of(folder: Path) -> int | None:
    """Return the digit that a folder is named after, if it is."""
    return int(folder.name) if folder.name in set("0123456789") else None


def read_table(path: Path, n_classes: int) -> ImageTable:
    """Read a table or an .npz file of images; white on black, or refused with how to mend it.

    Raises:
        UserError: the file cannot be read, or its images are no images of 28x28 pixels.
    """
    from common.array_checks import Labelled, check_part, to_images

    if path.suffix.lower() == ".npz":
        from common.npz_files import read_npz_images

        images, labels = read_npz_images(path)
    elif path.suffix.lower() == ".npy":
        raise UserError(
            f"{path} is not read, because it has no room for labels. Save its images by "
            "np.savez(path, x=images), or with their labels by np.savez(path, x=images, y=labels)."
        )
    else:
        from common.csv_files import read_csv

        images, labels = read_csv(path, n_classes)
    if labels is None:
        return ImageTable(path.name, to_images(images, f"{path}: the images"), None)
    hint = f"The network knows {n_classes} classes."
    part = check_part(Labelled(images, labels), n_classes, f"{path}: the", hint)
    return ImageTable(path.name, part.images, part.labels)
