import numpy as np
import pytest
from scipy import ndimage

from training.drawn_digits import WAYS, drawn_digits


@pytest.fixture(scope="module")
def drawn():
    return drawn_digits(1000, seed=3)


def test_shapes_and_ranges_are_those_of_training_images(drawn):
    images, labels = drawn
    assert images.shape == (1000, 28, 28, 1) and images.dtype == np.float32
    assert images.min() == 0 and images.max() == 1
    assert labels.dtype == np.int32 and (np.bincount(labels) == 100).all()
    assert (np.diff(labels) != 0).mean() > 0.8  # in no order


def test_digits_lie_as_in_mnist(drawn):
    for image in drawn[0][:, :, :, 0]:
        rows, columns = ndimage.find_objects((image > 0.5).astype(int))[0]
        longer = max(rows.stop - rows.start, columns.stop - columns.start)
        assert 18 <= longer <= 21
        centre = ndimage.center_of_mass(image)
        assert np.abs(np.array(centre) - 13.5).max() < 1.5


def test_equal_seeds_draw_equal_digits_and_no_two_are_equal(drawn):
    images, labels = drawn_digits(200, seed=3)
    for one, other in zip((images, labels), drawn_digits(200, seed=3), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(images, drawn_digits(200, seed=4)[0])
    assert len(np.unique(drawn[0].reshape(1000, -1), axis=0)) == 1000


def test_they_are_digits_that_the_record_can_mostly_read(drawn):
    from common.classifier import load_classifier
    from common.command_line import PROJECT_DIR

    images, labels = drawn[0][:200], drawn[1][:200]
    read = load_classifier(PROJECT_DIR / "best_model.keras").predict(images).argmax(axis=1)
    assert (read == labels).mean() > 0.8
    for label in WAYS:  # none is another digit's name
        assert np.bincount(read[labels == label], minlength=10).argmax() == label


@pytest.mark.parametrize("n", [0, 1, 13])
def test_any_number_can_be_drawn(n):
    images, labels = drawn_digits(n, seed=0)
    assert images.shape == (n, 28, 28, 1) and labels.shape == (n,)
