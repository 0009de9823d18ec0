import csv
from dataclasses import replace

import keras
import numpy as np
import pytest

import _03_model_training as training
from _03_model_training import Backup, Batches, evaluate, read_history, soft_labels, train
from shift_averaging import network_of


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
