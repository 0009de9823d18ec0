"""NumPy's .npz files: a zip file with an array in each member.

The header of each array is checked against the size of its member before anything is read, so
that a file cannot announce more than it holds. Pickled objects are never loaded.
"""

import math
import zipfile
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import IO

import numpy as np

from common.array_checks import Labelled
from common.data_files import HEAD_BYTES, MAX_BYTES, entries, open_content, too_large, words_of
from common.user_error import UserError, reason_of

EXPECTED = (
    "Expected four arrays: np.savez_compressed(path, x_train=..., y_train=..., x_test=..., "
    "y_test=...)."
)
WORDS = {
    "x": ("x", "images", "image", "data"),
    "y": ("y", "labels", "label", "targets", "target"),
    "train": ("train", "training"),
    "test": ("test", "testing"),
}


def find_npz_files(folder: Path) -> dict[tuple[str, ...], dict[str, list[Path]]]:
    """Return the .npz files of a folder by the words of their names, all of one role, "all"."""
    found: dict[tuple[str, ...], dict[str, list[Path]]] = {}
    for path in entries(folder):
        if path.suffix.lower() == ".npz":
            found.setdefault(words_of(path.stem), {}).setdefault("all", []).append(path)
    return found


def read_npz(path: Path) -> tuple[Labelled, Labelled | None]:
    """Read training and test data, as they are stored; None for a file without a test part.

    Raises:
        UserError: not a readable .npz file, or arrays are missing, ambiguous or pickled.
    """
    arrays = _read_arrays(path, _find_members)
    return Labelled(*arrays[:2]), Labelled(*arrays[2:]) if len(arrays) == 4 else None


def read_npz_images(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Read images and, if there are any, their labels, as they are stored: of the test part first.

    Raises:
        UserError: as `read_npz`.
    """
    images, *labels = _read_arrays(path, _find_images)
    return images, labels[0] if labels else None


def _read_arrays(
    path: Path, find: Callable[[zipfile.ZipFile, Path], list[str]]
) -> list[np.ndarray]:
    """Read the arrays whose members `find` names."""
    _check_is_zip(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return [_read_member(archive, member, path) for member in find(archive, path)]
    except UserError:
        raise
    # zipfile and NumPy raise more than ten kinds of errors for damaged files, none documented.
    except Exception as error:
        raise UserError(
            f"{path} cannot be read as .npz: {reason_of(error)}. If it is damaged or incomplete, "
            "download or write it again."
        ) from error


def _check_is_zip(path: Path) -> None:
    """Raise UserError, with what the file is instead, if it does not begin as a zip file."""
    with open_content(path) as file:
        head = file.peek(HEAD_BYTES)
    if head.startswith(b"\x93NUMPY"):
        raise UserError(f"{path} holds a single array (.npy). {EXPECTED}")
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        raise UserError(f"{path} is a Python pickle, which is not read. {EXPECTED}")
    if not head.startswith(b"PK"):
        raise UserError(
            f"{path} cannot be read as .npz: it is no zip file. Expected are IDX files under their "
            "usual names, an .npz file, or a .csv file."
        )


def _find_members(archive: zipfile.ZipFile, path: Path) -> list[str]:
    """Return the names of x_train, y_train, x_test and y_test, or of one pair x and y.

    Other usual names (train_images) serve if there is one for each.
    """
    members = _members(archive, path)
    roles = ("x_train", "y_train", "x_test", "y_test")
    found = [_find_member(role, members, path) for role in roles]
    if not any(found):
        pair = [_find_member(role, members, path) for role in ("x", "y")]
        found = pair if all(pair) else found
    if not all(found):
        missing = ", ".join(role for role, name in zip(roles, found, strict=True) if not name)
        held = _names(members)
        raise UserError(f"{path} lacks the array(s) {missing}; it has {held}. {EXPECTED}")
    return [name for name in found if name]


def _find_images(archive: zipfile.ZipFile, path: Path) -> list[str]:
    """Return the name of the images and, if there are any, of their labels."""
    members = _members(archive, path)
    for roles in (("x_test", "y_test"), ("x", "y"), ("x_train", "y_train")):
        images, labels = (_find_member(role, members, path) for role in roles)
        if images:
            return [name for name in (images, labels) if name]
    if len(members) == 1:  # np.savez(path, images) has no name for it
        return members
    raise UserError(
        f"{path} has no array x of images; it has {_names(members)}. Expected "
        "np.savez_compressed(path, x=images, y=labels); y may be left out."
    )


def _members(archive: zipfile.ZipFile, path: Path) -> list[str]:
    """Return the names of the arrays, or raise UserError if there are none."""
    members = [name for name in archive.namelist() if name.endswith(".npy")]
    if not members:
        raise UserError(f"{path} is a zip file without arrays. Unpack it and give the folder.")
    return members


def _names(members: list[str]) -> str:
    """Return the names of arrays as messages list them."""
    return ", ".join(name.removesuffix(".npy") for name in members[:10])


def _find_member(role: str, members: list[str], path: Path) -> str | None:
    """Return the one member for a role such as x_train: by that name, or by another usual one."""
    if f"{role}.npy" in members:
        return f"{role}.npy"
    alternatives = [WORDS[word] for word in role.split("_")]
    names = {
        "".join(words) for some in product(*alternatives) for words in (some, tuple(reversed(some)))
    }
    found = [name for name in members if "".join(words_of(name.removesuffix(".npy"))) in names]
    if len(found) > 1:
        raise UserError(f"{path}: any of {_names(found)} may be {role}. Leave one in.")
    return found[0] if found else None


def _read_member(archive: zipfile.ZipFile, member: str, path: Path) -> np.ndarray:
    """Read one array, once its header agrees with the size of the member."""
    info, name = archive.getinfo(member), member.removesuffix(".npy")
    if info.file_size > MAX_BYTES:
        raise too_large(path, info.file_size)
    with archive.open(info) as file:
        shape, dtype = _read_header(file)
        if dtype.hasobject:
            raise UserError(
                f"{path}: {name} is an array of Python objects (a pickle), which is not read. "
                "Save plain numbers: array.astype('uint8')."
            )
        n_bytes = math.prod(shape) * dtype.itemsize
        n_held = info.file_size - file.tell()
        if min(shape, default=0) < 0 or n_bytes != n_held:
            raise UserError(
                f"{path} is damaged: {name} is announced as {dtype} {shape}, but has "
                f"{n_held:,} bytes. Download or write it again."
            )
    with archive.open(info) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Return shape and dtype that a member announces, without reading its values."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    else:
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    return shape, dtype
