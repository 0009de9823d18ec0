import shutil

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from _00_main import run
from _03_model_training import evaluate
from _05_model_plot import check_finished, draw, main, plot_run, read_run
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


def pictures(folder):
    return {path.stem for path in folder.glob("*.png")}


@pytest.mark.parametrize(("extent", "expected"), [("quick", set(QUICK)), ("none", set())])
def test_a_run_draws_as_much_as_it_is_told(folder, extent, expected):
    material = read_run(folder)
    plot_run(folder, material.model, material.splits, material.probabilities, extent)
    assert pictures(folder) == expected
    assert (folder / "report.html").exists() == bool(expected)
    assert plt.get_fignums() == []


def test_all_figures_can_be_drawn_again_without_training(folder, capsys, splits):
    (folder / "curves.png").write_bytes(b"old")
    main([str(folder)])
    assert pictures(folder) == FIGURES.keys()
    printed = capsys.readouterr().out
    assert all(f"Drawing:  {name} ... " in printed for name in FIGURES)
    for name in FIGURES:
        with Image.open(folder / f"{name}.png") as image:
            assert min(image.size) > 250 and image.text["Title"]
    assert "report.html" in printed


def test_the_run_that_is_read_is_the_run_that_was_made(folder):
    material = read_run(folder)
    assert material.settings["architecture"] == "tiny" and len(material.history) == 3
    test = evaluate(material.model, material.splits.x_test, material.splits.y_test)
    np.testing.assert_array_equal(test.probabilities, material.probabilities)
    wrong, _ = rank_misclassified(material.splits.y_test, material.probabilities)
    with Image.open(draw_one(folder, material, "misclassified")) as image:
        assert f" {len(wrong)})" in image.text["Title"]


def draw_one(folder, material, name, **choice):
    before = set(folder.glob("*.png"))
    draw(folder, material, [name], Choice(**choice))
    (path,) = set(folder.glob("*.png")) - before
    return path


@pytest.mark.parametrize(
    ("name", "choice", "file"),
    [
        ("filters", {"layer": "conv2d"}, "filters-conv2d.png"),
        ("activations", {"layer": "conv2d", "image": 3}, "activations-conv2d-image3.png"),
        ("activations", {"image": 0}, "activations-image0.png"),
        ("curves", {"layer": "conv2d", "image": 3}, "curves.png"),
    ],
)
def test_a_choice_names_the_file(folder, name, choice, file):
    material = read_run(folder)
    if "layer" in choice:  # names of layers count up over all models of a process
        own = next(layer.name for layer in material.model.layers if "conv2d" in layer.name)
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
        (["filters", "--layer", "nope"], "unknown convolution 'nope'. Valid: conv2d"),
        (["embeddings", "--layer", "nope"], "unknown embedding layer 'nope'. Valid: "),
        (["activations", "--image", "360"], "--image must be from 0 to 359, got 360"),
        (["activations", "--image", "-1"], "--image must be from 0 to 359, got -1"),
    ],
)
def test_names_and_numbers_that_do_not_exist(folder, arguments, message):
    with pytest.raises(UserError) as caught:
        main([str(folder), *arguments])
    assert message in str(caught.value)
    assert pictures(folder) == set()


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(UserError, match="is no run folder: it has no settings.json"):
        main([str(tmp_path)])


@pytest.mark.parametrize("name", ["model.keras", "metrics.json"])
def test_a_run_that_is_not_finished(folder, name):
    (folder / name).unlink()
    with pytest.raises(UserError, match=f"has no {name}: .* --resume"):
        check_finished(folder)


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
