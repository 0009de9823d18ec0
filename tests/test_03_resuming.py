"""Going on after an interruption: of `train` and all that it is made of, together."""

import itertools
import json
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest

import _03_model_training as training
from _03_model_training import derive_seed
from tests.small_trainings import assert_equal_weights, few_of, script_validation_losses, train_in
from training.batches import Batches


class Interruption(keras.callbacks.Callback):
    """Raises KeyboardInterrupt, as Ctrl-C does, after a batch or at the end of an epoch."""

    def __init__(self, epoch, batch):
        super().__init__()
        self.epoch, self.batch, self.now = epoch, batch, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.now == self.epoch and batch == self.batch:
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch and self.batch is None:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def few(splits):
    return few_of(splits)


@pytest.fixture
def interrupt(monkeypatch):
    """Return a function that lets the next training end at an epoch (and batch)."""
    make_callbacks = training.make_callbacks

    def interrupt(epoch, batch=None, after_backup=False):
        def with_interruption(*args):
            *others, backup = make_callbacks(*args)
            end = Interruption(epoch, batch)
            return [*others, backup, end] if after_backup else [*others, end, backup]

        monkeypatch.setattr(training, "make_callbacks", with_interruption)

    yield interrupt
    monkeypatch.setattr(training, "make_callbacks", make_callbacks)


def test_a_training_that_is_interrupted_again_and_again_equals_the_uninterrupted(
    few, tiny_settings, tmp_path, monkeypatch, interrupt
):
    clock = itertools.count()  # a second for each look at it
    monkeypatch.setattr("training.backup.time", SimpleNamespace(perf_counter=clock.__next__))
    # EarlyStopping stops after the fourth of six epochs, ReduceLROnPlateau acts before.
    script_validation_losses(monkeypatch, [3.0, 1.0, 2.0, 2.5, 9.0, 9.0])
    settings = replace(
        tiny_settings,
        epochs=6, polish_epochs=2, early_stopping_patience=2, plateau_patience=1,
    )  # fmt: skip
    whole = train_in(tmp_path / "whole", few, settings)
    assert list(whole.history["phase"]) == ["augmented"] * 4 + ["polish"] * 2

    for n_saved, where in (
        (0, {"epoch": 0, "batch": 0}),  # nothing saved yet
        (1, {"epoch": 1, "batch": 0}),  # before the end of an epoch
        (1, {"epoch": 1}),  # logged, but not backed up
        (3, {"epoch": 2, "after_backup": True}),
        (3, {"epoch": 3}),  # EarlyStopping has just stopped, and that is lost again
        (4, {"epoch": 3, "after_backup": True}),  # its best weights are in no epoch's end
        (5, {"epoch": 6, "after_backup": True}),
        (5, {"epoch": 7, "batch": 0}),  # in the polish
    ):
        interrupt(**where)
        with pytest.raises(KeyboardInterrupt):
            train_in(tmp_path / "parts", few, settings)
        assert saved_position(tmp_path / "parts")["epochs_done"] == n_saved
    interrupt(epoch=None)
    for _ in range(2):  # what is complete is not trained once more
        earlier_seconds = saved_position(tmp_path / "parts")["seconds"]
        resumed = train_in(tmp_path / "parts", few, settings)
        assert_equal_weights(whole.model.get_weights(), resumed.model.get_weights())
        pd.testing.assert_frame_equal(
            whole.history.drop(columns="seconds"), resumed.history.drop(columns="seconds")
        )
        assert resumed.history["seconds"].is_monotonic_increasing
        assert resumed.epochs == 6 and resumed.earlier_seconds == earlier_seconds
        assert resumed.history["seconds"].iloc[-1] <= resumed.seconds


def saved_position(folder):
    """Return where a training stands by its backup."""
    if not (folder / "backup.npz").exists():
        return {"epochs_done": 0, "seconds": 0}
    with np.load(folder / "backup.npz") as saved:
        return json.loads(str(saved["position"]))


def test_a_training_that_is_interrupted_in_its_second_network_equals_the_uninterrupted(
    few, tiny_settings, tmp_path, monkeypatch, interrupt
):
    # Every network stops early, after the second of three epochs, and returns to the first.
    script_validation_losses(monkeypatch, [1.0, 2.0, 9.0])
    settings = replace(
        tiny_settings, epochs=3, polish_epochs=0, networks=2, early_stopping_patience=1
    )
    whole = train_in(tmp_path / "whole", few, settings)
    assert whole.epochs == 2 * 2

    train_network = training.train_network

    def interrupt_the_second(network, splits, settings, folder, callbacks):
        if folder.name == "network_2":
            interrupt(epoch=1, batch=0)
        return train_network(network, splits, settings, folder, callbacks)

    with monkeypatch.context() as patch:
        patch.setattr(training, "train_network", interrupt_the_second)
        with pytest.raises(KeyboardInterrupt):
            train_in(tmp_path / "parts", few, settings)
    interrupt(epoch=None)
    folders = (tmp_path / "parts", tmp_path / "parts" / "network_2")
    earlier_seconds = [saved_position(folder)["seconds"] for folder in folders]
    begun, shuffle = [], Batches.shuffle

    def noted(self, seed, epoch):
        begun.append((seed, epoch))
        shuffle(self, seed, epoch)

    monkeypatch.setattr(Batches, "shuffle", noted)
    resumed = train_in(tmp_path / "parts", few, settings)
    assert_equal_weights(whole.model.get_weights(), resumed.model.get_weights())
    # None of the first network, and of the second not its first.
    assert begun == [(derive_seed(settings.seed, 2), 1)]
    assert min(earlier_seconds) > 0 and resumed.earlier_seconds == sum(earlier_seconds)
    assert resumed.epochs == whole.epochs


@pytest.mark.parametrize(
    "changes",
    [
        {"stretch": 0.8, "pen": 0.8, "paper": 0.5, "drawn": 0.3},
        {"flip": 0.5, "erase": 0.5},
        {"optimizer": "sgd"},
    ],
    ids=lambda changes: " and ".join(changes),
)
def test_what_else_is_random_and_trains_goes_on_as_if_uninterrupted(
    changes, few, tiny_settings, tmp_path, interrupt
):
    settings = replace(tiny_settings, **changes)
    whole = train_in(tmp_path / "whole", few, settings)
    interrupt(1, batch=0)
    with pytest.raises(KeyboardInterrupt):
        train_in(tmp_path / "parts", few, settings)
    interrupt(99)  # never
    resumed = train_in(tmp_path / "parts", few, settings)
    assert_equal_weights(whole.model.get_weights(), resumed.model.get_weights())
