"""Which settings make one run another, and which do not."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _01_data_loader import DATA_SETS
from common.machine import choose_precision
from common.run_folder import read_description
from common.settings import Settings

if TYPE_CHECKING:
    import optuna

# Where and how a run is made: another folder or other figures do not make it another run.
CHANGE_NOTHING = ("output_dir", "figures", "show")


def decisive_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that decide what comes out of a run.

    Published data are the same wherever they lie: other machines keep them in other folders.
    """
    data_set = DATA_SETS.get(settings.get("dataset", ""))
    is_published = data_set is not None and data_set.sha256 is not None
    idle = (*CHANGE_NOTHING, "data_dir") if is_published else CHANGE_NOTHING
    return {name: value for name, value in settings.items() if name not in idle}


def is_folder_of(folder: Path, settings: Settings) -> bool:
    """Return whether a folder is there and of such a run: another machine may have named it so."""
    if not (folder / "settings.json").exists():
        return False
    return decisive_settings(read_description(folder).settings) == decisive_settings(
        dataclasses.asdict(settings)
    )


def in_precision_of(study: "optuna.Study", runs: Mapping[str, Settings]) -> dict[str, Settings]:
    """Return the runs with `auto` replaced by what suited the study's first worker.

    Machines would choose differently, and seeds in two precisions do not make one mean.
    """
    noted = study.user_attrs.get("precision")
    chosen = in_one_precision(runs, noted)
    if noted is None and chosen != dict(runs):
        auto = next(label for label, settings in runs.items() if settings.precision == "auto")
        study.set_user_attr("precision", chosen[auto].precision)
    return chosen


def in_one_precision(runs: Mapping[str, Settings], precision: str | None) -> dict[str, Settings]:
    """Return the runs with `auto` replaced by a precision; None: by what suits this machine."""
    if all(settings.precision != "auto" for settings in runs.values()):
        return dict(runs)
    if precision is None:
        from common.keras_start import load_keras

        load_keras()
        precision, _ = choose_precision("auto")
    return {
        label: settings
        if settings.precision != "auto"
        else dataclasses.replace(settings, precision=precision)
        for label, settings in runs.items()
    }


def differing_settings(saved: Mapping[str, Any], wanted: Settings) -> list[str]:
    """Return the names of the decisive settings that differ, or that only one of them has."""
    one, other = decisive_settings(saved), decisive_settings(dataclasses.asdict(wanted))
    return [name for name in {**one, **other} if one.get(name, ...) != other.get(name, ...)]
