"""A trained network in a folder: made when it is not there yet, and read again to be used."""

import dataclasses
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from common.safe_files import read_json, write_atomically, write_json, writing
from common.user_error import UserError, reason_of
from experiments.tiny_schiller.networks import Recipe, build, copy_weights, forget, log_softmax
from experiments.tiny_schiller.text import Vocabulary
from experiments.tiny_schiller.training import train
from experiments.tiny_schiller.writing import Reader

DESCRIPTION, WEIGHTS, BACKUP = "description.json", "weights.npz", "backup.npz"
AGAIN = "Delete the folder; it is then trained again."


class Trained(NamedTuple):
    """A trained network."""

    network: keras.Model
    recipe: Recipe
    vocabulary: Vocabulary
    seconds: float  # of its training


def make_or_load(
    recipe: Recipe,
    vocabulary: Vocabulary,
    text: np.ndarray,
    validation: np.ndarray | None,
    seed: int,
    folder: Path,
) -> Trained:
    """Return the network of a folder; train it if it is not there, or not to its end.

    Args:
        recipe, text, validation, seed: as of `train`.
        vocabulary: of the text.
        folder: of this network alone.

    Raises:
        UserError: the folder holds a network of another recipe or text, or an unfinished one of
            another precision or back end; it is damaged, or cannot be written; or as of `train`.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    wanted = describe(recipe, vocabulary, seed, text)
    is_finished = (folder / WEIGHTS).exists()
    kept = read_json(folder / DESCRIPTION) if (folder / DESCRIPTION).exists() else None
    # Who trained a finished network, and in which numbers, is of no matter to its use.
    decisive = {name: wanted[name] for name in wanted if name != "computed" or not is_finished}
    if kept is None:
        write_json(folder / DESCRIPTION, wanted)
    elif not isinstance(kept, dict) or {name: kept.get(name) for name in decisive} != decisive:
        raise UserError(f"{folder} holds another network. Choose another --folder.")
    if not is_finished:
        network, seconds = train(recipe, len(vocabulary), text, validation, seed, folder / BACKUP)
        write_json(folder / DESCRIPTION, {**wanted, "seconds": seconds})
        save_weights(network, folder / WEIGHTS)  # last: what has them is finished
    (folder / BACKUP).unlink(missing_ok=True)
    return load(folder)


def describe(recipe: Recipe, vocabulary: Vocabulary, seed: int, text: np.ndarray) -> dict[str, Any]:
    """Return, as JSON has it, what a network depends on."""
    content = {
        "text": hashlib.sha256(text.tobytes()).hexdigest(),
        "recipe": dataclasses.asdict(recipe),
        "characters": vocabulary.characters,
        "seed": seed,
        "computed": f"{keras.config.dtype_policy().name}, {keras.backend.backend()}",
    }
    return json.loads(json.dumps(content))


def save_weights(network: keras.Model, path: Path) -> None:
    """Write the weights, whole or not at all."""
    content = io.BytesIO()
    arrays: dict[str, Any] = {
        f"weight_{k}": keras.ops.convert_to_numpy(v)
        for k, v in enumerate(network.trainable_variables)
    }
    np.savez(content, **arrays)
    write_atomically(path, content.getvalue())


def load(folder: Path) -> Trained:
    """Return the network of a folder.

    Raises:
        UserError: there is none, or it is damaged.
    """
    if not (folder / WEIGHTS).exists():
        raise UserError(
            f"there is no trained network in {folder}. Train it first: leave out --write."
        )
    try:
        described = read_json(folder / DESCRIPTION)
        fields = {**described["recipe"]}
        fields |= {name: tuple(fields[name]) for name in ("units", "dense")}
        recipe, vocabulary = Recipe(**fields), Vocabulary(described["characters"])
        network = build(recipe, len(vocabulary), 1, 1, dropout=0.0)
        with np.load(folder / WEIGHTS, allow_pickle=False) as file:
            for number, variable in enumerate(network.trainable_variables):
                variable.assign(file[f"weight_{number}"])
    except UserError:
        raise
    # From damaged bytes, NumPy, zipfile and Keras make errors of almost any class.
    except Exception as error:
        raise UserError(f"{folder} is damaged: {reason_of(error)}. {AGAIN}") from error
    return Trained(network, recipe, vocabulary, described.get("seconds", 0.0))


def code_of(*names: str) -> bytes:
    """Return the text of files of this folder: what their code makes depends on it."""
    return b"".join(Path(__file__).with_name(name).read_bytes() for name in names)


def kept_scores(
    path: Path, made_of: Sequence[Any], measures: Mapping[str, Callable[[], float | None]]
) -> dict[str, float]:
    """Return scores by name; measure those that the file does not have, and keep them at once.

    Args:
        path: of the file.
        made_of: all that the scores depend on, as bytes or as JSON has it.
        measures: by name, what measures it; None is left out, and measured again next time.

    Raises:
        UserError: the file cannot be read or written.
    """
    parts = (part if isinstance(part, bytes) else json.dumps(part).encode() for part in made_of)
    origin = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()
    kept = read_json(path) if path.exists() else None
    scores = kept["scores"] if isinstance(kept, dict) and kept.get("made of") == origin else {}
    for name, measure in measures.items():
        if name in scores:
            continue
        bits = measure()
        if bits is not None:
            print(f"  {name}: {bits:.3f} bits per character", flush=True)
            scores[name] = bits
            write_json(path, {"made of": origin, "scores": scores})
    return {name: scores[name] for name in measures if name in scores}


def n_weights(network: keras.Model) -> int:
    """Return how many numbers a network learns."""
    return sum(int(np.prod(variable.shape)) for variable in network.trainable_variables)


def reader_of(trained: Trained) -> Callable[[], Reader]:
    """Return a function that begins a text anew, and returns what reads it, as `write` needs it."""
    network = build(trained.recipe, len(trained.vocabulary), 1, 1, dropout=0.0)
    copy_weights(trained.network, network)

    def read(symbol: int) -> np.ndarray:
        logits = np.asarray(network.predict_on_batch(np.array([[symbol]], np.int32)))
        return log_softmax(logits)[0, 0]

    def begin() -> Reader:
        forget(network)
        return read

    return begin
