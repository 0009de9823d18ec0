"""What all command lines of the project share: errors are one line and exit code 2."""

import argparse
import sys
import typing
from collections.abc import Callable
from typing import Any

from user_error import UserError


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are UserErrors, so that all errors look alike.

    It takes no abbreviations: several programs pass the flags that they do not know on to another
    parser. Its help keeps the line breaks of the description.
    """

    def __init__(self, description: str, **options: Any):
        super().__init__(
            description=description,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **options,
        )

    def error(self, message: str) -> typing.NoReturn:
        """Raise what argparse would print over several lines."""
        raise UserError(f"{message}. See --help.")


def run_program(program: Callable[[list[str]], Any], arguments: list[str]) -> int:
    """Run a program with these arguments; return its exit code: 0, 2 (UserError), 130 (Ctrl-C)."""
    try:
        program(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0
