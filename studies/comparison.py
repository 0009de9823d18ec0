"""Several ways to train beside one another, each by several seeds: rows, a table and a figure."""

import argparse
import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from _01_data_loader import load_data
from common.command_line import PROJECT_DIR, Parser
from common.keras_start import load_keras
from common.run_folder import read_description
from common.settings import Settings
from common.user_error import UserError, unknown_name
from studies.forecast import costs_per_image, print_forecast
from studies.many_runs import run_all
from studies.same_settings import in_one_precision
from studies.settings_flags import check_documented, parse_changes
from studies.tables import results_folder, write_csv, write_table
from studies.timed_steps import Repetitions

if TYPE_CHECKING:
    import keras

FORMATS = {
    "n": "d",
    "diverged": "d",
    "test accuracy in %": ".2f",
    "standard deviation": ".3f",
    "published, in %": ".2f",
    "test loss": ".4f",
    "published loss": ".4f",
    "parameters": ",d",
    "million multiply-adds": ".2f",
    "epochs": ".1f",
    "s per epoch": ".0f",
}
REPETITIONS = Repetitions(20, warm_ups=3)  # of a training step, for the seconds of the table


class Entry(NamedTuple):
    """One way to train: a row of the table."""

    name: str
    settings: Settings  # of its first seed
    published: float | None = None  # test accuracy in %, as its author gives it
    n: int = 5  # seeds
    published_loss: float | None = None


class Comparison(NamedTuple):
    """What a comparison came to."""

    entries: list[Entry]
    table: pd.DataFrame  # a row per entry
    results: dict[str, dict[str, Any]]  # metrics and run folder by label
    folder: Path  # of the files
    work_folder: Path  # for what a program measures besides, and keeps


def compare(
    name: str,
    description: str | None,
    arguments: list[str],
    list_entries: Callable[[Mapping[str, Any]], list[Entry]],
    set_here: Sequence[str] = ("recipe", "architecture"),
) -> Comparison | None:
    """Make all runs that are not made yet; print and write the table and the figure.

    They go into the program's folder, with a record of their own: the project's is for single runs.
    A run that diverges is counted, and the others are made.

    Args:
        name: of the program, its study, its folder in runs/ and its files.
        description: the program's docstring.
        arguments: the command line; flags that are not of `comparison_parser` are settings.
        list_entries: takes those settings, and returns the rows of the table.
        set_here: names of settings that each row has its own of.

    Returns:
        None with --dry-run, when the runs and their costs are only printed.

    Raises:
        UserError: a flag cannot be, or see `run_all`.
    """
    given, others = comparison_parser(description, name).parse_known_args(arguments)
    changes = parse_changes(others, set_here, "each row has its own").changes
    given_flags = [flag for flag in ("n", "only") if getattr(given, flag) is not None]
    check_documented(given.write_docs, changes, [f"--{flag}" for flag in given_flags])
    shared = {"figures": "none", "output_dir": given.folder}
    entries = chosen_entries(list_entries(shared | changes), given)
    runs = list_runs(entries)
    if given.dry_run:
        print_forecast(given.study, runs, given.storage)
        return None
    load_keras()  # also if all runs are finished
    results = run_all(given.study, runs, given.storage, may_diverge=True)
    folder = results_folder(given.write_docs, given.folder)
    table = write_results(name, entries, rows_of_runs(entries, results), folder)
    return Comparison(entries, table, results, folder, given.folder / given.study)


def comparison_parser(description: str | None, name: str) -> Parser:
    """Return the parser of a program that compares; the arguments are those of `compare`."""
    parser = Parser(description)
    parser.add_argument("--n", type=int, help="seeds of each (default: as the table in docs has)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these rows")
    parser.add_argument("--dry-run", action="store_true", help="list the runs and what they cost")
    parser.add_argument("--study", default=name, help=f"its name ({name})")
    parser.add_argument("--storage", help="database URL (default: in the folder)")
    parser.add_argument(
        "--folder", type=Path, default=PROJECT_DIR / "runs" / name, help=f"(runs/{name})"
    )
    parser.add_argument("--write-docs", action="store_true", help="write into docs/results")
    return parser


def chosen_entries(entries: Sequence[Entry], given: argparse.Namespace) -> list[Entry]:
    """Return the entries that the command line asks for, with as many seeds as it says.

    Raises:
        UserError: no entry has that name, or the number of seeds cannot be.
    """
    if given.n is not None and given.n < 1:
        raise UserError(f"--n must be 1 or more, got {given.n}.")
    names = [entry.name for entry in entries]
    for name in given.only or ():
        if name not in names:
            raise unknown_name("row", name, names)
    return [
        entry._replace(n=given.n or entry.n)
        for entry in entries
        if not given.only or entry.name in given.only
    ]


def label_of(entry: Entry, seed: int) -> str:
    """Return what the study calls a run."""
    return f"{entry.name}, seed {seed}"


def seeds_of(entry: Entry) -> range:
    """Return the seeds of an entry, from that of its settings on."""
    return range(entry.settings.seed, entry.settings.seed + entry.n)


def list_runs(entries: Iterable[Entry]) -> dict[str, Settings]:
    """Return the settings of all runs by label, as `label_of` makes it.

    First comes one seed of each entry: an interrupted study then has every row.
    """
    entries = list(entries)
    return {
        label_of(entry, seeds_of(entry)[number]): dataclasses.replace(
            entry.settings, seed=seeds_of(entry)[number]
        )
        for number in range(max(entry.n for entry in entries))
        for entry in entries
        if number < entry.n
    }


def rows_of_runs(
    entries: Sequence[Entry], results: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return a row per run; accuracies in %, and nothing of the test images if it diverged."""
    return [
        {
            "name": entry.name,
            "network": entry.settings.architecture,
            "seed": seed,
            "diverged": "yes" if metrics.get("ended_early") else "no",
            "test accuracy": 100 * metrics.get("test_accuracy", math.nan),
            "test loss": metrics.get("test_loss", math.nan),
            "validation accuracy": 100 * metrics["val_accuracy"],
            "epochs": metrics["epochs_trained"],
            "training in s": metrics.get("train_seconds", math.nan),
            **made_by(metrics["run_folder"]),
        }
        for entry in entries
        for seed in seeds_of(entry)
        for metrics in [results[label_of(entry, seed)]]
    ]


def made_by(run_folder: Path) -> dict[str, Any]:
    """Return what seconds, and last digits, depend on; blank where another machine has the run."""
    if not (run_folder / "settings.json").exists():
        return dict.fromkeys(("precision", "device", "git_commit"))
    described = read_description(run_folder)
    return {
        "precision": described.settings["precision"],
        "device": described.machine.get("device"),
        "git_commit": described.git_commit,
    }


def summary_table(entries: Sequence[Entry], rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a row per entry: means over its seeds, and the deviation of their accuracies.

    The means are of the runs that came to an end; how many diverged is a column if there are any.
    """
    from studies.costs import multiply_adds

    all_runs = pd.DataFrame(rows)
    by_name = all_runs[all_runs["diverged"] == "no"].groupby("name", sort=False)
    networks = {entry.name: network_of(entry) for entry in entries}
    diverged = (all_runs["diverged"] == "yes").groupby(all_runs["name"]).sum()
    table = pd.DataFrame(
        {
            "n": by_name.size(),
            "diverged": diverged if diverged.any() else None,
            "test accuracy in %": by_name["test accuracy"].mean(),
            "standard deviation": by_name["test accuracy"].std(),
            "published, in %": _by_name(entries, lambda entry: entry.published),
            "test loss": by_name["test loss"].mean(),
            "published loss": _by_name(entries, lambda entry: entry.published_loss),
            "parameters": _by_name(entries, lambda entry: networks[entry.name].count_params()),
            "million multiply-adds": _by_name(
                entries, lambda entry: multiply_adds(networks[entry.name]) / 1e6
            ),
            "epochs": by_name["epochs"].mean(),
            "s per epoch": seconds_per_epoch(entries),
        },
        index=[entry.name for entry in entries],
    )
    whole = {"n": int, "parameters": int} | ({"diverged": int} if diverged.any() else {})
    table = table.fillna({"n": 0}).astype(whole)
    return table.rename_axis("name").reset_index().dropna(axis=1, how="all")


def _by_name(entries: Sequence[Entry], value_of: Callable[[Entry], float | None]) -> pd.Series:
    return pd.Series({entry.name: value_of(entry) for entry in entries}, dtype=float)


def network_of(entry: Entry) -> "keras.Model":
    """Return an untrained network of an entry, without averages over views."""
    from _03_model_training import build_network

    return build_network(entry.settings)


def seconds_per_epoch(entries: Sequence[Entry]) -> pd.Series:
    """Return how long an epoch of each takes on this machine: which one made a run is chance.

    Some steps are timed.
    """
    by_name = in_one_precision({entry.name: entry.settings for entry in entries}, None)
    costs = costs_per_image([*by_name.values()], REPETITIONS)
    seconds = {}
    for (name, settings), cost in zip(by_name.items(), costs, strict=True):
        n_train = len(load_data(settings.dataset, settings.data_dir).y_train)
        seconds[name] = cost.seconds * n_train * (1 - settings.val_size)
    return pd.Series(seconds, dtype=float)


def write_results(
    name: str, entries: Sequence[Entry], rows: Sequence[Mapping[str, Any]], folder: Path
) -> pd.DataFrame:
    """Write the table, every run's figures and the figure; print the table and return it.

    Args:
        name: of the files, without suffix.
        entries: rows of the table.
        rows: from `rows_of_runs`.
        folder: of the files.

    Raises:
        UserError: a file cannot be written.
    """
    from _05_model_plot import save_figure
    from studies.comparison_figure import draw_accuracies

    table = summary_table(entries, rows)
    write_csv(folder / f"{name}_each_seed.csv", rows)
    print(f"\n{write_table(folder / name, table, FORMATS)}")
    save_figure(draw_accuracies(table, rows), folder / f"{name}.png")
    return table
