import numpy as np
import pytest

from common.ink import in_unit_range, ink_mask, ink_of, otsu_threshold
from common.pictures import find_digits
from tests.handwriting import draw_digit


def uneven_light(shape, darkest=0.5):
    """Light that falls off from the left to the right, float (height, width)."""
    return np.linspace(1, darkest, shape[1])[None, :] * np.ones((shape[0], 1))


def inked(picture):
    return ink_mask(ink_of(picture))[0]


TRUTH = draw_digit(3, ink=0, paper=255) < 128


def agreement(mask):
    """Intersection over union with where the digit was drawn."""
    return (mask & TRUTH).sum() / (mask | TRUTH).sum()


@pytest.mark.parametrize(
    "picture",
    [
        draw_digit(3),
        255 - draw_digit(3),
        draw_digit(3) / 255.0,
        draw_digit(3).astype("float32"),
        draw_digit(3).astype("uint16") * 257,
        draw_digit(3) < 128,
        draw_digit(3, ink=200, paper=230),
        draw_digit(3, ink=60, paper=20),
        (draw_digit(3) * uneven_light((200, 200))).astype("uint8"),
        ((draw_digit(3, ink=200, paper=60)) * uneven_light((200, 200))).astype("uint8"),
    ],
    ids=[
        "dark on light", "light on dark", "0 to 1", "float 0 to 255", "16 bits", "bool",
        "faint", "faint on dark", "uneven light", "chalk in uneven light",
    ],
)  # fmt: skip
def test_ink_is_found_whatever_the_colours_and_the_range(picture):
    assert agreement(inked(picture)) > 0.75


def test_ink_is_found_in_the_shadow_and_beside_it():
    picture = draw_digit(3).astype(float)
    rows, columns = np.mgrid[:200, :200]
    picture[rows + 0.5 * columns > 150] *= 0.5  # a hard shadow across the digit
    assert agreement(inked(picture.astype("uint8"))) > 0.6


def test_ink_of_a_colour_as_bright_as_the_paper_is_found():
    drawn = TRUTH[..., None]
    red, green = np.array([200, 0, 0]), np.array([0, 102, 0])  # of equal luma
    assert agreement(inked(np.where(drawn, red, green).astype("uint8"))) > 0.75


def test_grain_of_the_paper_is_no_ink():
    draw = np.random.default_rng(0)
    noisy = draw_digit(3).astype(float) * uneven_light((200, 200)) + draw.normal(0, 6, (200, 200))
    assert agreement(inked(np.clip(noisy, 0, 255).astype("uint8"))) > 0.6


@pytest.mark.parametrize(
    "picture",
    [
        np.full((60, 80), 255, "uint8"),
        np.zeros((60, 80), "uint8"),
        np.full((1, 1), 7, "uint8"),
        (200 * uneven_light((200, 200))).astype("uint8"),
        np.clip(np.random.default_rng(0).normal(200, 3, (200, 200)), 0, 255).astype("uint8"),
    ],
    ids=["white", "black", "a pixel", "uneven light", "grain"],
)
def test_empty_paper_has_no_ink_to_speak_of(picture):
    assert inked(picture).mean() < 0.001


@pytest.mark.parametrize("grain", [1, 3, 6])
@pytest.mark.parametrize("paper", [60, 128, 200])
def test_no_digit_is_read_in_the_grain_of_paper(grain, paper):
    """Whole steps of brightness must not hide how coarse it is."""
    for seed in range(4):
        draw = np.random.default_rng(seed)
        picture = np.clip(draw.normal(paper, grain, (200, 200)), 0, 255).astype("uint8")
        assert find_digits(ink_of(picture)) == []


def test_strokes_are_kept_where_they_grow_faint_and_faint_specks_are_not():
    ink = np.zeros((40, 40), "float32")
    ink[10, 5:20], ink[10, 20:35] = 0.9, 0.3  # one stroke
    ink[30, 5:20] = 0.3  # another that is never dark
    mask, _ = ink_mask(ink)
    assert mask[10, 5:35].all() and not mask[30].any()


def test_otsu_separates_two_classes():
    values = np.concatenate([np.full(900, 0.1), np.full(100, 0.7)])
    assert 0.1 < otsu_threshold(values) < 0.7


def test_ranges():
    np.testing.assert_allclose(in_unit_range(np.array([0, 255], "uint8")), [0, 1])
    np.testing.assert_allclose(in_unit_range(np.array([0, 1])), [0, 1])
    np.testing.assert_allclose(in_unit_range(np.array([0, 65535], "uint16")), [0, 1])
    np.testing.assert_allclose(in_unit_range(np.array([np.nan, 0.5])), [0, 0.5])
    assert in_unit_range(np.array([True, False])).dtype == np.float32
