import errno
import json
import os

import numpy as np
import pytest

from common.safe_files import read_json, read_text, remove_if_there, write_atomically, write_json
from common.user_error import UserError


def full_disk(*_args):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_atomic_write_replaces_whole_files_only(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    write_atomically(path, "old")
    for step in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, step, full_disk)
            with pytest.raises(UserError, match=r"cannot write .*No space left.*--output-dir"):
                write_atomically(path, "new")
        assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["file.txt"]
    write_atomically(path, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"] and path.read_text() == "new"


def test_rights_and_links_stay(tmp_path):
    real = tmp_path / "elsewhere" / "file.txt"
    real.parent.mkdir()
    real.write_text("old")
    real.chmod(0o640)
    link = tmp_path / "link.txt"
    link.symlink_to(real)
    write_atomically(link, "new")
    assert link.is_symlink() and real.read_text() == "new"
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_file_that_cannot_be_deleted_is_named(tmp_path, capsys, monkeypatch):
    remove_if_there(tmp_path / "none")
    assert capsys.readouterr().out == ""
    remove_if_there(tmp_path)  # a folder
    assert f"Could not delete {tmp_path}" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b'\xef\xbb\xbf{"a": 1}', b'{"a": 1}'])
def test_a_byte_order_mark_makes_no_difference(tmp_path, content):
    (tmp_path / "file.json").write_bytes(content)
    assert read_json(tmp_path / "file.json") == {"a": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "cannot be read as JSON"),
        (b"", "cannot be read as JSON"),
        (b"[" * 100_000, "cannot be read as JSON"),
        ("{}".encode("utf-16"), "is not UTF-8 text"),
        (b'{"a": "\xfc"}', "is not UTF-8 text"),
    ],
)
def test_what_is_no_json(tmp_path, content, message):
    (tmp_path / "file.json").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_json(tmp_path / "file.json")


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match="cannot read .*none.txt: No such file"):
        read_text(tmp_path / "none.txt")
    with pytest.raises(UserError, match="cannot read"):
        read_text(tmp_path)


def test_json_is_strict_and_readable(tmp_path):
    path = tmp_path / "file.json"
    content = {"loss": float("nan"), "list": [1, float("inf")], "n": np.float32(0.5), "t": "5 ×"}
    write_json(path, content)
    text = path.read_text(encoding="utf-8")

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    read = json.loads(text, parse_constant=refuse)
    assert read == {"loss": None, "list": [1, None], "n": 0.5, "t": "5 ×"}
    assert "5 ×" in text and text.endswith("}\n") and "\n  " in text


def test_a_path_whose_bytes_are_no_text_can_be_noted(tmp_path):
    odd = os.fsdecode(b"/data/\xff")
    write_json(tmp_path / "file.json", {"data_dir": odd})
    assert read_json(tmp_path / "file.json")["data_dir"] == odd
