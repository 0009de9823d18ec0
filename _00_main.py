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

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

PROJECT_DIR = Path(__file__).resolve().parent
sys.path.insert(0, str(PROJECT_DIR))  # PYTHONSAFEPATH leaves it out

from common.command_line import exit_if_missing, make_parser, parse_flags, run_program
from common.keras_start import prepare
from common.recipes import recipe_changes
from common.settings import SETTING_NAMES, Settings, check_names, check_only_place
from common.streams import tolerant_streams
from common.user_error import UserError

with exit_if_missing():  # without `pip install`, one line
    from _01_data_loader import check_dataset, data_dir_of_environment
    from architectures import check_architecture
    from common import run_folder
    from common.run_folder import RunResult

# --- Constants: what to change first ------------------------------------------------------------

dataset = "mnist"  # or fashion_mnist, digits (small, needs no network), custom (with --data-dir)
architecture = "fast_cnn"  # a name in architectures/; cnn_mnist_101 is the course project's network
VAL_SIZE = 0.1  # share of the training images that all choices are made on, never the test images
epochs = 5  # on varied images: as many as two CPU cores train in under five minutes
polish_epochs = 1  # then, on the images as they are: the test images are not varied either
batch_size = 128  # large enough to keep two cores busy, small enough for many steps per epoch
SEED = 2  # of split, first weights, order, dropout and variations: equal seed, equal result
early_stopping_enabled = True  # stop when validation stalls, and return to the best epoch

# --- Constants: the recipe ----------------------------------------------------------------------

early_stopping_patience = 3  # epochs without a better validation loss before it stops
plateau_patience = 2  # epochs without a better validation loss before the rate is cut to a fifth
monitor = "val_loss"  # moves with every image, where val_accuracy moves only when one flips
optimizer = "muon"  # learns more per epoch than adam, above all in short training
learning_rate = 3e-3  # of Adam at the peak of the schedule; of Muon, ten times that
schedule = "linear"  # down to 0 at the last step, so that the final weights have come to rest
warm_up = 0.15  # share of the steps in which the rate first rises: large steps need good weights
rate_decay = 1.0  # factor of the rate after each epoch, on top of the schedule; 1 leaves it alone
beta_2 = 0.99  # Adam's memory of squared gradients: 0.999 is for longer training
rotation = 12.0  # degrees to either side
zoom = 0.12  # +-12 % of width and of height
shift = 0.1  # +-10 % of width and height: +-2.8 pixels
shear = 8.0  # degrees: how slanted people write
stretch = 0.0  # 0 to 1: half of the digits are widened, at 1 up to as wide as they are high
pen = 0.0  # 0 to 1: from MNIST's pens to thin and thick, sharp and blurred ones
paper = 0.0  # share of the images that are put on grey, grainy paper
flip = 0.0  # share of images mirrored left to right: helps with clothes, but no digit survives it
erase = 0.0  # share of images in which noise covers a rectangle: for clothes, too
drawn = 0.0  # per training image, digits drawn in ways that MNIST lacks, such as ones with a hook
label_smoothing = 0.05  # share of every label given to all classes, but not in the polish
average_shifts = True  # predict the mean over the image and its shifts by one pixel
average_flips = False  # predict the mean over the image and its mirror image: for clothes, too
networks = 1  # averaged; each further one errs a little less often and costs a whole training

# --- Constants: where and how -------------------------------------------------------------------

precision = "auto"  # bfloat16 where the machine computes it faster than float32
data_dir = None  # a folder or file with data; None looks into DIGITS_DATA_DIR, then downloads
output_dir = PROJECT_DIR  # where runs/ and the record are
figures = "all"  # and report.html: some 10 s; or quick, without t-SNE; or none
show = False  # the figures are files; True opens them in windows, too


# --- The story ----------------------------------------------------------------------------------


@tolerant_streams()
def run(settings: Settings, resume_folder: Path | None = None, callbacks: Any = ()) -> RunResult:
    """Load, preprocess, train, save, plot: one run from beginning to end.

    Args:
        settings: all that the run depends on, from `make_settings`.
        resume_folder: that of an interrupted run, whose settings these must be; None begins anew.
        callbacks: further Keras callbacks, to watch the training.

    Raises UserError for all that the user can fix.
    """
    started = time.perf_counter()
    machine = prepare(settings.seed, settings.precision)
    settings = replace(settings, precision=machine["precision"])  # what auto became
    # Imported here, so that a mistyped flag is answered at once: TensorFlow takes seconds to load.
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
    network = model_training.build_network(settings)
    place = data_saver.record_place(settings, arrays)
    record_to_beat = data_saver.load_record(place)
    folder = run_folder.open_or_create(resume_folder, settings, machine, arrays)
    data_saver.announce(settings, splits, record_to_beat)
    with run_folder.hint_when_interrupted(folder):
        training = model_training.train(network, splits, settings, folder, callbacks)
        validation = model_training.evaluate(training.model, splits.x_val, splits.y_val)
        test = model_training.evaluate(training.model, splits.x_test, splits.y_test)
        metrics = model_training.collect_metrics(training, validation, test, splits, started)
        # 4. Save: the run's own folder, and the record if this run beats it.
        result = data_saver.save_run(training.model, settings, metrics, machine, folder, place)
    data_saver.report(result, len(splits.y_test), record_to_beat)
    # 5. Plot: the figures, and one page that shows them all.
    model_plot.plot_run(
        folder, training.model, splits, test.probabilities, settings.figures, settings.show
    )
    return result


# --- The door to the settings -------------------------------------------------------------------


def make_settings(recipe: str = "default", **changes: Any) -> Settings:
    """Return the constants above, changed by a recipe and then by `changes`, checked.

    Raises:
        UserError: an unknown recipe, setting, data set or network, or a value that cannot be.
    """
    # Each setting is a constant of this file, in lower or upper case: the only defaults there are.
    constants = {name.lower(): value for name, value in globals().items()}
    values = {name: constants[name] for name in SETTING_NAMES}
    values |= recipe_changes(recipe)
    values |= check_names(changes)
    settings = Settings(**values)
    check_dataset(settings.dataset)
    check_architecture(settings.architecture)
    if settings.data_dir is None:  # noted in the settings, so that the run can be made again
        settings = replace(settings, data_dir=data_dir_of_environment(settings.dataset))
    return settings


def settings_to_resume(folder: Path, changes: Mapping[str, Any]) -> Settings:
    """Return the settings of an interrupted run; `changes` may say where and how, not what.

    Raises:
        UserError: the folder holds no run that can go on, or `changes` has other settings.
    """
    check_only_place(changes)
    saved = run_folder.read_unfinished(folder).settings
    return make_settings(**{**saved, "output_dir": run_folder.output_dir_of(folder), **changes})


# --- The command line ---------------------------------------------------------------------------


def parse_command_line(arguments: Sequence[str]) -> tuple[Settings, Path | None]:
    """Return the settings, and the run folder to resume, if any.

    Raises:
        UserError: an unknown flag (with the nearest valid one), recipe or value.
    """
    title = (__doc__ or "").split("\n\n")[0]
    given = parse_flags(make_parser(title, make_settings()), arguments)
    if given.resume is None:
        return make_settings(given.recipe or "default", **given.changes), None
    if given.recipe:
        raise UserError("--resume takes all settings from the run folder; leave --recipe out.")
    return settings_to_resume(given.resume, given.changes), given.resume


def main(arguments: list[str]) -> int:
    """Train as the command line says; return the exit code."""
    return run_program(lambda flags: run(*parse_command_line(flags)), arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
