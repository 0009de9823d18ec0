"""Which batch size, rate and widths suit a small network? A student's sweep, by Optuna.

    python -m experiments.sweep                  # 40 trials: an hour and a half of one core
    python -m experiments.sweep --dry-run        # what that costs at most, on this machine
    python -m experiments.sweep --tensorboard    # to watch it, or --wandb
    python -m experiments.sweep --study long --trials 100 --epochs 50    # as many as the student's

The network is `sweep_baseline`; batch size, rate, filters and neurons are varied, as in SPACE. What
counts is the accuracy on validation images. After five finished trials, one is ended early if its
best accuracy so far is among the worst quarter of those that were finished, after as many epochs.
Trials that are not ended early read the test images once, and the sweep chooses nothing by them;
the student validated on them.

Several workers make the trials of one study together: start the same command again, each time with
the same `--storage postgresql://...` (docs/scaling.md). Killed and started again, it goes on where
it was. It prints the best trial, with the command that trains its network, and how much each
parameter mattered. It writes a table of all trials and a figure into the folder. The student's
further sweeps, of activation, dropout and noise, are left out.

Weights & Biases can choose the values instead: see experiments/sweep.yaml.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _00_main import run
from common.command_line import PROJECT_DIR, Parser, run_program
from common.keras_start import load_keras
from common.user_error import UserError
from experiments.sweep.report import report
from experiments.sweep.space import COSTLIEST, SPACE, base_settings, settings_of
from studies.forecast import print_forecast
from studies.many_runs import run_all, storage_of
from studies.search import Search
from studies.settings_flags import check_documented, parse_changes
from studies.tables import results_folder

NAME, TRIALS = "sweep", 40
SET_HERE = ("recipe", "architecture", "batch_size", "learning_rate", "networks")


def main(arguments: list[str]) -> None:
    """Make the trials that are missing, and print and write what came out; or make one trial."""
    given, others = sweep_parser().parse_known_args(arguments)
    if given.agent and given.dry_run:
        raise UserError("--agent makes a trial: leave --dry-run out.")
    if given.agent:
        make_trial_of_agent(given, others)
        return
    changes = parse_changes(others, SET_HERE, "the sweep chooses it").changes
    own = ["--trials"] if given.trials != TRIALS else []
    check_documented(given.write_docs, changes, own)
    base = base_settings({"output_dir": given.folder} | changes)
    if given.trials < 1:
        raise UserError(f"--trials must be 1 or more, got {given.trials}.")
    search = Search(SPACE, settings_of, callbacks_of(given))
    runs = {f"trial {number}": base for number in range(1, given.trials + 1)}
    storage = given.storage or storage_of(runs)
    if given.dry_run:
        print_forecast(
            given.study, runs, storage, at_most=lambda settings: settings_of(settings, COSTLIEST)
        )
        return
    load_keras()  # also if all trials are made
    results = run_all(given.study, runs, storage, search=search)
    folder = results_folder(given.write_docs, given.folder)
    report(given.study, storage, base, results, folder / NAME)


def sweep_parser() -> Parser:
    """Return the parser of all flags but those of the settings."""
    parser = Parser(__doc__)
    parser.add_argument("--trials", type=int, default=TRIALS, help=f"in all ({TRIALS})")
    parser.add_argument("--dry-run", action="store_true", help="list the trials and their costs")
    parser.add_argument("--study", default=NAME, help=f"its name ({NAME})")
    parser.add_argument("--storage", help="database URL (default: in the folder)")
    parser.add_argument("--folder", type=Path, default=PROJECT_DIR / "runs" / NAME)
    parser.add_argument("--write-docs", action="store_true", help="write into docs/results")
    parser.add_argument("--wandb", action="store_true", help="log to Weights & Biases")
    parser.add_argument("--tensorboard", action="store_true", help="log for TensorBoard")
    parser.add_argument("--agent", action="store_true", help="one trial, for `wandb agent`")
    return parser


# --- Trackers -----------------------------------------------------------------------------------


def callbacks_of(given: argparse.Namespace) -> Any:
    """Return the function that makes the trackers of a trial, as the command line wishes."""

    def make(values: Mapping[str, Any]) -> list[Any]:
        from studies.trackers import LogToTensorBoard, LogToWandb

        callbacks: list[Any] = []
        if given.wandb:
            callbacks.append(LogToWandb(NAME, values, given.folder))
        if given.tensorboard:
            name = "-".join(f"{key}={value}" for key, value in values.items())
            callbacks.append(LogToTensorBoard(given.folder / "tensorboard" / name))
        return callbacks

    return make


# --- One trial, for an agent of Weights & Biases ------------------------------------------------


def make_trial_of_agent(given: argparse.Namespace, others: list[str]) -> None:
    """Train with the values that `wandb agent` gives as flags: --filters1=8 --batch_size=64 ...

    Raises:
        UserError: a value of the space is missing or is no number, or a flag is unknown.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in SPACE:
        parser.add_argument(f"--{name}", f"--{name.replace('_', '-')}", dest=name)
    found, others = parser.parse_known_args(others)
    values = {name: parse_number(name, text) for name, text in vars(found).items()}
    base = base_settings(parse_changes(others, SET_HERE, "the agent chooses it").changes)
    given.wandb = True
    load_keras()  # before the trackers, which import it
    run(settings_of(base, values), callbacks=callbacks_of(given)(values))


def parse_number(name: str, text: str | None) -> float:
    """Return a value of the space from a flag; Weights & Biases writes whole numbers as 8 or 8.0.

    Raises:
        UserError: the flag is missing, or holds no number.
    """
    if text is None:
        raise UserError(f"--agent needs --{name}: `wandb agent` gives a value for each parameter.")
    try:
        value = float(text)
    except ValueError as error:
        raise UserError(f"--{name} must be a number, got {text!r}.") from error
    return int(value) if value.is_integer() else value


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
