import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

import _05_model_plot
from _00_main import run
from _03_model_training import evaluate
from _05_model_plot import draw, main, plot_run, read_run
from figures.catalogue import FIGURES, Choice, choose_figures
from figures.run import rank_misclassified
from tests.conftest import make_tiny_settings
from user_error import UserError

QUICK = [name for name, kind in FIGURES.items() if not kind.is_slow]


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory, tiny_architecture):
    """Return the folder of a finished run without figures."""
    settings = make_tiny_settings(tmp_path_factory.mktemp("finished"))
    return run(settings).run_folder


@pytest.fixture
def folder(finished_run, tmp_path):
    """Return a copy of that folder, to draw into."""
    return shutil.copytree(finished_run, tmp_path / "run")


def load_classifier(folder):
    return keras.saving.load_model(folder / "model.keras")


def pictures(folder):
    return {path.stem for path in folder.glob("*.png")}


@pytest.mark.parametrize(("extent", "expected"), [("quick", set(QUICK)), ("none", set())])
def test_a_run_draws_as_much_as_it_is_told(folder, extent, expected):
    material = read_run(folder)
    plot_run(folder, load_classifier(folder), material.splits, material.probabilities, extent)
    assert pictures(folder) == expected
    assert (folder / "report.html").exists() == bool(expected)
    assert plt.get_fignums() == []


def test_a_run_of_several_networks_is_drawn_by_the_first(tmp_path, tiny_settings):
    folder = run(replace(tiny_settings, networks=2)).run_folder
    material = read_run(folder)
    assert material.network.name == "tiny"
    draw(folder, material, QUICK)
    assert pictures(folder) == set(QUICK)


def test_all_figures_can_be_drawn_again_without_training(folder, capsys, splits):
    (folder / "curves.png").write_bytes(b"old")
    main([str(folder)])
    assert pictures(folder) == FIGURES.keys()
    printed = capsys.readouterr().out
    assert f"Figures:        {' '.join(FIGURES)} \n" in printed
    for name in FIGURES:
        with Image.open(folder / f"{name}.png") as image:
            assert min(image.size) > 250 and image.text["Title"]
    assert "report.html" in printed


def test_the_run_that_is_read_is_the_run_that_was_made(folder):
    material = read_run(folder)
    assert material.settings["architecture"] == "tiny" and len(material.history) == 3
    metrics = json.loads((folder / "metrics.json").read_text())
    labels, probabilities = material.splits.y_test, material.probabilities
    of_true_class = probabilities[np.arange(len(labels)), labels]
    assert -np.log(of_true_class).mean() == pytest.approx(metrics["test_loss"], rel=1e-4)
    wrong, _ = rank_misclassified(labels, probabilities)
    assert len(wrong) == metrics["n_misclassified"] > 0
    validation = evaluate(load_classifier(folder), material.splits.x_val, material.splits.y_val)
    assert validation.accuracy == metrics["val_accuracy"]
    with Image.open(draw_one(folder, material, "misclassified")) as image:
        assert f" {len(wrong)})" in image.text["Title"]


def draw_one(folder, material, name, **choice):
    before = set(folder.glob("*.png"))
    draw(folder, material, [name], Choice(**choice))
    assert plt.get_fignums() == []
    (path,) = set(folder.glob("*.png")) - before
    return path


@pytest.mark.parametrize(
    ("name", "choice", "file"),
    [
        ("filters", {"layer": "conv2d"}, "filters-conv2d.png"),
        ("activations", {"layer": "conv2d", "image": 3}, "activations-conv2d-image3.png"),
        ("activations", {"image": 0}, "activations-image0.png"),
    ],
)
def test_a_choice_names_the_file(folder, name, choice, file):
    material = read_run(folder)
    if "layer" in choice:  # names of layers count up over all models of a process
        own = next(layer.name for layer in material.network.layers if "conv2d" in layer.name)
        choice, file = choice | {"layer": own}, file.replace("conv2d", own)
    assert draw_one(folder, material, name, **choice).name == file


def test_figures_are_shown_on_demand(folder, monkeypatch):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.get_fignums()))
    draw(folder, read_run(folder), ["samples", "per_class"], show=True)
    assert len(shown) == 1 and len(shown[0]) == 2
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["filtres"], "unknown figure 'filtres'. Did you mean 'filters'? Valid: activations, "),
        (["filters", "--layer", "nope"], "unknown layer for filters 'nope'. Valid: conv2d"),
        (["--layer", "nope", "embeddings"], "unknown layer for embeddings 'nope'. Valid: "),
        (["curves", "--layer", "conv2d"], "'curves' takes no --layer"),
        (["filters", "--image", "3"], "'filters' takes no --image"),
        (["--layer", "conv2d"], "--layer and --image need the name of a figure"),
        (["--image", "0"], "--layer and --image need the name of a figure"),
        (["activations", "--image", "360"], "--image must be from 0 to 359, got 360"),
        (["activations", "--image", "-1"], "--image must be from 0 to 359, got -1"),
        (["activations", "--image", "x"], "invalid int value: 'x'. See --help."),
    ],
)
def test_names_and_numbers_that_do_not_exist(folder, arguments, message):
    with pytest.raises(UserError) as caught:
        main([str(folder), *arguments])
    assert message in str(caught.value)
    assert pictures(folder) == set()


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("settings.json", "is no run folder: it has no settings.json"),
        ("metrics.json", "is not finished. Go on with: python _00_main.py --resume"),
        ("model.keras", "has no model.keras, which the figures are drawn from"),
        ("history.csv", "has no history.csv, which the figures are drawn from"),
    ],
)
def test_a_folder_that_lacks_a_file(folder, missing, message):
    (folder / missing).unlink()
    with pytest.raises(UserError) as caught:
        main([str(folder)])
    assert message in str(caught.value)


def test_damaged_files_of_a_run(folder):
    (folder / "model.keras").write_bytes(b"no model")
    with pytest.raises(UserError, match=r"model.keras cannot be loaded"):
        read_run(folder)
    (folder / "settings.json").write_text("{}")
    with pytest.raises(UserError, match=r"settings.json holds no settings"):
        read_run(folder)


def test_an_error_is_one_line_and_exit_code_2(tmp_path):
    program = Path(_05_model_plot.__file__)
    answer = subprocess.run(
        [sys.executable, program, tmp_path / "none"], capture_output=True, text=True
    )
    assert answer.returncode == 2 and answer.stderr.count("\n") == 1
    assert answer.stderr.startswith("error: ") and "is no run folder" in answer.stderr


def test_figures_that_cannot_be_written(folder, tmp_path):
    material = read_run(folder)
    with pytest.raises(UserError, match="cannot write"):
        draw(tmp_path / "none", material, ["samples"])


def test_a_network_without_convolutions_draws_the_rest(tiny_architecture):
    import keras

    dense = keras.Sequential(
        [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
    )
    assert set(FIGURES) - set(choose_figures(dense, "all")) == {"filters", "activations"}
    linear = keras.Sequential([keras.Input((784,)), keras.layers.Dense(10)])
    assert "embeddings" not in choose_figures(linear, "all")
