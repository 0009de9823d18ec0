import numpy as np
import pandas as pd
import pytest

from benchmarks import pictures as benchmark
from common.classifier import Classifier
from common.data import Arrays
from common.user_error import UserError


def test_kinds_of_pictures(digits):
    draw, image = np.random.default_rng(0), digits.x_test[0]
    assert benchmark.enlarged(image, draw).shape == (280, 280)
    assert benchmark.enlarged(image, draw)[5, 5] == 255
    scan = benchmark.scanned(image, draw)
    assert scan.dtype == bool and 60 <= len(scan) <= 140 and 0 < (~scan).mean() < 0.3
    photo = benchmark.photographed(image, draw)
    assert photo.dtype == np.uint8 and min(photo.shape) >= 400 and photo.std() > 5


def answering(label):
    """A classifier that always gives the same answer."""
    row = np.eye(10, dtype="float32")[label]
    return Classifier(lambda images: np.tile(row, (len(images), 1)), "a test", 10)


def test_what_is_not_found_is_wrong_even_if_the_answer_for_nothing_is_right(digits):
    empty = np.full((50, 50), 255, "uint8")
    found, label = digits.x_test[0], int(digits.y_test[0])
    row = benchmark.read_row("two", [found, empty], np.array([label, label]), answering(label))
    assert row["accuracy in %"] == 50 and row["not found"] == 1 and row["n"] == 2


def test_the_program_writes_a_row_per_kind(tmp_path, monkeypatch, digits, capsys):
    few = Arrays(*(array[:3] for array in digits))
    monkeypatch.setattr("_01_data_loader.load_data", lambda _: few)
    monkeypatch.setattr(benchmark, "load_classifier", lambda _: answering(7))
    monkeypatch.setattr(benchmark, "photographed", benchmark.enlarged)
    benchmark.main(["--n", "3", "--folder", str(tmp_path)])
    table = pd.read_csv(tmp_path / "table.csv")
    assert list(table["n"]) == [3, 3, 3, 3, 1797]
    assert table["accuracy in %"].iloc[-1] == pytest.approx(100 * 179 / 1797)  # its sevens
    assert (tmp_path / "table.md").read_text() in capsys.readouterr().out
    with pytest.raises(UserError, match="--n must be"):
        benchmark.main(["--n", "0"])
