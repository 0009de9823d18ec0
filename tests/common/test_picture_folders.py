import numpy as np
import pytest
from PIL import Image

from common.array_files import read_arrays
from common.picture_folders import find_picture_folders, read_picture_folder
from common.user_error import UserError
from tests.handwriting import draw_digit


def save(array, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def test_pictures_of_any_size_become_images_with_the_label_of_their_folder(tmp_path):
    for digit in (1, 4):
        for pen in (3, 9):
            save(draw_digit(digit, pen=pen), tmp_path / str(digit) / f"{pen}.png")
    (tmp_path / "4" / "notes.txt").write_text("not read")
    (tmp_path / "others").mkdir()
    part = read_picture_folder(tmp_path)
    assert part.images.shape == (4, 28, 28) and part.images.dtype == np.uint8
    assert part.labels.tolist() == [1, 1, 4, 4]
    assert (part.images.max(axis=(1, 2)) > 250).all() and part.images[:, 0].max() < 60


def test_images_as_in_mnist_are_taken_as_they_are(tmp_path, digits):
    save(digits.x_test[0], tmp_path / "7" / "a.png")
    save(255 - digits.x_test[0], tmp_path / "7" / "inverted.png")
    as_it_is, inverted = read_picture_folder(tmp_path).images
    np.testing.assert_array_equal(as_it_is, digits.x_test[0])
    assert np.abs(inverted.astype(int) - digits.x_test[0]).mean() < 30


def test_folders_of_parts_are_found_however_they_are_written(tmp_path):
    for name in ("Training/3", "TEST/3"):
        save(draw_digit(3), tmp_path / name / "a.png")
    assert sorted(find_picture_folders(tmp_path)) == ["test", "train"]
    arrays = read_arrays(tmp_path, "custom", 10)
    assert len(arrays.y_train) == len(arrays.y_test) == 1


def test_without_a_test_part_some_are_set_aside(tmp_path, capsys):
    for digit in range(10):
        for pen in (3, 5, 7):
            save(draw_digit(digit, pen=pen), tmp_path / str(digit) / f"{pen}.png")
    arrays = read_arrays(tmp_path, "custom", 10)
    assert len(arrays.y_train) == 20 and sorted(arrays.y_test) == list(range(10))
    assert "the last seventh of each class, at least one" in capsys.readouterr().out


def test_a_picture_without_a_digit_is_named(tmp_path):
    save(np.full((50, 50), 255, "uint8"), tmp_path / "0" / "blank.png")
    with pytest.raises(UserError, match=r"blank.png has no digit that can be found"):
        read_picture_folder(tmp_path)
