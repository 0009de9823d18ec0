import keras
import numpy as np
import pytest
from scipy import ndimage

from _01_data_loader import Arrays
from _02_data_preprocess import RandomAffine, preprocess, scale
from user_error import UserError


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


@pytest.mark.parametrize("val_size", [1e-4, 0.003, 0.9999])
def test_val_size_that_leaves_a_class_without_images(digits, val_size):
    with pytest.raises(UserError, match="val_size .* leaves a class without"):
        preprocess(digits, val_size, seed=0)


def test_rare_class_without_validation_images():
    labels = np.array([0] * 95 + [1] * 5, np.uint8)
    arrays = Arrays(np.zeros((100, 28, 28), np.uint8), labels, np.zeros((1, 28, 28)), labels[:1])
    with pytest.raises(UserError, match="leaves a class without"):
        preprocess(arrays, 0.05, seed=0)


# --- RandomAffine ---


@pytest.fixture
def images(splits):
    return splits.x_train[:64]


def test_images_change_only_in_training_and_only_with_strength(images):
    layer = RandomAffine(rotation=10, zoom=0.1, shift=0.1, shear=8, seed=1)
    np.testing.assert_array_equal(layer(images), images)
    varied = np.asarray(layer(images, training=True))
    assert varied.shape == images.shape
    assert (np.abs(varied - images).max(axis=(1, 2, 3)) > 0.1).all()
    np.testing.assert_array_equal(RandomAffine(seed=1)(images, training=True), images)
    layer.strength.assign(0.0)
    np.testing.assert_allclose(layer(images, training=True), images, atol=1e-6)


def test_one_resampling_with_zeros_outside_as_scipy_does_it(images):
    layer = RandomAffine(rotation=30, zoom=0.2, shift=0.3, shear=10, seed=5)
    layer.build(None)
    maps = np.asarray(layer.draw_transforms(len(images), 28, 28))
    varied = keras.ops.image.affine_transform(images, maps, data_format="channels_last")
    for image, result, (a0, a1, a2, b0, b1, b2, _, _) in zip(images, varied, maps, strict=True):
        expected = ndimage.affine_transform(
            image[..., 0], [[b1, b0], [a1, a0]], [b2, a2], order=1, mode="grid-constant"
        )
        np.testing.assert_allclose(result[..., 0], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("limits", "values_of", "limit"),
    [
        ({"rotation": 12}, lambda m: np.degrees(np.arctan2(m[:, 3], m[:, 0])), 12),
        ({"zoom": 0.2}, lambda m: m[:, 0] - 1, 0.2),
        ({"zoom": 0.2}, lambda m: m[:, 4] - 1, 0.2),
        ({"shift": 0.1}, lambda m: m[:, 2], 2.8),
        ({"shift": 0.1}, lambda m: m[:, 5], 2.8),
        ({"shear": 8}, lambda m: np.degrees(np.arctan(m[:, 1])), 8),
    ],
)
def test_each_limit_is_reached_and_kept_uniformly(limits, values_of, limit):
    layer = RandomAffine(**limits, seed=0)
    layer.build(None)
    values = values_of(np.asarray(layer.draw_transforms(4000, 28, 28)))
    assert np.abs(values).max() <= limit * 1.0001
    # Uniform on [-limit, limit]: mean 0, standard deviation limit / sqrt(3).
    assert values.mean() == pytest.approx(0, abs=0.05 * limit)
    assert values.std() == pytest.approx(limit / np.sqrt(3), rel=0.05)


def test_rotation_is_about_the_centre():
    layer = RandomAffine(rotation=45, zoom=0.3, shear=20, seed=0)
    layer.build(None)
    for a0, a1, a2, b0, b1, b2, _, _ in np.asarray(layer.draw_transforms(50, 28, 28)):
        assert a0 * 13.5 + a1 * 13.5 + a2 == pytest.approx(13.5, abs=1e-4)
        assert b0 * 13.5 + b1 * 13.5 + b2 == pytest.approx(13.5, abs=1e-4)


def test_equal_seeds_give_equal_images_and_successive_batches_differ(images):
    first, second = (RandomAffine(rotation=10, shift=0.1, seed=7) for _ in range(2))
    once = np.asarray(first(images, training=True))
    np.testing.assert_array_equal(once, second(images, training=True))
    assert not np.array_equal(once, first(images, training=True))
