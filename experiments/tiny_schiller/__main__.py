"""What does a network learn of a language, one character at a time? It reads Schiller, and writes.

    python -m experiments.tiny_schiller                          # Wilhelm Tell: three minutes
    python -m experiments.tiny_schiller --write "Wer da? "       # as the trained network goes on
    python -m experiments.tiny_schiller --text tiny_schiller     # all plays
    python -m experiments.tiny_schiller --text my_novel.txt

Trains a network to predict the next character, on the first 90 % of the text, and writes a first
text with it. The last 10 % tell how good it is: in bits per character, beside chance, counted
n-grams and two strong compressors. (The alphabet is that of the whole text.) Killed and started
again, it goes on after its last finished epoch, and measures what is not measured yet.

`--network published` trains the published network with a fortieth of its steps, and
`published_in_full` with all of them. `--validate` trains on 80 % of the text and reads the next
10 %: choices are made with it.
"""

import argparse
import dataclasses
import itertools
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.command_line import PROJECT_DIR, Parser, run_program
from common.streams import without_startup_chatter
from common.user_error import UserError, reason_of

if TYPE_CHECKING:
    import pandas as pd

    from experiments.tiny_schiller.task import Task
    from experiments.tiny_schiller.trained import Trained

NAME = "tiny_schiller"
LABELS = ("as-is", "lower", "merged")
NETWORKS = ("ours", "published", "published_in_full", "published_gru", "published_in_streams")
PROMPT = "Tell"
# What --write-docs compares, by text: labels, networks, and whether repetitions are counted.
DOCUMENTED = {
    "excerpt": (LABELS, ("ours",), False),
    NAME: (("as-is",), ("ours", "published_in_full"), True),
}
EXCERPT_EPOCHS = 6  # so that a first text is there within three minutes
FORMATS = {
    "bits": ".3f", "nats": ".3f", "weights": ",.0f", "passes over the text": ".2f",
    "training in s": ",.0f", "restoring": ".3f", "bits and restoring": ".3f",
}  # fmt: skip


def main(arguments: list[str]) -> None:
    """Write, or train, compare and then write."""
    given = parse_command_line(arguments)
    if given.write is None:
        train_and_compare(given)
    else:
        write_text(given, given.write)


def make_parser() -> Parser:
    """Return the parser of all flags."""
    parser = Parser(__doc__)
    train, write, where = (
        parser.add_argument_group(title) for title in ("to train", "to write", "where")
    )
    train.add_argument("--text", default="excerpt", help="excerpt, tiny_schiller, or a file")
    train.add_argument("--encoding", default="utf-8-sig", help="of the file (utf-8-sig)")
    train.add_argument("--labels", nargs="+", choices=LABELS, help="fewer characters (as-is)")
    train.add_argument("--network", nargs="+", choices=NETWORKS, help="(ours)")
    train.add_argument("--epochs", type=int, help="passes over the text (the network's own)")
    train.add_argument("--seed", type=int, default=0, help="of training (0)")
    train.add_argument("--validate", action="store_true", help="keep away from the test part")
    write.add_argument("--write", metavar="PROMPT", help="write on from here, and train nothing")
    write.add_argument("--writing-seed", type=int, default=0, help="another one, another text (0)")
    write.add_argument("--length", type=int, default=500, help="characters to write (500)")
    write.add_argument("--temperature", type=float, default=0.7, help="0: the likeliest (0.7)")
    write.add_argument("--top-p", type=float, default=0.95, help="share of the likely (0.95)")
    write.add_argument("--penalty", type=float, default=2.0, help="against repetition (2)")
    train.add_argument(
        "--repetition", action="store_true", help="measure how often networks repeat themselves"
    )
    where.add_argument("--folder", type=Path, default=PROJECT_DIR / "runs" / NAME)
    where.add_argument("--write-docs", action="store_true", help="write into docs/results")
    return parser


def parse_command_line(arguments: list[str]) -> argparse.Namespace:
    """Return what the command line says.

    Raises:
        UserError: an unknown flag or value.
    """
    given = make_parser().parse_args(arguments)
    if given.write_docs:
        choose_documented(given)
    given.labels = given.labels or LABELS[:1]
    given.network = given.network or NETWORKS[:1]
    if given.text == "excerpt" and given.epochs is None:
        given.epochs = EXCERPT_EPOCHS
    for name, low, high in (
        ("epochs", 1, 1000), ("length", 1, 1_000_000), ("temperature", 0, 100), ("top_p", 0, 1),
        ("penalty", 0, 100), ("seed", 0, 2**31), ("writing_seed", 0, 2**31),
    ):  # fmt: skip
        value = getattr(given, name)
        if value is not None and not low <= value <= high:
            flag = f"--{name.replace('_', '-')}"
            raise UserError(f"{flag} must be from {low} to {high}, got {value:g}.")
    return given


def choose_documented(given: argparse.Namespace) -> None:
    """Let the command line say what the documented results of its text compare.

    Raises:
        UserError: the text has none, or the command line says something else, too.
    """
    if given.text not in DOCUMENTED:
        raise UserError(f"--write-docs is for the documented texts: {' and '.join(DOCUMENTED)}.")
    chosen = ("validate", "epochs", "seed", "labels", "network", "repetition")
    flags = [f"--{name}" for name in chosen if getattr(given, name)]
    if flags:
        names = ", ".join(flags)
        raise UserError(f"--write-docs is for the documented results: leave out {names}.")
    given.labels, given.network, given.repetition = DOCUMENTED[given.text]


def folder_of(given: argparse.Namespace, labels: str, network: str) -> Path:
    """Return the folder of a network."""
    text = Path(given.text).stem
    part = "-validation" if given.validate else ""
    epochs = f"-{given.epochs}-epochs" if given.epochs else ""
    return given.folder / f"{text}-{labels}-{network}{epochs}-seed{given.seed}{part}"


# --- Training and comparing ---------------------------------------------------------------------


def train_and_compare(given: argparse.Namespace) -> None:
    """Train what is not trained yet, write a first text, then measure and print the table."""
    from experiments.tiny_schiller.task import make_task
    from experiments.tiny_schiller.text import read_text

    original = read_text(given.text, given.folder, given.encoding)
    tasks = [make_task(original, labels, given.validate) for labels in given.labels]
    trained: dict[tuple[str, str], Trained] = {}
    for task in tasks:
        print(
            f"Text:     {given.text}, {task.labels}: {len(task.vocabulary)} characters; "
            f"{len(task.primer):,} to learn from, {len(task.test):,} to predict",
            flush=True,
        )
        for network in given.network:
            trained[task.labels, network] = train_network(given, task, network)
            if len(trained) == 1:
                print(f"\n{network} writes:\n", flush=True)
                write_text(given, PROMPT if given.text in DOCUMENTED else original[:1])
    from experiments.tiny_schiller.measuring import rows_of_network, rows_of_rivals

    rows = []
    for task in tasks:
        print(f"\nBits per character, {task.labels}:", flush=True)
        path = given.folder / f"{Path(given.text).stem}-{task.labels}-rivals.json"
        of_task = rows_of_rivals(task, path)
        for network in given.network:
            folder = folder_of(given, task.labels, network)
            of_task += rows_of_network(task, network, trained[task.labels, network], folder)
        rows += [{"labels": task.labels, **row, "restoring": task.restoring} for row in of_task]
    write_results(given, rows)


def train_network(given: argparse.Namespace, task: "Task", network: str) -> "Trained":
    """Return a network, trained as far as it was not."""
    from common.keras_start import prepare

    prepare(given.seed, "auto")
    from experiments.tiny_schiller.networks import RECIPES
    from experiments.tiny_schiller.trained import make_or_load

    recipe = RECIPES[network]
    if given.epochs:
        recipe = dataclasses.replace(recipe, epochs=given.epochs)
    primer, test = task.numbers
    judged_by = test if given.validate else None
    folder = folder_of(given, task.labels, network)
    return make_or_load(recipe, task.vocabulary, primer, judged_by, given.seed, folder)


def write_results(given: argparse.Namespace, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print and write the table; write the figure, and the raw numbers of its curves."""
    import pandas as pd

    from common.safe_files import write_atomically
    from experiments.tiny_schiller.drawing import draw
    from studies.tables import results_folder, write_csv, write_table

    table = pd.DataFrame(rows)
    table.insert(3, "nats", table["bits"] * math.log(2))
    if (table["labels"] == "as-is").all():  # nothing is lost
        table = table.drop(columns=["labels", "restoring"])
    else:
        table["bits and restoring"] = table["bits"] + table["restoring"]
    folder = results_folder(given.write_docs, given.folder)
    name = results_name(given)
    print(f"\nPer character:\n\n{write_table(folder / name, table, FORMATS)}", flush=True)
    folders = {name: folder_of(given, given.labels[0], name) for name in given.network}
    curves = {network: curve_of(of_network) for network, of_network in folders.items()}
    repeats = pd.DataFrame(repeat_rows(folders) if given.repetition else [])
    write_csv(folder / f"{name}_curves.csv", pd.concat(curves, names=["network"]).reset_index(0))
    if given.repetition:
        write_csv(folder / f"{name}_repeats.csv", repeats)
    first = pd.DataFrame([row for row in rows if row["labels"] == given.labels[0]])
    write_atomically(folder / f"{name}.png", draw(first, curves, repeats))
    print(f"Tables and figure: {folder}", flush=True)


def results_name(given: argparse.Namespace) -> str:
    """Return the name of the files with the results on a text."""
    text = "" if given.text == NAME else f"_{Path(given.text).stem}"
    seed = f"_seed{given.seed}" if given.seed else ""
    return f"{NAME}{text}{seed}{'_validation' if given.validate else ''}"


def curve_of(folder: Path) -> "pd.DataFrame":
    """Return a row per epoch of a training, epochs from 1.

    Raises:
        UserError: it is not there, or damaged.
    """
    import pandas as pd

    from experiments.tiny_schiller.training import HISTORY

    try:
        curve = pd.read_csv(folder / HISTORY)
        return curve.assign(epoch=curve["epoch"] + 1)
    except (OSError, ValueError, KeyError) as error:  # missing, empty, or something else
        raise UserError(
            f"{folder / HISTORY} cannot be read: {reason_of(error)}. Delete the folder; it is then "
            "trained again."
        ) from error


def repeat_rows(folders: Mapping[str, Path]) -> list[dict[str, Any]]:
    """Return how often each network repeats itself in writing."""
    from experiments.tiny_schiller.trained import load, reader_of
    from experiments.tiny_schiller.writing import repeats_by_temperature

    rows = []
    for name, folder in folders.items():
        print(f"Writing at several temperatures: {name} ...", flush=True)
        trained = load(folder)
        prompt = trained.vocabulary.encode(trained.vocabulary.characters[0])  # a new line, in texts
        measured = repeats_by_temperature(reader_of(trained), prompt)
        rows += [{"network": name, **row} for row in measured]
    return rows


# --- Writing ------------------------------------------------------------------------------------


def write_text(given: argparse.Namespace, prompt: str) -> None:
    """Print a prompt and what the trained network writes after it, character by character."""
    from common.keras_start import load_keras

    load_keras()
    from experiments.tiny_schiller.text import reduce_prompt
    from experiments.tiny_schiller.trained import load, reader_of
    from experiments.tiny_schiller.writing import Style, write

    with without_startup_chatter():  # TensorFlow looks for a GPU only now
        trained = load(folder_of(given, given.labels[0], given.network[0]))
    if not prompt:
        raise UserError("the prompt is empty: give the network a character to begin with.")
    prompt = reduce_prompt(prompt, given.labels[0], trained.vocabulary.characters)
    numbers = trained.vocabulary.encode(prompt)
    style = Style(given.temperature, given.top_p, given.penalty)
    print(prompt, end="", flush=True)
    for symbol in itertools.islice(
        write(reader_of(trained)(), numbers, style, given.writing_seed), given.length
    ):
        print(trained.vocabulary.characters[symbol], end="", flush=True)
    print()


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
