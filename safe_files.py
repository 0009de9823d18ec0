"""Writing files so that a crash or a full disk leaves the old file or the new, never a half one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from user_error import UserError


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write `content` to a temporary file beside `path`, force it to the disk, and rename it.

    Raises:
        UserError: the disk is full, the folder is read-only or the like; `path` is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with writing(path), open(temporary, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        with writing(path):
            os.replace(temporary, path)
    finally:
        remove_if_there(temporary)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the operating system has against the block into a one-line error on `path`."""
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error


def remove_if_there(path: Path) -> None:
    """Delete a temporary file; where even that is not possible, say so and go on."""
    try:
        if path.exists():
            path.unlink()
    except OSError as error:
        print(f"Could not delete {path}: {error.strerror}")


def cannot_write(path: Path, error: OSError) -> UserError:
    """Return (not raise) the one-line error for a failed write."""
    return UserError(
        f"cannot write {path}: {error.strerror or error}. Free space or rights, or train into "
        "another folder with --output-dir DIR."
    )
