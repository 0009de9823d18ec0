"""Step 5: every figure of a run, and the report that shows them.

    python _05_model_plot.py runs/<folder>                              # all of them
    python _05_model_plot.py runs/<folder> filters --layer conv2d_1
    python _05_model_plot.py runs/<folder> activations --layer conv2d --image 7

A run draws them at its end; this command draws any of them again, without training. What there is
to draw is in `figures/catalogue.py`; the names of the layers are in the figure `network`.
"""

import dataclasses
import io
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

PROJECT_DIR = Path(__file__).resolve().parent
sys.path.insert(0, str(PROJECT_DIR))  # PYTHONSAFEPATH leaves it out

from common.command_line import Parser, exit_if_missing, python_command, run_program
from common.keras_start import load_keras, prepare
from common.safe_files import read_json, write_atomically
from common.settings import Settings
from common.streams import tolerant_streams
from common.user_error import UserError, unknown_name


def parse_command_line(arguments: list[str]) -> Namespace:
    """Return what the command line says; the figures' names are checked in `main`.

    Raises:
        UserError: an unknown flag, or a value that cannot be.
    """
    parser = Parser(__doc__)
    parser.add_argument("run_folder", type=Path)
    parser.add_argument("figures", nargs="*", default=[], metavar="FIGURE", help="by default all")
    parser.add_argument("--layer", help="for filters, activations or embeddings: a layer's name")
    parser.add_argument("--image", type=int, help="for activations: the index of a test image")
    parser.add_argument("--data-dir", metavar="DIR", help="the run's data, if they have moved")
    parser.add_argument("--show", action="store_true", help="open the figures in windows, too")
    return parser.parse_intermixed_args(arguments)


def start(arguments: list[str]) -> None:
    """Answer --help and a mistyped flag at once, then start Keras, which takes seconds."""
    parse_command_line(arguments)
    load_keras()


if __name__ == "__main__" and (code := run_program(start, sys.argv[1:])):
    sys.exit(code)

with exit_if_missing():  # without `pip install`, one line
    import keras
    import matplotlib.pyplot as plt
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

    from _01_data_loader import DATA_SETS, check_dataset, load_data
    from _02_data_preprocess import preprocess
    from _03_model_training import IMAGE_SHAPE, evaluate
    from architectures import ARCHITECTURES, import_architecture, problem_of
    from architectures.averaging import network_of
    from common.data import Splits
    from common.run_folder import Description, check_same_data, read_finished, read_history
    from figures.catalogue import (
        DEFAULT_OPTIONS,
        FIGURES,
        FigureOptions,
        FinishedRun,
        check_options,
        choose_figures,
    )
    from figures.report import EPOCH_COLUMNS, RESULTS, write_report
    from figures.screen import can_show, our_style, without_screen
    from figures.style import DOTS_PER_INCH
    from training.augmentation import make_variations

# What drawing needs; the settings that came later have values that change nothing.
NEEDED_SETTINGS = (
    "dataset", "architecture", "val_size", "seed", "precision", "monitor",
    "rotation", "zoom", "shift", "shear",
)  # fmt: skip
LATER_SETTINGS = (
    "stretch", "pen", "paper", "flip", "erase", "drawn", "label_smoothing", "networks",
    "average_shifts", "average_flips", "data_dir",
)  # fmt: skip


def plot_run(
    folder: Path,
    model: keras.Model,
    splits: Splits,
    probabilities: np.ndarray,
    extent: str = "all",
    show: bool = False,
) -> None:
    """Draw the figures of a finished run into its folder, and write its report.

    Args:
        folder: the run folder; settings, history and metrics are read from it.
        model: the trained classifier.
        splits: the data that it was trained on.
        probabilities: float32 (n_test, n_classes), what the model makes of the test images.
        extent: all; quick, without those that take seconds; or none, which also leaves out the
            report.
        show: also open the figures in windows, and wait until they are closed.

    Raises:
        UserError: a file of the folder cannot be read, or the folder cannot be written.
    """
    if extent == "none":
        return
    run = gather(folder, model, splits, probabilities)
    try:
        draw(folder, run, choose_figures(run.network, extent), show=show)
    except KeyboardInterrupt:
        command = python_command("_05_model_plot.py", folder)
        print(f"\nThe run is complete. Its figures: {command}", file=sys.stderr)
        raise


def gather(
    folder: Path, model: keras.Model, splits: Splits, probabilities: np.ndarray
) -> FinishedRun:
    """Return what the figures are drawn from, with settings, metrics and history from the folder.

    Raises:
        UserError: one of these files is damaged.
    """
    description = read_drawable(folder)
    settings = description.settings
    return FinishedRun(
        description=description,
        metrics=read_metrics(folder),
        history=read_whole_history(folder),
        network=network_of(model),
        splits=splits,
        probabilities=probabilities,
        class_names=DATA_SETS[settings["dataset"]].class_names,
        augmentation=make_variations(settings),
    )


@tolerant_streams()
def draw(
    folder: Path,
    run: FinishedRun,
    names: Sequence[str],
    options: FigureOptions = DEFAULT_OPTIONS,
    show: bool = False,
) -> None:
    """Draw figures by name, save each as PNG in the folder, and write the report.

    Raises:
        UserError: no such layer or image, or the folder cannot be written.
    """
    on_screen = show and can_show()
    with our_style(), nullcontext() if on_screen else without_screen(), ExitStack() as at_the_end:
        print("Figures:        ", end="", flush=True)
        try:
            for name in names:
                print(name, end=" ", flush=True)  # before it is drawn: some take seconds
                figure = FIGURES[name].draw(run, options)
                at_the_end.callback(plt.close, figure)
                save_figure(figure, folder / f"{name}{options.file_suffix}.png")
                if not on_screen:
                    plt.close(figure)  # at once: figures take memory
        finally:
            print()
        print(f"Report:         {write_report(folder, run)}", flush=True)
        if on_screen:
            plt.show(block=True)
    if show and not on_screen:
        print(f"Not shown:      no screen (or no toolkit for windows); the figures are in {folder}")


def save_figure(figure: Figure, path: Path) -> None:
    """Save a figure as PNG, with its title as metadata, which the report reads."""
    picture = io.BytesIO()
    title = {"Title": figure.get_suptitle().replace("\n", ". ")}
    figure.savefig(picture, format="png", dpi=DOTS_PER_INCH, metadata=title)
    write_atomically(path, picture.getvalue())


# --- Drawing again, from a run folder -----------------------------------------------------------


def read_run(folder: Path, data_dir: str | None = None) -> FinishedRun:
    """Load the model and the data of a finished run, and predict its test images.

    Args:
        data_dir: where the data are now; None is where the run found them.

    Raises:
        UserError: a file of the folder cannot be read, or the run's data cannot be loaded.
    """
    description = read_drawable(folder)
    model = load_classifier(folder / "model.keras", description.settings)
    splits = load_splits_of(description, folder, data_dir)
    probabilities = evaluate(model, splits.x_test, splits.y_test).probabilities
    return gather(folder, model, splits, probabilities)


def load_classifier(path: Path, settings: Mapping[str, Any]) -> keras.Model:
    """Load the classifier of a run; code that the file may hold is not run.

    Raises:
        UserError: the file is damaged, or holds no classifier for the run's images.
    """
    name = settings["architecture"].partition("(")[0]
    if name in ARCHITECTURES:
        import_architecture(name)  # registers layers of its own with Keras
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # of a damaged or foreign file, Keras may raise anything
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path} cannot be loaded: {reason}") from error
    n_classes = len(DATA_SETS[settings["dataset"]].class_names)
    if problem := problem_of(model, IMAGE_SHAPE, n_classes):
        raise UserError(f"{path} holds no classifier for {settings['dataset']}: {problem}.")
    return model


def load_splits_of(description: Description, folder: Path, data_dir: str | None) -> Splits:
    """Load, scale and split the data of a run.

    Raises:
        UserError: they cannot be loaded, or are others than those that the run was made with.
    """
    settings = description.settings
    place = data_dir or settings.get("data_dir")
    try:
        arrays = load_data(settings["dataset"], place)
    except UserError as error:
        if data_dir is None and place is not None:
            raise UserError(f"{error} If the data have moved, add --data-dir DIR.") from error
        raise
    check_same_data(folder, arrays, place)
    return preprocess(arrays, settings["val_size"], settings["seed"])


def read_drawable(folder: Path) -> Description:
    """Return the description of a finished run, whose settings are what the figures depend on.

    Raises:
        UserError: the folder is of no finished run, or a setting is missing or cannot be.
    """
    description, path = read_finished(folder), folder / "settings.json"
    settings = description.settings
    if missing := [name for name in NEEDED_SETTINGS if name not in settings]:
        raise UserError(f"{path} is no description of a run: it lacks {', '.join(missing)}.")
    rules = {field.name: field.metadata["rule"] for field in dataclasses.fields(Settings)}
    try:
        for name in (*NEEDED_SETTINGS, *(name for name in LATER_SETTINGS if name in settings)):
            rules[name].check(name, settings[name])
        check_dataset(settings["dataset"])
    except UserError as error:
        raise UserError(f"{path} is damaged: {error}") from error
    return description


def read_metrics(folder: Path) -> dict[str, Any]:
    """Return what metrics.json holds.

    Raises:
        UserError: it cannot be read, or lacks a number that the report shows.
    """
    path = folder / "metrics.json"
    metrics = read_json(path)
    for name in (column.name for column in RESULTS):
        value = metrics.get(name) if isinstance(metrics, dict) else None
        if not isinstance(value, int | float):
            raise UserError(f"{path} is damaged: it has no number {name}.")
    return metrics


def read_whole_history(folder: Path) -> pd.DataFrame:
    """Return history.csv, a row per epoch.

    Raises:
        UserError: it cannot be read, or lacks a value that is drawn.
    """
    history, path = read_history(folder), folder / "history.csv"
    if history.empty:
        raise UserError(f"{path} is damaged: it has no epochs.")
    for name in (column.name for column in EPOCH_COLUMNS):
        if name not in history:
            raise UserError(f"{path} is damaged: it has no column {name}.")
        is_loss = name in ("loss", "val_loss")  # of a training that diverged, they are no numbers
        if name != "phase" and not pd.api.types.is_numeric_dtype(history[name]):
            raise UserError(f"{path} is damaged: {name} is not a number everywhere.")
        if history[name].isna().any() and not is_loss:
            raise UserError(f"{path} is damaged: a row has no {name}.")
    return history


# --- The command line ---------------------------------------------------------------------------


def main(arguments: list[str]) -> None:
    """Draw what the command line names, or all.

    Raises:
        UserError: an unknown figure or layer, or not a finished run's folder.
    """
    given = parse_command_line(arguments)
    for name in given.figures:
        if name not in FIGURES:
            raise unknown_name("figure", name, FIGURES)
    options = FigureOptions(given.layer, given.image)
    if not given.figures and options != DEFAULT_OPTIONS:
        raise UserError("--layer and --image need the name of a figure, for example activations.")
    settings = read_drawable(given.run_folder).settings
    prepare(settings["seed"], "float32")  # as the saved model computes, whatever it trained in
    run = read_run(given.run_folder, given.data_dir)
    check_options(given.figures, options, run.network)
    names = given.figures or choose_figures(run.network, "all")
    draw(given.run_folder, run, names, options, given.show)


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
