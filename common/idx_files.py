"""IDX, the format in which MNIST, Fashion-MNIST and EMNIST are published.

A magic number, the count and, for images, rows and columns: big-endian 32-bit numbers; then a
byte per pixel or label. Source: http://yann.lecun.com/exdb/mnist/
"""

import math
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.data_files import MAX_BYTES, entries, is_folder, open_content, too_large, words_of
from common.user_error import UserError

IMAGES_MAGIC, LABELS_MAGIC = 2051, 2049
MAGIC_OF_ROLE = {
    "x_train": IMAGES_MAGIC, "y_train": LABELS_MAGIC,
    "x_test": IMAGES_MAGIC, "y_test": LABELS_MAGIC,
}  # fmt: skip
PARTS = {"train": "train", "t10k": "test", "test": "test"}
KINDS = {"images": "x", "labels": "y"}
LAST_WORDS = {"idx", "idx1", "idx3", "ubyte", "gz"}


class IdxName(NamedTuple):
    """What the name of an IDX file says."""

    data_set: tuple[str, ...]  # the first words: EMNIST's names begin with emnist-digits
    role: str  # x_train, y_train, x_test or y_test


def parse_idx_name(name: str) -> IdxName | None:
    """Return what a file name says, or None if it is not one of an IDX file.

    Names in use: train-images-idx3-ubyte, t10k-labels.idx1-ubyte.gz (Kaggle), and
    emnist-digits-test-images-idx3-ubyte; with underscores, in capitals.
    """
    words = words_of(name)
    for i in range(len(words) - 1):
        part, kind = words[i : i + 2]
        if part in PARTS and kind in KINDS and LAST_WORDS.issuperset(words[i + 2 :]):
            return IdxName(words[:i], f"{KINDS[kind]}_{PARTS[part]}")
    return None


def file_name(data_set: tuple[str, ...], role: str) -> str:
    """Return the published name: the reverse of `parse_idx_name`."""
    part = "train" if role.endswith("train") else "test" if data_set else "t10k"
    kind = "images-idx3-ubyte" if role.startswith("x") else "labels-idx1-ubyte"
    return "-".join([*data_set, part, kind])


def find_idx_files(folder: Path) -> dict[tuple[str, ...], dict[str, list[Path]]]:
    """Return the IDX files of a folder: by data set, then by role.

    Kaggle packs each file into a folder of its own name, so such folders are looked into.
    """
    found: dict[tuple[str, ...], dict[str, list[Path]]] = {}
    for entry in entries(folder):
        name = parse_idx_name(entry.name)
        if name is None:
            continue
        files = found.setdefault(name.data_set, {}).setdefault(name.role, [])
        if is_folder(entry):
            files += [path for path in entries(entry) if parse_idx_name(path.name) == name]
        else:
            files.append(entry)
    return found


def read_idx(path: str | Path, magic: int) -> np.ndarray:
    """Read an IDX file, plain or gzip-compressed.

    Args:
        path: the file.
        magic: the number the file must start with: 2051 (images) or 2049 (labels).

    Returns:
        uint8, (n, rows, columns) for images, (n,) for labels.

    Raises:
        UserError: not readable, wrong magic number, a damaged gzip stream, or another number
            of bytes than the header announces.
    """
    path = Path(path)
    n_dimensions = magic & 0xFF  # the last byte of the magic number
    header_size = 4 * (1 + n_dimensions)
    with open_content(path) as file:
        header = file.read(header_size)
        if len(header) < header_size:
            raise UserError(
                f"{path} is truncated: {len(header)} bytes, too short for an IDX header."
            )
        found, *shape = struct.unpack(f">{1 + n_dimensions}I", header)
        if found != magic:
            raise UserError(f"{path} has the wrong magic number {found}; expected {magic}.")
        expected = math.prod(shape)
        if expected > MAX_BYTES:
            raise too_large(path, expected)
        content = bytearray()
        while len(content) <= expected and (block := file.read(2**20)):  # as much as there is
            content += block
    if len(content) != expected:
        has = f"{len(content):,}" if len(content) < expected else "more"
        raise UserError(
            f"{path} is truncated or damaged: its header announces {expected:,} bytes of data, "
            f"it has {has}."
        )
    return np.frombuffer(content, np.uint8).reshape(shape)
