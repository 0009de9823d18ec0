import numpy as np
import pytest
from PIL import Image

from common.labelled_images import read_labelled_images
from common.user_error import UserError
from tests.handwriting import draw_digit


def test_test_images_are_taken_as_they_are(tmp_path, digits):
    np.savez(tmp_path / "all.npz", **digits._asdict())
    read = read_labelled_images(tmp_path / "all.npz")
    np.testing.assert_allclose(read.images, digits.x_test / 255, atol=1e-6)
    np.testing.assert_array_equal(read.labels, digits.y_test)
    assert read.images.dtype == np.float32


def test_a_test_set_alone_is_read(tmp_path, digits):
    np.savez(tmp_path / "test.npz", x_test=digits.x_test, y_test=digits.y_test)
    assert len(read_labelled_images(tmp_path / "test.npz").labels) == len(digits.y_test)


def test_a_table_in_one_part_is_read_whole(tmp_path, digits):
    rows = np.column_stack([digits.y_test[:30], digits.x_test[:30].reshape(30, 784)])
    np.savetxt(tmp_path / "mine.csv", rows, fmt="%d", delimiter=",")
    read = read_labelled_images(tmp_path / "mine.csv")
    np.testing.assert_array_equal(read.labels, digits.y_test[:30])


def test_folders_of_pictures_are_read(tmp_path):
    for digit in (3, 7):
        (tmp_path / str(digit)).mkdir()
        Image.fromarray(draw_digit(digit)).save(tmp_path / str(digit) / "a.png")
    read = read_labelled_images(tmp_path)
    assert read.labels.tolist() == [3, 7] and read.images.shape == (2, 28, 28)
    assert read.images.max() > 0.9


def test_images_of_another_size_are_read_as_pictures_are(tmp_path):
    pictures = np.array([draw_digit(3), draw_digit(7), np.full((200, 200), 255)], "uint8")
    np.savez(tmp_path / "scans.npz", x=pictures, y=[3, 7, 1])
    read = read_labelled_images(tmp_path / "scans.npz")
    assert read.images.shape == (3, 28, 28)
    assert read.images[0].max() > 0.9 and read.images[2].max() == 0  # no ink: a black image


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((3, 28, 28), "uint8")}, "no labels"),
        ({"x": np.zeros((3, 9, 9), "uint8"), "y": np.zeros(2, int)}, "3 images and 2 labels"),
        ({"x": np.zeros((3, 9), "uint8"), "y": np.zeros(3, int)}, r"expected uint8 \(n, height"),
        ({"x": np.zeros((3, 9, 9), "uint8"), "y": np.full(3, 10)}, "expected 0 to 9"),
        ({"x": np.zeros((0, 9, 9), "uint8"), "y": np.zeros(0, int)}, "0 images"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(tmp_path, arrays, message):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(UserError, match=message) as caught:
        read_labelled_images(tmp_path / "bad.npz")
    assert "bad.npz" in str(caught.value) and "\n" not in str(caught.value)
