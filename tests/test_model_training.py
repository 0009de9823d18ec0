import csv
import errno
import os
from dataclasses import replace

import keras
import numpy as np
import pytest

import _03_model_training as training
from _03_model_training import Backup, Batches, evaluate, read_history, soft_labels, train
from averaging import network_of
from user_error import UserError


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


class Interruption(keras.callbacks.Callback):
    """Raises KeyboardInterrupt, as Ctrl-C does, before or after the backup of an epoch."""

    def __init__(self, epoch, batch=None):
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


def fresh(splits, settings, folder, **changes):
    """Train as a new process would: seeded, and with new objects."""
    folder.mkdir(exist_ok=True)
    keras.utils.set_random_seed(settings.seed)
    return train(splits, replace(settings, **changes), folder)


@pytest.fixture
def interrupted(monkeypatch):
    """Return a function that makes the next training stop at an epoch (and batch)."""
    original = training.make_callbacks

    def interrupt(**where):
        def with_interruption(*args):
            *others, backup = original(*args)
            # Mid-epoch or before the backup: what a kill would lose. After: a finished epoch.
            after = where.get("after_backup", False)
            stop = Interruption(where["epoch"], where.get("batch"))
            return [*others, backup, stop] if after else [*others, stop, backup]

        monkeypatch.setattr(training, "make_callbacks", with_interruption)

    yield interrupt
    monkeypatch.undo()


# --- Batches ---


def test_batches_cover_every_image_once_in_an_order_of_seed_and_epoch():
    batches = Batches(np.arange(10), np.arange(10), batch_size=4)
    orders = []
    for seed, epoch in ((1, 0), (1, 1), (2, 0), (1, 0)):
        batches.shuffle(seed, epoch)
        images = np.concatenate([batches[i][0] for i in range(len(batches))])
        labels = np.concatenate([batches[i][1] for i in range(len(batches))])
        np.testing.assert_array_equal(images, labels)
        assert sorted(images) == list(range(10))
        orders.append(tuple(images))
    assert len(set(orders)) == 3 and orders[0] == orders[3]


def test_unshuffled_batches_keep_the_order():
    batches = Batches(np.arange(5), np.arange(5), batch_size=2)
    assert [list(batches[i][0]) for i in range(3)] == [[0, 1], [2, 3], [4]]


# --- Soft labels ---


def test_soft_labels_are_probabilities_and_keep_the_class():
    soft = soft_labels(np.array([2, 0]), n_classes=4, smoothing=0.2)
    np.testing.assert_allclose(soft, [[0.05, 0.05, 0.85, 0.05], [0.85, 0.05, 0.05, 0.05]])
    assert soft.dtype == np.float32
    np.testing.assert_array_equal(soft_labels(np.array([1]), 3), [[0, 1, 0]])


def test_labels_are_smoothed_until_the_polish(splits, tiny_settings, tmp_path):
    trained = fresh(splits, tiny_settings, tmp_path / "run", epochs=5, label_smoothing=0.9)
    entropy = -0.19 * np.log(0.19) - 9 * 0.09 * np.log(0.09)  # no loss on such labels is smaller
    *varied, polish = trained.history
    assert all(row["loss"] > entropy and row["val_loss"] > entropy for row in varied)
    assert polish["loss"] < entropy - 0.1
    assert polish["val_loss"] == pytest.approx(
        evaluate(network_of(trained.model), splits.x_val, splits.y_val).loss, rel=1e-3
    )


# --- The rate ---


def test_polish_trains_at_the_end_of_the_schedule_also_after_an_early_stop(
    splits, tiny_settings, tmp_path, monkeypatch
):
    script_validation_losses(monkeypatch, [1.0, 2.0, 2.0, 2.0, 2.0, 2.0])
    settings = replace(tiny_settings, epochs=5, early_stopping_patience=1, plateau_patience=50)
    trained = fresh(splits, settings, tmp_path / "run")
    assert [row["phase"] for row in trained.history] == ["augmented", "augmented", "polish"]
    # The last of six epochs, in its middle: 1/12 of the way from the peak (at 15 %) to the end.
    assert trained.history[-1]["learning_rate"] == pytest.approx(0.01 / 12 / 0.85, rel=1e-3)


def test_plateau_reduces_the_rate_in_training(splits, tiny_settings, tmp_path, monkeypatch):
    script_validation_losses(monkeypatch, [1.0, 2.0, 3.0, 0.5])
    trained = fresh(
        splits, tiny_settings, tmp_path / "run",
        epochs=4, polish_epochs=0, schedule="constant", plateau_patience=2,
    )  # fmt: skip
    assert [row["learning_rate"] for row in trained.history] == pytest.approx(
        [0.01, 0.01, 0.01, 0.002]
    )


# --- Training ---


def test_training_learns_and_keeps_its_history(splits, tiny_settings, tmp_path):
    trained = fresh(splits, tiny_settings, tmp_path / "run", epochs=3)
    assert evaluate(trained.model, splits.x_test, splits.y_test).accuracy > 0.7
    assert [row["epoch"] for row in trained.history] == [1, 2, 3, 4]
    assert [row["phase"] for row in trained.history] == ["augmented"] * 3 + ["polish"]
    rates = [row["learning_rate"] for row in trained.history]
    assert rates == pytest.approx(
        [0.01 * share / 0.85 for share in (0.733, 0.625, 0.375, 0.125)], rel=0.02
    )
    seconds = [row["seconds"] for row in trained.history]
    assert seconds == sorted(seconds) and seconds[0] > 0 and seconds[-1] <= trained.seconds
    with open(tmp_path / "run" / "history.csv") as file:
        assert len(list(csv.DictReader(file))) == 4


def test_result_does_not_vary_the_images_at_random(splits, tiny_settings, tmp_path):
    settings = replace(tiny_settings, epochs=1, polish_epochs=0)
    model = fresh(splits, settings, tmp_path / "augmented").model
    assert network_of(model).name == "tiny" and model is not network_of(model)
    assert not any("affine" in layer.name for layer in model.layers)
    plain = fresh(splits, settings, tmp_path / "plain", average_shifts=False).model
    assert plain.name == "tiny"
    for a, b in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_polish_sees_unchanged_images(splits, tiny_settings, tmp_path, monkeypatch):
    strengths = []
    original = training.HistoryLogger.on_epoch_end

    def spy(self, epoch, logs=None):
        strengths.append(float(self.model.layers[0].strength))
        original(self, epoch, logs)

    monkeypatch.setattr(training.HistoryLogger, "on_epoch_end", spy)
    fresh(splits, tiny_settings, tmp_path / "run", epochs=1, polish_epochs=2)
    assert strengths == [1.0, 0.0, 0.0]


def test_early_stopping_returns_to_the_best_epoch(splits, tiny_settings, tmp_path, monkeypatch):
    settings = replace(tiny_settings, polish_epochs=0, schedule="constant", plateau_patience=50)
    best = fresh(splits, settings, tmp_path / "two", epochs=2).model.get_weights()
    script_validation_losses(monkeypatch, [2.0, 1.0, 1.5, 1.6, 0.1])
    trained = fresh(splits, settings, tmp_path / "all", epochs=5, early_stopping_patience=2)
    assert len(trained.history) == 4
    for a, b in zip(best, trained.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_early_stopping_all_epochs_are_trained(splits, tiny_settings, tmp_path):
    trained = fresh(
        splits, tiny_settings, tmp_path / "run",
        epochs=4, polish_epochs=0, learning_rate=1e-9, schedule="constant",
        early_stopping_patience=1, early_stopping_enabled=False,
    )  # fmt: skip
    assert len(trained.history) == 4


def test_several_networks_are_averaged_and_differ(splits, tiny_settings, tmp_path):
    settings = replace(tiny_settings, epochs=1, average_shifts=False)
    one = fresh(splits, settings, tmp_path / "one")
    three = fresh(splits, settings, tmp_path / "three", networks=3)
    networks = [layer for layer in three.model.layers if isinstance(layer, keras.Model)]
    assert [network.name for network in networks] == ["tiny", "tiny_2", "tiny_3"]
    for a, b in zip(networks[0].get_weights(), one.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    kernels = [network.get_weights()[0] for network in networks]
    assert np.abs(kernels[1] - kernels[0]).max() > 0 and np.abs(kernels[2] - kernels[1]).max() > 0

    folders = [tmp_path / "three" / name for name in (".", "network_2", "network_3")]
    histories = [read_history(folder / "history.csv") for folder in folders]
    assert [[row["phase"] for row in rows] for rows in histories] == [["augmented", "polish"]] * 3
    assert three.history == histories[0] and three.epochs == 6
    assert three.seconds >= sum(rows[-1]["seconds"] for rows in histories)


def test_callbacks_watch_every_network(splits, tiny_settings, tmp_path):
    begun = []
    watcher = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: begun.append(logs))
    train(splits, replace(tiny_settings, networks=3, polish_epochs=0), tmp_path, [watcher])
    assert len(begun) == 3


def test_a_full_disk_gives_one_line(splits, tiny_settings, tmp_path, monkeypatch):
    def full_disk(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(keras.callbacks.CSVLogger, "on_epoch_end", full_disk)
        with pytest.raises(UserError, match="cannot write .*history.csv: No space left"):
            fresh(splits, tiny_settings, tmp_path / "history")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "network_2").write_text("in the way")
    with pytest.raises(UserError, match="cannot write .*network_2: File exists"):
        fresh(splits, tiny_settings, tmp_path / "folder", networks=2)


@pytest.mark.parametrize("polish_epochs", [0, 1])
def test_resumed_networks_equal_the_uninterrupted(
    splits, tiny_settings, tmp_path, interrupted, monkeypatch, polish_epochs
):
    settings = replace(
        tiny_settings,
        epochs=4, polish_epochs=polish_epochs, networks=3, early_stopping_patience=1,
    )  # fmt: skip
    losses = [1.0, 0.5, 2.0, 9.0, 9.0]  # every network stops early, after the third of four epochs
    script_validation_losses(monkeypatch, losses)
    whole = fresh(splits, settings, tmp_path / "whole")
    assert whole.epochs == 3 * (3 + polish_epochs)
    original = training.train_network

    def interrupt_the_second(splits, settings, folder, callbacks):
        if folder.name == "network_2":
            interrupted(epoch=1, batch=5)
        return original(splits, settings, folder, callbacks)

    with monkeypatch.context() as patch:
        patch.setattr(training, "train_network", interrupt_the_second)
        with pytest.raises(KeyboardInterrupt):
            fresh(splits, settings, tmp_path / "parts")
    monkeypatch.undo()
    script_validation_losses(monkeypatch, losses)
    epochs_begun = []
    shuffle = Batches.shuffle
    monkeypatch.setattr(
        Batches,
        "shuffle",
        lambda self, seed, epoch: (epochs_begun.append((seed, epoch)), shuffle(self, seed, epoch)),
    )
    resumed = fresh(splits, settings, tmp_path / "parts")

    for a, b in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    second, third = (training.derive_seed(settings.seed, number) for number in (2, 3))
    polish = [4] * polish_epochs
    assert epochs_begun == [  # none of the first network, and of the second not its first
        *((second, epoch) for epoch in [1, 2, *polish]),
        *((third, epoch) for epoch in [0, 1, 2, *polish]),
    ]


def test_equal_settings_give_equal_weights(splits, tiny_settings, tmp_path):
    first, second = (
        fresh(splits, tiny_settings, tmp_path / name).model.get_weights() for name in "ab"
    )
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


# --- Going on after an interruption ---


@pytest.mark.parametrize(
    "where",
    [
        {"epoch": 0, "batch": 3},  # nothing saved yet
        {"epoch": 1, "batch": 5},  # in the middle of an epoch
        {"epoch": 1},  # logged, but not backed up
        {"epoch": 1, "after_backup": True},
        {"epoch": 3},  # EarlyStopping has just stopped; its best weights are in no epoch's end
        {"epoch": 3, "after_backup": True},
        {"epoch": 6, "batch": 0},  # in the polish
        {"epoch": 6, "after_backup": True},
    ],
)
def test_resumed_run_equals_the_uninterrupted(
    splits, tiny_settings, tmp_path, interrupted, monkeypatch, where
):
    # EarlyStopping stops after the fourth of six epochs, ReduceLROnPlateau acts before.
    settings = replace(
        tiny_settings,
        epochs=6, polish_epochs=2, schedule="constant",
        early_stopping_patience=2, plateau_patience=1,
    )  # fmt: skip
    losses = [3.0, 1.0, 2.0, 2.5, 9.0, 9.0, 1.0, 1.0]
    script_validation_losses(monkeypatch, losses)
    whole = fresh(splits, settings, tmp_path / "whole")
    assert [row["phase"] for row in whole.history] == ["augmented"] * 4 + ["polish"] * 2

    interrupted(**where)
    with pytest.raises(KeyboardInterrupt):
        fresh(splits, settings, tmp_path / "parts")
    monkeypatch.undo()
    script_validation_losses(monkeypatch, losses)
    resumed = fresh(splits, settings, tmp_path / "parts")

    for a, b in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for row_a, row_b in zip(whole.history, resumed.history, strict=True):
        assert {**row_a, "seconds": 0} == {**row_b, "seconds": 0}


def script_validation_losses(monkeypatch, losses):
    """Let the callbacks see these validation losses, by epoch: noise must not decide a test."""
    for callback in (keras.callbacks.EarlyStopping, keras.callbacks.ReduceLROnPlateau):
        original = callback.on_epoch_end

        def scripted(self, epoch, logs=None, original=original):
            logs["val_loss"] = losses[epoch]
            original(self, epoch, logs)

        monkeypatch.setattr(callback, "on_epoch_end", scripted)


def test_backup_restores_every_variable(splits, tiny_settings, tmp_path):
    fresh(splits, tiny_settings, tmp_path / "run", epochs=1, polish_epochs=0)

    def new_trainer():
        model = keras.Sequential(
            [
                keras.Input((28, 28, 1)),
                training.RandomAffine(seed=0),
                training.build_architecture("tiny"),
            ]
        )
        training.compile_trainer(model, tiny_settings, steps_per_epoch=9)
        return model

    trainer = new_trainer()
    backup = Backup(tmp_path / "run" / "backup.npz", trainer)
    assert (backup.phase, backup.next_epoch, backup.epochs_done) == ("augmented", 1, 1)
    assert int(trainer.optimizer.iterations) == -(-len(splits.y_train) // 128)
    untouched = new_trainer()
    changed = [
        not np.array_equal(a, b)
        for a, b in zip(trainer.get_weights(), untouched.get_weights(), strict=True)
    ]
    assert sum(changed) >= len(changed) - 1  # all but the augmentation's strength


# --- Evaluation ---


def test_evaluation_agrees_with_keras(splits):
    model = training.build_architecture("fast_cnn")
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    loss, accuracy = model.evaluate(splits.x_test, splits.y_test, verbose=0)
    found = evaluate(model, splits.x_test, splits.y_test)
    assert found.loss == pytest.approx(loss, rel=1e-4)
    assert found.accuracy == pytest.approx(accuracy)
    assert found.probabilities.shape == (len(splits.y_test), 10)


def test_history_is_read_back(tmp_path):
    (tmp_path / "history.csv").write_text("epoch,phase,loss\n1,augmented,0.5\n2,polish,0.25\n")
    assert read_history(tmp_path / "history.csv") == [
        {"epoch": 1.0, "phase": "augmented", "loss": 0.5},
        {"epoch": 2.0, "phase": "polish", "loss": 0.25},
    ]
