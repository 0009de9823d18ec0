import io
import pickle
import random
import zipfile

import numpy as np
import pytest

from common import npz_files
from common.data import Arrays
from common.npz_files import find_npz_files, read_npz, read_npz_images
from common.user_error import UserError
from tests.data_writers import assert_same, small_arrays

FIELDS = Arrays._fields


@pytest.fixture(scope="module")
def small(digits):
    return small_arrays(digits)


def npz(path, arrays, names=FIELDS):
    np.savez(path, **dict(zip(names, arrays, strict=True)))
    return path


def npy_header(descr="|u1", shape=(3,), extra=""):
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, {extra}}}"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def npz_of_members(path, small, **members):
    """Write an .npz whose members are bytes where given, else the small arrays."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in small._asdict().items():
            buffer = io.BytesIO()
            np.save(buffer, array)
            archive.writestr(f"{name}.npy", members.get(name, buffer.getvalue()))
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_read_as_stored(tmp_path, small, save):
    save(tmp_path / "a.npz", **small._asdict(), other=np.zeros(3))
    train, test = read_npz(tmp_path / "a.npz")
    assert_same([*train, *test], small)


def test_types_and_orders_are_kept(tmp_path, small):
    stored = Arrays(
        np.asfortranarray(small.x_train / 255),
        small.y_train.astype(">i8"),
        small.x_test[:, ::-1],
        small.y_test.astype(str),
    )
    train, test = read_npz(npz(tmp_path / "a.npz", stored))
    assert_same([*train, *test], stored)


@pytest.mark.parametrize(
    "names",
    [
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("X_train", "Y_train", "X_test", "Y_test"),
        ("trainX", "trainy", "testX", "testy"),
        ("training_images", "training_labels", "testing_images", "testing_labels"),
        ("images_train", "labels_train", "images_test", "labels_test"),
        ("train_data", "train_target", "test-data", "test.targets"),
    ],
)
def test_other_usual_names(tmp_path, small, names):
    train, test = read_npz(npz(tmp_path / "a.npz", small, names))
    assert_same([*train, *test], small)


def test_exact_names_come_before_others(tmp_path, small):
    others = {"train_images": small.x_test, "X_TRAIN": small.x_test}
    np.savez(tmp_path / "a.npz", **small._asdict(), **others)
    train, test = read_npz(tmp_path / "a.npz")
    assert_same([*train, *test], small)


@pytest.mark.parametrize("names", [("x", "y"), ("images", "labels"), ("data", "target")])
def test_one_pair_has_no_test_part(tmp_path, small, names):
    train, test = read_npz(npz(tmp_path / "a.npz", small[:2], names))
    assert_same(train, small[:2])
    assert test is None


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("x_train", "y_train"), "lacks the array.s. x_test, y_test; it has x_train, y_train. Exp"),
        (("x_train", "y_test"), "lacks the array.s. y_train, x_test;"),
        (("x", "y_train"), "lacks the array.s. x_train, x_test, y_test;"),
        (("one", "two"), "lacks the array.s. x_train, y_train, x_test, y_test; it has one, two"),
    ],
)
def test_missing_arrays_are_named(tmp_path, small, names, message):
    with pytest.raises(UserError, match=message):
        read_npz(npz(tmp_path / "a.npz", small[:2], names))


@pytest.mark.parametrize(
    "names", [("x", "y"), ("test_images", "test_labels"), ("x_train", "y_train")]
)
def test_images_alone_are_read_with_their_labels_or_without(tmp_path, small, names):
    images, labels = read_npz_images(npz(tmp_path / "a.npz", small[:2], names))
    assert_same((images, labels), small[:2])
    images, labels = read_npz_images(npz(tmp_path / "b.npz", small[:1], names[:1]))
    assert labels is None and len(images) == len(small.x_train)
    images, _ = read_npz_images(npz(tmp_path / "c.npz", small))  # of two parts, the test
    np.testing.assert_array_equal(images, small.x_test)


def test_images_alone_that_are_not_there(tmp_path, small):
    with pytest.raises(UserError, match="has no array x of images; it has one, two. Expected np"):
        read_npz_images(npz(tmp_path / "a.npz", small[:2], ("one", "two")))


def test_two_arrays_for_one_role(tmp_path, small):
    names = ("train_images", "y_train", "x_test", "y_test", "train_data")
    with pytest.raises(UserError, match="any of train_images, train_data may be x_train"):
        read_npz(npz(tmp_path / "a.npz", [*small, small.x_train], names))


def test_pickles_are_refused_and_not_advised(tmp_path, small):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    labels = np.array([Trap()] * 80, dtype=object)
    (tmp_path / "b.npz").write_bytes(pickle.dumps({"x_train": 1}))
    for path in (npz(tmp_path / "a.npz", small._replace(y_train=labels)), tmp_path / "b.npz"):
        with pytest.raises(UserError, match="pickle.*not read") as caught:
            read_npz(path)
        assert "allow_pickle" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"<html>Not found</html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"not a zip file", "is no zip file"),
        (b"\x00\x00\x08\x03", "is no zip file"),
        (b"PK\x03\x04", "cannot be read as .npz: File is not a zip file"),
    ],
)
def test_files_that_are_no_npz(tmp_path, content, message):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_npz(tmp_path / "a.npz")
    assert "\n" not in str(caught.value) and "allow_pickle" not in str(caught.value)


def test_npy_and_other_zip_files(tmp_path, small):
    np.save(tmp_path / "a.npy", small.x_train)
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    with pytest.raises(UserError, match=r"holds a single array \(.npy\). Expected four arrays"):
        read_npz(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("mnist/train.csv", "label")
    with pytest.raises(UserError, match="zip file without arrays. Unpack it"):
        read_npz(tmp_path / "b.npz")


def test_a_file_cut_or_changed_anywhere_is_refused_or_unharmed(tmp_path, small):
    tiny = Arrays(
        small.x_train[:2, :3, :3], small.y_train[:2], small.x_test[:2, :3, :3], small.y_test[:2]
    )
    path = tmp_path / "a.npz"
    np.savez_compressed(path, **tiny._asdict())
    content = path.read_bytes()
    for length in range(1, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(UserError):
            read_npz(path)
    rng = random.Random(0)
    for _ in range(400):
        damaged = bytearray(content)
        for _ in range(rng.choice((1, 1, 4))):
            damaged[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            train, test = read_npz(path)
        except UserError as error:
            assert "\n" not in str(error) and "allow_pickle" not in str(error)
        else:
            assert_same([*train, *(test or ())], tiny)


@pytest.mark.parametrize(
    "header",
    [
        npy_header(shape=(3_000_000_000_000,)),
        npy_header(shape=(80, 28, 10**12)),
        npy_header(shape=(4,)),
        npy_header(shape=(2,)),
        npy_header(shape=(-1, -3)),
        npy_header(descr="<f8", shape=(3,)),
        npy_header(descr="<U0", shape=(10**12,)),
        npy_header(descr="|V0", shape=(10**12,)),
        npy_header(extra="'x': 1"),
        npy_header(descr="nonsense"),
        b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65_535,
        b"\x93NUMPY\x02\x00\xff\xff\x00\x00" + b" " * 65_535,
        b"\x93NUMPY\x03\x00\x01\x00\x00\x00{",
        b"\x93NUMPY\x09\x00",
        b"\x93NUM",
        b"",
        b"some text",
    ],
)
def test_headers_that_do_not_fit_the_file(tmp_path, small, header, monkeypatch):
    path = npz_of_members(tmp_path / "a.npz", small, y_train=header + bytes(3))
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: pytest.fail("was read"))
    path_x = npz_of_members(tmp_path / "b.npz", small, x_train=header + bytes(3))
    with pytest.raises(UserError) as caught:
        read_npz(path_x)  # the first array that is read
    assert "allow_pickle" not in str(caught.value) and "\n" not in str(caught.value)
    monkeypatch.undo()
    with pytest.raises(UserError):
        read_npz(path)


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_both_versions_of_headers_are_read(tmp_path, small, version):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, small.y_train, version=version)
    train, _ = read_npz(npz_of_members(tmp_path / "a.npz", small, y_train=buffer.getvalue()))
    np.testing.assert_array_equal(train.labels, small.y_train)


def test_a_member_that_inflates_too_far_is_refused_unread(tmp_path, small, monkeypatch):
    bomb = npy_header(shape=(200_000,)) + bytes(200_000)
    path = npz_of_members(tmp_path / "a.npz", small, y_train=bomb)
    assert path.stat().st_size < 50_000
    monkeypatch.setattr(npz_files, "MAX_BYTES", 150_000)
    with pytest.raises(UserError, match="unpacks to 200,.*bytes, more than"):
        read_npz(path)


def test_encrypted_and_unknown_compression(tmp_path, small):
    path = npz(tmp_path / "a.npz", small)
    content = bytearray(path.read_bytes())
    for offset, value, message in ((8, 1, "encrypted"), (10, 99, "compression")):
        damaged = bytearray(content)
        start = damaged.index(b"PK\x01\x02")  # the first entry of the zip file's directory
        damaged[start + offset] = value
        damaged[offset - 2] = value  # and of the member itself
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=f"cannot be read as .npz: .*{message}"):
            read_npz(path)


def test_find_npz_files(tmp_path):
    for name in ("b.npz", "A.NPZ", ".hidden.npz", "c.npy", "a.npz.part"):
        (tmp_path / name).write_bytes(b"")
    found = find_npz_files(tmp_path)
    assert found == {("a",): {"all": [tmp_path / "A.NPZ"]}, ("b",): {"all": [tmp_path / "b.npz"]}}
