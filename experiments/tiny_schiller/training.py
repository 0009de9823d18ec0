"""Training: the text as streams that are read side by side, epoch by epoch."""

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np

from common.user_error import UserError
from experiments.tiny_schiller.networks import Recipe, build, forget
from experiments.tiny_schiller.scoring import BITS, static_log_probabilities
from studies.progress import describe_duration
from training.backup import Backup
from training.callbacks import StopWhenDiverged
from training.optimizers import ScheduledAdam

WARM_UP = 0.1  # share of the steps in which the rate rises


class Streams(keras.utils.PyDataset):
    """A text, cut into streams that lie side by side; a batch is the next window of each.

    Args:
        numbers: int (n,), the text.
        n_streams, window: rows and columns of a batch.
        seed: of where the first stream begins, anew in each epoch, so that pieces are cut
            elsewhere each time.

    Raises:
        UserError: the text is too short for a single batch.
    """

    def __init__(self, numbers: np.ndarray, n_streams: int, window: int, seed: int) -> None:
        super().__init__()
        self.numbers, self.n_streams, self.window, self.seed = numbers, n_streams, window, seed
        self.n_windows = (len(numbers) - 1) // (n_streams * window)
        if self.n_windows < 1:
            raise UserError(
                f"the training part has {len(numbers):,} characters, but one batch of {n_streams} "
                f"streams and {window} characters needs {n_streams * window + 1:,}. Take a longer "
                "text."
            )
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Choose where the streams of an epoch begin."""
        length = self.n_windows * self.window
        spare = len(self.numbers) - 1 - self.n_streams * length
        first = int(np.random.default_rng([self.seed, epoch]).integers(spare + 1))
        end = first + self.n_streams * length
        self.inputs = self.numbers[first:end].reshape(self.n_streams, length)
        self.targets = self.numbers[first + 1 : end + 1].reshape(self.n_streams, length)

    def __len__(self) -> int:
        return self.n_windows

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        columns = slice(index * self.window, (index + 1) * self.window)
        return self.inputs[:, columns], self.targets[:, columns]


class Epochs(keras.callbacks.Callback):
    """Begins each epoch with empty memories, and ends it with a line.

    Args:
        streams: what the network reads.
        backup: knows the seconds.
        recipe: knows how many epochs there are.
        validation: int (n,), the text that each epoch is judged by; None for none.
        n_symbols: size of the vocabulary.
    """

    def __init__(
        self,
        streams: Streams,
        backup: Backup,
        recipe: Recipe,
        validation: np.ndarray | None,
        n_symbols: int,
    ) -> None:
        super().__init__()
        self.streams, self.backup, self.recipe = streams, backup, recipe
        self.validation, self.n_symbols = validation, n_symbols

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Cut the text anew."""
        self.streams.begin(epoch)
        forget(self.model)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Print how good the network is, and how long the rest will take."""
        logs = {} if logs is None else logs
        logs["bits"] = logs["loss"] / BITS
        text = f"Epoch {epoch + 1} of {self.recipe.epochs}: {logs['bits']:.3f} bits per character"
        if self.validation is not None:
            logs["validation_bits"] = self._validation_bits()
            text += f", {logs['validation_bits']:.3f} on the validation part"
        seconds = self.backup.seconds
        left = seconds / (epoch + 1) * (self.recipe.epochs - epoch - 1)
        print(
            f"{text}; {describe_duration(seconds)}, about {describe_duration(left)} left",
            flush=True,
        )

    def _validation_bits(self) -> float:
        assert self.validation is not None
        of_each = static_log_probabilities(
            self.model, self.recipe, self.n_symbols, self.validation[:0], self.validation
        )
        return float(-np.mean(of_each[np.arange(len(of_each)), self.validation]) / BITS)


def train(
    recipe: Recipe,
    n_symbols: int,
    text: np.ndarray,
    validation: np.ndarray | None,
    seed: int,
    path: Path,
) -> tuple[keras.Model, float]:
    """Train a network, from its first epoch or from where it was interrupted.

    Args:
        recipe: the network and how to train it.
        n_symbols: size of the vocabulary.
        text: int (n,), what is learned.
        validation: int (m,), what each epoch is judged by; None: nothing.
        seed: of the first weights, of dropout and of where the text is cut.
        path: of the backup, which is written after each epoch.

    Returns:
        The network as it was trained, and the seconds that it took.

    Raises:
        UserError: the text is too short, the backup is damaged or cannot be written.
        DivergedError: the loss is no number any more.
    """
    keras.utils.set_random_seed(seed)
    streams = Streams(text, recipe.streams, recipe.window, seed)
    network = build(recipe, n_symbols, recipe.streams, recipe.window, recipe.dropout)
    compile_network(network, recipe, len(streams))
    backup = Backup(path, network)
    epochs = Epochs(streams, backup, recipe, validation, n_symbols)
    verbose: Any = 1 if sys.stdout.isatty() else 0  # a bar, besides the line per epoch
    network.fit(
        streams,
        shuffle=False,
        initial_epoch=backup.next_epoch,
        epochs=recipe.epochs,
        callbacks=[StopWhenDiverged(recipe.learning_rate), epochs, backup],
        verbose=verbose,
    )
    backup.stop_clock()
    return network, backup.seconds


def compile_network(network: keras.Model, recipe: Recipe, steps_per_epoch: int) -> None:
    """Give a network its loss and its optimizer."""
    total = recipe.epochs * steps_per_epoch if recipe.rises_and_falls else None
    optimizer = ScheduledAdam(recipe.learning_rate, recipe.beta_2, total, WARM_UP)
    optimizer.global_clipnorm = recipe.clip
    network.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    optimizer.build(network.trainable_variables)  # or a backup could not be restored
