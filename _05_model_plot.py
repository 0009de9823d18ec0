"""Step 5: every figure of a run, and the report that shows them.

    python _05_model_plot.py runs/<folder>                              # all of them
    python _05_model_plot.py runs/<folder> filters --layer conv2d_1
    python _05_model_plot.py runs/<folder> activations --layer conv2d --image 7

A run draws them at its end; this command draws any of them again, without training. What there is
to draw is in `figures/catalogue.py`.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from _04_data_saver import read_json
from keras_backend import prepare
from safe_files import cannot_write
from user_error import UserError, unknown_name

if TYPE_CHECKING:
    import keras
    import numpy as np
    from matplotlib.figure import Figure

    from _02_data_preprocess import Splits
    from figures.catalogue import Choice, Material


def plot_run(
    folder: Path,
    model: "keras.Model",
    splits: "Splits",
    probabilities: "np.ndarray",
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
        UserError: the folder cannot be written.
    """
    if extent == "none":
        return
    from figures.catalogue import choose_figures

    material = gather(folder, model, splits, probabilities)
    draw(folder, material, choose_figures(model, extent), show=show)


def gather(
    folder: Path, model: "keras.Model", splits: "Splits", probabilities: "np.ndarray"
) -> "Material":
    """Return what the figures are drawn from, with settings and history as the folder has them."""
    from _01_data_loader import DATA_SETS
    from _03_model_training import read_history
    from figures.catalogue import Material

    settings = read_json(folder / "settings.json")["settings"]
    class_names = DATA_SETS[settings["dataset"]].class_names
    history = read_history(folder / "history.csv")
    return Material(settings, history, model, splits, probabilities, class_names)


def draw(
    folder: Path,
    material: "Material",
    names: Sequence[str],
    choice: "Choice | None" = None,
    show: bool = False,
) -> None:
    """Draw figures by name, save each as PNG in the folder, and write the report.

    Raises:
        UserError: no such layer or image, or the folder cannot be written.
    """
    import matplotlib

    if not show:
        matplotlib.use("Agg")  # draws without a screen
    import matplotlib.pyplot as plt

    from figures.catalogue import FIGURES, Choice
    from figures.report import write_report
    from figures.style import RC_PARAMS

    choice = choice or Choice()
    with plt.rc_context(RC_PARAMS):
        for name in names:
            start = time.perf_counter()
            print(f"Drawing:  {name} ...", end=" ", flush=True)
            figure = FIGURES[name].draw(material, choice)
            save_figure(figure, folder / f"{name}{choice.suffix(FIGURES[name].uses)}.png")
            print(f"{time.perf_counter() - start:.1f} s", flush=True)
            if not show:
                plt.close(figure)
    print(f"Report:   {write_report(folder)}")
    if show:
        plt.show()
        plt.close("all")


def save_figure(figure: "Figure", path: Path) -> None:
    """Save a figure as PNG, with its title as metadata, which the report reads aloud.

    Raises:
        UserError: the file cannot be written.
    """
    from figures.style import DOTS_PER_INCH

    title = {"Title": figure.get_suptitle().replace("\n", ". ")}
    try:
        figure.savefig(path, dpi=DOTS_PER_INCH, metadata=title)
    except OSError as error:
        raise cannot_write(path, error) from error


# --- Drawing again, from a run folder -----------------------------------------------------------


def check_finished(folder: Path) -> None:
    """Raise UserError unless this is the folder of a run that came to its end."""
    if not (folder / "settings.json").exists():
        raise UserError(f"{folder} is no run folder: it has no settings.json.")
    for name in ("model.keras", "metrics.json"):
        if not (folder / name).exists():
            raise UserError(
                f"{folder} has no {name}: its run did not come to its end. Go on with "
                f"python _00_main.py --resume {shlex.quote(str(folder))}"
            )


def read_run(folder: Path) -> "Material":
    """Load the model and the data of a finished run, and predict its test images.

    Raises:
        UserError: a file of the folder cannot be read, or its data set cannot be loaded.
    """
    import keras

    from _01_data_loader import load_data
    from _02_data_preprocess import preprocess
    from _03_model_training import evaluate

    settings = read_json(folder / "settings.json")["settings"]
    model = keras.saving.load_model(folder / "model.keras")
    arrays = load_data(settings["dataset"], settings["data_dir"])
    splits = preprocess(arrays, settings["val_size"], settings["seed"])
    return gather(
        folder, model, splits, evaluate(model, splits.x_test, splits.y_test).probabilities
    )


def main(arguments: list[str]) -> None:
    """Draw what the command line names, or all.

    Raises:
        UserError: an unknown figure or layer, or not a finished run's folder.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run_folder", type=Path)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help="by default all")
    parser.add_argument("--layer", help="for filters, activations and embeddings: a layer's name")
    parser.add_argument("--image", type=int, help="for activations: the index of a test image")
    parser.add_argument("--show", action="store_true", help="open the figures in windows, too")
    given = parser.parse_args(arguments)
    check_finished(given.run_folder)
    settings = read_json(given.run_folder / "settings.json")["settings"]
    prepare(settings["seed"], settings["precision"])
    from figures.catalogue import FIGURES, Choice, choose_figures

    for name in given.figures:
        if name not in FIGURES:
            raise unknown_name("figure", name, FIGURES)
    material = read_run(given.run_folder)
    names = given.figures or choose_figures(material.model, "all")
    draw(given.run_folder, material, names, Choice(given.layer, given.image), given.show)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as user_error:
        print(f"error: {user_error}", file=sys.stderr)
        sys.exit(2)
