import gzip
import os
import socket

import pytest

from common import data_files
from common.data_files import entries, is_file, is_folder, open_content, type_of, words_of
from common.user_error import UserError


def read(path):
    with open_content(path) as file:
        return file.read()


def refuse(*_args, **_options):
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("size", [1, 70_000, 3_000_000])
def test_plain_and_packed_content_is_read_whole(tmp_path, size):
    content = os.urandom(size)
    (tmp_path / "plain").write_bytes(content)
    (tmp_path / "packed").write_bytes(gzip.compress(content))  # gzip without the name for it
    assert read(tmp_path / "plain") == content
    assert read(tmp_path / "packed") == content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"\n\n <HTML>", "is a web page"),
        (b"<?xml version='1.0'?>", "is a web page"),
        (gzip.compress(b"<html>", mtime=0), "is a web page"),
        (gzip.compress(b"content" * 1000, mtime=0)[:-30], "damaged gzip file"),
        (b"\x1f\x8b" + bytes(100), "damaged gzip file"),
        (b"\x1f\x8b", "damaged gzip file"),
        (gzip.compress(b"content", mtime=0)[:10] + b"\xff" * 100, "damaged gzip file"),
    ],
)
def test_what_is_no_data_is_named(tmp_path, content, message):
    path = tmp_path / "train.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_gzip_file_damaged_after_its_first_block_is_named_while_reading(tmp_path):
    content = bytearray(gzip.compress(os.urandom(500_000)))
    content[-6] ^= 1  # the checksum at the end
    (tmp_path / "a.gz").write_bytes(content)
    with pytest.raises(UserError, match="damaged gzip file"):
        read(tmp_path / "a.gz")


def test_nothing_is_read_beyond_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(data_files, "MAX_BYTES", 100_000)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(10_000_000)))
    (tmp_path / "just.gz").write_bytes(gzip.compress(bytes(100_000)))
    assert len(read(tmp_path / "just.gz")) == 100_000
    with pytest.raises(UserError, match="unpacks to more than"):
        read(tmp_path / "bomb.gz")


def test_paths_that_are_no_file(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "file").write_text("x")
    for path, message in (
        (tmp_path, "it is a folder"),
        (tmp_path / "nowhere", "does not exist"),
        (tmp_path / "link", "is a link to something that does not exist"),
        (tmp_path / "circle", "cannot read"),
        (tmp_path / "file" / "inside", "cannot read.*Not a directory"),
        (tmp_path / "zero\0byte", "zero.x00byte' cannot be a path"),
        (tmp_path / ("long" * 100), "cannot read"),
    ):
        with pytest.raises(UserError, match=message):
            read(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_or_socket_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="neither a file nor a folder"):
        read(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        with pytest.raises(UserError, match="neither a file nor a folder"):
            type_of(tmp_path / "socket")


def test_rights_that_are_missing(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("content")
    with monkeypatch.context() as patch:
        patch.setattr("io.open", refuse)
        with pytest.raises(UserError, match=r"cannot read .*file: Permission denied"):
            read(path)
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.iterdir", refuse)
        with pytest.raises(UserError, match="cannot read .*: Permission denied"):
            entries(tmp_path)
    monkeypatch.setattr("pathlib.Path.stat", refuse)
    with pytest.raises(UserError, match="cannot read .*: Permission denied"):
        type_of(path)
    assert not is_folder(tmp_path) and not is_file(path)


def test_an_error_while_reading_is_one_line(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("content")
    with pytest.raises(UserError, match="cannot read .*: Input/output error"), open_content(path):
        raise OSError(5, "Input/output error")


def test_types_and_entries(tmp_path):
    for name in ("b", "a", "._a", ".DS_Store"):
        (tmp_path / name).write_text(name)
    assert type_of(tmp_path) == "folder" and type_of(tmp_path / "a") == "file"
    assert is_folder(tmp_path) and not is_folder(tmp_path / "a") and is_file(tmp_path / "a")
    assert [path.name for path in entries(tmp_path)] == ["a", "b"]


def test_words_of_a_name():
    assert words_of("train-images.IDX3_ubyte (gz)") == ("train", "images", "idx3", "ubyte", "gz")
