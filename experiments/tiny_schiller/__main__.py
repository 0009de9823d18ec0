"""What does a network learn of a language, one character at a time? It reads Schiller, and writes.

    python -m experiments.tiny_schiller                          # Wilhelm Tell: three minutes
    python -m experiments.tiny_schiller --write "Wer da? "       # as the trained network goes on
    python -m experiments.tiny_schiller --text tiny_schiller     # all plays: half an hour
    python -m experiments.tiny_schiller --text my_novel.txt

Trains a network to predict the next character, on the first 90 % of the text. The last 10 % tell
how good it is: in bits per character, beside chance, counted n-grams and the best compressors.
Killed and started again, it goes on after its last finished epoch. Then it writes.

`--validate` trains on 80 % and reads the next 10 %: choices are made with it.
"""

import argparse
import itertools
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.command_line import PROJECT_DIR, Parser, run_program
from common.user_error import UserError, unknown_name

NAME = "tiny_schiller"
LABELS = ("as-is", "lower", "merged")
NETWORKS = ("ours", "published", "published_gru")
PROMPT = "Tell"
FORMATS = {"bits per character": ".3f", "nats per character": ".3f", "parameters": ",.0f"}
FORMATS["training in s"] = ",.0f"


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
    parser = Parser(__doc__, prog=f"python -m experiments.{NAME}")
    train, write, where = (
        parser.add_argument_group(title) for title in ("to train", "to write", "where")
    )
    train.add_argument("--text", default="excerpt", help="excerpt, tiny_schiller, or a file")
    train.add_argument("--encoding", default="utf-8-sig", help="of the file (utf-8-sig)")
    train.add_argument("--labels", choices=LABELS, default="as-is", help="fewer characters (as-is)")
    train.add_argument("--network", default="ours", help="ours, published, published_gru (ours)")
    train.add_argument("--epochs", type=int, help="passes over the text (the network's own)")
    train.add_argument("--seed", type=int, default=0, help="of training and writing (0)")
    train.add_argument("--validate", action="store_true", help="keep away from the test part")
    write.add_argument("--write", metavar="PROMPT", help="write on from here, and train nothing")
    write.add_argument("--length", type=int, default=500, help="characters to write (500)")
    write.add_argument("--temperature", type=float, default=0.7, help="0: the likeliest (0.7)")
    write.add_argument("--top-p", type=float, default=0.95, help="share of the likely (0.95)")
    write.add_argument("--penalty", type=float, default=2.0, help="against repetition (2)")
    where.add_argument("--folder", type=Path, default=PROJECT_DIR / "runs" / NAME)
    where.add_argument("--write-docs", action="store_true", help="write into docs/results")
    given = parser.parse_args(arguments)
    if given.network not in NETWORKS:
        raise unknown_name("network", given.network, NETWORKS)
    for name, low, high in (
        ("epochs", 1, 1000), ("length", 1, 1_000_000), ("temperature", 0, 100), ("top_p", 0, 1),
        ("penalty", 0, 100), ("seed", 0, 2**31),
    ):  # fmt: skip
        value = getattr(given, name)
        if value is not None and not low <= value <= high:
            flag = f"--{name.replace('_', '-')}"
            raise UserError(f"{flag} must be from {low} to {high}, got {value:g}.")
    return given


def folder_of(given: argparse.Namespace) -> Path:
    """Return the folder of the network that the command line means."""
    text = Path(given.text).stem
    part = "-validation" if given.validate else ""
    epochs = f"-{given.epochs}-epochs" if given.epochs else ""
    return given.folder / f"{text}-{given.labels}-{given.network}{epochs}-seed{given.seed}{part}"


# --- Training and comparing ---------------------------------------------------------------------


def train_and_compare(given: argparse.Namespace) -> None:
    """Train the network, if it is not trained yet; print its table and a text."""
    from experiments.tiny_schiller.text import Vocabulary, read_text, reduce_labels, split

    original = read_text(given.text, given.folder, given.encoding)
    text = reduce_labels(original, given.labels)
    vocabulary = Vocabulary(text)
    parts = split(vocabulary.encode(text))
    primer = text[: len(parts.training)]
    test = text[len(primer) : len(primer) + len(parts.validation)]
    if not given.validate:
        primer, test = primer + test, text[-len(parts.test) :]
    print(
        f"Text:     {given.text}, {len(text):,} characters, {len(vocabulary)} different ones; "
        f"{len(primer):,} to learn from, {len(test):,} to predict",
        flush=True,
    )
    rows = rows_of_rivals(primer, test, vocabulary) + rows_of_network(
        given, primer, test, vocabulary
    )
    write_results(given, rows)
    write_text(given, PROMPT if PROMPT[0] in vocabulary.characters else primer[:1])


def rows_of_rivals(primer: str, test: str, vocabulary: Any) -> list[dict[str, Any]]:
    """Return a row per predictor that is no network."""
    from experiments.tiny_schiller import rivals
    from experiments.tiny_schiller.ngrams import ngram_bits

    numbers, asked = vocabulary.encode(primer), vocabulary.encode(test)
    n_symbols = len(vocabulary)
    measured: dict[str, Callable[[], float | None]] = {
        "chance": lambda: rivals.uniform_bits(n_symbols),
        "how common each character is": lambda: rivals.unigram_bits(numbers, asked, n_symbols),
        "n-grams, learning as they read": lambda: ngram_bits(numbers, asked, n_symbols),
        "PPMd, of 7-Zip": lambda: rivals.ppmd_bits(primer, test),
        "zpaq -m5": lambda: rivals.zpaq_bits(primer, test),
    }
    rows = []
    for name, measure in measured.items():
        bits = measure()
        if bits is not None:
            print(f"  {name}: {bits:.3f} bits per character", flush=True)
            rows.append({"predictor": name, "bits per character": bits})
    return rows


def rows_of_network(
    given: argparse.Namespace, primer: str, test: str, vocabulary: Any
) -> list[dict[str, Any]]:
    """Train the network and return its rows: reading only, learning as it reads, and mixed."""
    import dataclasses

    from common.keras_start import prepare

    prepare(given.seed, "auto")
    from experiments.tiny_schiller.mixing import mixed_bits
    from experiments.tiny_schiller.networks import RECIPES
    from experiments.tiny_schiller.scoring import (
        bits_per_character,
        dynamic_log_probabilities,
        static_log_probabilities,
    )
    from experiments.tiny_schiller.trained import make_or_load, n_weights

    recipe = RECIPES[given.network]
    if given.epochs:
        recipe = dataclasses.replace(recipe, epochs=given.epochs)
    numbers, asked = vocabulary.encode(primer), vocabulary.encode(test)
    judged_by = asked if given.validate else None
    trained = make_or_load(recipe, vocabulary, numbers, judged_by, given.seed, folder_of(given))
    about = {"parameters": n_weights(trained.network), "training in s": trained.seconds}
    basis = (trained.network, recipe, len(vocabulary), numbers, asked)
    print("Reading what is to be predicted ...", flush=True)
    static = static_log_probabilities(*basis)
    dynamic = dynamic_log_probabilities(*basis)
    return [
        {"predictor": f"{given.network}{how}", "bits per character": bits, **about}
        for how, bits in (
            ("", bits_per_character(static, asked)),
            (", learning as it reads", bits_per_character(dynamic, asked)),
            (", learning as it reads, mixed with n-grams", mixed_bits(dynamic, numbers, asked)),
        )
    ]


def write_results(given: argparse.Namespace, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print and write the table."""
    import pandas as pd

    from studies.tables import write_table

    table = pd.DataFrame(rows)
    table.insert(2, "nats per character", table["bits per character"] * math.log(2))
    folder = PROJECT_DIR / "docs" / "results" if given.write_docs else folder_of(given)
    print(f"\n{write_table(folder / NAME, table, FORMATS)}\nTable: {folder}\n", flush=True)


# --- Writing ------------------------------------------------------------------------------------


def write_text(given: argparse.Namespace, prompt: str) -> None:
    """Print a prompt and what the trained network writes after it, character by character."""
    from common.keras_start import load_keras

    load_keras()
    from experiments.tiny_schiller.trained import load, reader_of
    from experiments.tiny_schiller.writing import Style, write

    trained = load(folder_of(given))
    if not prompt:
        raise UserError("the prompt is empty: give the network a character to begin with.")
    numbers = trained.vocabulary.encode(prompt)
    style = Style(given.temperature, given.top_p, given.penalty)
    print(prompt, end="", flush=True)
    for symbol in itertools.islice(
        write(reader_of(trained), numbers, style, given.seed), given.length
    ):
        print(trained.vocabulary.characters[symbol], end="", flush=True)
    print()


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
