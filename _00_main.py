"""Train a network on handwritten digits, evaluate it, keep the record, draw the figures.

    python _00_main.py

Its last lines, after four to five minutes on two CPU cores:

    Test loss:      0.00864594268896679
    Test accuracy:  99.77 %
    Misclassified:  23 of 10,000 test images
    New record:     no (before this run: 99.78 %)
    Run folder:     .../runs/20261121-214951-mnist-fast_cnn-seed2
    Figures:        curves confusion_matrix misclassified ... clusters
    Report:         .../runs/20261121-214951-mnist-fast_cnn-seed2/report.html

To change something, change a constant below, or give it as a flag: `--epochs 20`. `--help` lists
them all.
"""

import argparse
import dataclasses
import math
import shlex
import sys
import time
import typing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from command_line import Parser, run_program
from user_error import UserError, unknown_name

try:
    from _01_data_loader import check_dataset
    from architectures import ARCHITECTURES, check_architecture
except ModuleNotFoundError as error:  # the first thing that happens without `pip install`
    print(
        f"error: '{error.name}' is not installed. Run 'pip install -r requirements.txt', in the "
        "virtual environment if you made one.",
        file=sys.stderr,
    )
    raise SystemExit(2) from error

if TYPE_CHECKING:
    import keras

    from _02_data_preprocess import Splits
    from _04_data_saver import Record

# --- Constants: what to change first ------------------------------------------------------------

dataset = "mnist"  # or fashion_mnist, digits (small, needs no network), custom (with --data-dir)
architecture = "fast_cnn"  # a name in architectures/; cnn_mnist_101 is the course project's network
VAL_SIZE = 0.1  # share of the training images that all choices are made on, never the test images
epochs = 5  # on varied images: as many as two CPU cores train in under five minutes
polish_epochs = 1  # then, on the images as they are: the test images are not varied either
batch_size = 128  # large enough to keep two cores busy, small enough for many steps per epoch
SEED = 2  # of split, first weights, order, dropout and variations: equal seed, equal result
early_stopping_enabled = True  # stop when validation stalls, and return to the best epoch
figures = "all"  # and report.html: some 10 s; or quick, without t-SNE; or none

# --- Constants: the recipe ----------------------------------------------------------------------

early_stopping_patience = 3  # epochs without a better validation loss before it stops
plateau_patience = 2  # epochs without a better validation loss before the rate is cut to a fifth
monitor = "val_loss"  # moves with every image, where val_accuracy moves only when one flips
optimizer = "muon"  # learns more per epoch than adam, above all in short training
learning_rate = 3e-3  # of Adam at the peak of the schedule; of Muon, ten times that
schedule = "linear"  # down to 0 at the last step, so that the final weights have come to rest
warm_up = 0.15  # share of the steps in which the rate first rises: large steps need good weights
beta_2 = 0.99  # Adam's memory of squared gradients: 0.999 is for longer training
rotation = 12.0  # degrees to either side
zoom = 0.12  # +-12 % of width and of height
shift = 0.1  # +-10 % of width and height: +-2.8 pixels
shear = 8.0  # degrees: how slanted people write
label_smoothing = 0.05  # share of every label given to all classes, but not in the polish
average_shifts = True  # predict the mean over the image and its shifts by one pixel
networks = 1  # averaged; each further one errs a little less often and costs a whole training
precision = "float32"  # mixed_bfloat16 is faster on GPUs and AVX512_BF16 CPUs, slower elsewhere

OPTIMIZER_NAMES = ("adam", "muon")
SCHEDULES = ("linear", "constant")
MONITORS = ("val_loss", "val_accuracy")
FIGURE_EXTENTS = ("all", "quick", "none")
PRECISIONS = ("float32", "mixed_bfloat16")
PROJECT_DIR = Path(__file__).resolve().parent


def setting(default: Any, description: str) -> Any:
    """Return a dataclass field; the description is the flag's help text."""
    return dataclasses.field(default=default, metadata={"help": description})


@dataclasses.dataclass(frozen=True)
class Settings:
    """All that a run depends on. Checks itself; raises UserError for what cannot be.

    The command-line flags are made from these fields: `val_size` becomes `--val-size`.
    """

    dataset: str = setting(dataset, "mnist, fashion_mnist, digits or custom")
    data_dir: str | None = setting(None, "folder with the data set's IDX files or an .npz")
    architecture: str = setting(architecture, f"one of: {', '.join(ARCHITECTURES)}")
    val_size: float = setting(VAL_SIZE, "share of training images for validation, in (0, 1)")
    epochs: int = setting(epochs, "largest number of epochs on varied images")
    polish_epochs: int = setting(polish_epochs, "epochs on unchanged images at the end; may be 0")
    batch_size: int = setting(batch_size, "images per training step")
    seed: int = setting(SEED, "seed of everything that is random")
    early_stopping_enabled: bool = setting(early_stopping_enabled, "stop when validation stalls")
    early_stopping_patience: int = setting(early_stopping_patience, "epochs before it stops")
    plateau_patience: int = setting(plateau_patience, "epochs before the rate is cut to a fifth")
    monitor: str = setting(monitor, f"what must improve: {' or '.join(MONITORS)}")
    optimizer: str = setting(optimizer, " or ".join(OPTIMIZER_NAMES))
    learning_rate: float = setting(learning_rate, "rate at the peak of the schedule")
    schedule: str = setting(schedule, f"of the learning rate: {' or '.join(SCHEDULES)}")
    warm_up: float = setting(warm_up, "share of the steps in which the rate rises, in (0, 1)")
    beta_2: float = setting(beta_2, "Adam's decay of squared gradients, in (0, 1)")
    rotation: float = setting(rotation, "largest rotation of a training image, in degrees")
    zoom: float = setting(zoom, "largest zoom, as a share of the size")
    shift: float = setting(shift, "largest shift, as a share of the size")
    shear: float = setting(shear, "largest shear, in degrees")
    label_smoothing: float = setting(label_smoothing, "share of a label that goes to all classes")
    average_shifts: bool = setting(average_shifts, "average the predictions of five shifts")
    networks: int = setting(networks, "networks to train and to average")
    precision: str = setting(precision, " or ".join(PRECISIONS))
    output_dir: str = setting(str(PROJECT_DIR), "where runs/ and the record are")
    figures: str = setting(figures, "all, quick (without the slow t-SNE maps) or none")
    show: bool = setting(False, "open the figures in windows, too")

    def __post_init__(self):
        check_dataset(self.dataset)
        check_architecture(self.architecture)
        for name, valid in (
            ("optimizer", OPTIMIZER_NAMES),
            ("schedule", SCHEDULES),
            ("monitor", MONITORS),
            ("precision", PRECISIONS),
            ("figures", FIGURE_EXTENTS),
        ):
            if getattr(self, name) not in valid:
                raise unknown_name(name, getattr(self, name), valid)
        for name in (
            "epochs",
            "batch_size",
            "early_stopping_patience",
            "plateau_patience",
            "networks",
        ):
            self._check_whole(name, smallest=1)
        for name in ("polish_epochs", "seed"):
            self._check_whole(name, smallest=0)
        if self.seed >= 2**32:
            raise UserError(f"seed must be below 2^32 = {2**32}, got {self.seed}.")
        for name in ("val_size", "warm_up", "beta_2"):
            self._check_number(name, "between 0 and 1, both excluded", lambda x: 0 < x < 1)
        self._check_number("learning_rate", "greater than 0", lambda x: x > 0)
        for name in ("rotation", "shear"):
            self._check_number(name, "0 or greater", lambda x: x >= 0)
        for name in ("zoom", "shift", "label_smoothing"):
            self._check_number(name, "at least 0 and below 1", lambda x: 0 <= x < 1)
        for name in ("early_stopping_enabled", "average_shifts", "show"):
            if not isinstance(getattr(self, name), bool):
                raise UserError(f"{name} must be true or false, got {getattr(self, name)!r}.")

    def _check_whole(self, name: str, smallest: int) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
            kind = "positive whole number" if smallest else "whole number, 0 or greater"
            raise UserError(f"{name} must be a {kind}, got {value!r}.")

    def _check_number(self, name: str, rule: str, is_valid: Callable[[float], bool]) -> None:
        value = getattr(self, name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or not is_valid(value):
            raise UserError(f"{name} must be a number {rule}, got {value!r}.")


# What each recipe changes of the constants above, for `--recipe`; flags change it further.
RECIPES: dict[str, dict[str, Any]] = {
    "default": {},
    # Five default networks, averaged, for five times the training. Wider networks or longer
    # training are no better on the hands of other people: docs/recipe.md, "Whose hand".
    "best": {
        "val_size": 0.01,  # its choices are made: nothing stops or slows it down any more
        "early_stopping_enabled": False,
        "plateau_patience": 5,  # as many as there are epochs: never
        "networks": 5,
    },
    # As few seconds as possible to 99.0 % and to 99.5 %: see experiments/speedrun.py.
    "speedrun_990": {
        "architecture": "fast_cnn_tiny",
        "val_size": 0.01,
        "epochs": 1,
        "polish_epochs": 0,
        "batch_size": 256,
        "learning_rate": 5e-3,
        "rotation": 0.0,
        "zoom": 0.0,
        "shift": 0.0,
        "shear": 0.0,
        "label_smoothing": 0.05,
        "average_shifts": False,
    },
    "speedrun_995": {
        "architecture": "fast_cnn_small",
        "val_size": 0.01,
        "epochs": 2,
        "rotation": 10.0,
        "zoom": 0.1,
        "shift": 0.08,
        "shear": 6.0,
        "label_smoothing": 0.1,
        "average_shifts": False,
    },
    # The course project's network by its own recipe; its record took 41 epochs. The classic
    # ImageDataGenerator draws the same rotations, zooms and shifts.
    "cnn_mnist_101": {
        "architecture": "cnn_mnist_101",
        "val_size": 0.1,
        "epochs": 150,
        "polish_epochs": 0,
        "batch_size": 64,
        "early_stopping_patience": 10,
        "plateau_patience": 3,
        "monitor": "val_accuracy",
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "schedule": "constant",
        "beta_2": 0.999,
        "rotation": 10.0,
        "zoom": 0.1,
        "shift": 0.1,
        "shear": 0.0,
        "label_smoothing": 0.0,
        "average_shifts": False,
    },
    # Keras' own example of a convolutional network for MNIST, as published.
    "keras_example": {
        "architecture": "keras_example",
        "val_size": 0.1,
        "epochs": 15,
        "polish_epochs": 0,
        "batch_size": 128,
        "early_stopping_enabled": False,
        "plateau_patience": 15,  # as many as there are epochs: never
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "schedule": "constant",
        "beta_2": 0.999,
        "rotation": 0.0,
        "zoom": 0.0,
        "shift": 0.0,
        "shear": 0.0,
        "label_smoothing": 0.0,
        "average_shifts": False,
    },
}


class RunResult(NamedTuple):
    """What came out of a run; `metrics` is what metrics.json holds besides `is_record`."""

    test_loss: float
    test_accuracy: float  # in [0, 1]
    n_misclassified: int
    is_record: bool
    run_folder: Path
    metrics: dict[str, Any]


# --- The story ----------------------------------------------------------------------------------


def run(
    settings: Settings,
    resume_folder: Path | None = None,
    callbacks: "Sequence[keras.callbacks.Callback]" = (),
) -> RunResult:
    """Load, preprocess, train, save, plot: one run from beginning to end.

    Args:
        settings: all that the run depends on.
        resume_folder: the folder of an interrupted run, to go on where it was (`settings` must
            be that run's: see `load_interrupted`); None begins a new run.
        callbacks: further Keras callbacks, to watch the training.

    Raises:
        UserError: for all that the user can fix.
        KeyboardInterrupt: passed on, once it is said how to go on.
    """
    started = time.perf_counter()
    # Imported here, so that a mistyped flag is answered at once: TensorFlow takes seconds to load.
    import keras_backend

    machine = keras_backend.prepare(settings.seed, settings.precision)
    import _01_data_loader as data_loader
    import _02_data_preprocess as data_preprocess
    import _03_model_training as model_training
    import _04_data_saver as data_saver
    import _05_model_plot as model_plot

    # 1. Load: the same verified arrays, wherever they come from.
    arrays = data_loader.load_data(settings.dataset, settings.data_dir)

    # 2. Preprocess: scale to [0, 1] and set the validation images aside.
    splits = data_preprocess.preprocess(arrays, settings.val_size, settings.seed)

    # 3. Train. All choices are made on validation images; the test images are read once, after.
    record_to_beat = data_saver.load_record(Path(settings.output_dir), settings.dataset)
    run_folder = resume_folder or data_saver.create_run_folder(settings, machine)
    announce(settings, splits, record_to_beat)
    with hint_when_interrupted(run_folder):
        training = model_training.train(splits, settings, run_folder, callbacks)
        validation = model_training.evaluate(training.model, splits.x_val, splits.y_val)
        test = model_training.evaluate(training.model, splits.x_test, splits.y_test)

        # 4. Save: the run's own folder, and the record if this run beats it.
        metrics = {
            "test_loss": test.loss,
            "test_accuracy": test.accuracy,
            "n_misclassified": int((test.probabilities.argmax(axis=1) != splits.y_test).sum()),
            "val_loss": validation.loss,
            "val_accuracy": validation.accuracy,
            "epochs_trained": training.epochs,
            "train_seconds": round(training.seconds, 1),
            "total_seconds": round(time.perf_counter() - started, 1),
            "n_parameters": training.model.count_params(),
        }
        is_record = data_saver.save_run(training.model, settings, metrics, machine, run_folder)

    result = RunResult(
        test.loss, test.accuracy, metrics["n_misclassified"], is_record, run_folder, metrics
    )
    report(result, len(splits.y_test), record_to_beat)

    # 5. Plot: the figures, and one page that shows them all.
    model_plot.plot_run(
        run_folder, training.model, splits, test.probabilities, settings.figures, settings.show
    )
    return result


def announce(settings: Settings, splits: "Splits", record: "Record | None") -> None:
    """Say what is about to be trained, and which record there is to beat."""
    print(
        f"Data:     {settings.dataset}: {len(splits.x_train):,} training, {len(splits.x_val):,} "
        f"validation and {len(splits.x_test):,} test images"
    )
    several = f"{settings.networks} × " if settings.networks > 1 else ""
    print(
        f"Training: {several}{settings.architecture}, epochs: at most {settings.epochs} and "
        f"{settings.polish_epochs} of polish, seed {settings.seed}"
    )
    print(f"Record:   {percent(record.test_accuracy) if record else 'none yet'}", flush=True)


def report(result: RunResult, n_test: int, record_to_beat: "Record | None") -> None:
    """Print the result of a run."""
    before = percent(record_to_beat.test_accuracy) if record_to_beat else "none"
    print(f"\nTest loss:      {result.test_loss}")
    print(f"Test accuracy:  {percent(result.test_accuracy)}")
    print(f"Misclassified:  {result.n_misclassified:,} of {n_test:,} test images")
    print(f"New record:     {'yes' if result.is_record else 'no'} (before this run: {before})")
    print(f"Run folder:     {result.run_folder}")


def percent(share: float) -> str:
    """Format a share of 1 as per cent, in steps of one of 10,000 test images."""
    return f"{100 * share:.2f} %"


# --- Going on after an interruption -------------------------------------------------------------


@contextmanager
def hint_when_interrupted(run_folder: Path) -> Iterator[None]:
    """Say how to go on when Ctrl-C or a full disk ends the block; finished epochs are saved."""
    command = f"python {Path(__file__).name} --resume {shlex.quote(str(run_folder))}"
    try:
        yield
    except KeyboardInterrupt:
        print(
            f"\nInterrupted; the finished epochs are saved. Go on with:\n  {command}",
            file=sys.stderr,
        )
        raise
    except UserError as error:
        raise UserError(f"{error} Then go on with: {command}") from error


def load_interrupted(run_folder: Path) -> Settings:
    """Return the settings of an interrupted run.

    Raises:
        UserError: the folder is not a run folder, its settings cannot be read, or the run is
            complete.
    """
    from _04_data_saver import read_json

    if (run_folder / "metrics.json").exists():
        raise UserError(
            f"the run in {run_folder} is complete; there is nothing to resume. Its figures: "
            f"python _05_model_plot.py {shlex.quote(str(run_folder))}"
        )
    content = read_json(run_folder / "settings.json")
    try:
        return Settings(**content["settings"])
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{run_folder / 'settings.json'} has no valid settings: {error}."
        ) from error


# --- The command line ---------------------------------------------------------------------------


def make_parser() -> Parser:
    """Return a parser with one flag a field of Settings, and --recipe and --resume.

    Hyphens and underscores are the same (tools for hyperparameter sweeps pass underscores). A flag
    that is true or false can be given as --show, --no-show or --show=false.
    """
    parser = Parser(__doc__.split("\n\n")[0], argument_default=argparse.SUPPRESS)
    parser.add_argument("--recipe", default="default", help=f"one of: {', '.join(RECIPES)}")
    parser.add_argument("--resume", metavar="RUN_FOLDER", help="go on with an interrupted run")
    types = typing.get_type_hints(Settings)
    for field in dataclasses.fields(Settings):
        options: dict[str, Any] = {"help": f"{field.metadata['help']} (default: {field.default})"}
        if types[field.name] is bool:
            options |= {"nargs": "?", "const": True}
            parser.add_argument(
                f"--no-{flag_name(field)}", dest=field.name, action="store_const", const=False,
                help=argparse.SUPPRESS,
            )  # fmt: skip
        parser.add_argument(
            f"--{flag_name(field)}",
            dest=field.name,
            type=lambda text, kind=types[field.name]: parse_value(text, kind),
            metavar=field.name.upper(),
            **options,
        )
    return parser


def flag_name(field: dataclasses.Field) -> str:
    """Return the flag of a field, without the two hyphens: val_size -> val-size."""
    return field.name.replace("_", "-")


def parse_value(text: str, kind: Any) -> Any:
    """Return `text` as bool, int or float; what is none stays text, for Settings to refuse."""
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            return text
    return text


def parse_command_line(arguments: list[str]) -> tuple[Settings, Path | None]:
    """Return the settings, and the run folder to resume, if any.

    Raises:
        UserError: an unknown flag (with the nearest valid one), recipe or value.
    """
    parser = make_parser()
    given, unknown = parser.parse_known_args([with_hyphens(text) for text in arguments])
    if unknown:
        flags = [option for option in parser._option_string_actions if option.startswith("--")]
        raise unknown_name("flag", unknown[0].split("=")[0], flags, "--help lists all.")
    values = vars(given)
    recipe, resume = values.pop("recipe"), values.pop("resume", None)
    if recipe not in RECIPES:
        raise unknown_name("recipe", recipe, RECIPES)
    for name in ("output_dir", "data_dir"):  # a run may be resumed from another working directory
        if name in values:
            values[name] = str(Path(values[name]).expanduser().resolve())
    if resume is None:
        return Settings(**(RECIPES[recipe] | values)), None
    if values or recipe != "default":
        raise UserError("--resume takes all settings from the run folder; leave other flags out.")
    return load_interrupted(Path(resume)), Path(resume)


def with_hyphens(argument: str) -> str:
    """Return --val_size=0.2 as --val-size=0.2."""
    if not argument.startswith("--"):
        return argument
    flag, equals, value = argument.partition("=")
    return flag.replace("_", "-") + equals + value


def main(arguments: list[str]) -> int:
    """Train as the command line says; return the exit code."""
    return run_program(lambda flags: run(*parse_command_line(flags)), arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
