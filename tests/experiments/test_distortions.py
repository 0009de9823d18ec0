import numpy as np
import pytest
from scipy import ndimage

from experiments.distortions import DISTORTIONS
from training.drawn_digits import drawn_digits

UNCHANGED = {"scale": 1, "contrast": 1}  # strengths that change nothing; 0 for all others


@pytest.fixture
def images():
    """Return eight images of a drawn seven, float32 (8, 28, 28), white on black."""
    drawn, labels = drawn_digits(10, seed=0)
    return np.repeat(drawn[labels == 7][..., 0], 8, axis=0)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_distortions_begin_with_none_and_keep_shape_and_range(name, images):
    distortion = DISTORTIONS[name]
    assert UNCHANGED.get(name, 0) in distortion.strengths
    same = distortion.apply(images, UNCHANGED.get(name, 0))
    np.testing.assert_allclose(same, images, atol=1e-5)
    for strength in (distortion.strengths[0], distortion.strengths[-1]):
        out = distortion.apply(images, strength)
        assert out.shape == images.shape and out.dtype == np.float32
        assert out.min() >= 0 and out.max() <= 1.0001
        if strength != UNCHANGED.get(name, 0):
            assert np.abs(out - images).mean() > 0.003


def centre(image):
    return np.array(ndimage.center_of_mass(image))


def test_shifts_go_into_each_diagonal_direction_by_as_many_pixels(images):
    out = DISTORTIONS["shift"].apply(images, 2)
    moves = [np.round(centre(one) - centre(images[0])).tolist() for one in out[::2]]
    assert moves == [[2, 2], [2, -2], [-2, 2], [-2, -2]]


def test_scale_is_of_the_digit(images):
    def extent(image):
        rows, _ = ndimage.find_objects((image > 0.3).astype(int))[0]
        return rows.stop - rows.start

    out = DISTORTIONS["scale"].apply(images, 0.5)
    assert extent(out[0]) == pytest.approx(extent(images[0]) / 2, abs=1)


@pytest.mark.parametrize("name", ["rotation", "slant"])
def test_half_of_the_images_go_each_way(name, images):
    bar = np.zeros_like(images)
    bar[:, 4:24, 13:15] = 1
    out = DISTORTIONS[name].apply(bar, 20)
    top, bottom = (centre(half)[1] for half in (out[0, :14], out[0, 14:]))
    other_top, other_bottom = (centre(half)[1] for half in (out[-1, :14], out[-1, 14:]))
    lean = np.degrees(np.arctan((bottom - top) / 10))
    assert abs(lean) == pytest.approx(20, abs=3)
    assert np.sign(bottom - top) == -np.sign(other_bottom - other_top)


def test_thickness_grows_by_pixels_on_each_side(images):
    bar = np.zeros_like(images)
    bar[:, 4:24, 12:16] = 1
    assert DISTORTIONS["thickness"].apply(bar, 1)[0, 14].sum() == 6
    assert DISTORTIONS["thickness"].apply(bar, 1.5)[0, 14].sum() == 7
    assert DISTORTIONS["thickness"].apply(bar, -1)[0, 14].sum() == 2


def test_noise_and_contrast_are_as_strong_as_they_say():
    grey = np.full((20, 28, 28), 0.5, "float32")
    assert DISTORTIONS["noise"].apply(grey, 0.1).std() == pytest.approx(0.1, rel=0.05)
    white = np.ones((1, 28, 28), "float32")
    assert DISTORTIONS["contrast"].apply(white, 0.2).max() == pytest.approx(0.6)
