"""How well are digits read from pictures, and how fast?

    python -m benchmarks.pictures
    python -m benchmarks.pictures --n 10000 --model runs/RUN_FOLDER

Reads the first `--n` test images of MNIST as they are and as three kinds of pictures, and
scikit-learn's 1,797 digits, which other people wrote and which have 8x8 pixels. Prints a Markdown
table, and writes it into the folder as `table.md` and `table.csv`. Photos are simulated: dark
strokes on paper in uneven light, with a shadow and the grain of a camera.
"""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from common.classifier import DEFAULT_MODEL, Classifier, load_classifier
from common.command_line import PROJECT_DIR, Parser, run_program
from common.ink import ink_of
from common.pictures import find_digits
from common.user_error import UserError
from studies.tables import write_table

FORMATS = {
    "accuracy in %": ".2f",
    "not found": "d",
    "to digits in ms": ".1f",
    "network in ms": ".1f",
}


def as_it_is(image: np.ndarray, _draw: np.random.Generator) -> np.ndarray:
    """Return an image of MNIST, uint8 (28, 28), white on black."""
    return image


def enlarged(image: np.ndarray, _draw: np.random.Generator) -> np.ndarray:
    """Return an image tenfold enlarged, black on white, uint8 (280, 280)."""
    return 255 - np.kron(image, np.ones((10, 10), "uint8"))


def scanned(image: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Return a black-and-white scan of 60 to 140 pixels with thin strokes, bool."""
    side = int(draw.integers(60, 140))
    fine = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))
    return fine <= 190  # only the middle of a stroke is inked


def photographed(image: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Return a simulated photo: grey, uint8, 400 to 900 pixels a side."""
    height, width = (int(draw.integers(400, 900)) for _ in range(2))
    side = int(min(height, width) * draw.uniform(0.3, 0.8))
    ink = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)) / 255
    sheet = np.zeros((height, width))
    top, left = int(draw.integers(height - side)), int(draw.integers(width - side))
    sheet[top : top + side, left : left + side] = ink
    rows, columns = np.mgrid[:height, :width] / max(height, width)
    slope, angle = draw.uniform(0, 0.4), draw.uniform(0, 2 * np.pi)
    light = 0.9 - slope * (0.5 + np.cos(angle) * (rows - 0.5) + np.sin(angle) * (columns - 0.5))
    edge = np.cos(angle + 1) * (rows - 0.5) + np.sin(angle + 1) * (columns - 0.5)
    light *= 1 - draw.uniform(0, 0.4) / (1 + np.exp(-edge * draw.uniform(20, 200)))
    photo = light * (1 - draw.uniform(0.3, 0.8) * ndimage.gaussian_filter(sheet, 1))
    photo += draw.normal(0, draw.uniform(0.005, 0.02), photo.shape)
    return (255 * np.clip(photo, 0, 1)).astype("uint8")


def read_row(
    name: str, pictures: Sequence[np.ndarray], labels: np.ndarray, classifier: Classifier
) -> dict[str, object]:
    """Return a table's row on pictures with one digit each; what is not found counts as wrong."""
    start = time.perf_counter()
    found = [find_digits(ink_of(picture), single=True) for picture in pictures]
    to_digits = time.perf_counter() - start
    nothing = np.zeros((28, 28), "float32")
    images = np.array([digits[0].image if digits else nothing for digits in found])
    is_found = np.array([bool(digits) for digits in found])
    start = time.perf_counter()
    predicted = classifier.predict(images).argmax(axis=1)
    network = time.perf_counter() - start
    return {
        "pictures": name,
        "n": len(labels),
        "accuracy in %": 100 * float(np.mean((predicted == labels) & is_found)),
        "not found": int((~is_found).sum()),
        "to digits in ms": 1000 * to_digits / len(labels),
        "network in ms": 1000 * network / len(labels),
    }


def main(arguments: list[str]) -> None:
    """Read all kinds of pictures; print and write the table."""
    from _01_data_loader import load_data

    parser = Parser(__doc__)
    parser.add_argument("--n", type=int, default=1000, help="of MNIST's test images (1000)")
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--folder", type=Path, default=PROJECT_DIR / "runs" / "pictures")
    given = parser.parse_args(arguments)
    if given.n < 1:
        raise UserError(f"--n must be 1 or more, got {given.n}.")
    classifier = load_classifier(given.model)
    mnist = load_data("mnist")
    images, labels = mnist.x_test[: given.n], mnist.y_test[: given.n]
    kinds: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
        "MNIST as it is": as_it_is,
        "enlarged tenfold, black on white": enlarged,
        "thin black-and-white scans": scanned,
        "photos in uneven light": photographed,
    }
    rows = []
    for name, make in kinds.items():
        draw = np.random.default_rng(0)
        rows.append(read_row(name, [make(image, draw) for image in images], labels, classifier))
    rows.append(read_row("scikit-learn's digits, 8x8", *eight_by_eight(), classifier))
    print(f"\n{classifier.runtime}:\n\n{write_table(given.folder / 'table', rows, FORMATS)}")


def eight_by_eight() -> tuple[list[np.ndarray], np.ndarray]:
    """Return scikit-learn's digits, float (8, 8) in [0, 1], and their labels."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return [image / 16 for image in data.images], data.target


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
