"""The exceptions for mistakes that the user can mend.

`run_program()` prints a UserError as one line and ends with exit code 2. Everything else is a
fault of the program and keeps its traceback.
"""

import difflib
import re
from collections.abc import Iterable

LONGEST_REASON = 200  # letters
ADDRESS = re.compile(r"<?((?:\w+\.)*\w+) object at 0x[0-9a-fA-F]+>?")


class UserError(Exception):
    """What was wrong, what was expected and what to do next, in one line."""


class DivergedError(UserError):
    """A training that came to nothing: going on from its last epoch would not help."""


def reason_of(error: BaseException) -> str:
    """Return the first line of a library's error, cut to length, without addresses of objects."""
    first, *_ = str(error).strip().splitlines() or [""]
    text = ADDRESS.sub(r"\1", " ".join(first.split())).rstrip(".")
    if len(text) > LONGEST_REASON:
        text = f"{text[:LONGEST_REASON].rsplit(' ', 1)[0]} ..."
    return text or type(error).__name__


def unknown_name(
    what: str, name: str, valid: Iterable[str], where_listed: str | None = None
) -> UserError:
    """Return (not raise) the error for a name that is not in `valid`, with the nearest one.

    The valid names are listed, unless they are many and `where_listed` says where to find them.

    Args:
        what: what kind of name it should have been, for example "recipe".
    """
    valid = sorted(valid)
    nearest = difflib.get_close_matches(str(name), valid, n=1)
    hint = f" Did you mean '{nearest[0]}'?" if nearest else ""
    listed = where_listed or f"Valid: {', '.join(valid)}."
    return UserError(f"unknown {what} '{name}'.{hint} {listed}")
