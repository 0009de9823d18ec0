"""Writers of data files, for the tests of reading: independent of the readers."""

import gzip
import struct

import numpy as np

from common.data import Arrays

IDX_STEMS = Arrays("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
EMNIST_STEMS = Arrays(
    "emnist-digits-train-images-idx3",
    "emnist-digits-train-labels-idx1",
    "emnist-digits-test-images-idx3",
    "emnist-digits-test-labels-idx1",
)


def small_arrays(digits) -> Arrays:
    """Return 80 training and 20 test images: more than seven of most classes."""
    return Arrays(digits.x_train[:80], digits.y_train[:80], digits.x_test[:20], digits.y_test[:20])


def idx_bytes(array, magic=None) -> bytes:
    """Return an array in the IDX format."""
    magic = magic or {3: 2051, 1: 2049}[array.ndim]
    header = b"".join(struct.pack(">i", number) for number in (magic, *array.shape))
    return header + array.tobytes()


def write_idx(folder, arrays, stems=IDX_STEMS, rename=lambda name: name):
    """Write the four IDX files; `rename` makes another path of each published name."""
    for stem, array in zip(stems, arrays, strict=True):
        path = folder / rename(f"{stem}-ubyte")
        path.parent.mkdir(parents=True, exist_ok=True)
        content = idx_bytes(array)
        path.write_bytes(gzip.compress(content) if path.suffix.lower() == ".gz" else content)
    return folder


def table_lines(images, labels=None, header=True, separator=","):
    """Return a table as on Kaggle: label, pixel0, ..., pixel783."""
    lines = []
    if header:
        names = [f"pixel{i}" for i in range(784)]
        lines.append(separator.join(names if labels is None else ["label", *names]))
    for i, image in enumerate(images.reshape(len(images), -1).tolist()):
        lines.append(separator.join(map(str, image if labels is None else [labels[i], *image])))
    return lines


def write_table(path, images, labels=None, **options):
    """Write a table as on Kaggle, packed if the name ends in .gz."""
    content = "\n".join(table_lines(images, labels, **options)).encode() + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix.lower() == ".gz" else content)
    return path


def assert_same(found, expected):
    """Assert that data sets are equal, in dtypes and shapes, too."""
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_array_equal(a, b)
