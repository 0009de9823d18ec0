"""What does a network learn of a language, one character at a time? It reads Schiller, and writes.

    python -m experiments.tiny_schiller                          # Wilhelm Tell: four minutes
    python -m experiments.tiny_schiller --write "Wer da? "       # as the trained network goes on
    python -m experiments.tiny_schiller --text tiny_schiller     # all plays
    python -m experiments.tiny_schiller --text my_novel.txt

Trains a network to predict the next character, on the first 90 % of the text. The last 10 % tell
how good it is: in bits per character, beside chance, counted n-grams and the best compressors.
Killed and started again, it goes on after its last finished epoch. Then it writes.

`--validate` trains on 80 % and reads the next 10 %: choices are made with it.
"""

import argparse
import dataclasses
import itertools
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from common.command_line import PROJECT_DIR, Parser, run_program
from common.user_error import UserError

if TYPE_CHECKING:
    import pandas as pd

    from experiments.tiny_schiller.text import Vocabulary
    from experiments.tiny_schiller.trained import Trained

NAME = "tiny_schiller"
LABELS = ("as-is", "lower", "merged")
NETWORKS = ("ours", "published", "published_gru", "published_in_streams")
PROMPT = "Tell"
LEARNING, MIXED = ", learning as it reads", ", learning as it reads, mixed with counts"
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


def parse_command_line(arguments: list[str]) -> argparse.Namespace:
    """Return what the command line says.

    Raises:
        UserError: an unknown flag or value.
    """
    parser = Parser(__doc__)
    train, write, where = (
        parser.add_argument_group(title) for title in ("to train", "to write", "where")
    )
    train.add_argument("--text", default="excerpt", help="excerpt, tiny_schiller, or a file")
    train.add_argument("--encoding", default="utf-8-sig", help="of the file (utf-8-sig)")
    train.add_argument(
        "--labels", nargs="+", choices=LABELS, default=LABELS[:1], help="fewer characters (as-is)"
    )
    train.add_argument(
        "--network", nargs="+", choices=NETWORKS, default=NETWORKS[:1], help="(ours)"
    )
    train.add_argument("--epochs", type=int, help="passes over the text (the network's own)")
    train.add_argument("--seed", type=int, default=0, help="of training and writing (0)")
    train.add_argument("--validate", action="store_true", help="keep away from the test part")
    write.add_argument("--write", metavar="PROMPT", help="write on from here, and train nothing")
    write.add_argument("--length", type=int, default=500, help="characters to write (500)")
    write.add_argument("--temperature", type=float, default=0.7, help="0: the likeliest (0.7)")
    write.add_argument("--top-p", type=float, default=0.95, help="share of the likely (0.95)")
    write.add_argument("--penalty", type=float, default=2.0, help="against repetition (2)")
    train.add_argument(
        "--repetition", action="store_true", help="measure how often networks repeat themselves"
    )
    where.add_argument("--folder", type=Path, default=PROJECT_DIR / "runs" / NAME)
    where.add_argument("--write-docs", action="store_true", help="write into docs/results")
    given = parser.parse_args(arguments)
    if given.write_docs and given.validate:
        raise UserError("--write-docs is for results on the test part: leave out --validate.")
    for name, low, high in (
        ("epochs", 1, 1000), ("length", 1, 1_000_000), ("temperature", 0, 100), ("top_p", 0, 1),
        ("penalty", 0, 100), ("seed", 0, 2**31),
    ):  # fmt: skip
        value = getattr(given, name)
        if value is not None and not low <= value <= high:
            flag = f"--{name.replace('_', '-')}"
            raise UserError(f"{flag} must be from {low} to {high}, got {value:g}.")
    return given


def folder_of(given: argparse.Namespace, labels: str, network: str) -> Path:
    """Return the folder of a network."""
    text = Path(given.text).stem
    part = "-validation" if given.validate else ""
    epochs = f"-{given.epochs}-epochs" if given.epochs else ""
    return given.folder / f"{text}-{labels}-{network}{epochs}-seed{given.seed}{part}"


# --- Training and comparing ---------------------------------------------------------------------


class Task(NamedTuple):
    """What is learned and what is predicted, with all characters or with fewer."""

    labels: str
    vocabulary: "Vocabulary"
    primer: str
    test: str
    restoring: float  # bits per character that the labels have lost


def train_and_compare(given: argparse.Namespace) -> None:
    """Train what is not trained yet; print the table, and a text by the first network."""
    from experiments.tiny_schiller.text import read_text

    original = read_text(given.text, given.folder, given.encoding)
    rows = []
    for labels in given.labels:
        task = make_task(original, labels, given.validate)
        print(
            f"Text:     {given.text}, {labels}: {len(task.vocabulary)} characters; "
            f"{len(task.primer):,} to learn from, {len(task.test):,} to predict",
            flush=True,
        )
        of_task = rows_of_rivals(task)
        for network in given.network:
            of_task += rows_of_network(given, task, network)
        rows += [{"labels": labels, **row, "restoring": task.restoring} for row in of_task]
    write_results(given, rows)
    write_text(given, PROMPT if given.text in ("excerpt", "tiny_schiller") else original[:1])


def make_task(original: str, labels: str, is_validation: bool) -> Task:
    """Return what is to be learned and predicted of a text."""
    from experiments.tiny_schiller.text import Vocabulary, bits_to_restore, reduce_labels, split

    text = reduce_labels(original, labels)
    vocabulary = Vocabulary(text)
    ends = [len(part) for part in split(vocabulary.encode(text))]
    first = ends[0] if is_validation else ends[0] + ends[1]
    last = ends[0] + ends[1] if is_validation else len(text)
    primer, test = text[:first], text[first:last]
    restoring = bits_to_restore(original[:first], primer, original[first:last], test)
    return Task(labels, vocabulary, primer, test, restoring)


def rows_of_rivals(task: Task) -> list[dict[str, Any]]:
    """Return a row per predictor that is no network."""
    from experiments.tiny_schiller import rivals
    from experiments.tiny_schiller.mixing import mixed_bits
    from experiments.tiny_schiller.ngrams import ngram_bits

    primer, test, n = *(task.vocabulary.encode(t) for t in task[2:4]), len(task.vocabulary)
    measured: dict[str, Callable[[], float | None]] = {
        "chance": lambda: rivals.uniform_bits(n),
        "how common each character is": lambda: rivals.unigram_bits(primer, test, n),
        "n-grams, learning as they read": lambda: ngram_bits(primer, test, n),
        "... mixed with words and recent n-grams": lambda: mixed_bits(
            None, primer, test, task.vocabulary
        ),
        "PPMd, of 7-Zip": lambda: rivals.ppmd_bits(task.primer, task.test),
        "zpaq, its best method": lambda: rivals.zpaq_bits(task.primer, task.test),
    }
    rows = []
    for name, measure in measured.items():
        bits = measure()
        if bits is not None:
            print(f"  {name}: {bits:.3f} bits per character", flush=True)
            rows.append({"predictor": name, "bits": bits})
    return rows


def rows_of_network(given: argparse.Namespace, task: Task, network: str) -> list[dict[str, Any]]:
    """Train a network and return its rows: reading only, learning as it reads, and mixed."""
    from common.keras_start import prepare

    prepare(given.seed, "auto")
    from experiments.tiny_schiller import mixing, ngrams, scoring
    from experiments.tiny_schiller.networks import RECIPES
    from experiments.tiny_schiller.trained import kept_scores, make_or_load, n_weights

    recipe = RECIPES[network]
    if given.epochs:
        recipe = dataclasses.replace(recipe, epochs=given.epochs)
    folder = folder_of(given, task.labels, network)
    primer, test = (task.vocabulary.encode(text) for text in (task.primer, task.test))
    judged_by = test if given.validate else None
    trained = make_or_load(recipe, task.vocabulary, primer, judged_by, given.seed, folder)
    passes = float(recipe.epochs)
    if recipe.single_windows and recipe.steps:  # of each window, one character counts
        passes *= recipe.steps * recipe.streams / len(primer)
    about = {
        "weights": n_weights(trained.network), "passes over the text": passes,
        "training in s": trained.seconds,
    }  # fmt: skip
    settings = [scoring.RATE, scoring.WINDOW, ngrams.ORDER, ngrams.DISCOUNTS, mixing.RATE]
    settings += [ngrams.RECENT, ngrams.RECENT_ORDER, *mixing.SURE]
    scores = kept_scores(folder, test, settings, lambda: measure_scores(trained, primer, test))
    return [{"predictor": f"{network}{how}", "bits": bits, **about} for how, bits in scores.items()]


def measure_scores(trained: "Trained", primer: Any, test: Any) -> dict[str, float]:
    """Return the bits per character of a trained network by how it is used; texts int (n,)."""
    from experiments.tiny_schiller.mixing import mixed_bits
    from experiments.tiny_schiller.scoring import (
        bits_per_character,
        dynamic_log_probabilities,
        static_bits,
    )

    basis = (trained.network, trained.recipe, len(trained.vocabulary), primer, test)
    scores = {"": static_bits(*basis)}
    print(f"  reading only: {scores['']:.3f} bits per character", flush=True)
    if not trained.recipe.single_windows:
        dynamic = dynamic_log_probabilities(*basis)
        scores[LEARNING] = bits_per_character(dynamic, test)
        print(f"  learning as it reads: {scores[LEARNING]:.3f} bits per character", flush=True)
        scores[MIXED] = mixed_bits(dynamic, primer, test, trained.vocabulary)
    return scores


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
    text = write_table(folder / name, table, FORMATS)
    first = pd.DataFrame(rows)[lambda frame: frame["labels"] == given.labels[0]]
    folders = {name: folder_of(given, given.labels[0], name) for name in given.network}
    curves = {network: curve_of(of_network) for network, of_network in folders.items()}
    repeats = pd.DataFrame(repeat_rows(folders) if given.repetition else [])
    write_csv(folder / f"{name}_curves.csv", pd.concat(curves, names=["network"]).reset_index(0))
    if given.repetition:
        write_csv(folder / f"{name}_repeats.csv", repeats)
    write_atomically(folder / f"{name}.png", draw(first, curves, repeats))
    print(f"\nPer character:\n\n{text}\nTables and figure: {folder}\n", flush=True)


def results_name(given: argparse.Namespace) -> str:
    """Return the name of the files with the results on a text."""
    text = "" if given.text == NAME else f"_{Path(given.text).stem}"
    return f"{NAME}{text}{'_validation' if given.validate else ''}"


def curve_of(folder: Path) -> "pd.DataFrame":
    """Return a row per epoch of a training, epochs from 1.

    Raises:
        UserError: it is not there.
    """
    import pandas as pd

    from experiments.tiny_schiller.training import HISTORY

    if not (folder / HISTORY).exists():
        raise UserError(f"{folder} lacks {HISTORY}. Delete the folder; it is then trained again.")
    return pd.read_csv(folder / HISTORY).assign(epoch=lambda frame: frame["epoch"] + 1)


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

    trained = load(folder_of(given, given.labels[0], given.network[0]))
    if not prompt:
        raise UserError("the prompt is empty: give the network a character to begin with.")
    prompt = reduce_prompt(prompt, given.labels[0], trained.vocabulary.characters)
    numbers = trained.vocabulary.encode(prompt)
    style = Style(given.temperature, given.top_p, given.penalty)
    print(prompt, end="", flush=True)
    for symbol in itertools.islice(
        write(reader_of(trained)(), numbers, style, given.seed), given.length
    ):
        print(trained.vocabulary.characters[symbol], end="", flush=True)
    print()


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
