"""Step 5: every figure of a run, and the report that shows them.

    python _05_model_plot.py runs/<folder>                              # all of them
    python _05_model_plot.py runs/<folder> filters --layer conv2d_1
    python _05_model_plot.py runs/<folder> activations --layer conv2d --image 7

A run draws them at its end; this command draws any of them again, without training. What there is
to draw is in `figures/catalogue.py`.
"""

import contextlib
import io
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _04_data_saver import read_json
from command_line import Parser, run_program
from keras_backend import prepare
from safe_files import write_atomically
from user_error import UserError, unknown_name

if TYPE_CHECKING:
    import keras
    import numpy as np

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
    draw(folder, material, choose_figures(material.network, extent), show=show)


def gather(
    folder: Path, model: "keras.Model", splits: "Splits", probabilities: "np.ndarray"
) -> "Material":
    """Return what the figures are drawn from, with settings and history as the folder has them."""
    from _01_data_loader import DATA_SETS
    from _03_model_training import read_history
    from averaging import network_of
    from figures.catalogue import Material

    settings = read_json(folder / "settings.json")["settings"]
    class_names = DATA_SETS[settings["dataset"]].class_names
    history = read_history(folder / "history.csv")
    return Material(settings, history, network_of(model), splits, probabilities, class_names)


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
    import matplotlib.pyplot as plt

    from figures.catalogue import Choice
    from figures.report import write_report

    backend = matplotlib.get_backend()
    if not show:
        matplotlib.use("Agg")  # draws without a screen
    print("Figures:        ", end="", flush=True)
    try:
        for name in names:
            print(name, end=" ", flush=True)  # before it is drawn: some take seconds
            draw_figure(folder, material, name, choice or Choice(), keep=show)
    finally:
        print()
        if not show:
            # So that a notebook goes on showing its own figures; one without a screen cannot.
            with contextlib.suppress(ImportError):
                matplotlib.use(backend)
    print(f"Report:         {write_report(folder)}", flush=True)
    if show:
        plt.show()
        plt.close("all")


def draw_figure(
    folder: Path, material: "Material", name: str, choice: "Choice", keep: bool
) -> None:
    """Draw one figure and save it as PNG, with its title as metadata, which the report reads.

    Args:
        keep: leave the figure open, to be shown.
    """
    import matplotlib.pyplot as plt

    from figures.catalogue import FIGURES
    from figures.style import DOTS_PER_INCH, RC_PARAMS

    with plt.rc_context(RC_PARAMS):
        figure = FIGURES[name].draw(material, choice)
        picture = io.BytesIO()
        title = {"Title": figure.get_suptitle().replace("\n", ". ")}
        figure.savefig(picture, format="png", dpi=DOTS_PER_INCH, metadata=title)
    if not keep:
        plt.close(figure)
    write_atomically(folder / f"{name}{choice.suffix}.png", picture.getvalue())


# --- Drawing again, from a run folder -----------------------------------------------------------


def read_settings(folder: Path) -> dict[str, Any]:
    """Return the settings of a finished run.

    Raises:
        UserError: this is no run folder, or its run is not finished.
    """
    if not (folder / "settings.json").exists():
        raise UserError(f"{folder} is no run folder: it has no settings.json.")
    if not (folder / "metrics.json").exists():
        raise UserError(
            f"the run in {folder} is not finished. Go on with: "
            f"python _00_main.py --resume {shlex.quote(str(folder))}"
        )
    for name in ("model.keras", "history.csv"):
        if not (folder / name).exists():
            raise UserError(f"{folder} has no {name}, which the figures are drawn from.")
    description = read_json(folder / "settings.json")
    if not isinstance(description, dict) or "settings" not in description:
        raise UserError(f"{folder / 'settings.json'} holds no settings of a run.")
    return description["settings"]


def read_run(folder: Path) -> "Material":
    """Load the model and the data of a finished run, and predict its test images.

    Raises:
        UserError: a file of the folder cannot be read, or its data set cannot be loaded.
    """
    import keras

    from _01_data_loader import load_data
    from _02_data_preprocess import preprocess
    from _03_model_training import evaluate
    from architectures import import_architecture

    settings = read_settings(folder)
    import_architecture(settings["architecture"])
    try:
        model = keras.saving.load_model(folder / "model.keras")
    except (OSError, ValueError, TypeError) as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"{folder / 'model.keras'} cannot be loaded: {reason}") from error
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
    parser = Parser(__doc__)
    parser.add_argument("run_folder", type=Path)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help="by default all")
    parser.add_argument("--layer", help="for filters, activations or embeddings: a layer's name")
    parser.add_argument("--image", type=int, help="for activations: the index of a test image")
    parser.add_argument("--show", action="store_true", help="open the figures in windows, too")
    given = parser.parse_intermixed_args(arguments)
    settings = read_settings(given.run_folder)
    prepare(settings["seed"], settings["precision"])
    from figures.catalogue import FIGURES, Choice, check_choice, choose_figures

    for name in given.figures:
        if name not in FIGURES:
            raise unknown_name("figure", name, FIGURES)
    choice = Choice(given.layer, given.image)
    if not given.figures and choice != Choice():
        raise UserError("--layer and --image need the name of a figure, for example activations.")
    material = read_run(given.run_folder)
    check_choice(given.figures, choice, material.network)
    names = given.figures or choose_figures(material.network, "all")
    draw(given.run_folder, material, names, choice, given.show)


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
