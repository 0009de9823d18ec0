"""The numbers of the page, computed in a browser, are those of Keras."""

import keras
import numpy as np
import pytest

from architectures.averaging import average_shifts, network_of
from common.pictures import BOX, SIDE, STROKE_WIDTH
from tests.apps.conftest import decisive, probabilities_in_page, two_networks
from tests.apps.pens import STROKES, as_image, moved
from tests.figures.test_report_browser import pytestmark  # noqa: F401  (skips without a browser)

TOLERANCE = 1e-3


def probabilities_of(model, images):
    x = images[..., None].astype(np.float32) / 255
    return np.concatenate(
        [
            keras.ops.convert_to_numpy(model(part, training=False))
            for part in np.array_split(x, max(1, len(x) // 200))
        ]
    )


def assert_equal(found, expected):
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)
    ordered = np.sort(expected, axis=1)
    is_clear = ordered[:, -1] - ordered[:, -2] > 2 * TOLERANCE
    assert is_clear.mean() > 0.9
    np.testing.assert_array_equal(found.argmax(axis=1)[is_clear], expected.argmax(axis=1)[is_clear])


@pytest.fixture(scope="module")
def page_of(browser, make_page):
    """Return a function that opens the page of a model."""

    def open_page(model):
        page = browser.new_page()
        page.goto(make_page(model).as_uri())
        return page

    return open_page


def test_a_network_answers_1000_images_as_keras_does(page_of, images):
    model = decisive("fast_cnn_small")
    assert_equal(probabilities_in_page(page_of(model), images), probabilities_of(model, images))


def test_a_mean_over_shifts_answers_1000_images_as_keras_does(page_of, images):
    model = average_shifts(decisive("tiny"))
    page = page_of(model)
    assert_equal(probabilities_in_page(page, images), probabilities_of(model, images))
    live = probabilities_in_page(page, images[:50], "classifyLive")
    assert_equal(live, probabilities_of(network_of(model), images[:50]))


def test_other_networks_answer_as_keras_does(page_of, images):
    for model in (two_networks(), decisive("cnn_mnist_101")):
        few = images[:10]
        assert_equal(probabilities_in_page(page_of(model), few), probabilities_of(model, few))


def test_options_of_layers_are_computed_as_keras_does(page_of, images):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.BatchNormalization(),
            layers.ZeroPadding2D(((1, 2), (0, 1))),
            layers.Conv2D(4, (2, 5), strides=(2, 1), padding="same", activation="tanh"),
            layers.AveragePooling2D(3, strides=2, padding="same"),
            layers.Conv2D(6, 3),
            layers.MaxPooling2D((2, 3), strides=1, padding="same"),
            layers.BatchNormalization(),
            layers.Activation("sigmoid"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, kernel_initializer="random_normal"),
            layers.Softmax(),
        ]
    )
    model.layers[-2].kernel.assign(30 * keras.ops.convert_to_numpy(model.layers[-2].kernel))
    found = probabilities_in_page(page_of(model), images[:50])
    np.testing.assert_allclose(found, probabilities_of(model, images[:50]), atol=TOLERANCE)


def test_the_strong_network_answers_as_keras_does(browser, strong_page, strong_network, images):
    page = browser.new_page()
    page.goto(strong_page.as_uri())
    found = probabilities_in_page(page, images[:100])
    assert_equal(found, probabilities_of(strong_network, images[:100]))


# --- From strokes to the image ------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(browser, strong_page):
    page = browser.new_page()
    page.goto(strong_page.as_uri())
    return page


def test_an_upright_line_is_as_long_and_wide_as_it_should(page):
    image, is_digit = as_image(page, [[(0.3, 0.1), (0.3, 0.9)]])
    edges = np.arange(SIDE + 1)
    left, right = (SIDE - STROKE_WIDTH) / 2, (SIDE + STROKE_WIDTH) / 2
    covered = np.diff(np.clip(edges, left, right))
    assert is_digit
    for row in range(7, 21):  # between its round ends
        np.testing.assert_allclose(image[row], covered, atol=0.06)
    top, bottom = (SIDE - BOX) // 2, (SIDE + BOX) // 2
    rows = np.flatnonzero(image.any(axis=1))
    assert (rows[0], rows[-1]) == (top, bottom - 1)
    area = (BOX - STROKE_WIDTH) * STROKE_WIDTH + np.pi * STROKE_WIDTH**2 / 4
    assert image.sum() == pytest.approx(area, rel=0.01)


@pytest.mark.parametrize("digit", STROKES)
def test_size_and_place_of_a_drawing_do_not_matter(page, digit):
    image, _ = as_image(page, STROKES[digit])
    assert image.min() >= 0 and image.max() == 1
    y, x = np.mgrid[:SIDE, :SIDE]
    for axis in (x, y):  # index 13.5 is the middle of 28 pixels
        assert (image * axis).sum() / image.sum() == pytest.approx((SIDE - 1) / 2, abs=0.03)
    for scale, left, top in ((0.2, 0, 0), (0.2, 0.8, 0.8), (1.3, -0.15, -0.15), (0.1, 0.4, 0.1)):
        other, is_digit = as_image(page, moved(STROKES[digit], scale, left, top))
        assert is_digit and np.abs(other - image).max() <= 0.1
        assert np.abs(other - image).mean() < 0.005


def test_a_drawing_that_creeps_moves_the_image_without_jumps(page):
    before = None
    for end in np.linspace(0.5, 0.8, 40):
        image, _ = as_image(page, [[(0.3, 0.1), (0.3, 0.9)], [(0.3, 0.5), (end, 0.5)]])
        assert before is None or np.abs(image - before).max() < 0.45
        before = image


def test_no_ink_is_cut_off_where_its_centre_lies_far_from_its_middle(page):
    block = [[(0.1 + i / 60, 0.1), (0.1 + i / 60, 0.9)] for i in range(7)]
    image, _ = as_image(page, [*block, [(0.1, 0.5), (0.9, 0.5)]])
    columns = np.flatnonzero(image.any(axis=0))
    assert (columns[0], columns[-1]) == (SIDE - BOX, SIDE - 1)


def test_a_dot_stays_a_dot(page):
    for strokes in ([[(0.5, 0.5)]], [[(0.5, 0.5), (0.51, 0.51), (0.5, 0.52)]]):
        image, is_digit = as_image(page, strokes)
        assert not is_digit and 0 < image.sum() < 30
