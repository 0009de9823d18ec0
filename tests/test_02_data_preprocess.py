import numpy as np
import pytest

from _02_data_preprocess import load_splits, preprocess, scale
from common.data import Arrays
from common.user_error import UserError
from tests.conftest import make_tiny_settings


def test_scaling_keeps_the_images():
    images = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28)
    scaled = scale(images)
    assert scaled.shape == (2, 28, 28, 1) and scaled.dtype == np.float32
    assert scaled.min() == 0.0 and scaled.max() == 1.0
    np.testing.assert_array_equal(np.rint(scaled[..., 0] * 255), images)


def test_split_is_stratified_whole_and_without_overlap(digits):
    # Number the images in their corner pixels, to follow each through the split.
    numbered = digits.x_train.copy()
    numbered[:, 0, 0], numbered[:, 0, 1] = np.divmod(np.arange(len(numbered)), 256)
    splits = preprocess(digits._replace(x_train=numbered), 0.2, seed=3)

    def numbers(images):
        corner = np.rint(images[:, 0, :2, 0] * 255).astype(int)
        return corner @ [256, 1]

    train, val = numbers(splits.x_train), numbers(splits.x_val)
    assert sorted([*train, *val]) == list(range(len(numbered)))
    np.testing.assert_array_equal(splits.y_train, digits.y_train[train])
    np.testing.assert_array_equal(splits.y_val, digits.y_train[val])
    shares = np.bincount(splits.y_val) / np.bincount(digits.y_train)
    np.testing.assert_allclose(shares, 0.2, atol=0.01)
    np.testing.assert_array_equal(splits.x_test, scale(digits.x_test))


def test_split_depends_on_the_seed_alone(digits):
    first, again, other = (preprocess(digits, 0.1, seed).y_val for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_settings_lead_to_their_own_split(digits, tmp_path):
    settings = make_tiny_settings(tmp_path, val_size=0.3, seed=5)
    for loaded, expected in zip(load_splits(settings), preprocess(digits, 0.3, 5), strict=True):
        np.testing.assert_array_equal(loaded, expected)


# --- Splits that cannot be ---


def with_counts(*counts):
    """Return arrays with so many training images of class 0, 1, ..."""
    labels = np.repeat(np.arange(len(counts), dtype=np.uint8), counts)
    images = np.zeros((len(labels), 28, 28), np.uint8)
    return Arrays(images, labels, images[:1], labels[:1])


@pytest.mark.parametrize("val_size", [1e-4, 0.003, 0.9999])
def test_val_size_that_leaves_a_class_without_images(digits, val_size):
    with pytest.raises(
        UserError, match=r"leaves a class without .* Choose another, for example 0.1"
    ):
        preprocess(digits, val_size, seed=0)


def test_the_rarest_class_is_named_with_its_count():
    with pytest.raises(UserError, match=r"\(the rarest, 1, has 5\). Choose another"):
        preprocess(with_counts(95, 5), 0.05, seed=0)


@pytest.mark.parametrize("val_size", [0.1, 0.5])
def test_a_class_with_one_image_is_named_and_no_share_proposed(val_size):
    with pytest.raises(UserError) as caught:
        preprocess(with_counts(20, 20, 1, 20), val_size, seed=0)
    assert "class 2 has a single training image" in str(caught.value)
    assert "for example" not in str(caught.value)


def test_a_share_is_proposed_only_if_it_works():
    arrays = with_counts(4, 2)
    with pytest.raises(UserError) as caught:
        preprocess(arrays, 0.1, seed=0)
    proposed = float(str(caught.value).split("for example ")[1].rstrip("."))
    assert proposed > 0.1 and set(preprocess(arrays, proposed, seed=0).y_val) == {0, 1}


def test_of_two_classes_with_too_few_images_nothing_can_be_proposed():
    arrays = with_counts(*[2] * 10)
    working = preprocess(arrays, 0.5, seed=0)
    assert sorted(working.y_train) == sorted(working.y_val) == list(range(10))
    with pytest.raises(UserError, match=r"for example 0.5"):
        preprocess(arrays, 0.4, seed=0)
    with pytest.raises(UserError, match=r"class 0 has a single training image"):
        preprocess(with_counts(1, 1), 0.5, seed=0)
