import io
import json
import os
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers

from common.user_error import UserError
from training.augmentation import RandomAffine
from training.backup import Backup
from training.optimizers import ScheduledAdam


def make_trainer(seed, units=3):
    """Return a model with all kinds of state: weights, random layers, metrics, an optimizer."""
    keras.utils.set_random_seed(seed)
    trainer = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            RandomAffine(rotation=10, seed=seed),
            layers.Flatten(),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Dense(units, activation="softmax"),
        ]
    )
    trainer.compile(ScheduledAdam(0.01, 0.99, 40, 0.1), loss="categorical_crossentropy")
    trainer.optimizer.build(trainer.trainable_variables)
    return trainer


def state_of(trainer):
    return [np.asarray(v) for v in (*trainer.variables, *trainer.optimizer.variables)]


def watched_callbacks():
    """Return EarlyStopping and ReduceLROnPlateau in the middle of their counting."""
    stopping = keras.callbacks.EarlyStopping(restore_best_weights=True)
    stopping.wait, stopping.best, stopping.best_epoch, stopping.stopped_epoch = 2, 0.25, 4, 6
    stopping.best_weights = [np.full((2, 2), 7.0, np.float32), np.arange(3)]
    plateau = keras.callbacks.ReduceLROnPlateau()
    plateau.wait, plateau.best, plateau.cooldown_counter = 1, 0.5, 3
    return [stopping, plateau]


@pytest.fixture
def clock(monkeypatch):
    """Replace the clock by one that stands until it is set."""
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr("training.backup.time", SimpleNamespace(perf_counter=lambda: now.seconds))
    return now


@pytest.fixture
def saved(tmp_path, clock):
    """Return a trainer and the path of its backup after the sixth epoch, which took 20 s."""
    trainer = make_trainer(seed=1)
    for variable in (*trainer.variables, *trainer.optimizer.variables):
        variable.assign(variable + 1)  # all of it other than in a new trainer
    backup = Backup(tmp_path / "backup.npz", trainer)
    backup.epochs_done = 5
    backup.watch([*watched_callbacks(), keras.callbacks.LambdaCallback()])
    clock.seconds += 20
    backup.on_epoch_end(5)
    return trainer, backup.path


# --- Saving and restoring ---


def test_a_training_without_backup_begins_at_its_beginning(tmp_path, clock):
    trainer = make_trainer(seed=1)
    before = state_of(trainer)
    backup = Backup(tmp_path / "backup.npz", trainer)
    assert (backup.phase, backup.next_epoch, backup.epochs_done) == ("augmented", 0, 0)
    assert not backup.stopped and backup.earlier_seconds == backup.seconds == 0
    for a, b in zip(before, state_of(trainer), strict=True):
        np.testing.assert_array_equal(a, b)


def test_every_variable_is_restored(saved):
    trainer, path = saved
    fresh = make_trainer(seed=2)
    Backup(path, fresh)
    for expected, found in zip(state_of(trainer), state_of(fresh), strict=True):
        np.testing.assert_array_equal(found, expected)
    # Random layers go on where they were: in the next batch, too, both draw the same.
    images = np.random.default_rng(0).random((5, 4, 4, 1), np.float32)
    np.testing.assert_array_equal(
        np.asarray(fresh(images, training=True)), np.asarray(trainer(images, training=True))
    )


def test_position_and_seconds_are_restored(saved, clock):
    _, path = saved
    clock.seconds += 1000  # until it is resumed
    backup = Backup(path, make_trainer(seed=2))
    assert (backup.phase, backup.next_epoch, backup.epochs_done) == ("augmented", 6, 6)
    assert backup.earlier_seconds == backup.seconds == 20
    clock.seconds += 5
    assert backup.seconds == 25 and backup.earlier_seconds == 20
    backup.on_epoch_end(6)
    third = Backup(path, make_trainer(seed=2))
    assert (third.next_epoch, third.epochs_done, third.earlier_seconds) == (7, 7, 25)


def test_a_stopped_clock_stands(saved, clock):
    backup = Backup(saved[1], make_trainer(seed=2))
    clock.seconds += 5
    backup.stop_clock()
    clock.seconds += 1000
    assert backup.seconds == 25


def test_counters_and_best_weights_are_restored(saved):
    backup = Backup(saved[1], make_trainer(seed=2))
    assert backup.stopped
    stopping = keras.callbacks.EarlyStopping(restore_best_weights=True)
    plateau = keras.callbacks.ReduceLROnPlateau()
    backup.watch([stopping, plateau])
    stopping.on_train_begin()  # as Keras does before it comes to the backup: they forget all
    plateau.on_train_begin()
    backup.on_train_begin()
    expected = watched_callbacks()
    for callback, wanted in zip((stopping, plateau), expected, strict=True):
        for name in ("wait", "best", "best_epoch", "stopped_epoch", "cooldown_counter"):
            assert getattr(callback, name, None) == getattr(wanted, name, None), name
    for a, b in zip(stopping.best_weights, expected[0].best_weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_next_phase_begins_with_fresh_counters(saved):
    backup = Backup(saved[1], make_trainer(seed=2))
    backup.enter("polish", first_epoch=9)
    assert (backup.phase, backup.next_epoch, backup.epochs_done) == ("polish", 9, 6)
    assert not backup.stopped
    stopping = keras.callbacks.EarlyStopping(restore_best_weights=True)
    backup.watch([stopping])
    stopping.on_train_begin()
    backup.on_train_begin()
    assert stopping.wait == 0 and stopping.best_weights is None
    backup.watch([])
    backup.on_epoch_end(9)
    again = Backup(saved[1], make_trainer(seed=2))
    assert (again.phase, again.next_epoch, again.epochs_done) == ("polish", 10, 7)
    assert again.best_weights is None


# --- What cannot be restored ---


def refusal(path, trainer):
    """Return what is said of a backup, after checking that it is one line and names the file."""
    before = state_of(trainer)
    with pytest.raises(UserError) as caught:
        Backup(path, trainer)
    for a, b in zip(before, state_of(trainer), strict=True):
        np.testing.assert_array_equal(a, b)  # nothing half restored
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message and len(message) < 300
    assert message.endswith("Delete it to train this network from its first epoch again.")
    return message


def npz(**arrays):
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def test_a_truncated_backup_is_refused(saved):
    trainer, path = saved
    whole = path.read_bytes()
    for length in (0, 1, 4, 100, len(whole) // 2, len(whole) - 30, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert "is damaged" in refusal(path, trainer)


def test_a_backup_with_a_changed_byte_is_refused_or_restored_all_the_same(saved):
    trainer, path = saved
    whole, expected = path.read_bytes(), state_of(trainer)
    rng = np.random.default_rng(0)
    n_refused = 0
    for place in rng.integers(0, len(whole), 60):
        damaged = bytearray(whole)
        damaged[place] ^= rng.integers(1, 256)
        path.write_bytes(damaged)
        try:
            Backup(path, trainer)
        except UserError:
            n_refused += 1
        for a, b in zip(expected, state_of(trainer), strict=True):
            np.testing.assert_array_equal(a, b)
    assert n_refused > 30


@pytest.mark.parametrize(
    "content",
    [
        b"<!DOCTYPE html><html></html>\n",
        npz(),
        npz(position="{}"),
        npz(position="[1, 2]"),
        npz(position=json.dumps({"phase": "augmented"})),
    ],
)
def test_a_file_that_is_no_backup_is_refused(tmp_path, content):
    (tmp_path / "backup.npz").write_bytes(content)
    assert "is damaged" in refusal(tmp_path / "backup.npz", make_trainer(seed=1))


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_no_code_in_a_file_is_run(tmp_path):
    trap = npz(position=np.array(Trap(tmp_path / "caught"), dtype=object))
    (tmp_path / "backup.npz").write_bytes(trap)
    assert "is damaged" in refusal(tmp_path / "backup.npz", make_trainer(seed=1))
    assert not (tmp_path / "caught").exists()


def test_an_array_file_is_refused(tmp_path):
    with open(tmp_path / "backup.npz", "wb") as file:
        np.save(file, np.zeros(3))
    assert "is damaged" in refusal(tmp_path / "backup.npz", make_trainer(seed=1))


def test_a_backup_of_another_network_is_refused(saved):
    _, path = saved
    assert "other weights" in refusal(path, make_trainer(seed=1, units=4))
    smaller = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    smaller.compile("adam")
    smaller.optimizer.build(smaller.trainable_variables)
    assert "other weights" in refusal(path, smaller)


def test_a_backup_that_cannot_be_read_says_why(tmp_path):
    (tmp_path / "backup.npz").mkdir()
    with pytest.raises(UserError, match=r"cannot read .*backup\.npz"):
        Backup(tmp_path / "backup.npz", make_trainer(seed=1))


def test_a_backup_that_cannot_be_written_gives_one_line(tmp_path):
    backup = Backup(tmp_path / "gone" / "backup.npz", make_trainer(seed=1))
    with pytest.raises(UserError, match=r"cannot write .*backup\.npz"):
        backup.on_epoch_end(0)
