"""Several predictors are better than one: gates learn, while they read, whom to trust and when.

The predictors' probabilities are multiplied, each raised to a weight, and scaled to sum to 1. (To
average them would let the less certain one blur the other.) The weights move by gradient descent on
the cross-entropy after each character, as in M. Mahoney, "Adaptive weighing of context models for
lossless data compression" (technical report CS-2005-16, Florida Tech, 2005), here for whole
characters where there it is bits. Mixing the mixtures of several gates is his, too (paq8).
"""

from collections.abc import Sequence

import numpy as np

from experiments.tiny_schiller.ngrams import Counted

# Of a gate's gradient descent, in the end. Tried, like SURE, on the excerpt's validation part only.
RATE = 0.002
SURE = (0.3, 0.6, 0.9)  # bounds of how sure a predictor is of the likeliest character


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

        Args:
            symbol: the number of that character.

        The gradient of log p(symbol) with respect to a predictor's weight is what that predictor
        said of the symbol, less what it says on average under the mixture.
        """
        expected = self._logs @ np.exp(self._mixed)
        self.visits[self._situation] += 1
        rate = self.rate * (1 + 20 / self.visits[self._situation] ** 0.5)
        self.weights[self._situation] += rate * (self._logs[:, symbol] - expected)


class Mixture:
    """Several gates, each with its own kind of situation, and a last gate that mixes them.

    What is a good weight depends on how sure the predictors are, on how long a context is known,
    and on the last character. Each of these would make too few examples of each situation, if all
    were asked for at once.

    Args:
        n_predictors: how many there are.
        n_situations: of each gate but the last, which has one.
    """

    def __init__(self, n_predictors: int, n_situations: Sequence[int]) -> None:
        self.gates = [Gate(n_predictors, n, RATE) for n in n_situations]
        self.last = Gate(len(self.gates), 1, RATE)

    def mix(self, log_probabilities: np.ndarray, situations: Sequence[int]) -> np.ndarray:
        """Return the mixed log probabilities, float (n_symbols,); arguments as of `Gate.mix`."""
        mixed = [
            gate.mix(log_probabilities, situation)
            for gate, situation in zip(self.gates, situations, strict=True)
        ]
        return self.last.mix(np.array(mixed), 0)

    def learn(self, symbol: int) -> None:
        """Let all gates learn the character that has come."""
        for gate in (*self.gates, self.last):
            gate.learn(symbol)


def mixed_bits(
    network_logs: np.ndarray | None, counted: Counted, text: np.ndarray, n_symbols: int
) -> float:
    """Return the bits per character of a network and models that count, mixed.

    The gates learn each character after they have predicted it.

    Args:
        network_logs: float (n, n_symbols), log probabilities at each place of the text; None: of
            the counts alone.
        counted: what the models that count say at each place.
        text: int (n,).
        n_symbols: size of the vocabulary.
    """
    logs = counted.logs
    if network_logs is not None:
        logs = np.concatenate([network_logs[:, np.newaxis].astype(np.float32), logs], axis=1)
    kinds = situations_of(logs, counted, text, n_symbols)
    mixture = Mixture(logs.shape[1], (kinds.max(axis=0) + 1).tolist())
    total = 0.0
    for of_place, situations, symbol in zip(logs, kinds.tolist(), text.tolist(), strict=True):
        total -= mixture.mix(of_place.astype(np.float64), situations)[symbol]
        mixture.learn(symbol)
    return float(total / len(text) / np.log(2))


def situations_of(
    logs: np.ndarray, counted: Counted, text: np.ndarray, n_symbols: int
) -> np.ndarray:
    """Return the situation of each of three gates at each place, int (n, 3).

    How sure the first predictor and the model of characters are; how long a context that model
    knows, and whether it is unambiguous; which character came last.

    Args: as of `mixed_bits`; `logs` are of all predictors, (n, n_predictors, n_symbols).
    """
    first, characters = (np.exp(logs[:, place].max(axis=1)) for place in (0, -3))
    sureness = np.searchsorted(SURE, first) * (len(SURE) + 1) + np.searchsorted(SURE, characters)
    depths = 2 * counted.depths + counted.are_unambiguous
    last = np.concatenate([[n_symbols], text[:-1]])
    return np.stack([sureness, depths, last], axis=1)
