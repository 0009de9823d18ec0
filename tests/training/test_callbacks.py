import math
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from common.user_error import DivergedError, UserError
from training.batches import Batches
from training.callbacks import HistoryLogger, Shuffle, StopWhenDiverged, trim_history
from training.optimizers import ScheduledAdam


def test_shuffle_draws_each_epochs_order_before_it_begins():
    batches, expected = (Batches(np.arange(20), np.arange(20)) for _ in range(2))
    shuffle = Shuffle(batches, seed=5)
    for epoch in (0, 1, 4):
        shuffle.on_epoch_begin(epoch)
        expected.shuffle(5, epoch)
        np.testing.assert_array_equal(batches.order, expected.order)


# --- Divergence ---


@pytest.mark.parametrize("loss", [math.nan, math.inf, 1e15])
def test_a_batch_whose_loss_is_none_ends_the_training_at_once(loss):
    watcher = StopWhenDiverged(learning_rate=0.5)
    watcher.on_epoch_begin(0)
    watcher.on_train_batch_end(0, {"loss": 2.3, "accuracy": 0.1})
    watcher.on_epoch_end(0, {"loss": 2.0, "val_loss": 2.1})
    watcher.on_epoch_begin(1)
    said = re.escape(f"loss is {loss:.3g} in epoch 2") + ".*--learning-rate than 0.5"
    with pytest.raises(DivergedError, match=said):
        watcher.on_train_batch_end(3, {"loss": loss})


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_an_epoch_whose_validation_loss_is_none_ends_the_training(loss):
    watcher = StopWhenDiverged(learning_rate=0.5)
    watcher.on_epoch_begin(0)
    with pytest.raises(DivergedError, match="val_loss is .* in epoch 1"):
        watcher.on_epoch_end(0, {"loss": 2.3, "val_loss": loss})


def test_a_training_that_only_goes_badly_goes_on():
    watcher = StopWhenDiverged(learning_rate=0.5)
    watcher.on_train_batch_end(0, {"loss": 5000.0})
    watcher.on_epoch_end(0, {"loss": 500.0, "val_loss": 5000.0})
    watcher.on_train_batch_end(0)


# --- History ---


def make_logger(path, **backup):
    """Return a logger in a training of four epochs, ten steps each, at a rate of at most 0.2."""
    logger = HistoryLogger(path, SimpleNamespace(**backup))
    optimizer = ScheduledAdam(0.2, 0.99, total_steps=40, warm_up=0.25)
    logger.set_model(SimpleNamespace(optimizer=optimizer, stop_training=False))
    logger.set_params({"steps": 10})
    return logger, optimizer


def test_a_row_holds_epoch_phase_seconds_and_the_rate_in_the_middle_of_the_epoch(tmp_path):
    path = tmp_path / "history.csv"
    logger, optimizer = make_logger(path, phase="augmented", seconds=1.23456, epochs_done=0)
    logger.on_train_begin()
    optimizer.iterations.assign(10)
    logger.on_epoch_end(0, {"loss": 2.0, "val_loss": 1.5})
    logger.backup.epochs_done, logger.backup.phase = 1, "polish"
    optimizer.iterations.assign(30)
    # As ReduceLROnPlateau does: it notes the peak of the schedule, and then lowers the next ones.
    optimizer.learning_rate = 0.04
    logger.on_epoch_end(7, {"loss": 1.0, "val_loss": 0.5, "learning_rate": 0.1})
    logger.on_train_end()
    history = pd.read_csv(path)
    assert list(history["epoch"]) == [1, 2] and list(history["phase"]) == ["augmented", "polish"]
    assert list(history["loss"]) == [2.0, 1.0] and list(history["val_loss"]) == [1.5, 0.5]
    assert list(history["seconds"]) == [1.235, 1.235]
    rises, falls = 0.1 + 0.9 * 5 / 10, (40 - 25) / 30  # at the steps 5 and 25 of 40
    assert list(history["learning_rate"]) == pytest.approx([0.2 * rises, 0.1 * falls], rel=1e-5)


def test_a_later_phase_or_process_appends_to_the_history(tmp_path):
    path = tmp_path / "history.csv"
    for done in (0, 1):
        logger, _ = make_logger(path, phase="augmented", seconds=1.0, epochs_done=done)
        logger.on_train_begin()
        logger.on_epoch_end(done, {"loss": 2.0 - done})
        logger.on_train_end()
    history = pd.read_csv(path)
    assert list(history["epoch"]) == [1, 2] and list(history["loss"]) == [2.0, 1.0]


def test_a_history_that_cannot_be_written_gives_one_line(tmp_path):
    (tmp_path / "history.csv").mkdir()
    logger, _ = make_logger(tmp_path / "history.csv", phase="augmented", seconds=0, epochs_done=0)
    with pytest.raises(UserError, match="cannot write .*history.csv"):
        logger.on_train_begin()


@pytest.mark.parametrize(("n_rows", "kept"), [(0, ""), (1, "epoch\n1\n"), (2, "epoch\n1\n2\n")])
def test_rows_of_epochs_that_were_not_backed_up_are_dropped(tmp_path, n_rows, kept):
    path = tmp_path / "history.csv"
    trim_history(path, n_rows)  # a training that has just begun
    assert not path.exists()
    path.write_text("epoch\n1\n2\n")
    trim_history(path, n_rows)
    assert path.read_text() == kept
