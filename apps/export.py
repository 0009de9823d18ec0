"""Export a trained network for phones, servers and microcontrollers.

    python -m apps.export --format litert                         # the network that predict uses
    python -m apps.export --format int8 --model runs/FOLDER       # whole numbers of eight bits
    python -m apps.export --format onnx --output digits.onnx
    python -m apps.export --format microcontroller --model runs/FOLDER    # a project for an ESP32

Every export is checked against Keras on all test images of the data set that the network was
trained on, and refused if it answers otherwise for more than one in a hundred. It prints:

    Network:    fast_cnn_small, 45,778 parameters
    Checked:    10,000 test images of mnist: 99.99 % are answered as by Keras
    Accuracy:   99.67 % by Keras, 99.66 % by the export
    Written:    exported/model_int8.tflite (49,952 bytes)

`int8` and `microcontroller` take one network and a batch of one: of a mean over shifts or several
networks, they take the first network alone.
"""

import errno
import os
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from apps.export_int8 import (
    LEAST_REPRESENTATIVE,
    MOST_REPRESENTATIVE,
    as_int8,
    check_answers,
    check_quantisation,
)
from apps.export_subject import Subject, load_subject, representative_images
from common.classifier import DEFAULT_MODEL, Classifier
from common.command_line import Parser, run_program
from common.int8_network import Int8Network
from common.lite_model import as_lite, load_lite
from common.safe_files import write_atomically, writing
from common.user_error import UserError

if TYPE_CHECKING:
    from common.tflite_size import Step

OUTPUTS = {
    "litert": "model.tflite",
    "int8": "model_int8.tflite",
    "onnx": "model.onnx",
    "microcontroller": "microcontroller",
}
SINGLE = ("int8", "microcontroller")  # these export one network, not a mean
LEAST_AGREEMENT = 0.99  # share of the test images
DEFAULT_REPRESENTATIVE = 300  # images
PREDICTED_AT_ONCE = 500  # images


class Export(NamedTuple):
    """What came out: a file's content, and what it makes of the test images."""

    content: bytes
    answers: np.ndarray  # int (n,)
    steps: "Sequence[Step]" = ()  # of making it small


def parse_command_line(arguments: list[str]) -> Namespace:
    """Return what the command line says; `representative` is None where it has no meaning.

    Raises:
        UserError: an unknown flag or format, or a flag that the format does not have.
    """
    parser = Parser(__doc__)
    add = parser.add_argument
    add("--format", required=True, choices=tuple(OUTPUTS), help="what to write")
    add(
        "--model", type=Path, default=DEFAULT_MODEL, metavar="FILE",
        help="a .keras file, or the folder of a run (apps/robust_model)",
    )  # fmt: skip
    add("--output", type=Path, metavar="PATH", help="the file or folder to write (in exported/)")
    add("--float16", action="store_true", help="litert: weights in float16, half the size")
    add(
        "--representative", type=int, metavar="N",
        help=f"int8, microcontroller: training images that set the scales "
        f"({DEFAULT_REPRESENTATIVE}; {LEAST_REPRESENTATIVE} to {MOST_REPRESENTATIVE})",
    )  # fmt: skip
    add("--per-tensor", action="store_true", help="int8: one scale a layer, for tiny networks")
    given = parser.parse_args(arguments)
    for flag, is_given, formats in (
        ("--float16", given.float16, ("litert",)),
        ("--representative", given.representative is not None, SINGLE),
        ("--per-tensor", given.per_tensor, ("int8",)),
    ):
        if is_given and given.format not in formats:
            raise UserError(f"{flag} is for --format {' or '.join(formats)} only: leave it out.")
    if given.representative is None:
        given.representative = DEFAULT_REPRESENTATIVE
    given.output = given.output or Path("exported", OUTPUTS[given.format])
    return given


# --- The formats --------------------------------------------------------------------------------


def export_litert(subject: Subject, half: bool) -> Export:
    """Export to LiteRT with weights in float32, or in float16 if `half`."""
    content = as_lite(subject.network, subject.path, half)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.tflite")
        path.write_bytes(content)
        n_classes = subject.network.outputs[0].shape[1]
        classifier = Classifier(load_lite(path), "LiteRT", n_classes)
        return Export(content, classifier.predict(subject.images).argmax(1))


def export_int8(subject: Subject, n_images: int, per_tensor: bool, alignment: int) -> Export:
    """Export to LiteRT in int8, as small as it gets.

    Args:
        n_images: how many training images set the scales.
        per_tensor: see `as_int8`.
        alignment: see `make_small`.
    """
    from apps.export_fold import fold_normalisations
    from common.tflite_size import make_small

    images = representative_images(subject, n_images)
    folded = fold_normalisations(subject.network)
    content = as_int8(folded, images, per_tensor, subject.path)
    content, steps = make_small(content, alignment)
    network = Int8Network(content)
    check_quantisation(network, subject.path)
    outputs = network.run(subject.images)
    check_answers(outputs, subject.path)
    return Export(content, outputs.argmax(1), steps)


def make_export(given: Namespace, subject: Subject) -> Export:
    """Return the export that the command line asks for."""
    if given.format == "litert":
        return export_litert(subject, given.float16)
    if given.format == "onnx":
        from apps.export_onnx import as_onnx, run_onnx

        content = as_onnx(subject.network, subject.path)
        return Export(content, run_onnx(content, subject.images).argmax(1))
    from apps.export_board import ALIGNMENT
    from common.tflite_size import LEAST_ALIGNMENT

    alignment = LEAST_ALIGNMENT if given.format == "int8" else ALIGNMENT
    return export_int8(subject, given.representative, given.per_tensor, alignment)


# --- Checking and writing -----------------------------------------------------------------------


def check_export(subject: Subject, export: Export) -> None:
    """Print how the export compares with Keras on the test images, and refuse a bad one.

    Raises:
        UserError: fewer than LEAST_AGREEMENT of the answers are the same.
    """
    expected = subject.network.predict(subject.images, PREDICTED_AT_ONCE, verbose=0).argmax(1)
    labels = subject.arrays.y_test
    agreement = float((export.answers == expected).mean())
    by_keras, by_export = ((one == labels).mean() for one in (expected, export.answers))
    print(
        f"Checked:    {len(labels):,} test images of {subject.dataset}: {_percent(agreement)} are "
        f"answered as by Keras\n"
        f"Accuracy:   {_percent(by_keras)} by Keras, {_percent(by_export)} by the export"
    )
    if agreement < LEAST_AGREEMENT:
        raise UserError(
            f"the export is not written: it answers {_percent(1 - agreement)} of the test "
            f"images otherwise than Keras, more than {_percent(1 - LEAST_AGREEMENT)}. For int8, "
            "give more images with --representative, or leave --per-tensor out."
        )


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def print_steps(steps: "Sequence[Step]") -> None:
    """Print what each step of making the file small came to."""
    for number, step in enumerate(steps):
        saved = f" ({steps[number - 1].n_bytes - step.n_bytes:,} less)" if number else ""
        print(f"{'Size:' if not number else '':11} {step.n_bytes:7,} bytes {step.name}{saved}")


def try_output(path: Path, is_folder: bool) -> None:
    """Try whether the output can be written, before minutes of work go into it.

    Raises:
        UserError: it cannot.
    """
    nearest = next(place for place in (path, *path.absolute().parents) if place.exists())
    folder = nearest.parent if nearest == path and not is_folder else nearest
    with naming_output(path):
        if nearest == path and path.is_dir() and not is_folder:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with tempfile.TemporaryFile(dir=folder):
            pass


@contextmanager
def naming_output(path: Path) -> Iterator[None]:
    """Turn what stands against writing the output into a one-line error that names --output."""
    try:
        with writing(path):
            yield
    except UserError as error:
        reason = getattr(error.__cause__, "strerror", None) or error
        raise UserError(f"cannot write {path}: {reason}. Choose another --output.") from error


def write_file(path: Path, content: bytes | str) -> None:
    """Write a file, and the folders to it.

    Raises:
        UserError: it cannot be written.
    """
    with naming_output(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)


def main(arguments: list[str]) -> None:
    """Export, check and write.

    Raises:
        UserError: a flag is wrong; the model cannot be loaded, does not convert or answers
            otherwise then; a package is missing; or the export cannot be written.
    """
    given = parse_command_line(arguments)
    try_output(given.output, is_folder=given.format == "microcontroller")
    subject = load_subject(given.model, given.format in SINGLE)
    export = make_export(given, subject)
    print_steps(export.steps)
    check_export(subject, export)
    if given.format == "microcontroller":
        from apps.export_board import write_project

        write_project(given.output, export.content, subject.images, subject.arrays.y_test)
    else:
        write_file(given.output, export.content)
        print(f"Written:    {given.output} ({len(export.content):,} bytes)")


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
