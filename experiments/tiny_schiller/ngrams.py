"""Counting what followed what: an n-gram model that goes on learning while it predicts.

It knows nothing but how often each character came after the last few. Every order asks the one
below it about what it has not seen: interpolated Kneser-Ney smoothing (R. Kneser, H. Ney,
"Improved backing-off for M-gram language modeling", ICASSP 1995). In a lower order, a character
counts once for each longer context that it was new in, not as often as it came.
"""

from collections.abc import Iterator, Sequence

import numpy as np

ORDER = 8  # characters of context at most
# What is taken from counts of 0, 1, 2 and more, and given to the order below; chosen on validation.
# S. F. Chen, J. Goodman, "An empirical study of smoothing techniques for language modeling", 1998.
DISCOUNTS = (0.0, 0.91, 1.25, 1.45)


class NGrams:
    """An adaptive n-gram model.

    Args:
        n_symbols: size of the vocabulary; symbols are numbers from 0.
        order: how many characters of context it looks at.
        discounts: of counts of 0, 1, 2, and 3 or more.
    """

    def __init__(
        self, n_symbols: int, order: int = ORDER, discounts: Sequence[float] = DISCOUNTS
    ) -> None:
        if n_symbols > 256:
            raise ValueError(f"n_symbols must be at most 256, got {n_symbols}")
        self.n_symbols, self.order, self.discounts = n_symbols, order, np.array(discounts)
        # By the context of each length: the symbols that came, one byte each time one counted.
        self.tables: list[dict[bytes, bytearray]] = [{} for _ in range(order + 1)]

    def learn(self, text: bytes) -> None:
        """Count all symbols of a text, each in the context of those before it."""
        for position in range(len(text)):
            self.update(text[max(0, position - self.order) : position], text[position])

    def update(self, context: bytes, symbol: int) -> None:
        """Count one symbol.

        Args:
            context: the symbols before it, `order` of them, or fewer at the text's beginning.
            symbol: the one that came.
        """
        for length in range(len(context), -1, -1):
            table = self.tables[length]
            key = context[len(context) - length :]
            seen = table.get(key)
            if seen is None:
                table[key] = bytearray((symbol,))
            else:
                is_known = symbol in seen
                seen.append(symbol)
                if is_known:  # the order below counts contexts, not occurrences
                    return

    def predict(self, context: bytes) -> np.ndarray:
        """Return the probabilities of the next symbol, float64 (n_symbols,), all above 0."""
        probabilities = np.full(self.n_symbols, 1 / self.n_symbols)
        for length in range(len(context) + 1):
            seen = self.tables[length].get(context[len(context) - length :])
            if seen is None:
                break  # what has not been seen has not been seen with more before it
            counts = np.bincount(np.frombuffer(seen, np.uint8), minlength=self.n_symbols)
            taken = self.discounts[np.minimum(counts, len(self.discounts) - 1)]
            probabilities = (counts - taken + taken.sum() * probabilities) / len(seen)
        return probabilities


def predictions(model: NGrams, primer: bytes, text: bytes) -> Iterator[np.ndarray]:
    """Yield the probabilities for each symbol of a text; the model then learns that symbol.

    Args:
        model: has learned `primer`.
        primer: what comes before the text.
    """
    everything = primer[len(primer) - min(len(primer), model.order) :] + text
    before = len(everything) - len(text)
    for position in range(before, len(everything)):
        context = everything[max(0, position - model.order) : position]
        yield model.predict(context)
        model.update(context, everything[position])


def ngram_bits(primer: np.ndarray, text: np.ndarray, n_symbols: int) -> float:
    """Return the bits per character of a text that follows a primer; both int (n,)."""
    model, before, after = learned(primer, n_symbols), as_bytes(primer), as_bytes(text)
    given = [p[symbol] for p, symbol in zip(predictions(model, before, after), after, strict=True)]
    return float(-np.log2(given).mean())


def learned(primer: np.ndarray, n_symbols: int) -> NGrams:
    """Return a model that has learned a text, int (n,)."""
    model = NGrams(n_symbols)
    model.learn(as_bytes(primer))
    return model


def as_bytes(numbers: np.ndarray) -> bytes:
    """Return the numbers of characters, each below 256, as one byte each."""
    return numbers.astype(np.uint8).tobytes()
