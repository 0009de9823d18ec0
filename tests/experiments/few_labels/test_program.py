import importlib
import json
import subprocess
import sys
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from _00_main import make_settings
from _01_data_loader import load_data
from common.array_files import read_arrays
from common.command_line import PROJECT_DIR
from common.data import Arrays
from common.user_error import UserError
from experiments.few_labels.drawing import draw
from experiments.few_labels.subsets import for_validation, write_data
from experiments.few_labels.trainings import (
    NEVER,
    UNVARIED,
    curve_runs,
    list_trainings,
    pseudo_runs,
)
from studies import many_runs
from training.augmentation import VARIATION_SETTINGS

program = importlib.import_module("experiments.few_labels.__main__")
pytest.importorskip("optuna")
pytestmark = pytest.mark.filterwarnings("ignore:Heartbeat of storage")
TINY = ["--architecture=tiny", "--epochs=1", "--polish-epochs=0", "--precision=float32"]


@pytest.fixture(scope="module")
def few(digits):
    return Arrays(
        digits.x_train[:600], digits.y_train[:600], digits.x_test[:200], digits.y_test[:200]
    )


@pytest.fixture
def stand_in(monkeypatch, few):
    """Let small digits stand for MNIST's, and the test accuracy of a run be its labels' number."""
    monkeypatch.setattr("_01_data_loader.load_data", lambda _: few)
    made = []

    def run(settings, resume_folder):
        assert settings.data_dir not in [one.data_dir for one in made if one == settings]
        made.append(settings)
        with np.load(settings.data_dir) as data:
            n_labelled = len(np.unique(data["x_train"], axis=0))
        accuracy = n_labelled / 1000 + settings.seed / 100 + (settings.rotation > 0) / 1000
        metrics = {"test_accuracy": accuracy, "val_accuracy": 1.0, "total_seconds": 1.0}
        return SimpleNamespace(metrics=metrics)

    monkeypatch.setattr(many_runs, "run", run)
    return made


# --- The data of a training ---


def test_few_images_are_repeated_until_they_are_as_many_as_all(tmp_path, few):
    images, labels = few.x_train[:20], few.y_train[:20]
    write_data(tmp_path / "new" / "few.npz", images, labels, few)
    read = read_arrays(tmp_path / "new" / "few.npz", "custom", 10)
    assert len(read.y_train) == len(few.y_train) == 30 * 20
    np.testing.assert_array_equal(read.x_train[::30], images)
    np.testing.assert_array_equal(read.y_train[29::30], labels)
    np.testing.assert_array_equal(read.x_test, few.x_test)


@pytest.mark.parametrize("n", [450, 600, 700])
def test_all_trainings_have_equally_many_images(n, tmp_path, digits, few):
    images, labels = digits.x_train[:n], digits.y_train[:n]
    write_data(tmp_path / "few.npz", images, labels, few)
    read = read_arrays(tmp_path / "few.npz", "custom", 10)
    assert len(read.y_train) == max(n, 600)
    copies = np.unique(read.x_train, axis=0, return_counts=True)[1]
    assert len(copies) == n and copies.max() - copies.min() <= 1


def test_validation_images_are_the_last_sixth_and_no_test_image_is_read(few):
    arrays = for_validation(few)
    assert len(arrays.y_train) == 500 and len(arrays.y_test) == 100
    np.testing.assert_array_equal(arrays.x_test, few.x_train[500:])
    np.testing.assert_array_equal(arrays.x_train, few.x_train[:500])


def test_each_training_has_its_images_and_its_seed(tmp_path, few):
    trainings = list_trainings((1, 3, None), 2)
    assert len({training.label for training in trainings}) == 2 * (4 + 4 + 2)
    settings = make_settings(**program.CHANGES, pen=0.5, paper=0.2, stretch=0.5, flip=0.1)
    runs = curve_runs(trainings, few, settings, tmp_path)
    assert runs.keys() == {training.label for training in trainings}
    hashes = {}
    for training in trainings:
        run = runs[training.label]
        assert run.seed == training.seed and not run.early_stopping_enabled
        assert run.plateau_patience == NEVER > run.epochs
        varied = (run.rotation, run.zoom, run.shift, run.shear, run.pen, run.paper, run.stretch)
        varied += (run.flip,)
        assert all(varied) if training.is_varied else not any(varied)
        with np.load(run.data_dir) as data:
            distinct = np.unique(data["x_train"], axis=0)
            assert len(distinct) == (10 * training.per_class if training.per_class else 600)
            hashes.setdefault(data["x_train"].tobytes(), []).append(training)
    # One file for both variations; typical and all images are the same for both seeds.
    assert sorted(len(same) for same in hashes.values()) == [2, 2, 2, 2, 4, 4, 4]


def test_unvaried_images_have_no_variation_at_all():
    assert dict.fromkeys(VARIATION_SETTINGS, 0.0) == UNVARIED


def test_the_network_learns_from_the_answers_of_each_draw(tmp_path):
    paths = {name: tmp_path / f"{name}.npz" for name in ("typical", "random 0", "random 1")}
    runs = pseudo_runs(2, 2, make_settings(), paths)
    assert len(runs) == 4
    for name, run in runs.values():
        assert run.data_dir == str(paths[name])
    seeds = sorted((name, run.seed) for name, run in runs.values())
    assert seeds == [("random 0", 0), ("random 1", 1), ("typical", 0), ("typical", 1)]


# --- The program ---


def test_tables_and_figure_hold_every_training_and_nothing_is_made_twice(
    tmp_path, stand_in, capsys, monkeypatch
):
    arguments = ["--per-class", "5", "all", "--n=2", "--draws=2", f"--folder={tmp_path}", *TINY]
    program.main(arguments)
    curve = pd.read_csv(tmp_path / "few_labels.csv")
    assert len(curve) == 4 + 2 and set(curve["n"]) == {2}
    row = curve.set_index(["labels", "per class", "varied"]).loc["typical", 5, "yes"]
    assert row["accuracy"] == pytest.approx(100 * (0.05 + 0.005 + 0.001))
    assert row["std"] == pytest.approx(0.5**0.5)
    ten = pd.read_csv(tmp_path / "few_labels_ten.csv").set_index(["method", "labels"])
    assert len(ten) == 3 * 2 and ten.loc[("graph, transductive", "typical"), "n"] == 1
    assert ten.loc[("graph, inductive", "typical"), "accuracy"] > 80
    assert len(pd.read_csv(tmp_path / "few_labels_each.csv")) == 12
    assert len(pd.read_csv(tmp_path / "few_labels_ten_each.csv")) == 6 + 4
    assert len(stand_in) == 12 + 4
    with Image.open(tmp_path / "few_labels.png") as figure:
        assert figure.width > 900
    printed = capsys.readouterr().out
    assert (tmp_path / "few_labels_ten.md").read_text() in printed
    assert "best validation accuracy" not in printed and "Ignore the validation acc" in printed
    monkeypatch.setattr("studies.tables.PROJECT_DIR", tmp_path)
    with pytest.raises(
        UserError, match="for the documented results: leave out .*--architecture.*--n, "
    ):
        program.main([*arguments, "--write-docs"])
    monkeypatch.setattr(program, "check_documented", lambda *_: None)
    program.main([*arguments, "--write-docs"])
    assert len(stand_in) == 12 + 4
    in_docs = pd.read_csv(tmp_path / "docs" / "results" / "few_labels.csv")
    pd.testing.assert_frame_equal(in_docs, curve)


def test_a_part_alone_is_a_whole_result_and_leaves_the_other(tmp_path, stand_in, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "experiments.few_labels.drawing.draw",
        lambda curve, ten, what: drawn.append((len(curve), len(ten))) or draw(curve, ten, what),
    )
    program.main(["--parts", "graph", "--draws=1", f"--folder={tmp_path}"])
    assert stand_in == [] and len(pd.read_csv(tmp_path / "few_labels_ten.csv")) == 4
    program.main(["--parts", "curve", "--per-class", "2", "--n=1", f"--folder={tmp_path}", *TINY])
    table = pd.read_csv(tmp_path / "few_labels.csv")
    assert len(table) == 4 and table["std"].isna().all()
    assert len(pd.read_csv(tmp_path / "few_labels_each.csv")) == 4
    assert len(pd.read_csv(tmp_path / "few_labels_ten_each.csv")) == 4
    assert drawn == [(0, 4), (4, 4)]


def test_a_count_that_is_given_twice_counts_once(tmp_path, stand_in):
    folder = f"--folder={tmp_path}"
    program.main(["--parts", "curve", "--per-class", "2", "2", "--n=1", folder, *TINY])
    assert len(pd.read_csv(tmp_path / "few_labels_each.csv")) == 4


def test_validation_reads_training_images_only(tmp_path, stand_in, few):
    folder = f"--folder={tmp_path}"
    parts = ["--parts", "curve", "network", "--per-class=2", "--n=1", "--draws=1"]
    program.main(["--validate", *parts, folder, *TINY])
    allowed = {image.tobytes() for image in few.x_train[:500]}
    assert len(stand_in) == 4 + 2
    for settings in stand_in:
        with np.load(settings.data_dir) as data:
            np.testing.assert_array_equal(data["x_test"], few.x_train[500:])
            assert {image.tobytes() for image in data["x_train"]} <= allowed


def test_twenty_images_of_each_class_are_trained_on_for_real(tmp_path, monkeypatch, few):
    small = {"mnist": lambda _: few, "custom": load_data}
    monkeypatch.setattr("_01_data_loader.load_data", lambda name, *where: small[name](name, *where))
    monkeypatch.setattr("experiments.few_labels.trainings.CHOICES", ("typical",))
    monkeypatch.setitem(program.CHANGES, "val_size", 0.1)  # of 600 images, 1 % are too few
    changes = [*TINY, "--learning-rate=0.01", "--epochs=8"]
    folder = f"--folder={tmp_path}"
    program.main(["--parts", "curve", "--per-class=20", "--n=1", folder, *changes])
    table = pd.read_csv(tmp_path / "few_labels.csv").set_index(["labels", "varied"])
    assert table["accuracy"].min() > 50 and len(table) == 2  # chance is 10
    run_folder = next((tmp_path / "runs").glob("*-custom-tiny-seed0"))
    saved = json.loads((run_folder / "settings.json").read_text())["settings"]
    expected = make_settings(**program.CHANGES, output_dir=tmp_path)
    assert saved["plateau_patience"] == asdict(expected)["plateau_patience"]


# --- What cannot be ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--n=0"], "--n must be 1 or more, got 0"),
        (["--draws=0"], "--draws must be 1 or more, got 0"),
        (["--per-class", "0"], "expected a number from 1, or all, got '0'"),
        (["--per-class", "five"], "expected a number from 1, or all, got 'five'"),
        (["--parts", "curves"], "invalid choice: 'curves'"),
        (["--dataset=digits"], "leave --dataset out: the labelled images are of MNIST"),
        (["--output-dir=x"], "leave --output-dir out: --folder says where"),
        (["--recipe=best"], "leave --recipe out: the default recipe is what is measured"),
        (["--early-stopping-enabled"], "leave --early-stopping-enabled out: validation images are"),
        (["--seed=3"], "leave --seed out"),
        (["--drawn=0.2"], "leave --drawn out: drawn digits would be further labels"),
        (["--epoch=3"], "unknown flag '--epoch'.*--epochs"),
        (["--epochs=0"], "epochs must be a positive whole number"),
        (["--validate", "--write-docs"], "--write-docs needs all parts, on test images"),
        (["--parts", "graph", "--write-docs"], "--write-docs needs all parts"),
        (["--n=1", "--write-docs"], "for the documented results: leave out --n"),
        (["--per-class=5", "--draws=1", "--write-docs"], "leave out --draws, --per-class"),
        (["--per-class", "1", "900", "--parts", "curve"], "900 labels per class cannot be had"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(tmp_path, stand_in, arguments, message):
    with pytest.raises(UserError, match=message) as caught:
        program.main([f"--folder={tmp_path}", *arguments])
    assert "\n" not in str(caught.value) and stand_in == []


def test_a_class_without_images_is_told_before_anything_is_trained(
    tmp_path, monkeypatch, stand_in, few
):
    keep = few.y_train != 6
    without = few._replace(x_train=few.x_train[keep], y_train=few.y_train[keep])
    monkeypatch.setattr("_01_data_loader.load_data", lambda _: without)
    for part in ("curve", "graph"):
        with pytest.raises(UserError, match="class 6 has no images"):
            program.main([f"--folder={tmp_path}", "--parts", part])
    assert stand_in == []


def test_a_damaged_data_file_and_damaged_results_are_told_in_one_line(tmp_path, stand_in):
    arguments = ["--parts", "curve", "--per-class=1", "--n=1", f"--folder={tmp_path}", *TINY]
    program.main(arguments)
    (tmp_path / "runs" / "studies.db").write_bytes(b"no database" * 1000)
    with pytest.raises(UserError, match=r"studies\.db") as caught:
        program.main(arguments)
    assert "\n" not in str(caught.value)
    (tmp_path / "data" / "typical_1.npz").write_bytes(b"PK damaged")
    with pytest.raises(UserError, match=r"typical_1\.npz cannot be read as \.npz") as caught:
        program.main([*arguments, "--storage", f"sqlite:///{tmp_path / 'new.db'}"])
    assert "\n" not in str(caught.value)


def test_a_missing_package_is_told_in_one_line(tmp_path):
    arguments = ["few_labels", "--parts", "curve", "--folder", str(tmp_path)]
    code = (
        "import sys, runpy; sys.modules['optuna'] = None\n"
        f"sys.argv = {arguments!r}\n"
        "import _01_data_loader, numpy as np\n"
        "from common.data import Arrays\n"
        "y = np.repeat(np.arange(10), 600)\n"
        "x = np.zeros((6000, 28, 28), 'uint8')\n"
        "_01_data_loader.load_data = lambda _: Arrays(x, y, x, y)\n"
        "runpy.run_module('experiments.few_labels', run_name='__main__')"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT_DIR, capture_output=True, text=True, timeout=120
    )
    assert answer.returncode == 2 and "Traceback" not in answer.stderr
    assert "requirements-extras.txt" in answer.stderr.splitlines()[-1]
