"""How well a network predicts a text: in bits per character, reading only or learning as it reads.

*Static*: the weights stay as they were trained. *Dynamic*: after each piece of text, the network
takes one step of training on it (B. Krause et al., "Dynamic evaluation of neural sequence models",
ICML 2018). Each character is predicted before it is learned, so nothing is seen twice. That is what
compressors do, too. The network begins to do so before the text, on the end of what it was trained
on: it is then at home in the play that goes on. (In the paper, the weights are drawn back to those
that were trained, besides; here, that gained 0.003 bits.)
"""

import math
from typing import Any

import keras
import numpy as np

from experiments.tiny_schiller.networks import (
    Keep,
    Recipe,
    build,
    copy_weights,
    forget,
    log_softmax,
)

BITS = math.log(2)  # natural units per bit
STATIC_STREAMS, STATIC_WINDOW = 64, 100
# Of learning while reading, chosen on the excerpt's validation part (docs/log.md): the rate of
# Adam, the characters between two steps, and how many before the text are learned, too.
RATE, WINDOW, REHEARSAL = 3e-4, 32, 40_000
MOST_WINDOWS = 20_000
CONTEXT = 200  # characters that a stream reads before those that it is judged by


def static_log_probabilities(
    network: keras.Model, recipe: Recipe, n_symbols: int, primer: np.ndarray, text: np.ndarray
) -> np.ndarray:
    """Return the log probabilities of all characters at each place of a text.

    The text is read by many streams side by side, each after CONTEXT characters that lie before
    its own part.

    Args:
        network: as it was trained.
        recipe: of the network.
        n_symbols: size of the vocabulary.
        primer: int (k,), what comes before the text; not empty.
        text: int (n,).

    Returns:
        float32 (n, n_symbols), natural logarithms.
    """
    before = primer[len(primer) - min(len(primer), CONTEXT + 1) :]
    everything = np.concatenate([before, text])
    n_streams = max(1, min(STATIC_STREAMS, len(text) // (4 * CONTEXT)))
    length = math.ceil(len(text) / n_streams)
    n_windows = math.ceil((length + CONTEXT) / STATIC_WINDOW)
    # Of each stream: the place in `everything` of the first character that it reads.
    firsts = len(before) - CONTEXT - 1 + length * np.arange(n_streams)
    places = firsts[:, np.newaxis] + np.arange(n_windows * STATIC_WINDOW)
    inputs = everything[np.clip(places, 0, len(everything) - 1)]

    reader = build(recipe, n_symbols, n_streams, STATIC_WINDOW, dropout=0.0)
    copy_weights(network, reader)
    forget(reader)
    logs = np.concatenate(
        [
            log_softmax(np.asarray(reader.predict_on_batch(piece))).astype(np.float32)
            for piece in np.split(inputs, n_windows, axis=1)
        ],
        axis=1,
    )
    return logs[:, CONTEXT : CONTEXT + length].reshape(-1, n_symbols)[: len(text)]


def dynamic_log_probabilities(
    network: keras.Model,
    recipe: Recipe,
    n_symbols: int,
    primer: np.ndarray,
    text: np.ndarray,
    rate: float = RATE,
    window: int = WINDOW,
    rehearsal: int = REHEARSAL,
) -> np.ndarray:
    """Return the log probabilities at each place of a text, by a network that learns as it reads.

    Args:
        network, recipe, n_symbols, primer, text: as of `static_log_probabilities`; the network
            itself stays as it is.
        rate: learning rate of Adam, without momentum.
        window: characters between two steps.
        rehearsal: how many characters at the end of the primer are learned before the text.

    Returns:
        float32 (n, n_symbols), natural logarithms.
    """
    everything = np.concatenate([primer[-(rehearsal + 1) :], text])
    learner, keep = learner_of(network, recipe, n_symbols, rate, window)
    inputs, targets = everything[:-1], everything[1:]
    n_windows = math.ceil(len(inputs) / window)
    padding = (0, n_windows * window - len(inputs))  # what it learns of it, nothing is asked of
    logs = []
    pairs = np.stack([np.pad(inputs, padding), np.pad(targets, padding)])
    for piece in np.split(pairs, n_windows, axis=1):
        learner.train_on_batch(piece[:1], piece[1:])
        kept: Any = keras.ops.convert_to_numpy(keep.kept)
        logs.append(log_softmax(kept[0]).astype(np.float32))
    return np.concatenate(logs)[len(inputs) - len(text) : len(inputs)]


def learner_of(
    network: keras.Model, recipe: Recipe, n_symbols: int, rate: float, window: int
) -> tuple[keras.Model, Keep]:
    """Return a copy of a network that learns as it reads, and the layer that keeps its logits.

    A step of training gives back the loss alone; so what was predicted before the step is kept.
    """
    reader = build(recipe, n_symbols, 1, window, dropout=0.0)
    copy_weights(network, reader)
    keep = Keep(dtype="float32")
    learner = keras.Model(reader.inputs, keep(reader.outputs[0]))
    learner.compile(
        keras.optimizers.Adam(rate, beta_1=0.0, beta_2=0.999, global_clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    # Or TensorFlow traces the first step twice: with the variables of Adam being made, and without.
    learner.optimizer.build(learner.trainable_variables)
    forget(learner)
    return learner, keep


def static_bits(
    network: keras.Model, recipe: Recipe, n_symbols: int, primer: np.ndarray, text: np.ndarray
) -> float:
    """Return the bits per character of a network that reads as it has learned to read.

    Arguments as of `static_log_probabilities`. Of a network that learned from single windows, each
    answer costs a window; so it is asked of MOST_WINDOWS characters at most, at equal distances.
    """
    if not recipe.single_windows:
        return bits_per_character(
            static_log_probabilities(network, recipe, n_symbols, primer, text), text
        )
    everything = np.concatenate([primer[max(0, len(primer) - recipe.window) :], text])
    first = max(recipe.window, len(everything) - len(text))
    n_asked = max(1, min(MOST_WINDOWS, len(everything) - first) // STATIC_STREAMS)
    ends = np.linspace(first, len(everything) - 1, n_asked * STATIC_STREAMS).astype(int)
    reader = build(recipe, n_symbols, STATIC_STREAMS, recipe.window, dropout=0.0)
    copy_weights(network, reader)
    logs = []
    for some in np.split(ends, n_asked):
        forget(reader)
        places = some[:, np.newaxis] + np.arange(-recipe.window, 0)
        logits = np.asarray(reader.predict_on_batch(everything[places]))[:, -1]
        logs.append(log_softmax(logits))
    return bits_per_character(np.concatenate(logs), everything[ends])


def bits_per_character(logs: np.ndarray, text: np.ndarray) -> float:
    """Return the mean of -log2 p(character) over a text.

    Args:
        logs: float (n, n_symbols), natural logarithms of the probabilities.
        text: int (n,).
    """
    return float(-logs[np.arange(len(text)), text].astype(np.float64).mean() / BITS)
