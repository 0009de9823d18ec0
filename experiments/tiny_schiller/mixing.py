"""Two predictors are better than one: a gate learns, while it reads, whom to trust and when.

The predictors' probabilities are multiplied, each raised to a weight, and scaled to sum to 1. (To
average them would let the less certain one blur the other.) The weights move by gradient descent on
the cross-entropy after each character, as in M. Mahoney, "Adaptive weighing of context models for
lossless data compression" (technical report CS-2005-16, Florida Tech, 2005), here for whole
characters where there it is bits.
"""

import numpy as np

from experiments.tiny_schiller.ngrams import as_bytes, readers_of
from experiments.tiny_schiller.text import Vocabulary

# Of the gate's gradient descent, in the end. Tried, as SURE, on the excerpt's validation part only.
RATE = 0.002
# The gate's situations: how sure the model of characters is of the likeliest one.
SURE = (0.3, 0.6, 0.9)


class Gate:
    """Mixes the predictions of several predictors.

    Args:
        n_predictors: how many there are.
        n_situations: each situation, a number from 0, has weights of its own.
        rate: of the gradient descent; at first, 21 times that.
    """

    def __init__(self, n_predictors: int, n_situations: int, rate: float) -> None:
        self.weights = np.full((n_situations, n_predictors), 1 / n_predictors)
        self.visits = np.zeros(n_situations)
        self.rate = rate

    def mix(self, log_probabilities: np.ndarray, situation: int) -> np.ndarray:
        """Return the mixed log probabilities, float (n_symbols,).

        Args:
            log_probabilities: (n_predictors, n_symbols), natural logarithms.
            situation: of this character.
        """
        self._logs, self._situation = log_probabilities, situation
        mixed = self.weights[situation] @ log_probabilities
        mixed -= mixed.max()
        mixed -= np.log(np.exp(mixed).sum())
        self._mixed = mixed
        return mixed

    def learn(self, symbol: int) -> None:
        """Move the weights of the last situation, now that its character is known.

        The gradient of log p(symbol) with respect to a predictor's weight is what that predictor
        said of the symbol, less what it says on average under the mixture.
        """
        expected = self._logs @ np.exp(self._mixed)
        self.visits[self._situation] += 1
        rate = self.rate * (1 + 20 / self.visits[self._situation] ** 0.5)
        self.weights[self._situation] += rate * (self._logs[:, symbol] - expected)


def mixed_bits(
    network_logs: np.ndarray | None, primer: np.ndarray, text: np.ndarray, vocabulary: Vocabulary
) -> float:
    """Return the bits per character of a network and models that count, mixed.

    How sure the model of characters is, is the gate's situation. The counts and the gate learn each
    character after they have predicted it.

    Args:
        network_logs: float (n, n_symbols), log probabilities at each place of the text; None: of
            the counts alone.
        primer: what comes before the text, int.
        text: int (n,).
        vocabulary: of both.
    """
    readers = readers_of(primer, vocabulary)
    gate = Gate(len(readers) + (network_logs is not None), len(SURE) + 1, RATE)
    likelihoods = np.empty(len(text))
    for place, symbol in enumerate(as_bytes(text)):
        counted = [reader.predict() for reader in readers]
        logs = np.log(counted)
        if network_logs is not None:
            logs = np.vstack([network_logs[place].astype(np.float64), logs])
        situation = int(np.searchsorted(SURE, counted[0].max()))
        likelihoods[place] = gate.mix(logs, situation)[symbol]
        gate.learn(symbol)
        for reader in readers:
            reader.read(symbol)
    return float(-likelihoods.mean() / np.log(2))
