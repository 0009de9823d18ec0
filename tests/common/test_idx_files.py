import gzip
import os
import struct

import numpy as np
import pytest

from common import idx_files
from common.idx_files import file_name, find_idx_files, parse_idx_name, read_idx
from common.user_error import UserError
from tests.data_writers import idx_bytes

IMAGES = np.arange(2 * 3 * 5, dtype=np.uint8).reshape(2, 3, 5)  # rows and columns differ
LABELS = np.array([7, 0, 255], np.uint8)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("array", "magic"), [(IMAGES, 2051), (LABELS, 2049)])
def test_arrays_are_read_as_written(tmp_path, array, magic, packed):
    content = idx_bytes(array)
    (tmp_path / "file").write_bytes(gzip.compress(content) if packed else content)
    found = read_idx(tmp_path / "file", magic)
    assert found.dtype == np.uint8 and found.flags.writeable
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("array", "magic", "header_size"), [(IMAGES, 2051, 16), (LABELS, 2049, 8)])
def test_a_file_cut_at_any_length_is_refused(tmp_path, array, magic, header_size, packed):
    content = idx_bytes(array)
    path = tmp_path / "file"
    for length in range(1, len(content)):
        cut = content[:length]
        path.write_bytes(gzip.compress(cut) if packed else cut)
        with pytest.raises(UserError) as caught:
            read_idx(path, magic)
        if length < header_size:
            assert f"is truncated: {length} bytes" in str(caught.value)
        else:
            announced, held = len(content) - header_size, length - header_size
            assert f"announces {announced} bytes of data, it has {held}." in str(caught.value)


def test_too_much_a_wrong_count_or_a_wrong_magic_number(tmp_path):
    path, content = tmp_path / "file", idx_bytes(IMAGES)
    for damaged, message in (
        (content + b"x", "announces 30 bytes of data, it has more"),
        (content + bytes(3_000_000), "announces 30 bytes of data, it has more"),
        (content[:4] + struct.pack(">i", 3) + content[8:], "announces 45 bytes of data, it has 30"),
        (idx_bytes(IMAGES, 2049), "wrong magic number 2049; expected 2051"),
        (struct.pack("<i", 2051) + content[4:], "wrong magic number 50855936; expected 2051"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=message):
            read_idx(path, 2051)


@pytest.mark.parametrize("packed", [False, True])
def test_a_header_that_announces_terabytes_reserves_no_memory(tmp_path, monkeypatch, packed):
    path = tmp_path / "file"
    content = struct.pack(">4I", 2051, 2**32 - 1, 2**16, 2**16) + bytes(100)
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(UserError, match="unpacks to 18,446,744,069,414,584,320 bytes, more than"):
        read_idx(path, 2051)
    monkeypatch.setattr(idx_files, "MAX_BYTES", 29)
    path.write_bytes(idx_bytes(IMAGES))
    with pytest.raises(UserError, match="unpacks to 30 bytes"):
        read_idx(path, 2051)


def test_packed_content_is_read_only_as_far_as_announced(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(idx_bytes(IMAGES) + bytes(20_000_000)))
    with pytest.raises(UserError, match="it has more"):
        read_idx(path, 2051)


@pytest.mark.parametrize(
    ("name", "data_set", "role"),
    [
        ("train-images-idx3-ubyte", (), "x_train"),
        ("train-labels.idx1-ubyte", (), "y_train"),
        ("T10K-IMAGES-IDX3-UBYTE.GZ", (), "x_test"),
        ("t10k_labels_idx1_ubyte.gz", (), "y_test"),
        ("test-labels-idx1-ubyte", (), "y_test"),
        ("train-images.idx3", (), "x_train"),
        ("emnist-digits-train-images-idx3-ubyte.gz", ("emnist", "digits"), "x_train"),
        ("emnist-mnist-test-labels-idx1-ubyte", ("emnist", "mnist"), "y_test"),
    ],
)
def test_names(name, data_set, role):
    assert parse_idx_name(name) == (data_set, role)


@pytest.mark.parametrize(
    "name",
    ["README.md", "train-images.png", "train.csv", "images-train-idx3-ubyte", "train-labels.npy",
     "train-images-idx3-ubyte.gz.part", "train", "emnist-digits-mapping.txt", ""],
)  # fmt: skip
def test_other_names(name):
    assert parse_idx_name(name) is None


@pytest.mark.parametrize("data_set", [(), ("emnist", "letters")])
@pytest.mark.parametrize("role", ["x_train", "y_train", "x_test", "y_test"])
def test_published_names_are_parsed(data_set, role):
    assert parse_idx_name(file_name(data_set, role)) == (data_set, role)
    assert file_name((), "x_test") == "t10k-images-idx3-ubyte"


def test_files_are_found_by_data_set_and_role(tmp_path):
    names = (
        "train-images-idx3-ubyte.gz",
        "train-images.idx3-ubyte",
        "train-labels-idx1-ubyte/train-labels-idx1-ubyte",
        "train-labels-idx1-ubyte/other",
        "emnist-letters-train-images-idx3-ubyte",
        "._t10k-labels-idx1-ubyte",
        "README",
    )
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(os.urandom(3))
    found = find_idx_files(tmp_path)
    assert found == {
        (): {
            "x_train": [tmp_path / names[0], tmp_path / names[1]],
            "y_train": [tmp_path / names[2]],
        },
        ("emnist", "letters"): {"x_train": [tmp_path / names[4]]},
    }
