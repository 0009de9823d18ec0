"""What a run depends on: name, type, rule and meaning of every setting.

The values stand in `_00_main.py`, which makes a Settings by `make_settings()`. Here are none, so
that every step can name the class. The flags of the command line are made from its fields:
`val_size` becomes `--val-size`.
"""

import dataclasses
import math
import numbers
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from common.user_error import UserError, unknown_name

OPTIMIZER_NAMES = ("adam", "muon", "sgd")
SCHEDULES = ("linear", "constant")
MONITORS = ("val_loss", "val_accuracy")
FIGURE_EXTENTS = ("all", "quick", "none")
PRECISIONS = ("auto", "float32", "mixed_bfloat16")
FIRST, RECIPE, PLACE = "what to change first", "the recipe", "where and how"


class Rule(NamedTuple):
    """What values a setting takes."""

    metavar: str  # stands for the value in --help
    parse: Callable[[str], Any]  # from a flag's text; what cannot be parsed stays text
    check: Callable[[str, Any], Any]  # (name, value) -> value in its type, or UserError


def setting(group: str, rule: Rule, description: str) -> Any:
    """Return a dataclass field without default; the description is the flag's help text."""
    metadata = {"group": group, "rule": rule, "help": description}
    return dataclasses.field(metadata=metadata)


# --- The rules ----------------------------------------------------------------------------------


def whole(smallest: int, below: int | None = None) -> Rule:
    """Return the rule of a whole number of at least 0 or 1, and below a limit if there is one."""
    expected = "positive whole number" if smallest else "whole number, 0 or greater"

    def check(name: str, value: Any) -> int:
        is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if not is_whole or int(value) < smallest:
            raise UserError(f"{name} must be a {expected}, got {value!r}.")
        if below is not None and int(value) >= below:
            raise UserError(f"{name} must be below {below}, got {value}.")
        return int(value)

    return Rule("N", _parser_of(int), check)


def number(expected: str, is_valid: Callable[[float], bool]) -> Rule:
    """Return the rule of a finite number that meets a condition, and how to say the condition."""

    def check(name: str, value: Any) -> float:
        is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not is_number or not _is_finite(value) or not is_valid(float(value)):
            raise UserError(f"{name} must be a number {expected}, got {value!r}.")
        return float(value)

    return Rule("X", _parser_of(float), check)


def _is_finite(value: Any) -> bool:
    """Return whether a number is finite as a float, too."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def one_of(*names: str) -> Rule:
    """Return the rule of a name from a list."""

    def check(name: str, value: Any) -> str:
        if value not in names:
            raise unknown_name(name, value, names)
        return value

    return Rule("NAME", str, check)


def text() -> Rule:
    """Return the rule of a name that the steps know (`make_settings` checks it)."""

    def check(name: str, value: Any) -> str:
        if not isinstance(value, str):
            raise UserError(f"{name} must be a name, got {value!r}.")
        return value

    return Rule("NAME", str, check)


def switch() -> Rule:
    """Return the rule of true or false."""

    def check(name: str, value: Any) -> bool:
        if not isinstance(value, bool):
            raise UserError(f"{name} must be true or false, got {value!r}.")
        return value

    values = {"true": True, "false": False}
    return Rule("BOOL", lambda text: values.get(text.lower(), text), check)


def path(may_be_none: bool = False) -> Rule:
    """Return the rule of a path; it is made absolute: a run may be resumed from elsewhere."""

    def check(name: str, value: Any) -> str | None:
        if value is None and may_be_none:
            return None
        if not isinstance(value, str | os.PathLike) or not str(value) or "\0" in str(value):
            raise UserError(f"{name} must be a path, got {value!r}.")
        try:
            # Links are kept: what they lead to may have a name that says nothing.
            return os.path.abspath(Path(value).expanduser())  # noqa: PTH100
        except (OSError, RuntimeError) as error:  # no home folder, no working directory
            raise UserError(f"{name} {value} cannot be found: {error}.") from error

    return Rule("DIR", str, check)


def _parser_of(kind: type) -> Callable[[str], Any]:
    """Return a function that makes a number of a text, or leaves it for the check to refuse."""

    def parse(text: str) -> Any:
        try:
            return kind(text)
        except ValueError:
            return text

    return parse


POSITIVE = number("greater than 0", lambda x: x > 0)
NOT_NEGATIVE = number("0 or greater", lambda x: x >= 0)
SHARE = number("between 0 and 1, both excluded", lambda x: 0 < x < 1)
SHARE_OR_NONE = number("at least 0 and below 1", lambda x: 0 <= x < 1)
UP_TO_ONE = number("between 0 and 1", lambda x: 0 <= x <= 1)


# --- The settings -------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """All that a run depends on. Checks itself; raises UserError for what cannot be."""

    dataset: str = setting(FIRST, text(), "mnist, fashion_mnist, digits or custom")
    architecture: str = setting(FIRST, text(), "a network, or such as vgg16(width=0.5)")
    val_size: float = setting(FIRST, SHARE, "share of images for validation")
    epochs: int = setting(FIRST, whole(1), "at most so many, on varied images")
    polish_epochs: int = setting(FIRST, whole(0), "at the end, on unchanged images")
    batch_size: int = setting(FIRST, whole(1), "images per training step")
    seed: int = setting(FIRST, whole(0, below=2**32), "of everything that is random")
    early_stopping_enabled: bool = setting(FIRST, switch(), "stop when it stalls")

    early_stopping_patience: int = setting(RECIPE, whole(1), "epochs before it stops")
    plateau_patience: int = setting(RECIPE, whole(1), "epochs before the rate is cut")
    monitor: str = setting(RECIPE, one_of(*MONITORS), " or ".join(MONITORS))
    optimizer: str = setting(RECIPE, one_of(*OPTIMIZER_NAMES), "adam, muon or sgd")
    learning_rate: float = setting(RECIPE, POSITIVE, "rate at its peak")
    schedule: str = setting(RECIPE, one_of(*SCHEDULES), f"of the rate: {' or '.join(SCHEDULES)}")
    warm_up: float = setting(RECIPE, SHARE, "share of steps in which the rate rises")
    rate_decay: float = setting(RECIPE, POSITIVE, "factor of the rate after each epoch")
    beta_2: float = setting(RECIPE, SHARE, "Adam's decay of squared gradients")
    rotation: float = setting(RECIPE, NOT_NEGATIVE, "largest, of training images, in degrees")
    zoom: float = setting(RECIPE, SHARE_OR_NONE, "largest, as a share of the size")
    shift: float = setting(RECIPE, SHARE_OR_NONE, "largest, as a share of the size")
    shear: float = setting(RECIPE, NOT_NEGATIVE, "largest, in degrees")
    stretch: float = setting(RECIPE, UP_TO_ONE, "widening of narrow digits, from 0 to 1")
    pen: float = setting(RECIPE, UP_TO_ONE, "other pens and scanners, from 0 to 1")
    paper: float = setting(RECIPE, UP_TO_ONE, "share of images on grey, grainy paper")
    flip: float = setting(RECIPE, UP_TO_ONE, "share of training images to mirror")
    erase: float = setting(RECIPE, UP_TO_ONE, "share to cover in part by noise")
    drawn: float = setting(RECIPE, UP_TO_ONE, "drawn digits per training image")
    label_smoothing: float = setting(RECIPE, SHARE_OR_NONE, "share given to all classes")
    average_shifts: bool = setting(RECIPE, switch(), "predict the mean over five shifts")
    average_flips: bool = setting(RECIPE, switch(), "... over image and mirror image")
    networks: int = setting(RECIPE, whole(1), "to train and to average")

    precision: str = setting(PLACE, one_of(*PRECISIONS), ", ".join(PRECISIONS))
    data_dir: str | None = setting(PLACE, path(may_be_none=True), "your data: IDX, .npz or .csv")
    output_dir: str = setting(PLACE, path(), "where runs/ and the record are")
    figures: str = setting(PLACE, one_of(*FIGURE_EXTENTS), "all, quick (no t-SNE) or none")
    show: bool = setting(PLACE, switch(), "open the figures in windows, too")

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = field.metadata["rule"].check(field.name, getattr(self, field.name))
            object.__setattr__(self, field.name, value)  # frozen: this is the one exception


SETTING_NAMES = tuple(field.name for field in dataclasses.fields(Settings))
# These never shape the result (as precision does): `--resume` takes them, and the record leaves
# them out, as they may name the user's folders.
PLACE_NAMES = ("data_dir", "output_dir", "figures", "show")


def public_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that shape the result: without the user's paths and what is shown."""
    return {name: value for name, value in settings.items() if name not in PLACE_NAMES}


def check_names(changes: dict[str, Any]) -> dict[str, Any]:
    """Return the changes if all of them are of settings.

    Raises:
        UserError: one is not; the nearest valid name is given.
    """
    for name in changes:
        if name not in SETTING_NAMES:
            raise unknown_name("setting", name, SETTING_NAMES)
    return changes


def check_only_place(changes: Iterable[str]) -> None:
    """Check that an interrupted run is given nothing that would make it another.

    Raises:
        UserError: there is a setting that shapes the result.
    """
    others = [name for name in changes if name not in PLACE_NAMES]
    if others:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in others)
        raise UserError(f"--resume takes all settings from the run folder; leave {flags} out.")
