"""How well does a network read what other people wrote, and how much distortion does it bear?

    python -m experiments.other_handwriting
    python -m experiments.other_handwriting my_digits/ scans.npz --model runs/RUN_FOLDER

Reads MNIST's test images, scikit-learn's 1,797 digits, which 13 people in Turkey wrote, and the
data sets that are named: .npz, IDX or CSV files, or folders 0 to 9 of pictures. Then it distorts
the first `--n` of MNIST's test images more and more, in eight ways. It does so by two networks: the
record and `apps/robust_model`, whose recipe was chosen on scikit-learn's digits. Prints a Markdown
table of accuracies, and writes it into the folder, with tables of each class and of each strength,
and a figure.

To compare recipes, give a run of each: `--model runs/FOLDER --model runs/OTHER_FOLDER`.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from common.classifier import DEFAULT_MODEL, Classifier, load_classifier
from common.command_line import PROJECT_DIR, Parser, run_program
from common.ink import ink_of
from common.labelled_images import LabelledImages, read_labelled_images
from common.pictures import find_digits
from common.user_error import UserError
from experiments.distortions import DISTORTIONS
from figures.screen import our_style, without_screen
from figures.style import BLUE, DOTS_PER_INCH, GREEN, ORANGE
from studies.tables import results_folder, write_csv, write_table

MODELS = {"record": PROJECT_DIR / "best_model.keras", "robust": DEFAULT_MODEL}
NAME = "other_handwriting"
MIN_N = 100
STYLES = ((BLUE, "o", "-"), (ORANGE, "s", "--"), (GREEN, "^", ":"))


def main(arguments: list[str]) -> None:
    """Read all data by all networks; print and write the tables and the figure."""
    parser = Parser(__doc__)
    parser.add_argument("data", nargs="*", type=Path, metavar="DATA", help="more data to read")
    parser.add_argument(
        "--model", type=Path, action="append", help="a network; may be given up to three times"
    )
    parser.add_argument("--n", type=int, default=1000, help="images to distort (1000)")
    parser.add_argument("--folder", type=Path, default=PROJECT_DIR / "runs" / NAME)
    parser.add_argument("--write-docs", action="store_true", help="write into docs/results")
    given = parser.parse_intermixed_args(arguments)
    if not MIN_N <= given.n <= 10_000:
        raise UserError(f"--n must be from {MIN_N} to 10000, got {given.n}.")
    if given.write_docs and (given.model or given.data):
        raise UserError("--write-docs is for the project's networks and data: leave out others.")
    models = {str(path): path for path in given.model} if given.model else MODELS
    if len(models) > len(STYLES):
        raise UserError(f"--model may be given up to {len(STYLES)} times, got {len(models)}.")
    classifiers = {name: load_classifier(path) for name, path in models.items()}

    sets = collect_sets(given.data)
    answers = [
        answer_row(data_name, data, name, classifier)
        for data_name, data in sets.items()
        for name, classifier in classifiers.items()
    ]
    formats = {"n": ",d", **dict.fromkeys(classifiers, ".2f")}
    folder = results_folder(given.write_docs, given.folder)
    table = write_table(folder / NAME, accuracy_table(answers), formats)
    write_csv(folder / f"{NAME}_by_class.csv", answers)
    print(f"Accuracy in %:\n\n{table}\nDistorting {given.n} images:", flush=True)
    mnist = sets["MNIST"]
    part = LabelledImages(mnist.images[: given.n], mnist.labels[: given.n])
    curves = strength_rows(part, classifiers)
    write_csv(folder / f"{NAME}_strength.csv", curves)
    draw_strength(pd.DataFrame(curves)).savefig(folder / f"{NAME}.png", dpi=DOTS_PER_INCH)
    print(f"Tables and figure: {folder}")


def collect_sets(paths: Sequence[Path]) -> dict[str, LabelledImages]:
    """Return all data by name: MNIST, scikit-learn's digits, and what the paths lead to."""
    from sklearn.datasets import load_digits

    from _01_data_loader import load_data

    # First of all, so that a mistyped path is told at once.
    named = {str(path): read_labelled_images(path) for path in paths}
    arrays, digits = load_data("mnist"), load_digits()
    mnist = LabelledImages(arrays.x_test / np.float32(255), arrays.y_test)
    read = [find_digits(ink_of(image / 16), single=True) for image in digits.images]
    images = np.array([found[0].image for found in read])
    own = {"MNIST": mnist, "scikit-learn's digits": LabelledImages(images, digits.target)}
    return own | {name if name not in own else f"./{name}": data for name, data in named.items()}


def answer_row(
    data_name: str, data: LabelledImages, name: str, classifier: Classifier
) -> dict[str, Any]:
    """Return the accuracy of a network on a data set in per cent, of all and of each class."""
    right = classifier.predict(data.images).argmax(axis=1) == data.labels
    by_class = {
        str(label): 100 * float(right[data.labels == label].mean())
        for label in np.unique(data.labels)
    }
    row = {"data": data_name, "n": len(right), "network": name}
    return {**row, "accuracy": 100 * float(right.mean()), **by_class}


def accuracy_table(answers: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a row per data set and a column per network."""
    table = pd.DataFrame(answers)
    wide = table.pivot(index=["data", "n"], columns="network", values="accuracy")
    order = [(row["data"], row["n"]) for row in answers]
    return wide.loc[list(dict.fromkeys(order)), list(table["network"].unique())].reset_index()


def strength_rows(
    data: LabelledImages, classifiers: Mapping[str, Classifier]
) -> list[dict[str, Any]]:
    """Return a row per distortion, strength and network."""
    rows = []
    for name, distortion in DISTORTIONS.items():
        for strength in distortion.strengths:
            distorted = LabelledImages(distortion.apply(data.images, strength), data.labels)
            for network, classifier in classifiers.items():
                row = answer_row(f"MNIST, {name}", distorted, network, classifier)
                rows.append({"distortion": name, "strength": strength, **row})
        print(f"  {name}", flush=True)
    return rows


def draw_strength(curves: pd.DataFrame) -> Figure:
    """Return a figure with a panel per distortion: accuracy over strength, a line per network."""
    import matplotlib.pyplot as plt

    with without_screen(), our_style():
        figure, panels = plt.subplots(
            2, 4, figsize=(11, 5.6), sharey=True, layout="constrained", squeeze=False
        )
        for panel, (name, distortion) in zip(panels.flat, DISTORTIONS.items(), strict=True):
            of_this = curves[curves["distortion"] == name]
            for (network, line), style in zip(
                of_this.groupby("network", sort=False), STYLES, strict=False
            ):
                colour, marker, dashes = style
                panel.plot(
                    line["strength"], line["accuracy"], dashes, color=colour, marker=marker,
                    markersize=4, label=network,
                )  # fmt: skip
            panel.set(title=name, xlabel=distortion.unit, ylim=(0, 102))
            panel.grid(alpha=0.3)
        for row in panels:
            row[0].set_ylabel("accuracy in %")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
