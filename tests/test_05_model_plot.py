import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

import _05_model_plot
from _00_main import run
from _02_data_preprocess import preprocess
from _05_model_plot import (
    draw,
    main,
    plot_run,
    read_run,
)
from architectures.averaging import average_networks, average_shifts
from common.user_error import UserError
from figures.catalogue import FIGURES, FigureOptions
from tests.conftest import make_tiny_settings
from tests.test_05_damaged_runs import edit_settings
from tests.tiny import tiny

PROGRAM = Path(_05_model_plot.__file__)
QUICK = [name for name, spec in FIGURES.items() if not spec.is_slow]


@pytest.fixture(scope="module")
def finished_folder(tmp_path_factory, tiny_architecture):
    """Return the folder of a finished run without figures, with a seed of its own."""
    return run(make_tiny_settings(tmp_path_factory.mktemp("finished"), seed=5)).run_folder


@pytest.fixture(scope="module")
def finished_run(finished_folder):
    """Return that run, as it is read from its folder."""
    return read_run(finished_folder)


@pytest.fixture
def folder(finished_folder, tmp_path):
    """Return a copy of that folder, to draw into or to damage."""
    return shutil.copytree(finished_folder, tmp_path / "run")


@pytest.fixture
def drawings(monkeypatch):
    """Put a small figure in the place of each; return what was drawn: name, run, options."""
    drawn = []

    def quick_figure(name):
        def draw_it(finished_run, options):
            drawn.append((name, finished_run, options))
            figure, _ = plt.subplots(figsize=(1, 1))
            figure.suptitle(f"This is\n{name}")
            return figure

        return draw_it

    for name, spec in FIGURES.items():
        monkeypatch.setitem(FIGURES, name, spec._replace(draw=quick_figure(name)))
    return drawn


def pictures(folder):
    return {path.stem for path in folder.glob("*.png")}


# --- At the end of a run ------------------------------------------------------------------------


@pytest.mark.parametrize(("extent", "expected"), [("quick", QUICK), ("none", []), ("all", FIGURES)])
def test_a_run_draws_as_much_as_it_is_told(folder, finished_run, drawings, extent, expected):
    splits, probabilities = finished_run.splits, finished_run.probabilities
    plot_run(folder, finished_run.network, splits, probabilities, extent)
    assert [name for name, _, _ in drawings] == list(expected)
    assert pictures(folder) == set(expected)
    assert (folder / "report.html").exists() == bool(expected)
    assert plt.get_fignums() == []
    for _, drawn_run, options in drawings:
        assert drawn_run.splits is splits and drawn_run.probabilities is probabilities
        assert options == FigureOptions()


def test_ctrl_c_while_drawing_names_the_command_that_draws_the_rest(
    folder, finished_run, monkeypatch, capsys
):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setitem(FIGURES, "curves", FIGURES["curves"]._replace(draw=interrupt))
    with pytest.raises(KeyboardInterrupt):
        plot_run(
            folder, finished_run.network, finished_run.splits, finished_run.probabilities, "quick"
        )
    error = capsys.readouterr().err
    assert "The run is complete. Its figures: python " in error
    assert f"_05_model_plot.py {folder}" in error


def test_real_figures_are_saved_with_their_titles(folder, finished_run, capsys):
    draw(folder, finished_run, ["per_class", "confusion_matrix"])
    n_wrong = json.loads((folder / "metrics.json").read_text())["n_misclassified"]
    with Image.open(folder / "confusion_matrix.png") as image:
        title = f"Confusion matrix: {n_wrong} of 360 test images misclassified"
        assert image.text["Title"] == title and image.size == (900, 780)
    printed = capsys.readouterr().out
    report = folder / "report.html"
    assert printed == f"Figures:        per_class confusion_matrix \nReport:         {report}\n"


def test_the_run_that_is_read_is_the_run_that_was_made(finished_folder, finished_run, digits):
    metrics = json.loads((finished_folder / "metrics.json").read_text())
    assert finished_run.metrics == metrics and metrics["n_misclassified"] > 0
    assert list(finished_run.history["epoch"]) == [1, 2, 3]
    assert finished_run.settings["architecture"] == "tiny"
    labels, probabilities = finished_run.splits.y_test, finished_run.probabilities
    of_true_class = probabilities[np.arange(len(labels)), labels]
    assert -np.log(of_true_class).mean() == pytest.approx(metrics["test_loss"], rel=1e-4)
    assert (probabilities.argmax(axis=1) != labels).sum() == metrics["n_misclassified"]
    for drawn, split in zip(finished_run.splits, preprocess(digits, 0.1, seed=5), strict=True):
        np.testing.assert_array_equal(drawn, split)
    assert finished_run.network.name == "tiny"  # without the average over shifts
    for name in ("rotation", "zoom", "shift", "shear"):
        value = getattr(finished_run.augmentation.layers[0], name)
        assert value == finished_run.settings[name] > 0


def test_a_run_of_several_networks_is_drawn_by_the_first(folder):
    networks = [tiny((28, 28, 1), 10) for _ in range(2)]
    networks[1].name = "tiny_2"
    average_shifts(average_networks(networks)).save(folder / "model.keras")
    loaded = read_run(folder).network
    assert loaded.name == "tiny"
    np.testing.assert_array_equal(loaded.get_weights()[0], networks[0].get_weights()[0])


# --- Where it draws -----------------------------------------------------------------------------


def test_figures_are_shown_on_demand(folder, finished_run, drawings, monkeypatch):
    shown = []
    monkeypatch.setattr(_05_model_plot, "can_show", lambda: True)
    monkeypatch.setattr(plt, "show", lambda **options: shown.append((plt.get_fignums(), options)))
    mine = plt.figure()
    draw(folder, finished_run, ["samples", "per_class"], show=True)
    ((numbers, options),) = shown
    assert len(numbers) == 3 and options == {"block": True}
    assert plt.get_fignums() == [mine.number]  # the user's own stay open
    assert pictures(folder) == {"samples", "per_class"}


def test_without_a_screen_they_are_saved_and_that_is_said(
    folder, finished_run, drawings, monkeypatch, capsys
):
    monkeypatch.setattr(plt, "show", lambda **_: pytest.fail("there is no screen"))
    draw(folder, finished_run, ["samples"], show=True)  # the tests' back end is Agg
    assert pictures(folder) == {"samples"}
    said = [line for line in capsys.readouterr().out.splitlines() if "no screen" in line]
    assert len(said) == 1 and said[0].endswith(f"the figures are in {folder}")
    draw(folder, finished_run, ["samples"])
    assert "Not shown" not in capsys.readouterr().out


def test_the_users_style_and_back_end_change_no_figure_and_are_kept(folder, finished_run):
    draw(folder, finished_run, ["per_class"])
    expected = (folder / "per_class.png").read_bytes()
    before = matplotlib.get_backend()
    wild = {
        "font.size": 30, "savefig.dpi": 30, "figure.facecolor": "black", "text.color": "red",
        "axes.grid": True, "axes.edgecolor": "red", "savefig.bbox": "tight", "font.family": "serif",
    }  # fmt: skip
    try:
        matplotlib.use("svg")
        with matplotlib.rc_context(wild):
            draw(folder, finished_run, ["per_class"])
            assert matplotlib.rcParams["font.size"] == 30
        assert matplotlib.get_backend() == "svg"
    finally:
        matplotlib.use(before)
    assert (folder / "per_class.png").read_bytes() == expected


def test_no_stream_keeps_figures_from_being_drawn(folder, finished_run, drawings, monkeypatch):
    class Logger:
        def __init__(self):
            self.text = ""

        def write(self, text):
            self.text += text

    logger = Logger()
    monkeypatch.setattr(sys, "stdout", logger)
    plot_run(folder, finished_run.network, finished_run.splits, finished_run.probabilities)
    assert "Figures:        curves confusion_matrix" in logger.text
    monkeypatch.setattr(sys, "stdout", None)
    draw(folder, finished_run, ["samples"])
    assert pictures(folder) == FIGURES.keys()


def test_figures_that_cannot_be_written(finished_run, drawings, tmp_path):
    with pytest.raises(UserError, match="cannot write"):
        draw(tmp_path / "none", finished_run, ["samples"])
    assert plt.get_fignums() == []


# --- The command --------------------------------------------------------------------------------


def test_all_figures_can_be_drawn_again_without_training(folder, drawings, capsys):
    (folder / "curves.png").write_bytes(b"old")
    main([str(folder)])
    assert pictures(folder) == FIGURES.keys()
    printed = capsys.readouterr().out
    assert f"Figures:        {' '.join(FIGURES)} \n" in printed and "report.html" in printed
    for name in FIGURES:
        with Image.open(folder / f"{name}.png") as image:
            assert image.text["Title"] == f"This is. {name}"


def test_options_reach_the_figure_and_the_name_of_its_file(folder, finished_run, drawings):
    layer = next(layer.name for layer in finished_run.network.layers if "conv2d" in layer.name)
    main([str(folder), "activations", "--layer", layer, "--image", "3"])
    ((name, _, options),) = drawings
    assert (name, options) == ("activations", FigureOptions(layer, 3))
    assert pictures(folder) == {f"activations-{layer}-image3"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["filtres"], "unknown figure 'filtres'. Did you mean 'filters'? Valid: activations, "),
        (["--layer", "conv2d"], "--layer and --image need the name of a figure"),
        (["--image", "0"], "--layer and --image need the name of a figure"),
        (["activations", "--image", "x"], "invalid int value: 'x'. See --help."),
        (["--data_dir"], "argument --data-dir: expected one argument. See --help."),
        (["--shwo"], "unknown flag '--shwo'. Did you mean '--show'?"),
    ],
)
def test_a_mistyped_command_is_answered_before_anything_is_read(folder, arguments, message):
    with pytest.raises(UserError) as caught:
        main([str(folder / "none"), *arguments])
    assert message in str(caught.value)


def test_a_layer_or_image_that_is_not_there(folder, finished_run):
    with pytest.raises(UserError, match=r"unknown layer for filters 'nope'. Valid: conv2d"):
        main([str(folder), "filters", "--layer", "nope"])
    layer = next(layer.name for layer in finished_run.network.layers if "conv2d" in layer.name)
    with pytest.raises(UserError, match="'samples' takes no --layer"):  # before any is drawn
        main([str(folder), "filters", "samples", "--layer", layer])
    with pytest.raises(UserError, match=r"--image must be from 0 to 359, got 360"):
        main([str(folder), "activations", "--image", "360"])
    assert pictures(folder) == set()


def run_program(*arguments, **environment):
    variables = os.environ | environment
    variables.pop("DISPLAY", None)
    variables.pop("WAYLAND_DISPLAY", None)
    command = [sys.executable, str(PROGRAM), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=variables, timeout=240)


def test_a_mistyped_flag_is_one_line_and_exit_code_2(tmp_path):
    answer = run_program(tmp_path, "--imgae=3")
    assert answer.returncode == 2
    expected = "unknown flag '--imgae'. Did you mean '--image'? --help lists all."
    assert answer.stderr == f"error: {expected}\n"


def test_the_program_draws_whatever_back_end_a_notebook_left_and_says_that_it_cannot_show(folder):
    # As files, for the network of the tests is none of the program's.
    edit_settings(folder, architecture="none_of_ours")
    answer = run_program(
        folder, "samples", "--show", MPLBACKEND="module://not_installed.backend_inline"
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == "" and pictures(folder) == {"samples"}
    assert answer.stdout.splitlines()[-1].endswith(f"the figures are in {folder}")


# --- The run's data -----------------------------------------------------------------------------


@pytest.fixture
def folder_of_moved_data(folder, digits, tmp_path):
    """Return the folder of a run whose own data have moved to moved.npz; other.npz has others."""
    arrays = digits._asdict()
    np.savez(tmp_path / "moved.npz", **arrays)
    np.savez(tmp_path / "other.npz", **arrays | {"x_test": arrays["x_test"][::-1]})
    edit_settings(folder, dataset="custom", data_dir=str(tmp_path / "old.npz"))
    return folder


def test_data_that_have_moved_are_named_by_a_flag(folder_of_moved_data, tmp_path, drawings):
    with pytest.raises(UserError, match=r"old.npz .*If the data have moved, add --data-dir DIR\."):
        main([str(folder_of_moved_data), "samples"])
    main([str(folder_of_moved_data), "samples", "--data-dir", str(tmp_path / "moved.npz")])
    assert pictures(folder_of_moved_data) == {"samples"}


def test_data_other_than_the_runs_are_refused(folder_of_moved_data, tmp_path):
    with pytest.raises(UserError) as caught:
        read_run(folder_of_moved_data, str(tmp_path / "other.npz"))
    assert str(caught.value) == (
        f"the run in {folder_of_moved_data} was begun with other data than those in "
        f"{tmp_path / 'other.npz'}. Give the same with --data-dir."
    )


def test_a_run_of_an_earlier_version_is_drawn_again(folder, finished_run):
    later = ("label_smoothing", "networks", "average_shifts", "data_dir", "figures", "show")
    edit_settings(folder, **dict.fromkeys(later, "absent"))
    path = folder / "settings.json"
    description = json.loads(path.read_text())
    del description["data_sha256"]
    path.write_text(json.dumps(description))
    old = read_run(folder)
    np.testing.assert_array_equal(old.splits.y_test, finished_run.splits.y_test)
    assert old.label_entropy == 0 < finished_run.label_entropy
    draw(folder, old, ["curves"])
    assert pictures(folder) == {"curves"} and (folder / "report.html").exists()
