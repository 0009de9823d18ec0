import numpy as np
import pytest
from PIL import Image, ImageDraw
from sklearn.datasets import load_digits

from common.ink import ink_of
from common.pictures import BOX, STROKE_WIDTH, find_digits, read_picture
from tests.handwriting import STROKES, draw_digit


def image_of(picture, **options):
    (digit,) = find_digits(ink_of(picture), **options)
    return digit.image


def centre_of_mass(image):
    rows, columns = np.mgrid[:28, :28] + 0.5
    return (image * rows).sum() / image.sum(), (image * columns).sum() / image.sum()


def extent(image):
    rows, columns = np.nonzero(image > 0.25)
    return max(np.ptp(rows), np.ptp(columns)) + 1


def stroke_width(image):
    """Ink per length of a straight vertical stroke."""
    return image[10:18].sum() / 8


@pytest.mark.parametrize("digit", range(10))
def test_a_digit_is_as_large_as_in_mnist_and_its_centre_of_mass_is_in_the_middle(digit):
    image = image_of(draw_digit(digit))
    assert image.shape == (28, 28) and image.dtype == np.float32
    assert image.min() >= 0 and image.max() <= 1 and image.max() > 0.99
    assert extent(image) in (BOX, BOX + 1)  # + 1: the edges lie between pixels
    np.testing.assert_allclose(centre_of_mass(image), (14, 14), atol=0.2)


@pytest.mark.parametrize("digit", range(10))
def test_size_place_colours_and_pen_change_little(digit):
    reference = image_of(draw_digit(digit, size=200, pen=5))
    for other in (
        draw_digit(digit, size=100, pen=3),
        draw_digit(digit, size=700, pen=10, corner=(0.05, 0.6), extent=0.3),
        255 - draw_digit(digit),
        draw_digit(digit, pen=2),
    ):
        assert np.abs(image_of(other) - reference).mean() < 0.02


def test_a_picture_of_few_pixels_keeps_its_greys():
    for pixels in load_digits().images[:100]:
        image = image_of(pixels / 16)
        rows, columns = np.nonzero(pixels > 1.6)
        longer = max(np.ptp(rows), np.ptp(columns)) + 1
        # Enlarged from `longer` pixels to 20: about as much ink, and the greys between.
        assert image.sum() == pytest.approx(pixels.sum() / 16 * (BOX / longer) ** 2, rel=0.15)
        assert 0.1 < np.mean((image > 0.25) & (image < 0.75)) / np.mean(image > 0.25) < 0.8
        np.testing.assert_allclose(centre_of_mass(image), (14, 14), atol=0.3)


def test_in_a_picture_of_few_pixels_place_ink_and_paper_change_nothing():
    pixels = load_digits().images[3] / 16
    reference = image_of(pixels)
    in_a_corner = np.zeros((12, 12))
    in_a_corner[4:, :8] = pixels
    for other in (in_a_corner, 0.4 * pixels, 1 - pixels, (255 * pixels).astype("uint8")):
        assert np.abs(image_of(other) - reference).max() < 0.03
    (digit,) = find_digits(ink_of(in_a_corner))
    rows, columns = np.nonzero(in_a_corner > 0.1)
    assert digit.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert find_digits(np.zeros((8, 8), "float32")) == []


@pytest.mark.parametrize("pen", [1, 2, 4, 8])
def test_thin_strokes_are_made_as_thick_as_mnists(pen):
    assert stroke_width(image_of(draw_digit(1, pen=pen))) == pytest.approx(STROKE_WIDTH, abs=0.35)


def test_thick_strokes_stay_and_very_thick_ones_are_made_thinner():
    assert stroke_width(image_of(draw_digit(1, pen=28))) == pytest.approx(4, abs=0.5)
    assert stroke_width(image_of(draw_digit(1, pen=60))) < 6


@pytest.mark.parametrize("digit", range(10))
def test_an_image_as_in_mnist_stays_as_it_is(digit):
    """Enlarged tenfold and inverted, too."""
    original = image_of(draw_digit(digit, pen=19))
    as_bytes = (255 * original).round().astype("uint8")
    assert np.abs(image_of(as_bytes) - original).mean() < 0.04
    enlarged = 255 - np.kron(as_bytes, np.ones((10, 10), "uint8"))
    assert np.abs(image_of(enlarged) - original).mean() < 0.04


def test_ink_is_never_cut_off():
    flag = np.full((100, 100), 255, "uint8")
    flag[10:90, 20:23] = 0
    flag[10:40, 20:80] = 0  # all the mass at one end
    image = image_of(flag)
    edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    assert edge.max() < 0.2  # no more than the soft edge of a stroke


def test_specks_are_dropped_and_paper_has_no_digit():
    picture = draw_digit(7).copy()
    picture[5:8, 5:8] = picture[190:193, 150:152] = 30
    np.testing.assert_array_equal(image_of(picture), image_of(draw_digit(7)))
    blank = np.full((200, 200), 230, "uint8")
    assert find_digits(ink_of(blank)) == find_digits(ink_of(blank), single=True) == []
    blank[50:52, 50:52] = 0
    assert find_digits(ink_of(blank)) == []


def page(rows, gap=30, size=120):
    """A page with rows of digits, uint8, and the boxes of the digits."""
    width = max(len(row) for row in rows) * (size + gap) + gap
    sheet = np.full((len(rows) * (size + 60), width), 230, "uint8")
    for number, row in enumerate(rows):
        for k, digit in enumerate(row):
            top, left = 30 + number * (size + 60), gap + k * (size + gap)
            sheet[top : top + size, left : left + size] = draw_digit(
                int(digit), size, 4, corner=(0.05, 0.05), extent=0.9
            )
    return sheet


def test_digits_are_read_line_by_line_from_left_to_right():
    digits = find_digits(ink_of(page(["3141", "592", "6"])))
    assert [digit.line for digit in digits] == [0, 0, 0, 0, 1, 1, 1, 2]
    for digit, expected in zip(digits, "31415926", strict=True):
        alone = image_of(draw_digit(int(expected), 120, 4, corner=(0.05, 0.05), extent=0.9))
        assert np.abs(digit.image - alone).mean() < 0.02
    lefts = [digit.box[0] for digit in digits[:4]]
    assert lefts == sorted(lefts) and digits[4].box[1] > digits[0].box[3]


def test_ink_of_the_line_above_is_no_part_of_a_digit_though_it_lies_in_its_box():
    lower, upper = (90, 240, 150, 118), (60, 30, 110, 130)
    images = []
    for strokes in ([lower], [upper, lower]):
        sheet = Image.new("L", (300, 300), 255)
        for stroke in strokes:
            ImageDraw.Draw(sheet).line(stroke, fill=0, width=8)
        digits = find_digits(ink_of(np.asarray(sheet)))
        assert [digit.line for digit in digits] == list(range(len(strokes)))
        images.append(digits[-1].image)
    above, below = (digit.box for digit in digits)
    assert above[2] > below[0] and above[3] > below[1]  # the boxes overlap
    np.testing.assert_allclose(images[0], images[1], atol=0.02)


def test_ones_side_by_side_are_two_digits_unless_there_is_only_one():
    sheet = np.full((100, 100), 255, "uint8")
    sheet[20:80, 35:38] = sheet[20:80, 55:58] = 0
    assert len(find_digits(ink_of(sheet))) == 2
    assert len(find_digits(ink_of(sheet), single=True)) == 1


def test_parts_of_a_digit_stay_together():
    """The bar of a five that the pen has lifted, and an open four."""
    five = np.full((120, 100), 255, "uint8")
    five[20:24, 40:80] = 0  # the bar
    five[30:34, 30:60] = five[30:60, 30:34] = five[56:60, 30:70] = five[56:100, 66:70] = 0
    five[96:100, 25:70] = 0
    assert len(find_digits(ink_of(five))) == 1
    four = np.full((120, 100), 255, "uint8")
    four[20:60, 20:24] = four[56:60, 20:66] = four[20:105, 70:74] = 0
    assert len(find_digits(ink_of(four))) == 1


@pytest.mark.parametrize(
    ("bar", "body"),  # top, bottom, left, right
    [
        ((0, 10, 20, 78), (27, 95, 0, 50)),  # far above, and to the right
        ((0, 30, 20, 90), (34, 100, 0, 45)),  # as tall as half the body
        ((0, 49, 0, 100), (60, 99, 10, 89)),  # both flat
    ],
)
@pytest.mark.parametrize("among", ["alone", "before a digit"])
def test_a_five_whose_bar_is_apart_is_one_digit(bar, body, among):
    """As in MNIST's training images, of which 33 were read as two lines."""
    sheet = np.full((160, 320), 255, "uint8")
    for top, bottom, left, right in (bar, body):
        cells = sheet[30 + top : 30 + bottom, 20 + left : 20 + right]
        cells[:8] = cells[-8:] = cells[:, :8] = 0
    if among == "before a digit":
        sheet[30:130, 220:228] = 0
    digits = find_digits(ink_of(sheet))
    assert [digit.line for digit in digits] == ([0] if among == "alone" else [0, 0])
    top, left = min(bar[0], body[0]), min(bar[2], body[2])
    assert digits[0].box[:2] == (20 + left, 30 + top) and digits[0].box[3] == 30 + body[1]


@pytest.mark.parametrize("gap", [4, 10])
def test_digits_close_below_one_another_stay_two_lines(gap):
    sheet = np.full((200, 160), 255, "uint8")
    for top in (20, 20 + 60 + gap):
        for left in (20, 90):
            sheet[top : top + 60, left : left + 55] = 0
            sheet[top + 6 : top + 54, left + 6 : left + 49] = 255
    digits = find_digits(ink_of(sheet))
    assert [digit.line for digit in digits] == [0, 0, 1, 1]


def test_read_picture_takes_a_file(tmp_path):
    Image.fromarray(draw_digit(4)).save(tmp_path / "four.png")
    (digit,) = find_digits(read_picture(tmp_path / "four.png"))
    np.testing.assert_array_equal(digit.image, image_of(draw_digit(4)))
    left, top, right, bottom = digit.box
    assert 25 < left < 65 and 25 < top < 45 and 130 < right < 155 and 160 < bottom < 180


def test_every_digit_has_strokes():
    assert sorted(STROKES) == list(range(10))


def test_a_texture_has_no_digits():
    """And costs no minutes."""
    halftone = np.full((400, 400), 255, "uint8")
    for row in range(0, 400, 8):
        for column in range(0, 400, 8):
            halftone[row : row + 5, column : column + 5] = 0
    assert find_digits(ink_of(halftone)) == []
