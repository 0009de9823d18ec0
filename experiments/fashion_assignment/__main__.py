"""The course's Fashion-MNIST assignment: train a network, see its grade, submit it.

    python -m experiments.fashion_assignment                    # a quarter of an hour on two cores
    python -m experiments.fashion_assignment --n 5 --write-docs
    python -m experiments.fashion_assignment --recipe fashion_long    # hours

Trains by the recipe and, beside it, the course's example network (with the cross-entropy, where the
course minimised the squared error). Any flag of the main program changes the recipe. Killed and
started again, it goes on where it was. It prints a table. Then it takes the seed with the best
validation accuracy, and prints its test accuracy, its grade (full marks begin at 80 %) and the
command that submits it:

    export SUBMISSION_TOKEN=...     # as the course's page shows it
    python -m experiments.fashion_assignment --submit --assignment-id ID --server URL --model FILE

This asks the server for images, sends their classes, and prints accuracy and grade. The network
stays here. (--token TOKEN is read, too, but others on the machine can see a command line.)
"""

import argparse
import os
import shlex
import sys
from pathlib import Path

from common.command_line import PROJECT_DIR, Parser, run_program
from common.user_error import UserError
from experiments.fashion_assignment.grading import as_submission, grade_of, load_submission
from experiments.fashion_assignment.server import Server, checked_url
from experiments.fashion_assignment.study import (
    best_on_validation,
    draw_figures,
    list_runs,
    rows_of_recipes,
    rows_of_runs,
)
from experiments.fashion_assignment.submission import submit
from studies.many_runs import run_all
from studies.settings_flags import check_documented, parse_changes
from studies.tables import results_folder, write_csv, write_table

NAME = "fashion_assignment"
RECIPES = ("fashion", "fashion_long")
DOCUMENTED_SEEDS = 5
SHORTEST_SECRET = 4  # letters: anything shorter may be part of any address
TOKEN_VARIABLE = "SUBMISSION_TOKEN"
ONLY_TO_SUBMIT = ("token", "assignment_id", "server", "model", "timeout")
FORMATS = {
    "parameters": ",d", "n": "d", "test accuracy in %": ".2f", "deviation": ".2f",
    "grade": ".2f", "seconds, mean": ".0f",
}  # fmt: skip


def main(arguments: list[str]) -> None:
    """Train and grade, or submit."""
    given, others = make_parser().parse_known_args(arguments)
    if given.submit:
        refuse(others)
        submit_as_told(given)
        return
    for name in ONLY_TO_SUBMIT:
        if getattr(given, name) is not None:
            raise UserError(f"--{name.replace('_', '-')} needs --submit, which trains nothing.")
    train_and_grade(given, others)


def make_parser() -> Parser:
    """Return the parser of all flags but those of the settings."""
    parser = Parser(__doc__)
    train, to_submit = (parser.add_argument_group(title) for title in ("to train", "to submit"))
    train.add_argument("--recipe", choices=RECIPES, default=RECIPES[0], help="(fashion)")
    train.add_argument("--n", type=int, default=1, help="how many seeds, from --seed on (1)")
    train.add_argument("--study", default=NAME, help=f"its name ({NAME})")
    train.add_argument("--storage", help="database URL (default: runs/studies.db)")
    train.add_argument("--folder", type=Path, default=PROJECT_DIR / "runs" / NAME)
    train.add_argument("--write-docs", action="store_true", help="write into docs/results")
    to_submit.add_argument("--submit", action="store_true", help="submit, and train nothing")
    to_submit.add_argument("--assignment-id", metavar="ID", help="from the course's page")
    to_submit.add_argument("--token", help=f"from there, too; better in {TOKEN_VARIABLE}")
    to_submit.add_argument("--server", metavar="URL", help="https://HOST/PATH before /assignment")
    to_submit.add_argument("--model", type=Path, metavar="FILE", help="or a run's folder")
    to_submit.add_argument("--timeout", type=float, metavar="S", help="seconds for an answer (30)")
    return parser


# --- Training -----------------------------------------------------------------------------------


def train_and_grade(given: argparse.Namespace, others: list[str]) -> None:
    """Make the runs that are missing; print and write the table, the figures and the model."""
    if given.n < 1:
        raise UserError(f"--n must be 1 or more, got {given.n}.")
    changes = parse_changes(others, ("dataset",), "the assignment is on fashion_mnist").changes
    check_documented(given.write_docs, changes, ())
    if given.write_docs and given.n != DOCUMENTED_SEEDS:
        raise UserError(f"--write-docs is for the documented results: give --n {DOCUMENTED_SEEDS}.")
    runs = list_runs(given.recipe, given.n, changes)
    results = run_all(
        given.study, {label: run.settings for label, run in runs.items()}, given.storage
    )
    folder = results_folder(given.write_docs, given.folder)
    name = NAME if given.recipe == RECIPES[0] else f"{NAME}_{given.recipe}"
    rows = rows_of_runs(runs, results)
    write_csv(folder / f"{name}_each_seed.csv", rows)
    table = write_table(folder / name, rows_of_recipes(rows), FORMATS)
    best = best_on_validation(given.recipe, runs, results)
    accuracy = results[best]["test_accuracy"]
    print(f"\n{table}\nChosen run:     {best}\nTest accuracy:  {100 * accuracy:.2f} %")
    print(f"Grade:          {grade_of(accuracy):.2f}", flush=True)
    # These need the run's folder, which may be gone or on another machine.
    draw_figures(results[best]["run_folder"], folder / name)
    path = write_model(results[best]["run_folder"], model_path(given))
    print(f"Tables, figures: {folder}\nTo submit it:    {submission_command(path)}", flush=True)


def model_path(given: argparse.Namespace) -> Path:
    """Return where the network to submit is: each recipe has its own."""
    return given.folder / f"submission-{given.recipe}.keras"


def submission_command(path: Path) -> str:
    """Return the command that submits a model."""
    return (
        f"python -m experiments.{NAME} --submit --assignment-id ID --server URL "
        f"--model {shlex.quote(str(path))}"
    )


def write_model(run_folder: Path, path: Path) -> Path:
    """Write the network of a run in the form of a submission, and return its path."""
    from _04_data_saver import save_model
    from common.classifier import load_keras_model
    from common.safe_files import writing

    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    save_model(as_submission(load_keras_model(run_folder)), path)
    return path


# --- Submitting ---------------------------------------------------------------------------------


def submit_as_told(given: argparse.Namespace) -> None:
    """Submit the model that the command line names, or the last one that was trained.

    Raises:
        UserError: something is missing or wrong; no text of it holds the token.
    """
    token = (given.token or os.environ.get(TOKEN_VARIABLE) or "").strip()
    for value, flag in (
        (given.assignment_id, "--assignment-id ID"),
        (token, f"a token, in {TOKEN_VARIABLE} or by --token TOKEN"),
        (given.server, "--server URL"),
    ):
        if not (value or "").strip():
            raise UserError(f"--submit needs {flag}, from the course's page.")
    if len(token) >= SHORTEST_SECRET and token in given.server:
        raise UserError("--server holds the token, which belongs into --token.")
    timeout = 30.0 if given.timeout is None else given.timeout
    if not 0 < timeout < 86_400:
        raise UserError(f"--timeout must be from 0 to 86,400 seconds, got {timeout:g}.")
    server = Server(checked_url(given.server), token, timeout)
    if server.url.startswith("http://") and not is_loopback(server.url):
        print("Beware: by http, not https, others on the way can read your token.", file=sys.stderr)
    path = given.model or model_path(given)
    model = load_submission(path)
    print(f"Submitting:                      {path}", flush=True)
    verdict = submit(server, given.assignment_id.strip(), model)
    print(f"Accuracy on the server's images: {100 * verdict.accuracy:.2f} %")
    print(f"Grade:                           {verdict.grade:.2f}")
    if verdict.message:
        print(f"The server says:                 {verdict.message}", flush=True)


def is_loopback(url: str) -> bool:
    """Return whether a URL leads to this machine."""
    from urllib.parse import urlsplit

    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")


def refuse(others: list[str]) -> None:
    """Raise UserError for what --submit does not take; a stray text may be a part of the token."""
    if others and others[0].startswith("--"):
        raise UserError(f"--submit takes no {others[0].split('=')[0]}. See --help.")
    if others:
        raise UserError("there is a text without a flag. Put quotes around what has blanks.")


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
