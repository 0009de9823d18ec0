"""The callbacks of a training besides Keras' own: order of the images, history, divergence."""

from pathlib import Path

import keras

from common.safe_files import write_atomically, writing
from common.user_error import DivergedError
from training.backup import Backup
from training.batches import Batches


class Shuffle(keras.callbacks.Callback):
    """Draws the order of the training images before each epoch.

    A callback, because Keras calls PyDataset.on_epoch_end() also before the first epoch.
    """

    def __init__(self, batches: Batches, seed: int):
        super().__init__()
        self.batches, self.seed = batches, seed

    def on_epoch_begin(self, epoch, logs=None):
        """Draw the order."""
        self.batches.shuffle(self.seed, epoch)


class StopWhenDiverged(keras.callbacks.Callback):
    """Ends a training whose loss is no number any more, or so large that nothing can come of it.

    Raises:
        DivergedError: at the first such batch, or after an epoch with such a validation loss.
    """

    LARGEST_LOSS = 1e6  # guessing costs 2.3; steps that are much too large, 1e15 and NaN soon after

    def __init__(self, learning_rate: float, advice: str | None = None):
        super().__init__()
        self.advice = advice or f"Try a smaller --learning-rate than {learning_rate:g}"
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        """Note the epoch, for the message."""
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        """Check the mean training loss of the epoch so far."""
        self._check(logs or {})

    def on_epoch_end(self, epoch, logs=None):
        """Check the validation loss, too."""
        self._check(logs or {})

    def _check(self, logs: dict[str, float]) -> None:
        for name in ("loss", "val_loss"):
            loss = float(logs.get(name, 0.0))
            if not loss <= self.LARGEST_LOSS:  # so that NaN is caught, too
                raise DivergedError(
                    f"the training diverged: {name} is {loss:.3g} in epoch {self.epoch + 1}. "
                    f"{self.advice}; nothing was recorded."
                )


class SafeCSVLogger(keras.callbacks.CSVLogger):
    """Keras' CSVLogger, which goes on with a file; a full disk is told in one line."""

    def __init__(self, path: Path):
        super().__init__(str(path), append=True)
        self.path = path

    def on_train_begin(self, logs=None):
        """Open the file."""
        with writing(self.path):
            super().on_train_begin(logs)

    def on_epoch_end(self, epoch, logs=None):
        """Write a row."""
        with writing(self.path):
            super().on_epoch_end(epoch, logs)


class HistoryLogger(SafeCSVLogger):
    """A CSV logger with epochs counted from 1, the phase, the rate and the seconds so far.

    The rate is that in the middle of the epoch; ReduceLROnPlateau logs the peak of the schedule.
    """

    def __init__(self, path: Path, backup: Backup):
        super().__init__(path)
        self.backup = backup

    def on_epoch_end(self, epoch, logs=None):
        """Write a row."""
        logs = logs or {}
        optimizer = self.model.optimizer
        steps = self.params["steps"]
        done, rate = (  # on several devices, plain int() and float() would not do
            keras.ops.convert_to_numpy(variable).item()
            for variable in (optimizer.iterations, optimizer.learning_rate)
        )
        share = float(optimizer.share(done - steps / 2))
        logs["learning_rate"] = logs.get("learning_rate", rate) * share
        row = {"phase": self.backup.phase, "seconds": round(self.backup.seconds, 3)}
        super().on_epoch_end(self.backup.epochs_done + 1, logs | row)


def trim_history(path: Path, n_rows: int) -> None:
    """Drop the rows of epochs that were logged but not backed up before an interruption."""
    if path.exists():
        with writing(path):
            lines = path.read_bytes().splitlines(keepends=True)
        write_atomically(path, b"".join(lines[: n_rows + 1] if n_rows else []))
