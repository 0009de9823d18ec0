"""The state of an unfinished training, in one file, so that it can go on exactly where it was."""

import io
import json
import time
from pathlib import Path

import keras
import numpy as np

from common.safe_files import write_atomically
from common.user_error import UserError


class Backup(keras.callbacks.Callback):
    """Saves after each epoch all that the rest of the training depends on, in one file.

    `keras.callbacks.BackupAndRestore` saves weights, optimizer and epoch, but not the state of
    the random layers, EarlyStopping's counters and best weights or ReduceLROnPlateau's counters;
    and it writes two files in place. With this one, a resumed run ends exactly where the
    uninterrupted one would have, and a crash while saving loses at most an epoch.

    Attributes:
        phase: the phase of training to go on with.
        next_epoch: Keras' number (from 0) of the epoch to go on with.
        epochs_done: finished epochs, all phases together.
        earlier_seconds: time spent on the training by earlier, interrupted processes.

    Raises:
        UserError: the file is damaged, or holds the state of another network.
    """

    # What the two stateful callbacks count (EarlyStopping's best weights are saved as arrays).
    COUNTERS = ("wait", "best", "best_epoch", "stopped_epoch", "cooldown_counter")

    def __init__(self, path: Path, trainer: keras.Model):
        super().__init__()
        self.path, self.trainer = path, trainer
        self.phase, self.next_epoch, self.epochs_done = "augmented", 0, 0
        self.watched: list[keras.callbacks.Callback] = []
        self.counters: dict[str, dict] = {}
        self.best_weights: list[np.ndarray] | None = None
        self.started, self.earlier_seconds = time.perf_counter(), 0.0
        self.stopped_at: float | None = None
        if path.exists():
            self._load()

    @property
    def seconds(self) -> float:
        """Time spent on the training so far, without that between interruption and resumption."""
        now = time.perf_counter() if self.stopped_at is None else self.stopped_at
        return self.earlier_seconds + now - self.started

    @property
    def stopped(self) -> bool:
        """Whether EarlyStopping has ended the phase already."""
        return self.counters.get("EarlyStopping", {}).get("stopped_epoch", 0) > 0

    def enter(self, phase: str, first_epoch: int) -> None:
        """Begin the next phase, with fresh counters."""
        self.phase, self.next_epoch = phase, first_epoch
        self.counters, self.best_weights = {}, None

    def stop_clock(self) -> None:
        """Let `seconds` stay what it is now: the training is over."""
        self.stopped_at = time.perf_counter()

    def watch(self, callbacks: list[keras.callbacks.Callback]) -> None:
        """Name the callbacks whose counters are to be saved and restored."""
        self.watched = [c for c in callbacks if hasattr(c, "wait")]

    def on_train_begin(self, logs=None):
        """Restore the counters of the other callbacks."""
        # Last in the list, so after the others have reset themselves.
        for callback in self.watched:
            for name, value in self.counters.get(type(callback).__name__, {}).items():
                setattr(callback, name, value)
            if hasattr(callback, "best_weights"):
                callback.best_weights = self.best_weights

    def on_epoch_end(self, epoch, logs=None):
        """Note the state of the callbacks and save."""
        self.next_epoch, self.epochs_done = epoch + 1, self.epochs_done + 1
        self.counters, self.best_weights = {}, None
        for callback in self.watched:
            state = {
                name: getattr(callback, name) for name in self.COUNTERS if hasattr(callback, name)
            }
            self.counters[type(callback).__name__] = state
            self.best_weights = getattr(callback, "best_weights", self.best_weights)
        self._save()

    def _variables(self) -> list:
        return [*self.trainer.variables, *self.trainer.optimizer.variables]

    def _save(self) -> None:
        position = {
            "phase": self.phase,
            "next_epoch": self.next_epoch,
            "epochs_done": self.epochs_done,
            "counters": self.counters,
            "seconds": self.seconds,
        }
        arrays = {f"variable_{i}": v.numpy() for i, v in enumerate(self._variables())}
        arrays |= {f"best_{i}": array for i, array in enumerate(self.best_weights or [])}
        content = io.BytesIO()
        np.savez(content, position=json.dumps(position, default=float), **arrays)
        write_atomically(self.path, content.getvalue())

    def _load(self) -> None:
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise UserError(f"cannot read {self.path}: {error.strerror or error}.") from error
        remedy = "Delete it to train this network from its first epoch again."
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as saved:
                arrays = dict(saved)
            position = json.loads(str(arrays["position"]))
            self.phase, self.next_epoch = position["phase"], position["next_epoch"]
            self.epochs_done, self.counters = position["epochs_done"], position["counters"]
            self.earlier_seconds = position["seconds"]
            states, best_weights = _numbered(arrays, "variable"), _numbered(arrays, "best")
        # From damaged bytes, NumPy and zipfile make errors of almost any class.
        except Exception as error:
            raise UserError(f"{self.path} is damaged. {remedy}") from error
        variables = self._variables()
        if [state.shape for state in states] != [tuple(v.shape) for v in variables]:
            raise UserError(f"{self.path} is of a network with other weights. {remedy}")
        for variable, state in zip(variables, states, strict=True):
            variable.assign(state)
        self.best_weights = best_weights or None


def _numbered(arrays: dict[str, np.ndarray], name: str) -> list[np.ndarray]:
    """Return the arrays called name_0, name_1, ... in this order."""
    n = sum(key.startswith(f"{name}_") for key in arrays)
    return [arrays[f"{name}_{i}"] for i in range(n)]
