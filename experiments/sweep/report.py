"""What came out of the sweep: the best trial, a table of all, importances, and the figure."""

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from _00_main import make_settings
from common.settings import PLACE_NAMES, Settings
from experiments.sweep.space import RECIPE, SPACE, settings_of
from studies.search import importances, trial_values
from studies.tables import format_cell, write_table

FORMATS = {
    "learning_rate": "g",
    "validation accuracy in %": ".2f",
    "test accuracy in %": ".2f",
    "epochs": "d",
    "seconds": ".0f",
}


def report(
    study_name: str,
    storage: str,
    base: Settings,
    results: Mapping[str, Mapping[str, Any]],
    path: Path,
) -> None:
    """Print the best trial and the importance of the parameters; write the table and the figure.

    Args:
        study_name, storage: where the values of the trials are kept.
        base: the settings that all trials share.
        results: metrics by label.
        path: of the files, without suffix.
    """
    from _05_model_plot import save_figure
    from experiments.sweep.drawing import draw_sweep

    values = trial_values(study_name, storage)
    table = table_of(values, results)
    write_table(path, table, FORMATS)
    finished = table[table["ended early"] == "no"]
    print(f"\n{len(table)} trials, {len(table) - len(finished)} of them ended early. The best:")
    if len(finished):
        best = finished.iloc[0]
        cells = {name: format_cell(value, FORMATS.get(name, "")) for name, value in best.items()}
        print(to_lines(cells))
        print(f"Its network:\n  {command_of(settings_of(base, values[best['trial']]))}")
    shares = importances(study_name, storage)
    if shares:
        print("Importance of each parameter, of 1 in all:")
        print(to_lines({name: f"{share:.2f}" for name, share in shares.items()}))
    save_figure(draw_sweep(table, SPACE, shares), path.with_name(f"{path.name}.png"))
    print(f"Table and figure: {path.parent}")


def table_of(
    values: Mapping[str, Mapping[str, Any]], results: Mapping[str, Mapping[str, Any]]
) -> pd.DataFrame:
    """Return a row per trial, the best validation accuracy first; accuracies in %."""
    rows = [
        {
            "trial": label,
            **values[label],
            "validation accuracy in %": 100 * metrics["val_accuracy"],
            "test accuracy in %": 100 * metrics.get("test_accuracy", float("nan")),
            "epochs": metrics["epochs_trained"],
            "ended early": "yes" if metrics.get("ended_early") else "no",
            "seconds": metrics["total_seconds"],
        }
        for label, metrics in results.items()
    ]
    return pd.DataFrame(rows).sort_values("validation accuracy in %", ascending=False)


def to_lines(values: Mapping[str, Any]) -> str:
    """Return a line per value."""
    return "\n".join(f"  {name:26}{value}" for name, value in values.items())


def command_of(chosen: Settings) -> str:
    """Return the command that trains the network of a trial by itself."""
    words = ["python", "_00_main.py", "--recipe", RECIPE]
    recipe = dataclasses.asdict(make_settings(RECIPE))
    for name, value in dataclasses.asdict(chosen).items():
        if value != recipe[name] and name not in PLACE_NAMES:
            words += [f"--{name.replace('_', '-')}", str(value)]
    if chosen.dataset == "custom":
        words += ["--data-dir", str(chosen.data_dir)]
    return shlex.join(words)
