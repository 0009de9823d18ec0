"""Writing files so that a crash or a full disk leaves the old file or the new, never a half one."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from common.user_error import UserError


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write `content` to a temporary file beside `path`, force it to the disk, and rename it.

    A link stays a link, and the file keeps its rights.

    Raises:
        UserError: the disk is full, the folder is read-only or the like; `path` is untouched.
    """
    with writing(path):
        target = Path(os.path.realpath(path))
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        data = content.encode() if isinstance(content, str) else content
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileNotFoundError):  # a new file
                shutil.copymode(target, temporary)
            os.replace(temporary, target)
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
        path.unlink(missing_ok=True)
    except OSError as error:
        print(f"Could not delete {path}: {error.strerror}")


def cannot_write(path: Path, error: OSError) -> UserError:
    """Return (not raise) the one-line error for a failed write."""
    return UserError(
        f"cannot write {path}: {error.strerror or error}. Free space or rights, or choose "
        "another folder, by --output-dir or --folder."
    )


def read_text(path: Path) -> str:
    """Read a text file as UTF-8, with or without the byte order mark that Windows puts first.

    Raises:
        UserError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start}).") from error


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: it is missing, cannot be read or is not JSON.
    """
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as JSON: {error}.") from error


def write_json(path: Path, content: Any) -> None:
    """Write `content` as readable JSON, whole or not at all.

    NaN and infinity, which JSON lacks, become null.

    Raises:
        UserError: the file cannot be written.
    """
    options: dict[str, Any] = {"indent": 2, "allow_nan": False, "default": float}
    content = _without_nan(content)
    text = json.dumps(content, ensure_ascii=False, **options)
    try:
        data = text.encode()
    except UnicodeEncodeError:  # a path whose bytes are no text
        data = json.dumps(content, **options).encode()
    write_atomically(path, data + b"\n")


def _without_nan(content: Any) -> Any:
    """Return the content with None for every float that is not finite."""
    if isinstance(content, dict):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    is_odd = isinstance(content, float) and content - content != 0  # NaN or infinity
    return None if is_odd else content
