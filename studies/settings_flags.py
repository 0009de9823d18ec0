"""The flags that a program passes on to the settings of its runs."""

from collections.abc import Iterable

from _00_main import make_settings
from common.command_line import Flags, make_parser, parse_flags
from common.user_error import UserError


def parse_changes(arguments: Iterable[str], set_here: Iterable[str], reason: str) -> Flags:
    """Return what flags say of the settings of many runs.

    Args:
        arguments: those that the program does not take itself.
        set_here: names of settings, or "recipe", that the program sets for each run.
        reason: what it sets them to; ends the error's line.

    Raises:
        UserError: an unknown flag, one of `set_here`, or --resume.
    """
    flags = parse_flags(make_parser(None, make_settings()), arguments)
    if flags.resume is not None:
        raise UserError(
            "leave --resume out: it is for a single run. Started again by the same command, this "
            "program goes on where it was."
        )
    given = {*flags.changes, *(["recipe"] if flags.recipe is not None else [])}
    for name in set_here:
        if name in given:
            raise UserError(f"leave --{name.replace('_', '-')} out: {reason}.")
    return flags
