import numpy as np
import pytest
from PIL import Image

from common.ink import ink_of
from common.pictures import find_digits
from common.ruling import without_ruling
from tests.handwriting import draw_digit

SIDE = 600  # pixels of the page


def page_with_lines(digit, step, squared=False, line=190, turn=0.0, extent=0.4):
    """Return a page with lines every `step` pixels and a digit on it, grey, uint8 (SIDE, SIDE)."""
    page = np.full((SIDE, SIDE), 240, "uint8")
    if step:
        page[step // 3 :: step] = page[step // 3 + 1 :: step] = line
    if step and squared:
        page[:, step // 2 :: step] = page[:, step // 2 + 1 :: step] = line
    drawn = draw_digit(digit, SIDE, 9, ink=50, paper=240, corner=(0.31, 0.27), extent=extent)
    turned = Image.fromarray(np.minimum(page, drawn)).rotate(turn, Image.Resampling.BICUBIC)
    return np.asarray(turned)[60:-60, 60:-60]


def image_of(page):
    (digit,) = find_digits(ink_of(page))
    return digit.image


@pytest.mark.parametrize("turn", [0, 3, -6])
@pytest.mark.parametrize(("step", "squared"), [(64, False), (37, True)])
@pytest.mark.parametrize("digit", [1, 4, 5, 7, 8])
def test_a_digit_on_lines_is_the_digit_on_plain_paper(digit, step, squared, turn):
    plain = image_of(page_with_lines(digit, 0, turn=turn))
    lined = image_of(page_with_lines(digit, step, squared, turn=turn))
    assert np.abs(lined - plain).mean() < 0.015


def test_lines_in_uneven_light_and_with_grain():
    light = np.linspace(1, 0.6, SIDE - 120)[None]
    grain = np.random.default_rng(0).normal(0, 3, (SIDE - 120, SIDE - 120))
    pages = [page_with_lines(5, step, squared=True) * light + grain for step in (0, 37)]
    plain, lined = (image_of(page.clip(0, 255).astype("uint8")) for page in pages)
    assert np.abs(lined - plain).mean() < 0.02


def test_several_digits_between_lines_keep_their_lines():
    row = np.hstack([page_with_lines(digit, 80)[100:420, 100:400] for digit in (3, 1, 4)])
    digits = find_digits(ink_of(np.vstack([row, row])))
    assert [digit.line for digit in digits] == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    "page",
    [
        page_with_lines(5, 0),
        page_with_lines(5, 64, line=60),  # as dark as the ink: it may be a bar
        np.asarray(
            Image.fromarray(draw_digit(7, 28, 2, corner=(0, 0), extent=1)).resize((500, 500))
        ),
        np.kron(draw_digit(2, 28, 2, corner=(0, 0.1), extent=1), np.ones((15, 15), "uint8")),
        draw_digit(5, 190, 2, corner=(0.02, 0.02), extent=0.96),
        np.full((300, 300), 230, "uint8"),
    ],
    ids=["plain", "dark lines", "soft edges", "steps", "small", "empty"],
)
def test_all_other_pictures_stay_as_they_are(page):
    ink = ink_of(page)
    assert without_ruling(ink)[0] is ink


def test_the_mask_is_that_of_the_ink_that_is_returned():
    ink, mask, edge = without_ruling(ink_of(page_with_lines(8, 37, squared=True)))
    assert ink.min() >= 0 and ink.dtype == np.float32 and 0 < edge < 1
    assert mask.mean() < 0.05 and ink[mask].min() > edge and ink[~mask].max() < 0.5
