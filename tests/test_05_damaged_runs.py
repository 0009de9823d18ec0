"""Run folders that cannot be drawn: each gives one line that names the file and what is wrong."""

import dataclasses
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from _05_model_plot import (
    gather,
    load_classifier,
    main,
    read_drawable,
    read_metrics,
    read_whole_history,
)
from common.user_error import UserError
from tests.conftest import make_tiny_settings
from tests.figures.conftest import HISTORY, METRICS
from tests.tiny import tiny


@pytest.fixture(scope="module")
def whole_folder(tmp_path_factory, tiny_architecture):
    """Return the folder of a run that nobody trained."""
    folder = tmp_path_factory.mktemp("whole")
    settings = dataclasses.asdict(make_tiny_settings(folder))
    (folder / "settings.json").write_text(json.dumps({"settings": settings}))
    (folder / "metrics.json").write_text(json.dumps(METRICS))
    HISTORY.to_csv(folder / "history.csv", index=False)
    tiny((28, 28, 1), 10).save(folder / "model.keras")
    return folder


@pytest.fixture
def folder(whole_folder, tmp_path):
    """Return a copy, to damage."""
    return shutil.copytree(whole_folder, tmp_path / "run")


def edit_settings(folder, **changes):
    """Change settings in settings.json; the value "absent" removes one."""
    path = folder / "settings.json"
    description = json.loads(path.read_text())
    settings = description["settings"] | changes
    description["settings"] = {k: v for k, v in settings.items() if v != "absent"}
    path.write_text(json.dumps(description))


def test_a_whole_folder_is_read(folder, splits):
    run = gather(folder, tiny((28, 28, 1), 10), splits, np.zeros((360, 10)))
    assert run.metrics == METRICS and run.history.equals(HISTORY)
    assert load_classifier(folder / "model.keras", run.settings).count_params() > 0


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("settings.json", "is no run folder: it has no settings.json"),
        ("metrics.json", "is not finished. Go on with: python "),
        ("model.keras", "has no model.keras, which the figures are drawn from"),
        ("history.csv", "has no history.csv, which the figures are drawn from"),
    ],
)
def test_a_folder_that_lacks_a_file(folder, missing, message):
    (folder / missing).unlink()
    with pytest.raises(UserError) as caught:
        main([str(folder)])
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": "absent", "shear": "absent"}, "is no description of a run: it lacks seed, shear"),
        ({"rotation": "far"}, "is damaged: rotation must be a number 0 or greater, got 'far'"),
        ({"precision": "float16"}, "is damaged: unknown precision 'float16'"),
        ({"dataset": "mnits"}, "is damaged: unknown dataset 'mnits'. Did you mean 'mnist'?"),
        ({"monitor": "loss"}, "is damaged: unknown monitor 'loss'"),
        ({"networks": 0}, "is damaged: networks must be a positive whole number, got 0"),
    ],
)
def test_settings_that_cannot_be(folder, changes, message):
    edit_settings(folder, **changes)
    with pytest.raises(UserError) as caught:
        read_drawable(folder)
    assert str(caught.value).startswith(f"{folder / 'settings.json'} {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "is damaged: it has no number test_accuracy"),
        ('{"test_accuracy": "high"}', "is damaged: it has no number test_accuracy"),
        ('{"test_accuracy": 0.9}', "is damaged: it has no number n_misclassified"),
    ],
)
def test_damaged_metrics(folder, splits, text, message):
    (folder / "metrics.json").write_text(text)
    with pytest.raises(UserError, match=f"metrics.json {message}"):
        read_metrics(folder)
    with pytest.raises(UserError, match=f"metrics.json {message}"):
        gather(folder, tiny((28, 28, 1), 10), splits, np.zeros((360, 10)))


COLUMNS = "epoch,phase,accuracy,learning_rate,loss,seconds,val_accuracy,val_loss\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read"),
        ("\0\0\0", "is no history of a run"),
        (COLUMNS, "is damaged: it has no epochs"),
        (COLUMNS + "1,polish,0.1,0.1,0.1,1.0,high,0.1\n", "is damaged: val_accuracy is not a num"),
        (COLUMNS + "1,augmented,0.1,0.1,0.1,1.0", "is damaged: a row has no val_accuracy"),
        ("epoch,phase,loss,val_loss\n1,polish,1.0,1.0\n", "is damaged: it has no column accuracy"),
    ],
)
def test_damaged_histories(folder, splits, text, message):
    (folder / "history.csv").write_text(text)
    with pytest.raises(UserError, match=f"history.csv {message}"):
        read_whole_history(folder)
    with pytest.raises(UserError, match=f"history.csv {message}"):
        gather(folder, tiny((28, 28, 1), 10), splits, np.zeros((360, 10)))


def test_a_history_of_a_training_that_diverged(folder):
    text = COLUMNS + "1,augmented,0.1,0.1,nan,1.0,0.1,nan\n"
    (folder / "history.csv").write_text(text)
    assert np.isnan(read_whole_history(folder)["loss"][0])


def of_another_program(path):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]).save(path)


def of_another_number_of_classes(path):
    tiny((28, 28, 1), 7).save(path)


def with_code_in_it(path):
    touch = lambda x: (__import__("pathlib").Path("code-was-run").touch(), x)[1]  # noqa: E731
    code = keras.layers.Lambda(touch, output_shape=(28, 28, 1))
    output = keras.layers.Dense(10, activation="softmax")
    layers = [keras.Input((28, 28, 1)), code, keras.layers.Flatten(), output]
    keras.Sequential(layers).save(path)
    Path("code-was-run").unlink(missing_ok=True)  # building the network may run it, too


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(b"no model"), "cannot be loaded: "),
        (lambda path: path.write_bytes(b""), "cannot be loaded: "),
        (cut_short, "cannot be loaded: "),
        (with_code_in_it, "cannot be loaded: "),
        (of_another_program, "holds no classifier for digits: "),
        (of_another_number_of_classes, "holds no classifier for digits: "),
    ],
)
def test_a_model_file_that_is_not_the_runs(folder, monkeypatch, spoil, message):
    monkeypatch.chdir(folder)
    path, settings = folder / "model.keras", read_drawable(folder).settings
    spoil(path)
    with pytest.raises(UserError) as caught:
        load_classifier(path, settings)
    assert str(caught.value).startswith(f"{path} {message}") and "\n" not in str(caught.value)
    assert not (folder / "code-was-run").exists()
