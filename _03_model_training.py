"""Step 3: build, compile, fit and evaluate.

Several networks, if so set, are trained one after another and averaged. Training a network has two
phases. First the images are varied at random (`RandomAffine`) until EarlyStopping or the last
epoch, and the labels are smoothed; then comes a short polish on images and labels as they are, at
the low rates that end the schedule.
"""

import csv
import dataclasses
import io
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from _01_data_loader import DATA_SETS
from _02_data_preprocess import RandomAffine, Splits
from architectures import build_architecture
from averaging import average_networks, average_shifts
from keras_backend import input_pipeline
from optimizers import OPTIMIZERS
from safe_files import write_atomically, writing

Settings = Any  # _00_main.Settings, which reads as such here: nothing below imports from above
EVALUATION_BATCH_SIZE = 500  # larger than in training: nothing has to be kept for gradients
SMALLEST_PROBABILITY = 1e-7  # as in Keras' cross-entropy, so that no single image costs infinity


class Training(NamedTuple):
    """A trained classifier and how it came about."""

    model: keras.Model
    history: list[dict[str, float | str]]  # a row of history.csv each; of the first network
    epochs: int  # of all networks together
    seconds: float  # spent on them, all processes of an interrupted run together


class Evaluation(NamedTuple):
    """What a model makes of a set of images."""

    loss: float  # mean cross-entropy
    accuracy: float  # in [0, 1]
    probabilities: np.ndarray  # float32 (n, n_classes)


def train(
    splits: Splits,
    settings: Settings,
    run_folder: Path,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Training:
    """Train the networks of `settings`, one after another; go on from their backups, if any.

    The first writes into the run folder, the others into `network_2`, ... below it. `callbacks`
    are called in both phases of every network, before the program's own.

    Returns:
        The classifier. It averages over networks and shifts if the settings say so.
    """
    trainings = []
    for number in range(1, settings.networks + 1):
        folder, own = run_folder, settings
        if number > 1:
            folder = run_folder / f"network_{number}"
            with writing(folder):
                folder.mkdir(exist_ok=True)
            own = dataclasses.replace(settings, seed=derive_seed(settings.seed, number))
        if settings.networks > 1:
            print(f"Network {number} of {settings.networks}, seed {own.seed}:", flush=True)
        trainings.append(train_network(splits, own, folder, callbacks))

    classifier = combine([training.model for training in trainings], settings.average_shifts)
    epochs = sum(training.epochs for training in trainings)
    seconds = sum(training.seconds for training in trainings)
    return Training(classifier, trainings[0].history, epochs, seconds)


def derive_seed(seed: int, number: int) -> int:
    """Return the seed of a run's second, third, ... network.

    Not `seed + 1`: the run with the next seed begins with that one, and the two runs would share
    networks.
    """
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def combine(networks: Sequence[keras.Model], over_shifts: bool) -> keras.Model:
    """Return the classifier that averages over the networks and, if so wished, over shifts."""
    for number, network in enumerate(networks[1:], start=2):
        network.name = f"{network.name}_{number}"  # within a model, names must differ
    classifier = average_networks(networks) if len(networks) > 1 else networks[0]
    return average_shifts(classifier) if over_shifts else classifier


def train_network(
    splits: Splits,
    settings: Settings,
    folder: Path,
    callbacks: Sequence[keras.callbacks.Callback],
) -> Training:
    """Train one network; go on from the folder's backup if it has one.

    Writes `history.csv` and, after each epoch, `backup.npz` into the folder.

    Returns:
        The network, without the layer that varies the images and without the optimizer.
    """
    keras.utils.set_random_seed(settings.seed)  # whatever was trained before it
    image_shape, n_classes = splits.x_train.shape[1:], len(DATA_SETS[settings.dataset].class_names)
    network = build_architecture(settings.architecture, image_shape, n_classes)
    augmentation = RandomAffine(
        settings.rotation, settings.zoom, settings.shift, settings.shear, seed=settings.seed
    )
    trainer = keras.Sequential([keras.Input(image_shape), augmentation, network])
    steps_per_epoch = math.ceil(len(splits.y_train) / settings.batch_size)
    compile_trainer(trainer, settings, steps_per_epoch)
    backup = Backup(folder / "backup.npz", trainer)
    trim_history(folder / "history.csv", backup.epochs_done)

    if backup.phase == "augmented":
        fit_phase(trainer, splits, settings, backup, folder, callbacks)
        backup.enter("polish", first_epoch=settings.epochs)
        # Also after an early stop, the polish trains at the rates that end the schedule.
        trainer.optimizer.iterations.assign(settings.epochs * steps_per_epoch)
    augmentation.strength.assign(0.0)
    if backup.next_epoch < settings.epochs + settings.polish_epochs:
        print("Polish, on unchanged images:", flush=True)
        fit_phase(trainer, splits, settings, backup, folder, callbacks)
    history = read_history(folder / "history.csv")
    return Training(network, history, len(history), backup.seconds)


def compile_trainer(trainer: keras.Model, settings: Settings, steps_per_epoch: int) -> None:
    """Give the model its loss, its optimizer and accuracy as metric."""
    total_steps = (settings.epochs + settings.polish_epochs) * steps_per_epoch
    optimizer = OPTIMIZERS[settings.optimizer](
        settings.learning_rate,
        settings.beta_2,
        total_steps if settings.schedule == "linear" else None,
        settings.warm_up,
    )
    trainer.compile(
        optimizer,
        loss="categorical_crossentropy",
        metrics=["accuracy"],
        # TensorFlow's own kernels beat XLA on the CPU, and XLA lacks the affine map's kernel.
        jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
    )
    # Now rather than in `fit`: a backup can be restored only into variables that exist.
    optimizer.build(trainer.trainable_variables)


def fit_phase(
    trainer: keras.Model,
    splits: Splits,
    settings: Settings,
    backup: "Backup",
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
        verbose=1 if sys.stdout.isatty() else 2,
    )


def make_callbacks(
    settings: Settings, backup: "Backup", folder: Path
) -> list[keras.callbacks.Callback]:
    """Return the callbacks of the phase that the backup stands in; their order matters.

    The backup comes last: it saves what the others made of the epoch. The polish always runs to
    its end: it is too short to stop early.
    """
    callbacks = []
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


def evaluate(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> Evaluation:
    """Return loss, accuracy and class probabilities, from one pass over the images.

    Args:
        model: the classifier.
        images: float32 (n, 28, 28, 1) in [0, 1].
        labels: int (n,).
    """
    probabilities = model.predict(input_pipeline(Batches(images, labels)), verbose=0)
    of_true_class = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return Evaluation(
        loss=float(-np.log(np.maximum(of_true_class, SMALLEST_PROBABILITY)).mean()),
        accuracy=float((probabilities.argmax(axis=1) == labels).mean()),
        probabilities=probabilities,
    )


def soft_labels(labels: np.ndarray, n_classes: int, smoothing: float = 0.0) -> np.ndarray:
    """Return labels as probabilities: all but `smoothing` of it for the label, the rest for all.

    Label smoothing (Szegedy et al., "Rethinking the Inception Architecture", arXiv 1512.00567)
    keeps the network from growing ever surer of images that it gets right already.

    Args:
        labels: int (n,).
        n_classes: width of the result.
        smoothing: in [0, 1), shared equally by all classes; 0 returns one-hot vectors.

    Returns:
        float32 (n, n_classes), each row of sum 1.
    """
    one_hot = np.eye(n_classes, dtype=np.float32)[labels]
    return one_hot * (1.0 - smoothing) + smoothing / n_classes


class Batches(keras.utils.PyDataset):
    """Images and labels in batches: as they are, or in an order that is drawn for each epoch.

    That order depends on nothing but the seed and the epoch, so a resumed run sees the images in
    the order in which it would have seen them. (`fit` takes arrays, too, but then draws the order
    from a state that cannot be saved.)
    """

    def __init__(
        self, images: np.ndarray, labels: np.ndarray, batch_size: int = EVALUATION_BATCH_SIZE
    ):
        super().__init__()
        self.images, self.labels, self.batch_size = images, labels, batch_size
        self.order = np.arange(len(labels))

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        return self.images[chosen], self.labels[chosen]

    def shuffle(self, seed: int, epoch: int) -> None:
        """Draw the order of an epoch."""
        self.order = np.random.default_rng([seed, epoch]).permutation(len(self.labels))


class Shuffle(keras.callbacks.Callback):
    """Draws the order of the training images before each epoch.

    A callback, because Keras calls PyDataset.on_epoch_end() also before the first epoch.
    """

    def __init__(self, batches: Batches, seed: int):
        super().__init__()
        self.batches, self.seed = batches, seed

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.shuffle(self.seed, epoch)


# --- History and backup ------------------------------------------------------------------------


class HistoryLogger(keras.callbacks.CSVLogger):
    """Keras' CSVLogger, with epochs counted from 1, the phase, the rate and the seconds so far.

    The rate is that in the middle of the epoch; ReduceLROnPlateau logs the peak of the schedule.
    """

    def __init__(self, path: Path, backup: "Backup"):
        super().__init__(str(path), append=True)
        self.path, self.backup = path, backup

    def on_train_begin(self, logs=None):
        with writing(self.path):
            super().on_train_begin(logs)

    def on_epoch_end(self, epoch, logs=None):
        optimizer = self.model.optimizer
        steps = self.params["steps"]
        share = float(optimizer.share(int(optimizer.iterations) - steps / 2))
        logs["learning_rate"] = logs.get("learning_rate", float(optimizer.learning_rate)) * share
        row = {"phase": self.backup.phase, "seconds": round(self.backup.seconds, 3)}
        with writing(self.path):
            super().on_epoch_end(self.backup.epochs_done + 1, logs | row)


def read_history(path: Path) -> list[dict[str, float | str]]:
    """Return the rows of history.csv; every column but `phase` is a number."""
    with open(path, newline="") as file:
        return [
            {key: value if key == "phase" else float(value) for key, value in row.items()}
            for row in csv.DictReader(file)
        ]


def trim_history(path: Path, n_rows: int) -> None:
    """Drop the rows of epochs that were logged but not backed up before an interruption."""
    if path.exists():
        lines = path.read_text().splitlines(keepends=True)
        write_atomically(path, "".join(lines[: n_rows + 1] if n_rows else []))


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
        self.started = time.perf_counter()
        if path.exists():
            self._load()

    @property
    def seconds(self) -> float:
        """Time spent on the training so far, without that between interruption and resumption."""
        return time.perf_counter() - self.started

    @property
    def stopped(self) -> bool:
        """Whether EarlyStopping has ended the phase already."""
        return self.counters.get("EarlyStopping", {}).get("stopped_epoch", 0) > 0

    def enter(self, phase: str, first_epoch: int) -> None:
        """Begin the next phase, with fresh counters."""
        self.phase, self.next_epoch = phase, first_epoch
        self.counters, self.best_weights = {}, None

    def watch(self, callbacks: list[keras.callbacks.Callback]) -> None:
        """Name the callbacks whose counters are to be saved and restored."""
        self.watched = [c for c in callbacks if hasattr(c, "wait")]

    def on_train_begin(self, logs=None):
        # Last in the list, so after the others have reset themselves.
        for callback in self.watched:
            for name, value in self.counters.get(type(callback).__name__, {}).items():
                setattr(callback, name, value)
            if hasattr(callback, "best_weights"):
                callback.best_weights = self.best_weights

    def on_epoch_end(self, epoch, logs=None):
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
        with np.load(self.path, allow_pickle=False) as saved:
            position = json.loads(str(saved["position"]))
            for i, variable in enumerate(self._variables()):
                variable.assign(saved[f"variable_{i}"])
            n_best = sum(key.startswith("best_") for key in saved.files)
            self.best_weights = [saved[f"best_{i}"] for i in range(n_best)] or None
        self.phase, self.next_epoch = position["phase"], position["next_epoch"]
        self.epochs_done, self.counters = position["epochs_done"], position["counters"]
        self.started = time.perf_counter() - position["seconds"]
