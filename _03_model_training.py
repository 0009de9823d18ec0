"""Step 3: build, compile, fit and evaluate.

Several networks, if so set, are trained one after another and averaged. Training a network has two
phases. First the images are varied at random (`training/augmentation.py`) until EarlyStopping or
the last epoch, and the labels are smoothed; then comes a short polish on images and labels as they
are, at the low rates that end the schedule. The parts are in `training/`.
"""

import dataclasses
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd

from _01_data_loader import DATA_SETS
from architectures import build_architecture
from architectures.averaging import average_flips, average_networks, average_shifts
from architectures.rounding import with_rounded_weights
from common.data import Splits
from common.run_folder import read_history
from common.safe_files import writing
from common.settings import Settings
from common.user_error import UserError
from training.augmentation import make_variations
from training.backup import Backup
from training.batches import Batches, input_pipeline, soft_labels
from training.callbacks import HistoryLogger, Shuffle, StopWhenDiverged, trim_history
from training.drawn_digits import drawn_digits
from training.optimizers import OPTIMIZERS
from training.precision import in_float32

IMAGE_SHAPE = (28, 28, 1)
SMALLEST_PROBABILITY = 1e-7  # as in Keras' cross-entropy, so that no single image costs infinity


class Training(NamedTuple):
    """A trained classifier and how it came about."""

    model: keras.Model
    history: pd.DataFrame  # history.csv, a row per epoch; of the first network
    epochs: int  # of all networks together
    seconds: float  # spent on them, all processes of an interrupted run together
    earlier_seconds: float  # the part of it that interrupted processes spent


class Evaluation(NamedTuple):
    """What a model makes of a set of images."""

    loss: float  # mean cross-entropy
    accuracy: float  # in [0, 1]
    probabilities: np.ndarray  # float32 (n, n_classes)


# --- Build --------------------------------------------------------------------------------------


def build_network(settings: Settings) -> keras.Model:
    """Return the untrained network of the settings, with weights drawn by their seed.

    Raises:
        UserError: it is no classifier for the data set, or digits shall be drawn for no digits.
    """
    keras.utils.set_random_seed(settings.seed)  # whatever was built or trained before it
    class_names = DATA_SETS[settings.dataset].class_names
    if settings.drawn and tuple(class_names) != tuple("0123456789"):
        raise UserError(
            f"drawn = {settings.drawn} adds drawn digits, but {settings.dataset} has other classes."
        )
    n_classes = len(class_names)
    return build_architecture(settings.architecture, IMAGE_SHAPE, n_classes)


def derive_seed(seed: int, number: int) -> int:
    """Return the seed of a run's second, third, ... network.

    Not `seed + 1`: the run with the next seed begins with that one, and the two runs would share
    networks.
    """
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def combine(
    networks: Sequence[keras.Model], over_shifts: bool, over_flips: bool = False
) -> keras.Model:
    """Return the classifier that averages over the networks and, if so wished, over views."""
    for number, network in enumerate(networks[1:], start=2):
        network.name = f"{network.name}_{number}"  # within a model, names must differ
    classifier = average_networks(networks) if len(networks) > 1 else networks[0]
    classifier = average_flips(classifier) if over_flips else classifier
    return average_shifts(classifier) if over_shifts else classifier


# --- Train --------------------------------------------------------------------------------------


def train(
    network: keras.Model,
    splits: Splits,
    settings: Settings,
    run_folder: Path,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Training:
    """Train the networks of `settings`, one after another; go on from their backups, if any.

    The first writes into the run folder, the others into `network_2`, ... below it. `callbacks`
    are called in both phases of every network, before the program's own.

    Args:
        network: the first, from `build_network`.

    Returns:
        The classifier. It averages over networks, shifts and mirror images as the settings say,
        and computes in float32 whatever it was trained in.
    """
    splits = _with_drawn_digits(splits, settings)
    networks, backups = [], []
    for number in range(1, settings.networks + 1):
        folder, of_network = run_folder, settings
        if number > 1:
            folder = run_folder / f"network_{number}"
            with writing(folder):
                folder.mkdir(exist_ok=True)
            of_network = dataclasses.replace(settings, seed=derive_seed(settings.seed, number))
            network = build_network(of_network)
        if settings.networks > 1:
            print(f"Network {number} of {settings.networks}, seed {of_network.seed}:", flush=True)
        backups.append(train_network(network, splits, of_network, folder, callbacks))
        networks.append(with_rounded_weights(network))
    keras.config.set_dtype_policy("float32")  # that of training must not outlive it
    return Training(
        in_float32(combine(networks, settings.average_shifts, settings.average_flips)),
        read_history(run_folder),
        epochs=sum(backup.epochs_done for backup in backups),
        seconds=sum(backup.seconds for backup in backups),
        earlier_seconds=sum(backup.earlier_seconds for backup in backups),
    )


def _with_drawn_digits(splits: Splits, settings: Settings) -> Splits:
    """Return the data with as many drawn digits among the training images as the settings say."""
    n = round(settings.drawn * len(splits.y_train))
    if n == 0:
        return splits
    print(f"Drawn:    {n:,} digits among the training images", flush=True)
    images, labels = drawn_digits(n, settings.seed)
    return splits._replace(
        x_train=np.concatenate([splits.x_train, images]),
        y_train=np.concatenate([splits.y_train, labels]),
    )


def train_network(
    network: keras.Model,
    splits: Splits,
    settings: Settings,
    folder: Path,
    callbacks: Sequence[keras.callbacks.Callback],
) -> Backup:
    """Train one network; go on from the folder's backup if it has one.

    Writes `history.csv` and, after each epoch, `backup.npz` into the folder. What is trained is
    the network behind a layer that varies the images; the network itself stays free of it.

    Returns:
        The last backup, which knows how many epochs it were, and how many seconds.
    """
    steps_per_epoch = math.ceil(len(splits.y_train) / settings.batch_size)
    trainer = make_trainer(network, settings, steps_per_epoch)
    backup = Backup(folder / "backup.npz", trainer)
    trim_history(folder / "history.csv", backup.epochs_done)

    if backup.phase == "augmented":
        fit_phase(trainer, splits, settings, backup, folder, callbacks)
        backup.enter("polish", first_epoch=settings.epochs)
        # Also after an early stop, the polish trains at the rates that end the schedule.
        trainer.optimizer.iterations.assign(settings.epochs * steps_per_epoch)
    for variation in trainer.layers[:-1]:
        variation.strength.assign(0.0)
    if backup.next_epoch < settings.epochs + settings.polish_epochs:
        print("Polish, on unchanged images:", flush=True)
        fit_phase(trainer, splits, settings, backup, folder, callbacks)
    backup.stop_clock()
    return backup


def make_trainer(network: keras.Model, settings: Settings, steps_per_epoch: int) -> keras.Model:
    """Return what is trained, compiled: the layers that vary the images, and then the network."""
    variations = make_variations(dataclasses.asdict(settings))
    image_shape = network.inputs[0].shape[1:]
    trainer = keras.Sequential([keras.Input(image_shape), *variations.layers, network])
    compile_trainer(trainer, settings, steps_per_epoch)
    return trainer


def compile_trainer(trainer: keras.Model, settings: Settings, steps_per_epoch: int) -> None:
    """Give the model its loss, its optimizer and accuracy as metric."""
    total_steps = (settings.epochs + settings.polish_epochs) * steps_per_epoch
    optimizer = OPTIMIZERS[settings.optimizer](
        settings.learning_rate,
        settings.beta_2,
        total_steps if settings.schedule == "linear" else None,
        settings.warm_up,
    )
    # TensorFlow's own kernels beat XLA on the CPU, and XLA lacks the affine map's kernel.
    jit_compile: Any = False if keras.backend.backend() == "tensorflow" else "auto"
    trainer.compile(
        optimizer,
        loss="categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=jit_compile,
    )
    # Now rather than in `fit`: a backup can be restored only into variables that exist.
    optimizer.build(trainer.trainable_variables)


def fit_phase(
    trainer: keras.Model,
    splits: Splits,
    settings: Settings,
    backup: Backup,
    folder: Path,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    """Run one phase of training to its end, from wherever the backup stands."""
    augmented = backup.phase == "augmented"
    last_epoch = settings.epochs if augmented else settings.epochs + settings.polish_epochs
    smoothing, n_classes = settings.label_smoothing if augmented else 0.0, trainer.output_shape[-1]
    y_train = soft_labels(splits.y_train, n_classes, smoothing)
    # Smoothed as well: on plain labels, the loss of a network that learns not to be too sure stops
    # falling long before the network stops getting better, and EarlyStopping would end it there.
    y_val = soft_labels(splits.y_val, n_classes, smoothing)
    batches = Batches(splits.x_train, y_train, settings.batch_size)
    verbose: Any = 1 if sys.stdout.isatty() else 2  # a bar, or a line per epoch
    trainer.fit(
        input_pipeline(batches),
        shuffle=False,  # Keras would shuffle the batches once more, by a state that is not saved
        initial_epoch=last_epoch if backup.stopped else backup.next_epoch,
        epochs=last_epoch,
        validation_data=input_pipeline(Batches(splits.x_val, y_val)),
        callbacks=[
            *callbacks,
            Shuffle(batches, settings.seed),
            *make_callbacks(settings, backup, folder),
        ],
        verbose=verbose,
    )


def make_callbacks(
    settings: Settings, backup: Backup, folder: Path
) -> list[keras.callbacks.Callback]:
    """Return the callbacks of the phase that the backup stands in; their order matters.

    The backup comes last: it saves what the others made of the epoch. The polish always runs to
    its end: it is too short to stop early.
    """
    callbacks: list[keras.callbacks.Callback] = [StopWhenDiverged(settings.learning_rate)]
    if settings.rate_decay != 1:
        callbacks.append(
            keras.callbacks.LearningRateScheduler(
                lambda epoch, rate: rate * (settings.rate_decay if epoch else 1)
            )
        )
    if backup.phase == "augmented":
        callbacks.append(
            keras.callbacks.ReduceLROnPlateau(
                settings.monitor, factor=0.2, patience=settings.plateau_patience, min_lr=1e-5
            )
        )
        if settings.early_stopping_enabled:
            callbacks.append(
                keras.callbacks.EarlyStopping(
                    settings.monitor,
                    patience=settings.early_stopping_patience,
                    restore_best_weights=True,
                )
            )
    callbacks.append(HistoryLogger(folder / "history.csv", backup))
    backup.watch(callbacks)
    return [*callbacks, backup]


# --- Evaluate -----------------------------------------------------------------------------------


def evaluate(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> Evaluation:
    """Return loss, accuracy and class probabilities, from one pass over the images.

    Args:
        model: the classifier.
        images: float32 (n, 28, 28, 1) in [0, 1].
        labels: int (n,).
    """
    silent: Any = 0
    probabilities = model.predict(input_pipeline(Batches(images, labels)), verbose=silent)
    of_true_class = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return Evaluation(
        loss=float(-np.log(np.maximum(of_true_class, SMALLEST_PROBABILITY)).mean()),
        accuracy=float((probabilities.argmax(axis=1) == labels).mean()),
        probabilities=probabilities,
    )


def collect_metrics(
    training: Training, validation: Evaluation, test: Evaluation, splits: Splits, started: float
) -> dict[str, float]:
    """Return the results of a run, as metrics.json holds them.

    Args:
        started: when this process began with the run, by `time.perf_counter()`. Seconds that
            interrupted processes trained are added, in `total_seconds` as in `train_seconds`.
    """
    total_seconds = training.earlier_seconds + time.perf_counter() - started
    return {
        "test_loss": test.loss,
        "test_accuracy": test.accuracy,
        "n_misclassified": int((test.probabilities.argmax(axis=1) != splits.y_test).sum()),
        "val_loss": validation.loss,
        "val_accuracy": validation.accuracy,
        "epochs_trained": training.epochs,
        "train_seconds": round(training.seconds, 1),
        "total_seconds": round(total_seconds, 1),
        "n_parameters": training.model.count_params(),
    }
