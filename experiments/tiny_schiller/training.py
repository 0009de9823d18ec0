"""Training: the text as streams that are read side by side, epoch by epoch."""

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np

from common.user_error import UserError
from experiments.tiny_schiller.networks import Recipe, build, forget
from experiments.tiny_schiller.scoring import BITS, static_bits
from studies.progress import describe_duration
from training.backup import Backup
from training.batches import input_pipeline
from training.callbacks import SafeCSVLogger, StopWhenDiverged, trim_history
from training.optimizers import ScheduledAdam

HISTORY = "history.csv"
FEWEST_STREAMS, STREAM_LENGTH = 8, 10_000  # characters
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


class SingleWindows(keras.utils.PyDataset):
    """Random windows of a text, of which the last answer alone counts.

    Args:
        numbers: int (n,), the text.
        n_windows, window: rows and columns of a batch.
        steps: batches of an epoch.
        seed: of which windows there are, others in each epoch.

    Raises:
        UserError: the text is too short for a single window.
    """

    def __init__(
        self, numbers: np.ndarray, n_windows: int, window: int, steps: int, seed: int
    ) -> None:
        super().__init__()
        self.numbers, self.shape, self.steps, self.seed = numbers, (n_windows, window), steps, seed
        if len(numbers) <= window:
            raise UserError(
                f"the training part has {len(numbers):,} characters, but a window needs "
                f"{window + 1}. Take a longer text."
            )
        # Weights of the answers: their mean over a batch is then that of the last ones.
        self.weights = np.zeros(self.shape, np.float32)
        self.weights[:, -1] = window
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Choose the windows of an epoch."""
        rng = np.random.default_rng([self.seed, epoch])
        n_windows, window = self.shape
        self.starts = rng.integers(len(self.numbers) - window, size=(self.steps, n_windows))

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        places = self.starts[index][:, np.newaxis] + np.arange(self.shape[1])
        return self.numbers[places], self.numbers[places + 1], self.weights


class Epochs(keras.callbacks.Callback):
    """Begins each epoch, and each single window, with empty memories, and ends it with a line.

    Args:
        batches: what the network reads.
        backup: knows the seconds.
        recipe: knows how many epochs there are.
        validation: int (n,), the text that each epoch is judged by; None for none.
        n_symbols: size of the vocabulary.
    """

    def __init__(
        self,
        batches: Streams | SingleWindows,
        backup: Backup,
        recipe: Recipe,
        validation: np.ndarray | None,
        n_symbols: int,
    ) -> None:
        super().__init__()
        self.batches, self.backup, self.recipe = batches, backup, recipe
        self.validation, self.n_symbols = validation, n_symbols

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Cut the text anew."""
        self.batches.begin(epoch)
        forget(self.model)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Forget what was in other windows."""
        if self.recipe.single_windows:
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
        before = self.batches.numbers
        return static_bits(self.model, self.recipe, self.n_symbols, before, self.validation)


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
        recipe, n_symbols: the network, how to train it, and the size of the vocabulary.
        text: int (n,), what is learned.
        validation: int (m,), what each epoch is judged by; None: nothing.
        seed: of the first weights, of dropout and of where the text is cut.
        path: of the backup, which is written after each epoch; beside it, HISTORY gets a row.

    Returns:
        The network as it was trained, and the seconds that it took.

    Raises:
        UserError: the text is too short, the backup is damaged or cannot be written.
        DivergedError: the loss is no number any more.
    """
    keras.utils.set_random_seed(seed)
    batches = batches_of(recipe, text, seed)
    n_streams = recipe.streams if recipe.single_windows else batches.n_streams
    network = build(recipe, n_symbols, n_streams, recipe.window, recipe.dropout)
    compile_network(network, recipe, len(batches))
    backup = Backup(path, network)
    fit(network, batches, recipe, backup, Epochs(batches, backup, recipe, validation, n_symbols))
    backup.stop_clock()
    return network, backup.seconds


def fit(
    network: keras.Model,
    batches: Streams | SingleWindows,
    recipe: Recipe,
    backup: Backup,
    epochs: Epochs,
) -> None:
    """Train from where the backup stands to the last epoch."""
    history = backup.path.with_name(HISTORY)
    trim_history(history, backup.epochs_done)
    verbose: Any = 1 if sys.stdout.isatty() else 0  # a bar, besides the line per epoch
    network.fit(
        input_pipeline(batches),
        shuffle=False,
        initial_epoch=backup.next_epoch,
        epochs=recipe.epochs,
        callbacks=[
            StopWhenDiverged(recipe.learning_rate, "Try a smaller rate in networks.py"),
            epochs,
            SafeCSVLogger(history),
            backup,
        ],
        verbose=verbose,
    )


def streams_for(recipe: Recipe, n: int) -> int:
    """Return how many streams a text of n characters is cut into.

    A short text has few, so that an epoch still has some hundred steps.
    """
    return min(recipe.streams, max(FEWEST_STREAMS, n // STREAM_LENGTH))


def batches_of(recipe: Recipe, text: np.ndarray, seed: int) -> Streams | SingleWindows:
    """Return what a network of a recipe learns from; a text is int (n,)."""
    if not recipe.single_windows:
        return Streams(text, streams_for(recipe, len(text)), recipe.window, seed)
    assert recipe.steps is not None  # all windows of a text would be too many
    return SingleWindows(text, recipe.streams, recipe.window, recipe.steps, seed)


def compile_network(network: keras.Model, recipe: Recipe, steps_per_epoch: int) -> None:
    """Give a network its loss and its optimizer."""
    total = recipe.epochs * steps_per_epoch if recipe.rises_and_falls else None
    optimizer = ScheduledAdam(recipe.learning_rate, recipe.beta_2, total, WARM_UP)
    optimizer.global_clipnorm = recipe.clip
    network.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    optimizer.build(network.trainable_variables)  # or a backup could not be restored
