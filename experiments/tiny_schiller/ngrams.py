"""Counting what followed what: models that go on learning while they predict.

They know nothing but how often each character came in a context: after the last few characters, or
after the last words. Every context asks a shorter one about what it has not seen: interpolated
Kneser-Ney smoothing (R. Kneser, H. Ney, "Improved backing-off for M-gram language modeling", ICASSP
1995). In a shorter context, a character counts once for each longer context that it was new in,
not as often as it came.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from experiments.tiny_schiller.text import Vocabulary

ORDER = 8  # characters of context at most
# What is taken from counts of 0, 1, 2, and 3 or more, and given to the shorter context. S. F. Chen,
# J. Goodman, "An empirical study of smoothing techniques for language modeling", 1998. Chosen on
# validation, where their estimate (`fit_discounts`) does worse for characters.
DISCOUNTS = (0.0, 0.91, 1.25, 1.45)
RECENT = 120_000  # characters that a second model begins with: it knows the current play best
RECENT_ORDER = 6
END = b"\xff"  # of a word; no character has this number


class Counts:
    """Predicts each next symbol from what came in its contexts before, and learns what it reads.

    Args:
        n_symbols: size of the vocabulary; symbols are numbers from 0.
        n_contexts: how many contexts a symbol has, from none at all to the longest.
        discounts: of counts of 0, 1, 2, and 3 or more.
    """

    def __init__(
        self, n_symbols: int, n_contexts: int, discounts: Sequence[float] = DISCOUNTS
    ) -> None:
        if n_symbols > 255:
            raise ValueError(f"n_symbols must be at most 255, got {n_symbols}")
        self.n_symbols = n_symbols
        self.discounts = [np.array(discounts) for _ in range(n_contexts)]  # a row per context
        # By the context of each length: the symbols that came, one byte each time one counted.
        self.tables: list[dict[bytes, bytearray]] = [{} for _ in range(n_contexts)]
        # Of the last prediction: the longest context that was known, and whether a single symbol
        # had come in it.
        self.depth, self.is_unambiguous = 0, False

    def contexts(self) -> Iterator[tuple[int, bytes]]:
        """Yield the contexts of the next symbol, each with its place in `tables`, longest first."""
        raise NotImplementedError

    def remember(self, symbol: int) -> None:
        """Let a symbol become part of the contexts."""
        raise NotImplementedError

    def predict(self) -> np.ndarray:
        """Return the probabilities of the next symbol, float64 (n_symbols,), all above 0."""
        probabilities = np.full(self.n_symbols, 1 / self.n_symbols)
        self.depth, self.is_unambiguous = 0, False
        for place, context in reversed([*self.contexts()]):
            seen = self.tables[place].get(context)
            if seen is None:
                break  # what has not been seen has not been seen with more before it
            counts = np.bincount(np.frombuffer(seen, np.uint8), minlength=self.n_symbols)
            discounts = self.discounts[place]
            taken = discounts[np.minimum(counts, len(discounts) - 1)]
            probabilities = (counts - taken + taken.sum() * probabilities) / len(seen)
            self.depth, self.is_unambiguous = place, counts.max() == len(seen)
        return probabilities

    def fit_discounts(self) -> None:
        """Estimate the discounts of each context from what was read: Chen and Goodman, section 3.

        They follow from how many symbols came once in a context, twice, and so on. Where one of
        these numbers is 0, the discounts stay as they are.
        """
        for place, table in enumerate(self.tables):
            times = [
                np.unique(np.frombuffer(seen, np.uint8), return_counts=True)[1]
                for seen in table.values()
            ]
            n = np.bincount(np.minimum(np.concatenate([[0], *times]), 5), minlength=5)
            if n[1:5].all():
                share = n[1] / (n[1] + 2 * n[2])
                fitted = [k - (k + 1) * share * n[k + 1] / n[k] for k in (1, 2, 3)]
                self.discounts[place] = np.maximum([0.0, *fitted], 0.0)

    def read(self, symbol: int) -> None:
        """Learn the next symbol, and go on to the one after it."""
        for place, context in self.contexts():
            seen = self.tables[place].get(context)
            if seen is None:
                self.tables[place][context] = bytearray((symbol,))
                continue
            is_known = symbol in seen
            seen.append(symbol)
            if is_known:  # a shorter context counts contexts, not occurrences
                break
        self.remember(symbol)

    def read_all(self, text: bytes) -> None:
        """Learn a text, one byte a symbol."""
        for symbol in text:
            self.read(symbol)


class Characters(Counts):
    """Looks at the last few characters.

    Args:
        n_symbols: size of the vocabulary.
        order: how many characters of context it looks at.
        discounts: as of Counts.
    """

    def __init__(
        self, n_symbols: int, order: int = ORDER, discounts: Sequence[float] = DISCOUNTS
    ) -> None:
        super().__init__(n_symbols, order + 1, discounts)
        self.order, self.last = order, b""

    def contexts(self) -> Iterator[tuple[int, bytes]]:
        """Yield the last characters: `order` of them, or fewer, down to none."""
        for length in range(len(self.last), -1, -1):
            yield length, self.last[len(self.last) - length :]

    def remember(self, symbol: int) -> None:
        """Let the symbol be the last one."""
        self.last = (self.last + bytes((symbol,)))[-self.order :] if self.order else b""


class Words(Counts):
    """Looks at the word so far, and at the two words before it, in small letters.

    What stands between two words does not matter, but for the last two signs: a verse may end
    there, or not.

    Args:
        vocabulary: tells letters from other signs.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__(len(vocabulary), 4)
        numbers = {sign: number for number, sign in enumerate(vocabulary.characters)}
        self.small = {  # number of a letter -> of the small one
            number: numbers.get(sign.lower(), number)
            for sign, number in numbers.items()
            if sign.isalpha()
        }
        self.words, self.word, self.between = (b"", b""), b"", b""

    def contexts(self) -> Iterator[tuple[int, bytes]]:
        """Yield what is there of this word after two words, after one, and after none."""
        before, last = self.words
        here = self.word + END + self.between
        yield 3, before + END + last + END + here
        yield 2, last + END + here
        yield 1, here
        yield 0, b""

    def remember(self, symbol: int) -> None:
        """Let the symbol go on with the word, or end it."""
        if symbol in self.small:
            self.word, self.between = self.word + bytes((self.small[symbol],)), b""
            return
        if self.word:
            self.words, self.word = (self.words[1], self.word), b""
        self.between = (self.between + bytes((symbol,)))[-2:]


def readers_of(primer: np.ndarray, vocabulary: Vocabulary) -> list[Counts]:
    """Return three models that have read a text, int (n,): of characters, words, recent characters.

    A play has its own names and its own tone. So one model knows only what came lately, and is not
    distracted by what came before.
    """
    n, text = len(vocabulary), as_bytes(primer)
    characters, words = Characters(n), Words(vocabulary)
    recent = Characters(n, RECENT_ORDER)
    for model, part in ((characters, text), (words, text), (recent, text[-RECENT:])):
        model.read_all(part)
    words.fit_discounts()
    return [characters, words, recent]


class Counted(NamedTuple):
    """What the models of `readers_of` predict at each place of a text."""

    logs: np.ndarray  # natural logarithms of probabilities, float32 (n, 3, n_symbols)
    depths: np.ndarray  # longest known context of the model of characters, int (n,)
    are_unambiguous: np.ndarray  # whether a single symbol had come in it, bool (n,)


def count(primer: np.ndarray, text: np.ndarray, vocabulary: Vocabulary) -> Counted:
    """Return what counting says of a text that follows a primer; both int (n,).

    The models learn each character after they have predicted it.
    """
    readers = readers_of(primer, vocabulary)
    logs = np.empty((len(text), len(readers), len(vocabulary)), np.float32)
    depths, are_unambiguous = np.empty(len(text), int), np.empty(len(text), bool)
    for place, symbol in enumerate(as_bytes(text)):
        logs[place] = np.log([reader.predict() for reader in readers])
        depths[place], are_unambiguous[place] = readers[0].depth, readers[0].is_unambiguous
        for reader in readers:
            reader.read(symbol)
    return Counted(logs, depths, are_unambiguous)


def as_bytes(numbers: np.ndarray) -> bytes:
    """Return the numbers of characters, each below 255, as one byte each."""
    return numbers.astype(np.uint8).tobytes()
