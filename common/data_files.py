"""Files that people bring: looking into a folder, opening a file, and saying what is wrong with it.

Whatever is wrong with a path, a right or a file is one line, a UserError. Gzip is recognised by
the content, not by the name, and nothing is read beyond MAX_BYTES, however far it would inflate.
"""

import gzip
import io
import re
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO

from common.user_error import UserError

MAX_BYTES = 2**31  # of one file or array, unpacked: 2.7 million images of 784 bytes
HEAD_BYTES = 2**16  # enough for the first line of a table, and to see what a file is
WEB_PAGE = re.compile(rb"\s*<(!doctype|html|head|body|\?xml|!--)", re.IGNORECASE)


def type_of(path: Path) -> str:
    """Return "file" or "folder".

    Raises:
        UserError: there is nothing at `path`, it is something else, or it cannot be looked at.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        is_link = path.is_symlink()
        what = "is a link to something that does not exist" if is_link else "does not exist"
        raise UserError(f"{path} {what}. Check the path.") from error
    except OSError as error:
        raise cannot_read(path, error) from error
    except ValueError as error:  # a zero byte
        raise UserError(f"{str(path)!r} cannot be a path: {error}.") from error
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise UserError(f"{path} is neither a file nor a folder.")
    return "folder" if stat.S_ISDIR(mode) else "file"


def is_folder(path: Path) -> bool:
    """Return whether there is a folder; what cannot be looked at is none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_file(path: Path) -> bool:
    """Return whether there is a file; what cannot be looked at is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def entries(folder: Path) -> list[Path]:
    """Return what lies in a folder, sorted, without hidden files (macOS adds `._` twins).

    Raises:
        UserError: it cannot be read.
    """
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise cannot_read(folder, error) from error


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a file name: train-images.IDX3_ubyte -> train, images, idx3, ubyte."""
    return tuple(word for word in re.split(r"[^a-z0-9]+", name.lower()) if word)


def cannot_read(path: Path, error: OSError) -> UserError:
    """Return (not raise) the one-line error for what the operating system refused."""
    return UserError(
        f"cannot read {path}: {error.strerror or error}. Check the path and its rights."
    )


@contextmanager
def open_content(path: Path) -> Iterator[io.BufferedReader]:
    """Open a file for reading, through gzip where its first two bytes say so.

    Raises:
        UserError: also from reading inside the block: not a file, unreadable, empty, a damaged
            gzip stream, more than MAX_BYTES, or what was saved under the file's name is a web
            page or a Git LFS pointer.
    """
    if type_of(path) == "folder":
        raise UserError(f"cannot read {path}: it is a folder, expected a file.")
    try:
        with path.open("rb") as file:
            is_gzip = file.peek(2)[:2] == b"\x1f\x8b"
            with gzip.GzipFile(fileobj=file) if is_gzip else nullcontext(file) as content:
                reader: io.BufferedReader = io.BufferedReader(_Limited(content, path), HEAD_BYTES)
                refuse_no_data(reader.peek(HEAD_BYTES), path)
                yield reader
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(
            f"{path} is a damaged gzip file, or only a part of one: {error}. Download it again."
        ) from error
    except OSError as error:
        raise cannot_read(path, error) from error


def refuse_no_data(head: bytes, path: Path) -> None:
    """Raise UserError if a file begins like what servers send in place of the data."""
    if not head:
        raise UserError(f"{path} is empty. Download or write it again.")
    if head.startswith(b"version https://git-lfs"):
        raise UserError(f"{path} is a Git LFS pointer, not the file: fetch it by 'git lfs pull'.")
    if WEB_PAGE.match(head):
        raise UserError(f"{path} is a web page, not data: download the file that it links to.")


class _Limited(io.RawIOBase):
    """Reads another stream, but no further than MAX_BYTES."""

    def __init__(self, content: BinaryIO | gzip.GzipFile, path: Path):
        self.content, self.path, self.n_read = content, path, 0

    def readable(self) -> bool:
        """Say that this stream can be read."""
        return True

    def readinto(self, buffer) -> int:
        """Fill the buffer as far as there is content; return the number of bytes."""
        data = self.content.read(len(buffer))
        self.n_read += len(data)
        if self.n_read > MAX_BYTES:
            raise too_large(self.path)
        buffer[: len(data)] = data
        return len(data)


def too_large(path: Path, n_bytes: int | None = None) -> UserError:
    """Return (not raise) the error for a file that holds or announces too much."""
    size = "more" if n_bytes is None else f"{n_bytes:,} bytes, more"
    return UserError(
        f"{path} unpacks to {size} than {MAX_BYTES / 2**30:g} GiB. If that is no mistake, take "
        "fewer images, or uint8 in place of floats."
    )
