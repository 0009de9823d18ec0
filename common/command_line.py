"""What all command lines of the project share: the settings as flags, and errors of one line."""

import argparse
import platform
import shlex
import signal
import subprocess
import sys
import threading
import typing
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from common.recipes import FOR_USERS
from common.settings import Settings
from common.streams import finish_streams, tolerant_streams
from common.user_error import UserError, unknown_name

PROJECT_DIR = Path(__file__).resolve().parent.parent
HELP_WIDTH, FLAG_WIDTH = 90, 35


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are UserErrors, so that all errors look alike.

    It takes no abbreviations: several programs pass the flags that they do not know on to another
    parser. Its help keeps the line breaks of the description, which is None under `python -OO`, and
    names the program as it was called, `python -m` included (argparse does so from Python 3.14).
    What has `type=Path` refuses an empty text, which pathlib would take for the working directory.
    """

    def __init__(self, description: str | None, **options: Any):
        options.setdefault("prog", _program_called())
        super().__init__(
            description=description,
            allow_abbrev=False,
            formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(
                prog, max_help_position=FLAG_WIDTH, width=HELP_WIDTH
            ),
            **options,
        )
        self.register("type", Path, _path)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Return what the command line says; hyphens and underscores in flags are the same.

        (Tools for hyperparameter sweeps pass underscores.)

        Raises:
            UserError: an unknown flag (with the nearest valid one) or one without its value.
        """
        return self._all_known(*self.parse_known_args(args, namespace))

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Return what the command line says, and what this parser does not know of it."""
        return super().parse_known_args([with_hyphens(text) for text in args], namespace)

    def parse_intermixed_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Return what the command line says, as `parse_args`; flags may stand between names."""
        return self._all_known(
            *self.parse_known_intermixed_args([with_hyphens(text) for text in args], namespace)
        )

    def _all_known(self, given: argparse.Namespace, unknown: list[str]) -> argparse.Namespace:
        if unknown:
            flags = [option for option in self._option_string_actions if option.startswith("--")]
            raise unknown_name("flag", unknown[0].split("=")[0], flags, "--help lists all.")
        return given

    def error(self, message: str) -> typing.NoReturn:
        """Raise what argparse would print over several lines."""
        raise UserError(f"{message}. See --help.")


def _program_called() -> str | None:
    """Return the program that runs, if `python -m` has called it; else None."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return None if spec is None else f"python -m {spec.name.removesuffix('.__main__')}"


def _path(text: str) -> Path:
    """Return a path of the command line, unless the text is empty."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"expected a path, got {text!r}")
    return Path(text)


# --- Settings as flags --------------------------------------------------------------------------


class Flags(NamedTuple):
    """What a command line says of settings."""

    recipe: str | None
    resume: Path | None
    changes: dict[str, Any]  # settings by name


def make_parser(description: str | None, defaults: Settings) -> Parser:
    """Return a parser with one flag a setting, in groups, and --recipe and --resume.

    A flag that is true or false can be given as --show, --no-show or --show=false.
    """
    usage = "python _00_main.py [--recipe NAME] [--SETTING VALUE ...] [--resume RUN_FOLDER]"
    # Who reads the help knows --help: its line is one of the few that a screen has.
    parser = Parser(description, usage=usage, argument_default=argparse.SUPPRESS, add_help=False)
    parser.add_argument("-h", "--help", action="help", help=argparse.SUPPRESS)
    names = f"{', '.join(FOR_USERS)}; others: common/recipes.py"
    parser.add_argument("--recipe", metavar="NAME", help=names)
    parser.add_argument(
        "--resume", type=Path, metavar="RUN_FOLDER", help="go on with an interrupted run"
    )
    groups: dict[str, Any] = {}
    for field in fields(Settings):
        title = field.metadata["group"]
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        _add_flag(groups[title], field, getattr(defaults, field.name))
    return parser


def _add_flag(group: Any, field: Any, default: Any) -> None:
    """Add the flag of one setting: val_size becomes --val-size."""
    flag, rule = field.name.replace("_", "-"), field.metadata["rule"]
    is_switch = field.type in (bool, "bool")
    shown = "" if default is None else f" ({str(default).lower() if is_switch else default})"
    options: dict[str, Any] = {"help": f"{field.metadata['help']}{shown}".replace("%", "%%")}
    if is_switch:
        options |= {"nargs": "?", "const": True}
        group.add_argument(
            f"--no-{flag}", dest=field.name, action="store_const", const=False,
            help=argparse.SUPPRESS,
        )  # fmt: skip
    group.add_argument(
        f"--{flag}", dest=field.name, type=rule.parse, metavar=rule.metavar, **options
    )


def parse_flags(parser: Parser, arguments: Iterable[str]) -> Flags:
    """Return what the command line says.

    Raises:
        UserError: as `Parser.parse_args`.
    """
    values = vars(parser.parse_args(arguments))
    recipe, resume = values.pop("recipe", None), values.pop("resume", None)
    return Flags(recipe, resume, values)


def with_hyphens(argument: str) -> str:
    """Return --val_size=0.2 as --val-size=0.2."""
    if not argument.startswith("--"):
        return argument
    flag, equals, value = argument.partition("=")
    return flag.replace("_", "-") + equals + value


def python_command(script: str, *arguments: str | Path) -> str:
    """Return the command line that starts a script of the project, quoted for this system.

    The script's folder is named unless it is the working directory.
    """
    path = script if Path.cwd() == PROJECT_DIR else str(PROJECT_DIR / script)
    words = ["python", path, *(str(argument) for argument in arguments)]
    is_windows = platform.system() == "Windows"
    return subprocess.list2cmdline(words) if is_windows else shlex.join(words)


# --- Running a program --------------------------------------------------------------------------


@contextmanager
def exit_if_missing() -> Iterator[None]:
    """End the program with one line if an import in the block meets a missing package."""
    try:
        yield
    except ModuleNotFoundError as error:
        if not is_package(error.name):
            raise
        print(f"error: {missing_package(error.name)}", file=sys.stderr)
        raise SystemExit(2) from error


def is_package(name: str | None) -> bool:
    """Return whether a module's name is that of an installable package, not of the project."""
    top = (name or "").split(".")[0]
    return bool(top) and not any((PROJECT_DIR / f"{top}{end}").exists() for end in ("", ".py"))


def missing_package(name: str | None) -> str:
    """Return what to do about a package that is not installed."""
    return (
        f"'{name}' is not installed. Run 'pip install -r requirements.txt', in the virtual "
        "environment if you made one."
    )


class Terminated(KeyboardInterrupt):
    """The system asked the program to end (SIGTERM, or SIGHUP where a terminal closes)."""


def run_program(program: Callable[[list[str]], Any], arguments: list[str]) -> int:
    """Run a program with these arguments and return its exit code.

    0; 2 for a UserError, which is printed as one line; 130 for Ctrl-C; 143 for SIGTERM.
    """
    with tolerant_streams():
        code = _exit_code(program, arguments)
    finish_streams()
    return code


def _exit_code(program: Callable[[list[str]], Any], arguments: list[str]) -> int:
    try:
        with _signals_as_exceptions():
            program(arguments)
    except UserError as error:
        print(f"error: {' '.join(str(error).splitlines())}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if not is_package(error.name):
            raise
        print(f"error: {missing_package(error.name)}", file=sys.stderr)
        return 2
    except Terminated:
        return 143
    except KeyboardInterrupt:
        return 130
    return 0


@contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """Raise Terminated in the block when the system asks the program to end.

    What is ignored, as SIGHUP is under `nohup`, stays ignored.
    """

    def terminate(*_: Any) -> None:
        raise Terminated

    signals = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    is_main = threading.current_thread() is threading.main_thread()  # no other may set handlers
    changed = [one for one in signals if is_main and signal.getsignal(one) is signal.SIG_DFL]
    for one in changed:
        signal.signal(one, terminate)
    try:
        yield
    finally:
        for one in changed:
            signal.signal(one, signal.SIG_DFL)
