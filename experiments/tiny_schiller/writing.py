"""Writing text: a character at a time, each drawn from what the network expects next."""

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

LOOK_BACK = 400  # characters in which a repetition is looked for
REPEATED = 8  # characters in a row make a repetition
TEMPERATURES, PENALTIES = (0.01, 0.1, 0.3, 0.5, 0.7, 1.0), (0.0, 2.0)
LONG = 2000  # symbols of a text in which repetitions are counted


# Takes the next symbol of a text and returns the log probabilities of the one after it, float
# (n_symbols,); it remembers what it has read.
Reader = Callable[[int], np.ndarray]


class Style(NamedTuple):
    """How characters are drawn."""

    temperature: float = 0.7  # below 1: the likely ones become likelier still; 0: the likeliest
    top_p: float = 0.95  # only the likeliest characters that have so much probability together
    # What a character loses, as a natural logarithm, that would go on with what was written before.
    penalty: float = 0.0


def draw(log_probabilities: np.ndarray, style: Style, rng: np.random.Generator) -> int:
    """Return a symbol.

    Args:
        log_probabilities: float (n_symbols,), natural logarithms.
        style: how.
        rng: the source of chance.
    """
    if style.temperature == 0:
        return int(log_probabilities.argmax())
    # The largest is taken away first, or a tiny temperature would make infinities of all.
    probabilities = np.exp((log_probabilities - log_probabilities.max()) / style.temperature)
    probabilities /= probabilities.sum()
    order = np.argsort(-probabilities, kind="stable")
    # The first one whose sum reaches top_p is the last one that counts: so there is always one.
    n_kept = int(np.searchsorted(np.cumsum(probabilities[order]), style.top_p)) + 1
    kept = order[:n_kept]
    return int(rng.choice(kept, p=probabilities[kept] / probabilities[kept].sum()))


def discourage_repeating(
    log_probabilities: np.ndarray, written: list[int], penalty: float
) -> np.ndarray:
    """Return the log probabilities, lower for what would repeat REPEATED characters.

    At a low temperature, a network that has written the same words twice expects them a third
    time, and never leaves the loop. So where the last REPEATED - 1 characters stand in the last
    LOOK_BACK ones already, what came after them there is made less likely.
    """
    recent, tail = written[-LOOK_BACK:], written[-(REPEATED - 1) :]
    if not penalty or len(recent) < REPEATED:
        return log_probabilities
    lowered = log_probabilities.copy()
    for start in range(len(recent) - len(tail)):
        if recent[start : start + len(tail)] == tail:
            lowered[recent[start + len(tail)]] -= penalty
    return lowered


def write(read: Reader, prompt: np.ndarray, style: Style, seed: int) -> Iterator[int]:
    """Yield symbols without end, the first one after the prompt.

    Args:
        read: has read nothing yet.
        prompt: int (n,), not empty.
        style: how characters are drawn.
        seed: equal seeds write equal texts.
    """
    rng = np.random.default_rng(seed)
    written = [int(symbol) for symbol in prompt]
    for symbol in written:
        expected = read(symbol)
    while True:
        symbol = draw(discourage_repeating(expected, written, style.penalty), style, rng)
        written.append(symbol)
        yield symbol
        expected = read(symbol)


def share_of_repeats(written: str, length: int = REPEATED) -> float:
    """Return the share of a text's runs of `length` characters that stand in it before, 0 to 1."""
    runs = [written[k : k + length] for k in range(len(written) - length + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def repeats_by_temperature(begin: Callable[[], Reader], prompt: np.ndarray) -> list[dict]:
    """Return how often a network repeats itself, by temperature, without a penalty and with one.

    Args:
        begin: returns a reader that has read nothing yet.
        prompt: int (n,), what all texts begin with.

    Returns:
        A row per temperature and penalty, with the share of repeats in a text of LONG symbols.
    """
    rows = []
    for penalty in PENALTIES:
        for temperature in TEMPERATURES:
            style = Style(temperature, 1.0, penalty)
            written = list(itertools.islice(write(begin(), prompt, style, seed=0), LONG))
            row = {"penalty": penalty, "temperature": temperature}
            rows.append({**row, "share": share_of_repeats("".join(map(chr, written)))})
    return rows
