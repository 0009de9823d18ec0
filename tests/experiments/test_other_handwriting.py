import numpy as np
import pandas as pd
import pytest
from PIL import Image

from common.classifier import Classifier
from common.data import Arrays
from common.user_error import UserError
from experiments import other_handwriting as experiment
from experiments.distortions import DISTORTIONS


def answering(label):
    """A classifier that always gives the same answer."""
    row = np.eye(10, dtype="float32")[label]
    return Classifier(lambda images: np.tile(row, (len(images), 1)), "a test", 10)


@pytest.fixture
def stand_ins(monkeypatch, digits):
    """Let small digits stand for MNIST's, and the answer of a network be its file's name."""
    few = Arrays(*(array[:200] for array in digits))
    monkeypatch.setattr("_01_data_loader.load_data", lambda _: few)
    monkeypatch.setattr(experiment, "load_classifier", lambda path: answering(int(path.stem)))
    return few


def test_each_network_reads_each_data_set(tmp_path, stand_ins, digits, capsys):
    np.savez(tmp_path / "mine.npz", x=digits.x_test[:50], y=np.full(50, 7))
    folder = tmp_path / "out"
    data = str(tmp_path / "mine.npz")
    experiment.main(["--model=7", data, "--model=3", "--n=100", f"--folder={folder}"])
    table = pd.read_csv(folder / "other_handwriting.csv").set_index("data")
    assert list(table.index) == ["MNIST", "scikit-learn's digits", data]
    assert table.loc[data, ["7", "3"]].tolist() == [100, 0]
    assert table.loc["scikit-learn's digits", "7"] == pytest.approx(100 * 179 / 1797)
    assert table["n"].tolist() == [len(stand_ins.y_test), 1797, 50]
    by_class = pd.read_csv(folder / "other_handwriting_by_class.csv")
    sevens = by_class[(by_class["data"] == "MNIST") & (by_class["network"] == 7)]
    assert sevens["7"].item() == 100 and sevens["3"].item() == 0
    assert (folder / "other_handwriting.md").read_text() in capsys.readouterr().out


def test_curves_have_every_strength_and_a_line_per_network(tmp_path, stand_ins):
    experiment.main(["--model=7", "--model=3", "--n=100", f"--folder={tmp_path}"])
    curves = pd.read_csv(tmp_path / "other_handwriting_strength.csv")
    n_strengths = sum(len(one.strengths) for one in DISTORTIONS.values())
    assert len(curves) == 2 * n_strengths and set(curves["n"]) == {100}
    assert set(curves["distortion"]) == set(DISTORTIONS)
    with Image.open(tmp_path / "other_handwriting.png") as figure:
        assert figure.width > 1000
    lines = experiment.draw_strength(curves.assign(network=curves["network"].astype(str)))
    panels = lines.axes
    assert len(panels) == 8 and all(len(panel.lines) == 2 for panel in panels)
    assert all(panel.get_xlabel() and panel.get_title() for panel in panels)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--n=99"], "--n must be from 100 to 10000, got 99"),
        (["--n=10001"], "--n must be from 100 to 10000"),
        (["--model=1", "--model=2", "--model=3", "--model=4"], "up to 3 times, got 4"),
        (["nowhere.npz"], "nowhere.npz"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(arguments, message, stand_ins):
    models = [] if "--model=1" in arguments else ["--model=7"]
    with pytest.raises(UserError, match=message) as caught:
        experiment.main([*models, *arguments])
    assert "\n" not in str(caught.value)
