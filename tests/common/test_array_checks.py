import numpy as np
import pytest

from common.array_checks import Labelled, check_part, hold_out, to_images, to_labels
from common.user_error import UserError


@pytest.fixture
def images(digits):
    return digits.x_train[:30]


# --- Images -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(28, 28), (784,), (28, 28, 1), (1, 28, 28)])
def test_shapes_that_hold_the_same_images(images, shape):
    found = to_images(images.reshape(-1, *shape), "the images")
    assert found.dtype == np.uint8 and found.flags.c_contiguous
    np.testing.assert_array_equal(found, images)


@pytest.mark.parametrize(
    "dtype", ["uint8", "int16", "uint16", "int64", ">i4", "float32", "float64"]
)
def test_types_that_hold_whole_numbers(images, dtype):
    found = to_images(images.astype(dtype), "the images")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, images)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4"])
def test_pixels_from_0_to_1_become_the_bytes_they_were(dtype):
    images = np.resize(np.arange(256, dtype=np.uint8), (5, 28, 28))
    images[:, 0] = 0
    np.testing.assert_array_equal(to_images((images / 255).astype(dtype), "the images"), images)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float32"])
def test_images_of_only_0_and_1_are_black_and_white(images, dtype):
    expected = np.where(images > 127, 255, 0).astype(np.uint8)
    np.testing.assert_array_equal(to_images((images > 127).astype(dtype), "it"), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:, :14, :14], r"it are uint8 \(30, 14, 14\); expected uint8 \(n, 28, 28\)"),
        (lambda x: x[0], r"uint8 \(28, 28\)"),
        (lambda x: x.transpose(1, 2, 0), r"uint8 \(28, 28, 30\)"),
        (lambda x: np.array(7), r"\(\)"),
        (lambda x: x[:0], "0 images"),
        (lambda x: np.repeat(x[..., None], 3, axis=3), "Make them grey: images"),
        (lambda x: x.astype(str), r"are <U3 \(30, 28, 28\)"),
        (lambda x: x.astype(complex), "complex128"),
        (lambda x: x.astype("timedelta64[s]"), "timedelta64"),
        (lambda x: x / np.float32(127.5) - 1, "pixels from -1 to 1. Expected 0"),
        (lambda x: x.astype(np.int8), "pixels from -128 to"),
        (lambda x: x.astype(np.uint16) * 257, "pixels from 0 to 65535. Expected"),
        (lambda x: x + 0.5, "pixels from 0.5 to 255.5"),
        (lambda x: x * 0.99, "fractions"),
        (lambda x: np.where(np.arange(30)[:, None, None] < 9, x / 255, x), "fractions"),
        (lambda x: x // 16, "pixels from 0 to 15, so it is not clear what white is"),
        (lambda x: x / 15.9375, "pixels from 0 to 16, so it is not clear"),
        (lambda x: np.where(x == 255, np.nan, x), "NaN or infinite"),
        (lambda x: np.where(x == 255, np.inf, x), "NaN or infinite"),
        (lambda x: np.where(x == 0, -np.inf, x), "NaN or infinite"),
    ],
)
def test_images_that_are_wrong_or_ambiguous(images, change, message):
    with pytest.raises(UserError, match=message) as caught:
        to_images(change(images), "it")
    assert "\n" not in str(caught.value)


def test_dark_digits_on_a_light_ground_are_refused(images):
    with pytest.raises(UserError, match="30 of 30 are dark on a light ground.*255 - images"):
        to_images(255 - images, "it")
    with pytest.raises(UserError, match="dark on a light ground"):
        to_images(1 - images / np.float32(255), "it")
    with pytest.raises(UserError, match="dark on a light ground"):  # grey paper
        to_images(200 - images // 2, "it")
    some = images.copy()
    some[:3] = 255 - some[:3]
    with pytest.raises(UserError, match="3 of 30 are dark"):
        to_images(some, "it")


def test_light_pictures_that_are_not_dark_on_light_are_taken(images):
    rng = np.random.default_rng(0)
    garment = np.full((30, 28, 28), 10, np.uint8)
    garment[:, :, 4:24] = 220  # a shirt that fills the image from top to bottom
    for good in (
        garment,
        np.zeros_like(images),
        np.full_like(images, 255),
        rng.integers(0, 256, images.shape, np.uint8),
        np.concatenate([images, 255 - images[:1]]),  # one odd image is no mistake of the whole
    ):
        np.testing.assert_array_equal(to_images(good, "it"), good)


# --- Labels -------------------------------------------------------------------------------------

LABELS = np.array([3, 0, 9, 9, 1], np.uint8)


@pytest.mark.parametrize(
    "same",
    [
        LABELS,
        LABELS.astype(np.int64),
        LABELS.astype(np.float32),
        LABELS.astype(">i2"),
        LABELS[:, np.newaxis],
        LABELS.astype(str),
        LABELS.astype("S"),
        np.eye(10)[LABELS],
        np.eye(10, dtype=np.uint8)[LABELS],
        np.eye(10, dtype=bool)[LABELS],
    ],
)
def test_labels_in_other_forms(same):
    found = to_labels(same, 10, "it")
    assert found.dtype == np.uint8 and found.shape == (5,)
    np.testing.assert_array_equal(found, LABELS)


def test_types_of_labels_suffice_for_the_classes():
    assert to_labels(np.array([256]), 257, "it").dtype == np.uint16
    assert to_labels(np.array([0, 0]), 1, "it").tolist() == [0, 0]
    assert to_labels(np.array([[0], [0]]), 1, "it").tolist() == [0, 0]
    assert to_labels(np.array([True, False]), 2, "it").tolist() == [1, 0]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.full(5, 10), "it run from 10 to 10; expected 0 to 9"),
        (np.array([-1, 3]), "run from -1 to 3"),
        (np.array([0.5, 3]), "not all whole numbers"),
        (np.array([np.nan, 3]), "not all whole numbers"),
        (np.array([np.inf, 3]), "not all whole numbers"),
        (np.array(["seven", "3"]), "are text"),
        (np.array(["7.5", "3"]), "not all whole numbers"),
        (np.zeros((5, 10)), r"float64 \(5, 10\); expected whole numbers"),
        (np.full((5, 10), 0.1), r"\(5, 10\)"),
        (np.ones((5, 10)), r"\(5, 10\)"),
        (np.eye(10)[:, :9], r"\(10, 9\)"),
        (np.eye(11), r"\(11, 11\)"),
        (np.eye(10) * 2 - np.eye(10)[::-1], r"\(10, 10\)"),
        (np.zeros((5, 2), np.uint8), r"uint8 \(5, 2\)"),
        (np.zeros((5, 1, 1)), r"\(5, 1, 1\)"),
        (np.array(3), r"\(\)"),
        (np.array([1j]), "complex128"),
        (np.array(["2020-01-01"], "datetime64[D]"), "datetime64"),
    ],
)
def test_labels_that_are_wrong_or_ambiguous(labels, message):
    with pytest.raises(UserError, match=message) as caught:
        to_labels(labels, 10, "it")
    assert "\n" not in str(caught.value)


def test_images_and_labels_must_be_as_many(images):
    labels = np.zeros(30, int)
    part = check_part(Labelled(images, labels), 10, "data: the train")
    np.testing.assert_array_equal(part.images, images)
    assert part.labels.dtype == np.uint8
    for n_images, n_labels in ((30, 29), (29, 30), (1, 30), (30, 0)):
        with pytest.raises(UserError, match=f"{n_images} images, but {n_labels} labels"):
            check_part(Labelled(images[:n_images], labels[:n_labels]), 10, "data: the train")


# --- A test part of one's own -------------------------------------------------------------------


def test_the_last_seventh_of_each_class_is_held_out(capsys, tmp_path):
    labels = np.repeat([0, 1, 2, 3, 4], [14, 7, 3, 15, 2]).astype(np.uint8)  # sorted
    images = np.arange(41, dtype=np.uint8)  # stand-ins that can be told apart
    train, test = hold_out(Labelled(images, labels), tmp_path)
    assert test.images.tolist() == [12, 13, 20, 23, 37, 38]
    assert test.labels.tolist() == [0, 0, 1, 2, 3, 3]
    assert train.images.tolist() == [i for i in range(41) if i not in test.images]
    assert train.labels.tolist() == labels[train.images].tolist()
    assert "the last seventh of each class, at least one" in capsys.readouterr().out


def test_too_few_images_to_hold_some_out(tmp_path):
    with pytest.raises(UserError, match="fewer than 3 of each class"):
        hold_out(Labelled(np.zeros((20, 28, 28)), np.repeat(np.arange(10), 2)), tmp_path)
