import errno
import itertools
import os
import time
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers

import _03_model_training as training
from _03_model_training import build_network, combine, derive_seed, evaluate
from architectures.averaging import network_of
from common.run_folder import read_history
from common.user_error import DivergedError, UserError
from tests.conftest import make_tiny_settings
from tests.small_trainings import assert_equal_weights, few_of, script_validation_losses, train_in
from training.drawn_digits import drawn_digits
from training.optimizers import ScheduledAdam, ScheduledMuon

RATE = 0.01  # of the tiny settings
LIMITS = {"rotation": 5.0, "zoom": 0.02, "shift": 0.03, "shear": 4.0}  # of the variations


class Recorder(keras.callbacks.Callback):
    """Notes the state of the trained model: when a phase begins, and at the end of each epoch."""

    def __init__(self):
        super().__init__()
        self.begun, self.strengths, self.weights = [], [], []

    def on_train_begin(self, logs=None):
        augmentation, network = self.model.layers
        self.begun.append(
            SimpleNamespace(
                network=network.name,
                limits=[getattr(augmentation, name) for name in LIMITS],
                random_state=int(augmentation.random.state[0]),
                weights=network.get_weights(),
            )
        )

    def on_epoch_end(self, epoch, logs=None):
        augmentation, network = self.model.layers
        self.strengths.append(float(augmentation.strength))
        self.weights.append(network.get_weights())


@pytest.fixture(scope="module")
def few(splits):
    return few_of(splits)


# --- Build --------------------------------------------------------------------------------------


def test_the_seed_decides_weights_and_dropout_whatever_was_drawn_before(tiny_settings):
    drawn = []
    for seed in (1, 1, 2):
        keras.random.uniform((len(drawn) + 1,))
        network = build_network(replace(tiny_settings, seed=seed))
        (dropout,) = (one for one in network.layers if isinstance(one, layers.Dropout))
        drawn.append((network.get_weights()[0], int(dropout.seed_generator.state[0])))
    np.testing.assert_array_equal(drawn[0][0], drawn[1][0])
    assert np.abs(drawn[0][0] - drawn[2][0]).max() > 0.01
    assert drawn[0][1] == drawn[1][1] != drawn[2][1]


def test_a_network_that_is_no_classifier_is_refused_before_training(tiny_settings, monkeypatch):
    monkeypatch.setattr(
        "tests.tiny.tiny",
        lambda shape, n: keras.Sequential([keras.Input(shape), layers.Flatten(), layers.Dense(n)]),
    )
    with pytest.raises(UserError, match="architecture 'tiny' cannot be used: .*softmax"):
        build_network(tiny_settings)


def test_seeds_of_further_networks_are_those_of_no_other_run():
    pairs = itertools.product([*range(200), 2**32 - 1], range(2, 12))
    seeds = [derive_seed(seed, number) for seed, number in pairs]
    assert len(set(seeds)) == len(seeds)
    assert min(seeds) > 10_000 and max(seeds) < 2**32  # far from those that people choose
    assert min(np.diff(sorted(seeds))) > 0 and np.median(np.abs(np.diff(seeds))) > 2**28
    assert derive_seed(2, 3) == 2108521801  # published figures depend on it


def test_networks_are_combined_under_names_of_their_own(tiny_settings):
    one, two, three = (build_network(tiny_settings) for _ in range(3))
    assert combine([one], over_shifts=False) is one
    assert combine([one], over_shifts=True).name == "mean_of_five_shifts"
    both = combine([one, two, three], over_shifts=False)
    assert both.name == "mean_of_networks"
    assert [network.name for network in (one, two, three)] == ["tiny", "tiny_2", "tiny_3"]
    of_shifts = combine([one, two], over_shifts=True)
    assert of_shifts.name == "mean_of_five_shifts" and network_of(of_shifts) is one
    assert combine([one], over_shifts=False, over_flips=True).name == "mean_of_flips"


# --- Compile ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kind"), [("adam", ScheduledAdam), ("muon", ScheduledMuon)])
def test_the_optimizer_is_that_of_the_settings(tiny_settings, name, kind):
    settings = replace(tiny_settings, optimizer=name, learning_rate=0.3, beta_2=0.77, warm_up=0.4)
    network = build_network(settings)
    training.compile_trainer(network, settings, steps_per_epoch=7)
    optimizer = network.optimizer
    assert type(optimizer) is kind
    assert float(optimizer.learning_rate) == pytest.approx(0.3) and optimizer.beta_2 == 0.77
    assert (optimizer.total_steps, optimizer.warm_up) == (7 * (2 + 1), 0.4)
    training.compile_trainer(network, replace(settings, schedule="constant"), steps_per_epoch=7)
    assert network.optimizer.total_steps is None


@pytest.mark.parametrize("monitor", ["val_loss", "val_accuracy"])
def test_callbacks_watch_what_the_settings_say(tiny_settings, tmp_path, monitor):
    settings = replace(
        tiny_settings, monitor=monitor, early_stopping_patience=7, plateau_patience=5
    )
    backup = SimpleNamespace(phase="augmented", watch=lambda callbacks: None)
    callbacks = training.make_callbacks(settings, backup, tmp_path)
    names = ["StopWhenDiverged", "ReduceLROnPlateau", "EarlyStopping", "HistoryLogger"]
    assert [type(one).__name__ for one in callbacks[:-1]] == names and callbacks[-1] is backup
    _, plateau, stopping, _, _ = callbacks
    assert plateau.monitor == stopping.monitor == monitor
    assert (plateau.patience, plateau.factor, plateau.min_lr) == (5, 0.2, 1e-5)
    assert stopping.patience == 7 and stopping.restore_best_weights

    decaying = training.make_callbacks(replace(settings, rate_decay=0.5), backup, tmp_path)
    assert type(decaying[1]) is keras.callbacks.LearningRateScheduler

    without = replace(settings, early_stopping_enabled=False)
    callbacks = training.make_callbacks(without, backup, tmp_path)
    assert [type(one).__name__ for one in callbacks[:-1]] == [names[0], names[1], names[3]]
    backup.phase = "polish"  # too short to be stopped or slowed down
    callbacks = training.make_callbacks(settings, backup, tmp_path)
    assert [type(one).__name__ for one in callbacks[:-1]] == [names[0], names[3]]


# --- A training, compiled as it is for users ----------------------------------------------------


@pytest.fixture(scope="module")
def learned(splits, tmp_path_factory):
    """Return settings, recorder and result of a training of three epochs and one of polish."""
    folder = tmp_path_factory.mktemp("learned")
    settings = make_tiny_settings(folder, epochs=3, label_smoothing=0.3, **LIMITS)
    recorder = Recorder()
    result = train_in(folder, splits, settings, recorder, compiled=True)
    return SimpleNamespace(settings=settings, recorder=recorder, result=result, folder=folder)


def test_training_learns_and_keeps_its_history(splits, learned):
    history = learned.result.history
    assert evaluate(learned.result.model, splits.x_test, splits.y_test).accuracy > 0.8
    assert list(history["epoch"]) == [1, 2, 3, 4]
    assert list(history["phase"]) == ["augmented"] * 3 + ["polish"]
    assert learned.result.epochs == 4
    pd.testing.assert_frame_equal(history, read_history(learned.folder))


def test_the_rate_of_each_epoch_is_that_of_its_middle(learned):
    # After 1, 3, 5 and 7 eighths of the steps; in the first 15 % it rises.
    expected = [RATE * share for share in (0.1 + 0.9 * 0.125 / 0.15, *(0.625, 0.375, 0.125))]
    expected[1:] = [rate / 0.85 for rate in expected[1:]]
    assert list(learned.result.history["learning_rate"]) == pytest.approx(expected, rel=1e-3)


def test_seconds_grow_from_epoch_to_epoch(learned):
    seconds = list(learned.result.history["seconds"])
    assert seconds == sorted(seconds) and seconds[0] > 0
    assert seconds[-1] <= learned.result.seconds
    assert learned.result.earlier_seconds == 0


def test_validation_loss_is_that_of_validation_images_smoothed_until_the_polish(splits, learned):
    network = build_network(learned.settings)
    smoothings = [0.3, 0.3, 0.3, 0.0]
    rows = learned.result.history.to_dict("records")
    for row, weights, smoothing in zip(rows, learned.recorder.weights, smoothings, strict=True):
        network.set_weights(weights)
        probabilities = np.asarray(network(splits.x_val), np.float64)
        labels = np.eye(10)[splits.y_val] * (1 - smoothing) + smoothing / 10
        by_hand = -(labels * np.log(probabilities)).sum(axis=1).mean()
        assert row["val_loss"] == pytest.approx(by_hand, rel=1e-3)
        is_right = probabilities.argmax(axis=1) == splits.y_val
        assert row["val_accuracy"] == pytest.approx(is_right.mean(), abs=1e-6)


def test_labels_are_smoothed_until_the_polish(learned):
    certain, others = 0.7 + 0.03, 0.03
    entropy = -certain * np.log(certain) - 9 * others * np.log(others)
    *varied, polish = learned.result.history["loss"]
    assert min(varied) > entropy  # no loss on such labels is smaller
    assert polish < min(varied) - 0.1


def test_images_are_varied_by_the_settings_until_the_polish(learned):
    first, polish = learned.recorder.begun
    assert first.network == polish.network == "tiny"
    assert first.limits == list(LIMITS.values())
    assert first.random_state == int(keras.random.SeedGenerator(learned.settings.seed).state[0])
    assert learned.recorder.strengths == [1, 1, 1, 0]


def test_the_result_averages_over_shifts_and_does_not_vary_the_images(learned):
    model = learned.result.model
    assert model.name == "mean_of_five_shifts" and network_of(model).name == "tiny"
    assert not any("affine" in layer.name for layer in model._flatten_layers())
    assert_equal_weights(model.get_weights(), learned.recorder.weights[-1])


# --- Trainings of a few steps -------------------------------------------------------------------


def test_equal_settings_give_equal_weights_in_one_process(few, tiny_settings, tmp_path):
    settings = replace(tiny_settings, epochs=1, polish_epochs=0, average_shifts=False)
    first = train_in(tmp_path / "a", few, settings).model
    assert first.name == "tiny"
    keras.random.uniform((5,))
    second = train_in(tmp_path / "b", few, settings).model
    assert_equal_weights(first.get_weights(), second.get_weights())


def test_early_stopping_returns_to_the_best_epoch_and_the_polish_ends_the_schedule(
    few, tiny_settings, tmp_path, monkeypatch
):
    script_validation_losses(monkeypatch, [2.0, 1.0, 1.5, 1.6, 0.1])
    settings = replace(tiny_settings, epochs=5, early_stopping_patience=2, plateau_patience=50)
    recorder = Recorder()
    trained = train_in(tmp_path / "run", few, settings, recorder)
    assert list(trained.history["phase"]) == ["augmented"] * 4 + ["polish"]
    assert trained.epochs == 5
    assert_equal_weights(recorder.begun[1].weights, recorder.weights[1])
    # The last of six epochs, in its middle: 1/12 of the way from the peak (at 15 %) to the end.
    rate = trained.history["learning_rate"].iloc[-1]
    assert rate == pytest.approx(RATE / 12 / 0.85, rel=1e-3)


def test_without_early_stopping_all_epochs_are_trained_and_a_plateau_cuts_the_rate(
    few, tiny_settings, tmp_path, monkeypatch
):
    script_validation_losses(monkeypatch, [1.0, 2.0, 3.0, 0.5])
    trained = train_in(
        tmp_path / "run", few, tiny_settings,
        epochs=4, polish_epochs=0, schedule="constant", plateau_patience=2,
        early_stopping_patience=1, early_stopping_enabled=False,
    )  # fmt: skip
    assert list(trained.history["learning_rate"]) == pytest.approx([RATE, RATE, RATE, RATE / 5])


# --- Several networks ---------------------------------------------------------------------------


def test_each_of_several_networks_is_a_training_of_its_own(few, tiny_settings, tmp_path, capsys):
    settings = replace(tiny_settings, epochs=1, polish_epochs=0, average_shifts=False)
    seed = derive_seed(settings.seed, 2)
    recorder = Recorder()
    started = time.perf_counter()
    both = train_in(tmp_path / "both", few, settings, recorder, networks=2)
    elapsed = time.perf_counter() - started
    assert f"Network 2 of 2, seed {seed}:" in capsys.readouterr().out
    networks = [layer for layer in both.model.layers if isinstance(layer, keras.Model)]
    assert [network.name for network in networks] == ["tiny", "tiny_2"]
    assert [one.network for one in recorder.begun] == ["tiny", "tiny"]
    seeds = [int(keras.random.SeedGenerator(one).state[0]) for one in (settings.seed, seed)]
    assert [one.random_state for one in recorder.begun] == seeds

    # The second is what a run with its seed trains: weights, order, dropout and variations.
    alone = train_in(tmp_path / "alone", few, settings, seed=seed)
    assert_equal_weights(networks[1].get_weights(), alone.model.get_weights())
    assert np.abs(networks[0].get_weights()[0] - networks[1].get_weights()[0]).max() > 0.01

    first, second = (read_history(tmp_path / "both" / name) for name in (".", "network_2"))
    assert list(first["epoch"]) == list(second["epoch"]) == [1]
    assert list(second["val_loss"]) == list(alone.history["val_loss"])
    pd.testing.assert_frame_equal(both.history, first)
    assert (tmp_path / "both" / "network_2" / "backup.npz").exists()
    assert both.epochs == 2
    of_rows = first["seconds"].iloc[-1] + second["seconds"].iloc[-1]
    assert of_rows <= both.seconds <= elapsed  # no second is counted for both


# --- What goes wrong ----------------------------------------------------------------------------


def test_a_full_disk_gives_one_line(few, tiny_settings, tmp_path, monkeypatch):
    def full_disk(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    settings = replace(tiny_settings, epochs=1, polish_epochs=0)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "network_2").write_text("in the way")
    with pytest.raises(UserError, match="cannot write .*network_2: File exists"):
        train_in(tmp_path / "folder", few, settings, networks=2)
    monkeypatch.setattr(keras.callbacks.CSVLogger, "on_epoch_end", full_disk)
    with pytest.raises(UserError, match="cannot write .*history.csv: No space left"):
        train_in(tmp_path / "history", few, settings)


def test_a_training_that_diverges_ends_at_once_and_saves_nothing_of_that_epoch(
    few, tiny_settings, tmp_path
):
    with pytest.raises(
        DivergedError, match=r"in epoch 1\. Try a smaller --learning-rate than 1e\+08"
    ):
        train_in(tmp_path / "run", few, tiny_settings, learning_rate=1e8)
    assert not (tmp_path / "run" / "backup.npz").exists()
    assert (tmp_path / "run" / "history.csv").read_text() == ""


# --- Precision ----------------------------------------------------------------------------------


def test_what_is_trained_in_bfloat16_comes_back_in_float32(few, tiny_settings, tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = train_in(
        tmp_path / "run", few, tiny_settings, epochs=1, polish_epochs=0, networks=2
    ).model
    assert network_of(model).name == "tiny"
    model.save(tmp_path / "model.keras")
    keras.config.set_dtype_policy("float32")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for classifier in (model, loaded):
        assert len(classifier._flatten_layers()) > 20
        for layer in classifier._flatten_layers():
            assert layer.dtype_policy.name == "float32" and layer.compute_dtype == "float32"
    images = few.x_test[:10]
    np.testing.assert_array_equal(np.asarray(loaded(images)), np.asarray(model(images)))


# --- Drawn digits ---


def test_drawn_digits_join_the_training_images_and_no_others(splits, tiny_settings, capsys):
    joined = training._with_drawn_digits(splits, replace(tiny_settings, drawn=0.25))
    n, n_drawn = len(splits.y_train), round(0.25 * len(splits.y_train))
    assert capsys.readouterr().out == f"Drawn:    {n_drawn} digits among the training images\n"
    assert len(joined.x_train) == len(joined.y_train) == n + n_drawn
    np.testing.assert_array_equal(joined.x_train[:n], splits.x_train)
    images, labels = drawn_digits(n_drawn, tiny_settings.seed)
    np.testing.assert_array_equal(joined.x_train[n:], images)
    np.testing.assert_array_equal(joined.y_train[n:], labels)
    for name in ("x_val", "y_val", "x_test", "y_test"):
        assert getattr(joined, name) is getattr(splits, name)
    assert training._with_drawn_digits(splits, tiny_settings) is splits
    assert not capsys.readouterr().out


def test_training_sees_the_drawn_digits(splits, tiny_settings, tmp_path, monkeypatch):
    seen, fit_phase = [], training.fit_phase

    def noted(trainer, seen_splits, *others):
        seen.append(len(seen_splits.y_train))
        fit_phase(trainer, seen_splits, *others)

    monkeypatch.setattr(training, "fit_phase", noted)
    few = few_of(splits)
    train_in(tmp_path, few, replace(tiny_settings, drawn=0.5))
    assert seen == [round(1.5 * len(few.y_train))] * 2  # in both phases


def test_digits_are_drawn_for_digits_only(tiny_settings):
    clothes = replace(tiny_settings, dataset="fashion_mnist", drawn=0.2)
    with pytest.raises(UserError, match="adds drawn digits, but fashion_mnist has other classes"):
        build_network(clothes)
    build_network(replace(clothes, drawn=0.0))


def test_rounded_weights_are_saved_in_plain_layers(splits, tiny_settings, tmp_path):
    settings = replace(
        tiny_settings, architecture="tiny_cnn", average_shifts=False, epochs=1, polish_epochs=0
    )
    model = train_in(tmp_path, few_of(splits), settings).model
    convolutions = [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]
    assert len(convolutions) == 5 and {type(one) for one in convolutions} == {layers.Conv2D}
    for one in convolutions:
        kernel = keras.ops.convert_to_numpy(one.kernel)
        for channel in np.moveaxis(kernel, -1, 0):
            assert len(np.unique(channel.round(6))) <= 15


def test_the_rate_decays_by_its_factor_after_each_epoch_and_goes_on_so_when_resumed(
    tiny_settings, splits, tmp_path
):
    settings = replace(
        tiny_settings, epochs=3, polish_epochs=0, schedule="constant", rate_decay=0.5,
        early_stopping_enabled=False, learning_rate=0.008,
    )  # fmt: skip

    class StopAfterTwo(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train(build_network(settings), splits, settings, tmp_path, [StopAfterTwo()])
    history = training.train(build_network(settings), splits, settings, tmp_path).history
    assert list(history["learning_rate"]) == pytest.approx([0.008, 0.004, 0.002])
