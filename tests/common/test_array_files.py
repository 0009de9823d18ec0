import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest

from common.array_files import read_arrays
from common.data import Arrays
from common.user_error import UserError
from tests.data_writers import (
    EMNIST_STEMS,
    assert_same,
    idx_bytes,
    small_arrays,
    table_lines,
    write_idx,
    write_table,
)


@pytest.fixture(scope="module")
def small(digits):
    return small_arrays(digits)


@pytest.fixture
def folder(tmp_path):
    """A folder beside nothing else of the test's."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def read(path, data_set="custom"):
    return read_arrays(path, data_set, 10)


def refused(path, match, data_set="custom"):
    with pytest.raises(UserError, match=match) as caught:
        read(path, data_set)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def write_tables(folder, arrays, train="train.csv", test="test.csv", **options):
    write_table(folder / train, arrays.x_train, arrays.y_train, **options)
    write_table(folder / test, arrays.x_test, arrays.y_test, **options)
    return folder


# --- IDX ----------------------------------------------------------------------------------------

NAMINGS = {
    "published": lambda name: name,
    "packed": lambda name: f"{name}.gz",
    "dotted": lambda name: name.replace("-idx", ".idx"),
    "dotted, packed": lambda name: name.replace("-idx", ".idx") + ".gz",
    "capitals": str.upper,
    "capitals, packed": lambda name: f"{name}.gz".upper(),
    "underscores": lambda name: name.replace("-", "_"),
    "test for t10k": lambda name: name.replace("t10k", "test"),
    "doubled": lambda name: f"{name}/{name}",
    "doubled, dotted": lambda name: "{0}/{0}".format(name.replace("-idx", ".idx")),
    "doubled, dotted inside": lambda name: f"{name}/" + name.replace("-idx", ".idx"),
    "doubled, packed": lambda name: f"{name}/{name}.gz",
}


@pytest.mark.parametrize("naming", NAMINGS)
def test_idx_under_every_name_in_use(folder, small, naming):
    write_idx(folder, small, rename=NAMINGS[naming])
    assert_same(read(folder), small)
    for path in [path for path in sorted(folder.rglob("*")) if path.is_file()]:
        assert_same(read(path), small)  # each of the four stands for all


def test_a_mixture_of_names_and_a_folder_of_kaggle(folder, small):
    write_idx(folder, small)
    (folder / "train-images-idx3-ubyte").rename(folder / "train-images.idx3-ubyte")
    labels = folder / "t10k-labels-idx1-ubyte"
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels.read_bytes()))
    labels.unlink()
    assert_same(read(folder), small)
    shutil.rmtree(folder)
    write_idx(folder, small, rename=NAMINGS["doubled"])
    assert_same(read(folder / "train-images-idx3-ubyte"), small)  # a folder, by its file's name
    write_idx(folder, small, rename=NAMINGS["dotted"])  # Kaggle has both, side by side
    assert_same(read(folder), small)


def test_copies_are_one_file_and_others_are_ambiguous(folder, small):
    write_idx(folder, small)
    write_idx(folder, small, rename=NAMINGS["packed"])
    assert_same(read(folder), small)
    other = small._replace(y_test=small.y_test[::-1].copy())
    write_idx(folder, other, rename=NAMINGS["packed"])
    message = refused(folder, "t10k-labels-idx1-ubyte and .*t10k-labels-idx1-ubyte.gz differ")
    assert "images" not in message
    assert_same(read(folder / "t10k-labels-idx1-ubyte.gz"), other)  # named, it is meant


@pytest.mark.parametrize("where", ["custom", "Custom", "CUSTOM/raw", "raw"])
def test_a_subfolder_of_the_data_sets_name(folder, small, where):
    write_idx(folder / where, small)
    write_idx(folder / "FashionMNIST" / "raw", small._replace(y_train=small.y_train[::-1].copy()))
    assert_same(read(folder), small)


def test_a_folder_of_raw_scans_beside_the_data_is_passed_over(folder, small):
    write_idx(folder, small)
    write_idx(folder / "raw", small._replace(y_train=small.y_train[::-1].copy()))
    assert_same(read(folder), small)


@pytest.mark.parametrize(
    "name", ["fashion_mnist", "FashionMNIST/raw", "fashion-mnist", "Fashion MNIST"]
)
def test_a_subfolder_of_fashion_mnist(folder, small, name):
    write_idx(folder, small._replace(y_train=small.y_train[::-1].copy()))
    write_idx(folder / "mnist", small._replace(y_train=small.y_train[::-1].copy()))
    write_idx(folder / name, small)
    assert_same(read(folder, "fashion_mnist"), small)


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_emnist_is_turned_upright(folder, small, ending, capsys):
    stored = small._replace(
        x_train=small.x_train.transpose(0, 2, 1).copy(),
        x_test=small.x_test.transpose(0, 2, 1).copy(),
    )
    write_idx(folder, stored, EMNIST_STEMS, rename=lambda name: name + ending)
    (folder / "emnist-digits-mapping.txt").write_text("0 48\n1 49\n")
    assert_same(read(folder), small)
    assert "turned upright" in capsys.readouterr().out
    assert_same(read(folder / f"emnist-digits-test-labels-idx1-ubyte{ending}"), small)
    mnist = folder / "emnist-mnist"
    write_idx(mnist, stored, [stem.replace("digits", "mnist") for stem in EMNIST_STEMS])
    assert_same(read(mnist), small)


def test_emnist_tables_are_turned_upright(folder, small, capsys):
    stored = small._replace(
        x_train=small.x_train.transpose(0, 2, 1), x_test=small.x_test.transpose(0, 2, 1)
    )
    names = ("emnist-digits-train.csv", "emnist-digits-test.csv")
    assert_same(read(write_tables(folder, stored, *names, header=False)), small)
    assert capsys.readouterr().out.count("turned upright") == 1


def test_data_sets_side_by_side_are_ambiguous(folder, small):
    other = small._replace(y_train=small.y_train[::-1].copy())
    write_idx(folder, small, [stem.replace("digits", "mnist") for stem in EMNIST_STEMS])
    write_idx(folder, other, EMNIST_STEMS)
    message = refused(folder, "2 data sets side by side.*--data-dir ")
    named = Path(message.split("--data-dir ")[1].strip('"'))
    assert named.name == "emnist-digits-test-images-idx3-ubyte"
    assert read(named).y_train.tolist() == other.y_train.tolist()
    assert (
        read(folder / named.name.replace("digits", "mnist")).y_train.tolist()
        == small.y_train.tolist()
    )


def test_the_data_set_of_the_name_that_is_looked_for(folder, small):
    other = small._replace(y_train=small.y_train[::-1].copy())
    stems = [stem.replace("emnist-digits", "{}") for stem in EMNIST_STEMS]
    write_idx(folder, small, [stem.format("mnist") for stem in stems])
    write_idx(folder, other, [stem.format("fashion-mnist") for stem in stems])
    assert_same(read(folder, "mnist"), small)
    assert_same(read(folder, "fashion_mnist"), other)
    refused(folder, "side by side", "custom")


def test_a_whole_data_set_comes_before_single_files_of_others(folder, small):
    write_idx(folder, small)
    (folder / "emnist-letters-train-labels-idx1-ubyte").write_bytes(idx_bytes(small.y_train))
    assert_same(read(folder), small)


@pytest.mark.parametrize("missing", range(4))
@pytest.mark.parametrize("stems", [None, EMNIST_STEMS])
def test_a_missing_file_is_named(folder, small, missing, stems):
    write_idx(folder, small, *([stems] if stems else []))
    path = sorted(folder.iterdir())[missing]
    path.unlink()
    message = refused(folder, f"has no file {path.name} .or .gz.. Expected four IDX files")
    assert str(folder) in message
    refused(sorted(folder.iterdir())[0], f"has no file {path.name}")


def test_a_dangling_link_or_a_folder_in_place_of_a_file(folder, small):
    write_idx(folder, small)
    path = folder / "train-images-idx3-ubyte"
    path.unlink()
    path.symlink_to(folder / "nowhere")
    refused(folder, "train-images-idx3-ubyte is a link to something that does not exist")
    path.unlink()
    path.mkdir()
    refused(folder, "has no file train-images-idx3-ubyte")
    path.rmdir()
    path.write_bytes(idx_bytes(small.x_train[:, :27]))
    refused(folder, r"the train images are uint8 \(80, 27, 28\)")


# --- npz ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["some.npz", "SOME.NPZ", "custom/some.npz"])
def test_npz_by_folder_or_by_file(folder, small, name):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        np.savez(file, **small._asdict())
    assert_same(read(folder), small)
    assert_same(read(path), small)


def test_npz_in_other_forms_is_the_same_data(folder, small):
    np.savez(
        folder / "some.npz",
        train_images=small.x_train[..., None] / np.float32(255),
        train_labels=np.eye(10)[small.y_train],
        test_images=small.x_test.reshape(20, 784).astype(np.int64),
        test_labels=small.y_test[:, None].astype(np.float64),
    )
    assert_same(read(folder), small)


def test_npz_of_one_pair_holds_a_test_part_out(folder, small, capsys):
    np.savez(folder / "some.npz", images=small.x_train, labels=small.y_train)
    found = read(folder)
    assert len(found.y_train) + len(found.y_test) == 80 and len(found.y_test) >= 9
    assert "of 80 images." in capsys.readouterr().out


def test_several_npz_files(folder, small):
    np.savez(folder / "a.npz", **small._asdict())
    np.savez(folder / "mnist.npz", **small._replace(y_test=small.y_test[::-1])._asdict())
    refused(folder, "2 data sets side by side, with a.npz, mnist.npz. Say which")
    assert read(folder, "mnist").y_test.tolist() == small.y_test[::-1].tolist()
    assert_same(read(folder / "a.npz"), small)
    shutil.copy(folder / "a.npz", folder / "A.NPZ")
    (folder / "mnist.npz").unlink()
    assert_same(read(folder), small)  # a copy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_train": np.full(80, 10, np.uint8)}, "train labels run from 10 to 10; expected 0 to 9"),
        ({"y_test": np.full(20, -1)}, "test labels run from -1"),
        ({"y_test": np.zeros(19, np.uint8)}, "test part has 20 images, but 19 labels"),
        ({"x_test": np.zeros((20, 8, 8), np.uint8)}, r"test images are uint8 \(20, 8, 8\)"),
        ({"x_train": np.full((80, 28, 28), -1.0)}, "train images have pixels from -1 to -1"),
        ({"x_test": np.zeros((0, 28, 28)), "y_test": np.zeros(0)}, "test images are none"),
    ],
)
def test_wrong_arrays_are_named_with_their_part_and_file(folder, small, change, message):
    np.savez(folder / "some.npz", **(small._asdict() | change))
    assert str(folder) in refused(folder, message)


def test_the_number_of_classes_is_the_data_sets(folder, small):
    np.savez(folder / "some.npz", **small._replace(y_train=small.y_train + 16)._asdict())
    assert read_arrays(folder, "custom", 26).y_train.max() == 25
    refused(folder, "expected 0 to 9")


# --- Tables -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train.csv", "test.csv"),
        ("mnist_train.csv", "mnist_test.csv"),
        ("Train.CSV", "Test.CSV"),
        ("train.csv.gz", "test.csv.gz"),
        ("training.tsv", "testing.csv"),
    ],
)
def test_tables_by_folder_or_by_file(folder, small, train, test):
    write_tables(folder, small, train, test)
    (folder / "README.md").write_text("Two tables")
    (folder / "sample_submission.csv").write_text("ImageId,Label\n1,0\n")
    for path in (folder, folder / train, folder / test):
        assert_same(read(path), small)


def test_a_test_table_without_labels_holds_a_test_part_out(folder, small, capsys):
    write_table(folder / "train.csv", small.x_train, small.y_train)
    write_table(folder / "test.csv", small.x_test)
    found = read(folder)
    assert "no labels for a test: the last seventh of each class" in capsys.readouterr().out
    assert len(found.y_train) + len(found.y_test) == 80
    rows = {image.tobytes() for image in small.x_train}
    held_out = {image.tobytes() for image in found.x_test}
    assert held_out < rows and not held_out & {image.tobytes() for image in found.x_train}
    assert_same(read(folder / "train.csv"), found)
    assert_same(read(folder / "test.csv"), found)


@pytest.mark.parametrize("name", ["train.csv", "digits.csv", "mnist_784.csv.gz"])
def test_one_table_alone(folder, small, name):
    write_table(folder / name, small.x_train, small.y_train)
    found = read(folder)
    assert len(found.y_train) + len(found.y_test) == 80 and len(found.y_test) >= 9
    assert_same(read(folder / name), found)


def test_tables_that_cannot_be_read(folder, small):
    write_table(folder / "test.csv", small.x_test, small.y_test)
    refused(folder, "has a table for the test, but none for training")
    refused(folder / "test.csv", "has a table for the test, but none for training")
    write_table(folder / "train.csv", small.x_train)
    refused(folder, "train.csv has 784 columns: pixels, but no label. Add a column")
    lines = table_lines(small.x_train, small.y_train)
    (folder / "train.csv").write_text("\n".join([*lines[:9], "1,2", *lines[9:]]))
    refused(folder, "train.csv, line 10: column 3 is empty")
    few = Arrays(small.x_train[:2], small.y_train[:2], small.x_test, small.y_test)
    write_tables(folder, few)
    (folder / "test.csv").unlink()
    refused(folder, "fewer than 3 of each class")


def test_tables_of_several_data_sets(folder, small):
    other = small._replace(y_train=small.y_train[::-1].copy())
    write_tables(folder, small, "mnist_train.csv", "mnist_test.csv")
    write_tables(folder, other, "fashion-mnist_train.csv", "fashion-mnist_test.csv")
    refused(folder, "2 data sets side by side")
    assert_same(read(folder, "mnist"), small)
    assert_same(read(folder, "fashion_mnist"), other)
    assert_same(read(folder / "fashion-mnist_test.csv"), other)


# --- What else may lie there --------------------------------------------------------------------


def test_several_kinds_of_data_are_ambiguous(folder, small):
    write_idx(folder, small)
    np.savez(folder / "some.npz", **small._replace(y_test=small.y_test[::-1])._asdict())
    refused(folder, "data of several kinds: some.npz and .*ubyte. Give the path of one file")
    assert_same(read(folder / "t10k-images-idx3-ubyte"), small)
    (folder / "some.npz").unlink()
    write_tables(folder, small)
    refused(folder, "data of several kinds: .*ubyte and test.csv")


def test_a_table_of_something_else_is_no_second_kind(folder, small):
    write_idx(folder, small)
    (folder / "results.csv").write_text("epoch,accuracy\n1,0.9\n")
    assert_same(read(folder), small)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "has no data; it has no files. Expected four IDX files"),
        (["README.md"], "has no data; it has README.md. Expected"),
        ([f"file{i}" for i in range(12)], "file0, file1, file10, file11, .*file5, .... Expected"),
        (["archive.zip"], "it has archive.zip. Expected"),
        ([f"{i}/a.png" for i in range(10)], "not a picture that can be read"),
        (["train/0/a.txt", "train/1/a.md"], "have no pictures, such as PNG files"),
        (["test/0/a.png"], "pictures for the test, but none for training"),
        (["a.JPG", "b.png"], "holds pictures without labels. Put them into folders"),
    ],
)
def test_folders_without_data(folder, names, message):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    refused(folder, message)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.png", b"\x89PNG", "is a single picture"),
        ("a.npz", b"<!doctype html>", "is a web page"),
        ("train.csv", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("train-images-idx3-ubyte", b"", "has no file train-labels|is empty"),
        ("notes.txt", b"some text", "is no zip file. Expected are IDX files"),
        (
            "mnist.pkl.gz",
            gzip.compress(b"\x80\x03}q\x00.", mtime=0),
            "is a Python pickle, which is not",
        ),
    ],
)
def test_files_that_are_no_data(folder, name, content, message):
    (folder / name).write_bytes(content)
    refused(folder / name, message)


def test_paths_that_lead_nowhere(folder):
    (folder / "link").symlink_to(folder / "nowhere")
    refused(folder / "nowhere", "does not exist")
    refused(folder / "link", "is a link to something that does not exist")
    refused(folder / "zero\0byte", "cannot be a path")
    (folder / "file").write_text("x")
    refused(folder / "file" / "inside", "cannot read .*Not a directory")


@pytest.mark.parametrize("function", ["pathlib.Path.iterdir", "pathlib.Path.stat", "io.open"])
@pytest.mark.parametrize("kind", ["idx", "npz", "csv"])
def test_rights_that_are_missing(folder, small, monkeypatch, kind, function):
    if kind == "idx":
        write_idx(folder, small)
    elif kind == "csv":
        write_tables(folder, small)
    else:
        np.savez(folder / "some.npz", **small._asdict())

    def refuse(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(function, refuse)
    refused(folder, "cannot read .*: Permission denied")
