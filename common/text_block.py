"""Replacing a block of text inside a file that belongs to the user, and nothing else of it."""

from pathlib import Path

from common.safe_files import write_atomically
from common.user_error import UserError


def rewrite_block(path: Path, begin: str, end: str, text: str) -> None:
    """Replace what stands between two markers, if the file exists and has them.

    Encoding, line ends, rights and links of the file stay. A file that cannot be read or written
    is only reported: it is no reason to lose what the text tells of.

    Args:
        begin, end: the markers, in ASCII.
    """
    first, last = begin.encode(), end.encode()
    try:
        content = path.read_bytes()
        before, _, rest = content.partition(first)
        _, found, after = rest.partition(last)
        if found:
            line_end = b"\r\n" if b"\r\n" in content else b"\n"
            block = line_end.join([first, _encode_like(content, text), last])
            write_atomically(path, before + block + after)
    except FileNotFoundError:
        return
    except (OSError, UserError) as error:
        print(f"{path} could not be brought up to date: {error}")


def _encode_like(content: bytes, text: str) -> bytes:
    """Return text as UTF-8 if `content` is; else as ASCII, which other encodings share."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return text.encode("ascii", "xmlcharrefreplace")
    return text.encode()
