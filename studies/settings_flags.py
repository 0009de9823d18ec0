"""The flags that a program passes on to the settings of its runs."""

from collections.abc import Iterable, Mapping

from _00_main import make_settings
from common.command_line import Flags, make_parser, parse_flags
from common.settings import PLACE_NAMES
from common.user_error import UserError


def parse_changes(
    arguments: Iterable[str], set_here: Mapping[str, str] | Iterable[str], reason: str = ""
) -> Flags:
    """Return what flags say of the settings of many runs.

    Args:
        arguments: those that the program does not take itself.
        set_here: names of settings, or "recipe", that the program sets for each run; or why, by
            name.
        reason: why it sets all of them; ends the error's line.

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
            why = set_here[name] if isinstance(set_here, Mapping) else reason
            raise UserError(f"leave --{name.replace('_', '-')} out: {why}.")
    return flags


def check_documented(write_docs: bool, changes: Iterable[str], other_flags: Iterable[str]) -> None:
    """Check that what --write-docs replaces is replaced by the same.

    Args:
        write_docs: whether the flag was given.
        changes: names of the settings that flags have changed.
        other_flags: those of the program's own flags that were given and would change the results.

    Raises:
        UserError: the results would not be those that the documents tell of.
    """
    allowed = (*PLACE_NAMES, "precision")
    flags = [f"--{name.replace('_', '-')}" for name in changes if name not in allowed]
    flags += other_flags
    if write_docs and flags:
        raise UserError(
            f"--write-docs is for the documented results: leave out {', '.join(flags)}."
        )
