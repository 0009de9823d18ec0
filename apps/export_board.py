"""A project for an ESP32 with a camera: how `export` writes it around an int8 network.

Its files lie in `microcontroller/`; all are templates, most without a gap to fill.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from apps.micro_model import MicroModel, measure_arena
from common.command_line import exit_if_missing
from common.int8_network import Int8Network
from common.safe_files import write_atomically, writing
from common.user_error import UserError

with exit_if_missing():  # without `pip install`, one line
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parent / "microcontroller"
ALIGNMENT = 16  # bytes of the weights in the file, for the chips' vector instructions
VECTORS_PER_CLASS = 2
BYTES_A_ROW = 16
RAM, FLASH = 320 * 1024, 4 * 1024**2  # bytes of an ESP32, and of the flash on usual boards
MOST_MODEL_BYTES = 1_000_000  # of the 1.5 MB of flash for a program, the rest is code
PREPROCESSING_BYTES, FRAME_BYTES = 69_000, 160 * 120  # static memory of ink.c and preprocess.c
ARENA_RESERVE = 1.1  # chips differ a little from the computer that it was measured on
KILOBYTE = 1024
MEASURED = "measured by tflite-micro, and a tenth more"
ESTIMATED = (
    "estimated, and a tenth more, for the package tflite-micro is not installed: on Linux with an "
    "x86-64 processor, 'pip install --pre tflite-micro'; elsewhere, the board prints what it uses"
)


def write_project(folder: Path, content: bytes, images: np.ndarray, labels: np.ndarray) -> None:
    """Write the project and print what it needs of the chip.

    Args:
        folder: is made if it is not there; files of other names in it are left alone.
        content: an int8 LiteRT file with a batch of one.
        images: test images, float32 (n, 28, 28, 1) in [0, 1].
        labels: int (n,), to choose some of each class.

    Raises:
        UserError: the network does not fit, has an operator that the chip's runtime lacks, or the
            folder cannot be written.
    """
    facts = describe(content)
    print(
        f"Flash:      {facts['size']:,} bytes, {100 * facts['size'] / FLASH:.1f} % of 4 MB\n"
        f"RAM:        {facts['arena']:,} bytes for the network ({facts['arena_source']}), "
        f"{PREPROCESSING_BYTES + FRAME_BYTES:,} for the camera's pictures; an ESP32 has {RAM:,}"
    )
    _check_fit(facts)
    facts |= vectors_of(content, images, labels)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    names = environment.list_templates()
    try:
        for name in names:
            with writing(folder / name):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / name, environment.get_template(name).render(facts))
    except UserError as error:
        reason = getattr(error.__cause__, "strerror", None) or error
        raise UserError(f"cannot write {folder}: {reason}. Choose another --output.") from error
    print(f"Written:    {folder} ({len(names)} files; begin with its README.md)")


def describe(content: bytes) -> dict[str, Any]:
    """Return what model.h says of an int8 network.

    Raises:
        UserError: it has an operator that the chip's runtime lacks.
    """
    network, model = Int8Network(content), MicroModel(content)
    operators = model.operators()
    measured = measure_arena(content)
    needed = model.estimate_arena() if measured is None else measured
    return {
        "size": len(content),
        "n_classes": network.n_classes,
        "input": network.input,
        "output": network.output,
        "operators": operators,
        "used": needed,
        "arena": -(-int(needed * ARENA_RESERVE) // KILOBYTE) * KILOBYTE,
        "arena_source": ESTIMATED if measured is None else MEASURED,
        "scratch": model.vector_scratch(),
        "model_rows": rows_of(content),
        "preprocessing_bytes": PREPROCESSING_BYTES,
        "frame_bytes": FRAME_BYTES,
    }


def _check_fit(facts: dict[str, Any]) -> None:
    """Raise UserError if a network needs more than a usual board has."""
    needed = facts["arena"] + PREPROCESSING_BYTES + FRAME_BYTES
    if facts["size"] > MOST_MODEL_BYTES or needed > RAM:
        raise UserError(
            f"the network does not fit an ESP32: {facts['size']:,} bytes of flash and {needed:,} "
            f"of RAM, at most are {MOST_MODEL_BYTES:,} and {RAM:,}. Train a smaller one, such as "
            "--architecture fast_cnn_small."
        )


def vectors_of(content: bytes, images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return what test_vectors.c says: the first images of each class, and their answers.

    The answers are those of the plain kernels, which a chip has, too.
    """
    network = Int8Network(content, reference=True)
    chosen = np.concatenate(
        [np.flatnonzero(labels == name)[:VECTORS_PER_CLASS] for name in np.unique(labels)]
    )
    quantised, outputs = network.input.quantise(images[chosen]), network.run(images[chosen])
    return {
        "n_vectors": len(chosen),
        "image_rows": [rows_of(image.ravel()) for image in quantised],
        "output_rows": [rows_of(output) for output in outputs],
        "vector_bytes": quantised.size + outputs.size,
    }


def rows_of(numbers: Iterable[int]) -> str:
    """Return whole numbers as C writes them in an array, some a line."""
    words = [str(number) for number in numbers]
    rows = (words[start : start + BYTES_A_ROW] for start in range(0, len(words), BYTES_A_ROW))
    return ",\n".join(", ".join(row) for row in rows)
