"""The rows of the table: what each predictor needs for a character of a text."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.tiny_schiller import rivals, scoring
from experiments.tiny_schiller.mixing import mixed_bits
from experiments.tiny_schiller.scoring import bits_per_character
from experiments.tiny_schiller.task import Task
from experiments.tiny_schiller.trained import (
    DESCRIPTION,
    WEIGHTS,
    Trained,
    code_of,
    kept_scores,
    n_weights,
)

READING, LEARNING, MIXED = (
    "reading only", "learning as it reads", "learning as it reads, mixed with counts"
)  # fmt: skip
COUNTING = ("ngrams.py", "mixing.py", "rivals.py")  # the code that scores depend on
PREDICTING = ("networks.py", "scoring.py")


def rows_of_rivals(task: Task, path: Path) -> list[dict[str, Any]]:
    """Return a row per predictor that is no network.

    Args:
        task: what is predicted.
        path: of the file that keeps what was measured.
    """
    (primer, test), n = task.numbers, len(task.vocabulary)
    measures: dict[str, Callable[[], float | None]] = {
        "chance": lambda: rivals.uniform_bits(n),
        "how common each character is": lambda: rivals.unigram_bits(primer, test, n),
        "n-grams, learning as they read": lambda: bits_per_character(task.counted.logs[:, 0], test),
        "... mixed with words and recent n-grams": lambda: mixed_bits(None, task.counted, test, n),
        "PPMd, of 7-Zip": lambda: rivals.ppmd_bits(task.primer, task.test),
        "zpaq, its best method": lambda: rivals.zpaq_bits(task.primer, task.test),
    }
    scores = kept_scores(path, [primer.tobytes(), test.tobytes(), code_of(*COUNTING)], measures)
    return [{"predictor": name, "bits": bits} for name, bits in scores.items()]


def rows_of_network(
    task: Task, network: str, trained: Trained, folder: Path
) -> list[dict[str, Any]]:
    """Return the rows of a network: reading only, learning as it reads, and mixed.

    Args:
        task: what is predicted.
        network: its name.
        trained: the network.
        folder: of the network; keeps what was measured.
    """
    recipe, (primer, test), n = trained.recipe, task.numbers, len(task.vocabulary)
    basis = (trained.network, recipe, n, primer, test)
    dynamic = functools.cache(lambda: scoring.dynamic_log_probabilities(*basis))
    measures: dict[str, Callable[[], float | None]] = {READING: lambda: scoring.static_bits(*basis)}
    if not recipe.single_windows:
        measures[LEARNING] = lambda: scoring.bits_per_character(dynamic(), test)
        measures[MIXED] = lambda: mixed_bits(dynamic(), task.counted, test, n)
    origin = [(folder / name).read_bytes() for name in (WEIGHTS, DESCRIPTION)]
    origin += [test.tobytes(), code_of(*COUNTING, *PREDICTING)]
    print(f"  {network}:", flush=True)
    scores = kept_scores(folder / "scores.json", origin, measures)
    passes = float(recipe.epochs)
    if recipe.single_windows and recipe.steps:  # of each window, one character counts
        passes *= recipe.steps * recipe.streams / len(primer)
    about = {
        "weights": n_weights(trained.network), "passes over the text": passes,
        "training in s": trained.seconds,
    }  # fmt: skip
    return [
        {"predictor": network if how == READING else f"{network}, {how}", "bits": bits, **about}
        for how, bits in scores.items()
    ]
