# ruff: noqa: F401, F811 (fixtures are imported by name)
"""The preprocessing in C, which a microcontroller runs, against that in Python."""

import subprocess

import numpy as np
import pytest
from PIL import Image

from _01_data_loader import load_data
from apps.export_board import TEMPLATES
from common.classifier import load_classifier
from common.command_line import PROJECT_DIR
from common.ink import ink_of
from common.pictures import find_digits
from tests.apps.exporting import C_FLAGS, compile_c, compiler
from tests.handwriting import draw_digit

HEIGHT, WIDTH = 120, 160
# Reads frames from standard input; writes for each a byte, 1 if there is a digit, and its image.
PROGRAM = """
#include <stdio.h>
#include <stdlib.h>
#include "preprocess.h"

int main(int n_words, char **words) {
    static uint8_t frame[1000000], image[DIGIT_SIDE * DIGIT_SIDE];
    int width = atoi(words[1]), height = atoi(words[n_words - 1]);
    size_t n_bytes = (size_t)width * (size_t)height;
    while (fread(frame, 1, n_bytes, stdin) == n_bytes) {
        putchar(find_digit(frame, width, height, image));
        fwrite(image, 1, sizeof image, stdout);
    }
    return 0;
}
"""


@pytest.fixture(scope="module")
def find_in_c(compiler, tmp_path_factory):
    """Return a function from frames (n, height, width) to found (n,) and images (n, 28, 28)."""
    folder = tmp_path_factory.mktemp("c")
    (folder / "test.c").write_text(PROGRAM)
    sources = [TEMPLATES / "main" / name for name in ("ink.c", "preprocess.c")]
    # Reading or writing outside of an array ends the program.
    checks = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{TEMPLATES}/main")
    flags = (*C_FLAGS, *checks)
    program = compile_c(compiler, folder / "test", folder / "test.c", *sources, flags=flags)

    def find(frames):
        frames = np.asarray(frames, "uint8")
        size = [str(frames.shape[2]), str(frames.shape[1])]
        done = subprocess.run([program, *size], input=frames.tobytes(), capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        records = np.frombuffer(done.stdout, "uint8").reshape(len(frames), 785)
        return records[:, 0].astype(bool), records[:, 1:].reshape(-1, 28, 28)

    return find


@pytest.fixture(scope="module")
def classifier():
    return load_classifier(PROJECT_DIR / "best_model.keras")


def lit(size, random):
    """Return the brightness of paper under a lamp at one side, float (height, width)."""
    rows, columns = np.mgrid[: size[0], : size[1]] / max(size) - 0.5
    angle = random.uniform(0, 2 * np.pi)
    slope = np.cos(angle) * columns + np.sin(angle) * rows
    return random.uniform(120, 200) * (1 + random.uniform(0, 0.6) * slope)


def frame_of(ink, paper, random):
    """Return a frame, uint8 (HEIGHT, WIDTH).

    Args:
        ink: float (side, side) in [0, 1], a digit that is laid on the paper somewhere.
        paper: "dark": light ink on black; "white": dark ink; "lit": in uneven light, with grain.
    """
    side = len(ink)
    top, left = (int(random.integers(2, room - side - 1)) for room in (HEIGHT, WIDTH))
    ink = np.pad(ink, ((top, HEIGHT - top - side), (left, WIDTH - left - side)))
    if paper == "lit":
        frame = lit(ink.shape, random) * (1 - random.uniform(0.4, 0.85) * ink)
        frame += random.normal(0, random.uniform(0, 3), ink.shape)
    else:
        frame = 20 + 200 * ink if paper == "dark" else 230 - 195 * ink
    return np.clip(np.round(frame), 0, 255).astype("uint8")


def assert_both_see_the_same(frames, find_in_c, classifier):
    """Assert that C and Python find nearly the same images, and the network the same digits."""
    is_found, images = find_in_c(frames)
    assert is_found.all()
    found = [find_digits(ink_of(frame), single=True) for frame in frames]
    expected = np.array([digits[0].image for digits in found])
    difference = np.abs(images / 255 - expected).mean((1, 2))
    assert difference.mean() < 0.015 and np.quantile(difference, 0.95) < 0.04
    answers, wanted = (classifier.predict(one).argmax(1) for one in (images / 255, expected))
    assert (answers == wanted).mean() >= 0.99
    return answers


@pytest.mark.parametrize("paper", ["dark", "white", "lit"])
def test_c_and_python_see_the_same_digit(paper, find_in_c, classifier):
    random = np.random.default_rng(0)
    frames = []
    for k in range(40):
        side, pen = int(random.integers(60, 105)), int(random.integers(3, 9))
        drawn = draw_digit(k % 10, side, pen, 0, 255, (0.1, 0.1), 0.8)
        turned = Image.fromarray(255 - drawn).rotate(random.uniform(-15, 15), Image.BICUBIC)
        frames.append(frame_of(np.asarray(turned) / 255, paper, random))
    answers = assert_both_see_the_same(np.array(frames), find_in_c, classifier)
    assert (answers == np.arange(40) % 10).mean() > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("paper", ["dark", "white", "lit"])
def test_c_and_python_see_the_same_digit_of_mnist(paper, find_in_c, classifier):
    random = np.random.default_rng(0)
    arrays = load_data("mnist")
    frames = []
    for image in arrays.x_test[:500]:
        side = int(random.integers(70, 105))
        large = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
        frames.append(frame_of(np.asarray(large) / 255, paper, random))
    answers = assert_both_see_the_same(np.array(frames), find_in_c, classifier)
    assert (answers == arrays.y_test[:500]).mean() > 0.985


@pytest.mark.parametrize("pen", [2, 5, 9])
def test_strokes_of_any_width_are_read(pen, find_in_c, classifier):
    pictures = [draw_digit(digit, HEIGHT, pen) for digit in range(10)]
    frames = [np.pad(one, ((0, 0), (20, 20)), mode="edge") for one in pictures]
    is_found, images = find_in_c(frames)
    assert is_found.all()
    assert (classifier.predict(images / 255).argmax(1) == np.arange(10)).all()
    # A digit's longer side has 20 pixels, and its centre of mass lies in the middle.
    for image in images.astype(float):
        inked = np.argwhere(image >= 128)
        assert (inked.max(0) - inked.min(0) + 1).max() in (19, 20, 21)
        centre = (np.indices(image.shape) * image).sum((1, 2)) / image.sum()
        assert np.abs(centre - 13.5).max() < 1.5


def test_light_and_contrast_hardly_matter(find_in_c):
    digit = np.pad(draw_digit(3, HEIGHT, 6), ((0, 0), (20, 20)), mode="edge") / 230
    light = np.linspace(0.5, 1, WIDTH)
    shadow = np.where(np.arange(WIDTH) < 60, 0.6, 1)
    faint = 1 - 0.2 * (1 - digit)
    frames = [230 * digit, 230 * digit * light, 230 * digit * shadow, 120 * faint, 60 * digit]
    is_found, images = find_in_c(np.round(frames))
    assert is_found.all()
    for image in images[1:]:
        assert np.abs(image.astype(float) - images[0]).mean() < 8


def test_where_there_is_no_digit_none_is_found(find_in_c):
    random = np.random.default_rng(1)
    paper = np.full((HEIGHT, WIDTH), 200)
    grain = paper + random.normal(0, 4, paper.shape)
    shaded = lit(paper.shape, random)
    speck, bar = paper.copy(), paper.copy()
    speck[50:55, 50:55] = 10
    bar[30:90, :20] = 10  # a hand that reaches into the picture
    texture = np.where(random.random(paper.shape) < 0.5, 0, 255)
    is_found, _ = find_in_c(np.clip([paper, grain, shaded, speck, bar, texture], 0, 255))
    assert not is_found.any()


def test_a_hand_at_the_edge_does_not_count(find_in_c):
    digit = np.pad(draw_digit(2, HEIGHT, 6), ((0, 0), (20, 20)), mode="edge")
    with_hand = digit.copy()
    with_hand[100:, :15] = 60
    is_found, images = find_in_c([digit, with_hand])
    assert is_found.all() and np.abs(images[0].astype(int) - images[1]).mean() < 4


@pytest.mark.parametrize("size", [(121, 160), (120, 161), (11, 60), (60, 11)])
def test_frames_of_other_sizes_are_refused(size, find_in_c):
    frame = np.full(size, 230)
    frame[3:9, 3:9] = 0
    is_found, images = find_in_c(frame[None])
    assert not is_found[0] and not images.any()
