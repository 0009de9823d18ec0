"""Read the digits in your pictures.

    python -m apps.predict photo.jpg
    python -m apps.predict scans/ drawing.png --csv > answers.csv
    python -m apps.predict my_digits/              # with folders 0 to 9 in it: how many are right?
    python -m apps.predict my_digits.csv           # the same, of a table with a label per image
    python -m apps.predict page.png --show         # what does the network see?

Photos, scans and drawings of any size, dark ink on light paper or light on dark. Several digits
are read line by line. It prints:

    picture     reads   probability in %   runner-up   its probability in %
    photo.jpg   7                  99.98   1                           0.01

Of a line of several digits, these are the probabilities of the least certain one. A question mark
behind a digit says that the network is in doubt. In folders named 0 to 9, each
picture holds one digit; elsewhere, `--single` says so. Of labelled pictures it prints the accuracy,
and writes confusion matrix and gallery of errors into `--output-dir`.
"""

import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from apps.answers import Reading, as_csv, as_json, as_table, printable
from apps.sources import ImageTable, Picture, find_pictures, is_table, read_table
from common.classifier import DEFAULT_MODEL, Classifier, load_classifier
from common.command_line import Parser, run_program
from common.safe_files import writing
from common.user_error import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES_AT_ONCE = 64
SLOW = 20  # so many pictures get a progress bar
MOST_SHOWN = 40  # digits in one figure


def parse_command_line(arguments: list[str]) -> Namespace:
    """Return what the command line says.

    Raises:
        UserError: an unknown flag, or no picture.
    """
    usage = "python -m apps.predict PICTURE ... [--model FILE] [--json | --csv] [--show]"
    parser = Parser(__doc__, usage=usage)
    parser.add_argument("paths", nargs="+", metavar="PICTURE", help="files, folders or tables")
    parser.add_argument(
        "--model", type=Path, default=DEFAULT_MODEL, metavar="FILE",
        help="a .keras or .tflite file, or the folder of a run (apps/robust_model)",
    )  # fmt: skip
    parser.add_argument("--single", action="store_true", help="each picture holds one digit")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON, a record per picture")
    form.add_argument("--csv", action="store_true", help="print CSV, a row per digit")
    parser.add_argument("--show", action="store_true", help="draw what the network sees")
    parser.add_argument(
        "--output-dir", type=Path, default=Path("predictions"), metavar="DIR",
        help="where figures are written (predictions)",
    )  # fmt: skip
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Read all that is named, print it, and evaluate what is labelled.

    Raises:
        UserError: something could not be read; the others were, and are printed.
    """
    given = parse_command_line(arguments)
    errors: list[str] = []
    tables = [path for path in given.paths if is_table(path)]
    pictures = find_pictures([path for path in given.paths if path not in tables], errors)
    classifier = load_classifier(given.model)
    readings = read_tables(tables, classifier, errors)
    readings += read_pictures(with_progress(pictures), classifier, given.single, errors)
    if readings or given.json:  # JSON without a picture is an empty list
        form = as_json if given.json else as_csv if given.csv else as_table
        print(form(readings).rstrip("\n"))
    try:
        # Beside JSON or CSV, words would be in the way.
        words = sys.stderr if given.json or given.csv else None
        evaluate_labelled(readings, given.output_dir, words)
        if given.show and readings:
            show([one for one in readings if one.path], given.output_dir)
    except UserError as error:
        errors.append(str(error))
    for error in errors[:-1]:
        print(f"error: {printable(' '.join(error.splitlines()))}", file=sys.stderr)
    if errors:
        raise UserError(printable(" ".join(errors[-1].splitlines())))


# --- Reading ------------------------------------------------------------------------------------


def with_progress(pictures: Sequence[Picture]) -> Iterable[Picture]:
    """Return the pictures; of many, a bar on stderr shows how far they are read."""
    if len(pictures) < SLOW or not sys.stderr.isatty():
        return pictures
    from rich.console import Console
    from rich.progress import track

    return track(pictures, "Reading", console=Console(stderr=True), transient=True)


def read_pictures(
    pictures: Iterable[Picture], classifier: Classifier, single: bool, errors: list[str]
) -> Iterator[Reading]:
    """Yield what is read in each picture; of those that cannot be read, add why to `errors`.

    Args:
        single: each picture holds one digit; a labelled picture always does.
    """
    from common.pictures import MOST_PARTS, Digit, find_digits, has_too_many_parts, read_picture

    found: list[tuple[Picture, list[Digit]]] = []
    for picture in pictures:
        try:
            ink = read_picture(picture.path)
        except UserError as error:
            errors.append(str(error))
            continue
        digits = find_digits(ink, single or picture.label is not None)
        if not digits and has_too_many_parts(ink):
            errors.append(
                f"{picture.path} has more than {MOST_PARTS:,} parts of ink, as a page of text or a "
                "texture has. Cut the digits out of it, some hundreds at a time."
            )
        found.append((picture, digits))
        if len(found) == PICTURES_AT_ONCE:
            yield from _classify(found, classifier)
            found = []
    yield from _classify(found, classifier)


def _classify(found: Sequence[tuple[Picture, Any]], classifier: Classifier) -> Iterator[Reading]:
    """Yield what the network makes of the digits of several pictures, all at once."""
    images = [digit.image for _, digits in found for digit in digits]
    probabilities = classifier.predict(np.array(images)) if images else np.zeros((0, 1))
    start = 0
    for picture, digits in found:
        stop = start + len(digits)
        yield Reading(
            picture.name,
            picture.path,
            picture.label,
            [digit.image for digit in digits],
            [digit.box for digit in digits],
            [digit.line for digit in digits],
            probabilities[start:stop],
        )
        start = stop


def read_tables(paths: Sequence[str], classifier: Classifier, errors: list[str]) -> list[Reading]:
    """Return what is read in tables; of those that cannot be read, add why to `errors`."""
    readings: list[Reading] = []
    for path in paths:
        try:
            readings += read_images(read_table(Path(path), classifier.n_classes), classifier)
        except UserError as error:
            errors.append(str(error))
    return readings


def read_images(table: ImageTable, classifier: Classifier) -> list[Reading]:
    """Return what the network makes of the images of a table; they are digits already."""
    images = table.images.astype("float32") / 255
    return [
        Reading(
            f"{table.name}, image {number}",
            None,
            None if table.labels is None else int(table.labels[number]),
            [images[number]],
            [None],
            [0],
            row[None],
        )
        for number, row in enumerate(classifier.predict(images))
    ]


# --- What is labelled ---------------------------------------------------------------------------


def evaluate_labelled(readings: Sequence[Reading], folder: Path, file: Any) -> None:
    """Print the accuracy of the labelled readings, and write the figures of their errors.

    A picture in which no digit is found counts as wrong, but is in no figure.
    """
    labelled = [one for one in readings if one.label is not None]
    if not labelled:
        return
    right = sum(not one.is_wrong for one in labelled)
    empty = sum(not len(one.images) for one in labelled)
    share = f"{100 * right / len(labelled):.2f} %"
    note = f" ({empty} without a digit)" if empty else ""
    print(f"\nAccuracy: {share}, {right:,} of {len(labelled):,} are right{note}", file=file)
    read = [one for one in labelled if len(one.images)]
    if read:
        written = write_figures(read, folder)
        print(f"Figures:  {', '.join(str(path) for path in written)}", file=file)


def write_figures(readings: Sequence[Reading], folder: Path) -> list[Path]:
    """Write confusion matrix and gallery of errors of readings with one digit each."""
    from figures.run import plot_confusion_matrix, plot_misclassified
    from figures.screen import our_style, without_screen

    labels = np.array([one.label for one in readings])
    probabilities = np.concatenate([one.probabilities for one in readings])
    images = np.array([one.images[0] for one in readings])[..., None]
    names = [str(k) for k in range(probabilities.shape[1])]
    with without_screen(), our_style():
        figures = {
            "confusion_matrix": plot_confusion_matrix(labels, probabilities.argmax(1), names),
            "misclassified": plot_misclassified(images, labels, probabilities, names),
        }
        return [save_figure(figure, folder / f"{name}.png") for name, figure in figures.items()]


# --- What the network sees ----------------------------------------------------------------------


def show(readings: Sequence[Reading], folder: Path) -> None:
    """Draw each picture beside what the network sees; write it, and open it in a window.

    Args:
        readings: of picture files.
        folder: where the figure is written.
    """
    import matplotlib.pyplot as plt

    from apps.seen import plot_seen, rows_of, what_is_drawn
    from figures.screen import can_show, our_style

    if not readings:
        print("Not drawn: --show draws pictures, not tables of images.", file=sys.stderr)
        return
    rows = rows_of(readings, MOST_SHOWN)
    remark = what_is_drawn(rows, readings)
    on_screen = can_show()
    with our_style() if on_screen else nullcontext():
        if not on_screen:
            plt.switch_backend("Agg")
        figure = plot_seen(rows, remark)
        path = save_figure(figure, folder / "seen.png")
        if on_screen:
            plt.show()
    where = "Drawn in" if on_screen else "Not shown: no screen; drawn in"
    print(f"{where} {path}{remark and f' ({remark})'}", file=sys.stderr)


def save_figure(figure: "Figure", path: Path) -> Path:
    """Write a figure, and the folders to it; return the path."""
    import matplotlib.pyplot as plt

    from figures.style import DOTS_PER_INCH

    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=DOTS_PER_INCH)
    plt.close(figure)
    return path


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
