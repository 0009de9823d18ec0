"""Training and grading for the assignment; submitting is in test_fashion_submission.py."""

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import _01_data_loader
import _05_model_plot
from _00_main import run
from _01_data_loader import FASHION_NAMES
from common.recipes import RECIPES
from common.user_error import UserError
from experiments.fashion_assignment import __main__ as program
from experiments.fashion_assignment.study import (
    best_on_validation,
    list_runs,
    rows_of_recipes,
    rows_of_runs,
)
from studies import many_runs
from tests.small_trainings import without_compiling

pytest.importorskip("optuna")
pytest.importorskip("rich")
pytestmark = pytest.mark.filterwarnings("ignore:Heartbeat of storage")

VALUES = {  # by recipe and seed: validation accuracy, validation loss, test accuracy
    ("fashion", 2): (0.94, 0.3, 0.95),
    ("fashion", 3): (0.95, 0.3, 0.93),
    ("fashion", 4): (0.95, 0.2, 0.94),
    ("fashion_example", 2): (0.99, 0.1, 0.2),
    ("fashion_example", 3): (0.99, 0.1, 0.4),
    ("fashion_example", 4): (0.99, 0.1, 0.6),
}


@pytest.fixture
def runs():
    return list_runs("fashion", 3, {})


@pytest.fixture
def results(runs):
    of_run = {}
    for label, one in runs.items():
        val_accuracy, val_loss, test_accuracy = VALUES[one.recipe, one.settings.seed]
        of_run[label] = {
            "val_accuracy": val_accuracy,
            "val_loss": val_loss,
            "test_accuracy": test_accuracy,
            "test_loss": 0.1,
            "n_parameters": 12,
            "epochs_trained": 3,
            "total_seconds": 100.0 * one.settings.seed,
        }
    return of_run


# --- The runs ---


def test_recipe_and_example_are_trained_with_the_same_seeds(runs):
    assert [(one.recipe, one.settings.seed) for one in runs.values()] == list(VALUES)
    assert {one.settings.dataset for one in runs.values()} == {"fashion_mnist"}
    assert {one.settings.figures for one in runs.values()} == {"none"}
    assert runs["fashion_example, seed 2"].settings.optimizer == "sgd"


def test_changes_are_of_the_recipe_and_places_seeds_and_precision_of_both(tmp_path):
    changes = {"epochs": 2, "seed": 7, "precision": "float32", "output_dir": tmp_path}
    ours, example = list_runs("fashion_long", 1, changes).values()
    assert (ours.settings.epochs, example.settings.epochs) == (2, 40)
    for one in (ours, example):
        assert (one.settings.seed, one.settings.precision) == (7, "float32")
        assert one.settings.output_dir == str(tmp_path)


def test_recipes_for_clothes_mirror_and_do_not_turn_and_the_long_one_covers():
    for name, erase in (("fashion", 0.0), ("fashion_long", 0.5)):
        (one, _) = list_runs(name, 1, {}).values()
        settings = one.settings
        assert (
            settings.flip == 0.5
            and settings.erase == erase
            and settings.shift * 28 == pytest.approx(1, 0.01)
            and settings.architecture == "fashion_cnn"
        )
        assert settings.rotation == settings.zoom == settings.shear == settings.pen == 0
        assert settings.average_flips and not settings.early_stopping_enabled
        assert settings.plateau_patience >= settings.epochs


# --- The tables ---


def test_a_row_per_recipe_has_mean_deviation_and_grade(runs, results):
    ours, example = rows_of_recipes(rows_of_runs(runs, results))
    assert (ours["n"], ours["parameters"], ours["seconds, mean"]) == (3, 12, 300)
    assert ours["test accuracy in %"] == pytest.approx(94)
    assert ours["deviation"] == pytest.approx(1) and ours["grade"] == 1.0
    assert example["test accuracy in %"] == pytest.approx(40) and example["grade"] == 0.5
    assert example["deviation"] == pytest.approx(20)


def test_one_seed_has_no_deviation(results):
    ours, example = rows_of_recipes(rows_of_runs(list_runs("fashion", 1, {}), results))
    assert ours["deviation"] is None and example["n"] == 1


def test_the_test_images_do_not_choose_the_run(runs, results):
    assert best_on_validation("fashion", runs, results) == "fashion, seed 4"


# --- The program ---


@pytest.fixture
def clothes(monkeypatch, digits):
    """Let small digits stand for clothes, and an epoch do for the example."""
    few = digits._replace(x_train=digits.x_train[:400], y_train=digits.y_train[:400])
    for module in (_01_data_loader, many_runs, _05_model_plot):
        monkeypatch.setattr(module, "load_data", lambda name, data_dir=None: few)
    for name, value in (("epochs", 1), ("val_size", 0.2)):
        monkeypatch.setitem(RECIPES["fashion_example"], name, value)


@pytest.fixture
def flags(tmp_path):
    small = [
        "--architecture=tiny",
        "--val-size=0.2",
        "--epochs=1",
        "--polish-epochs=0",
        "--precision=float32",
    ]
    return [*small, f"--output-dir={tmp_path / 'out'}", f"--folder={tmp_path / 'study'}"]


def test_an_interrupted_study_goes_on_and_ends_with_tables_figures_and_a_model(
    clothes, flags, tmp_path, monkeypatch, capsys
):
    trained, drawn = [], {}

    def run_or_interrupt(settings, resume_folder):
        trained.append(settings.architecture)
        if trained == ["tiny", "fashion_example"]:
            raise KeyboardInterrupt
        return run(settings, resume_folder)

    monkeypatch.setattr(many_runs, "run", run_or_interrupt)
    save = _05_model_plot.save_figure
    monkeypatch.setattr(
        _05_model_plot,
        "save_figure",
        lambda figure, path: drawn.update({path.stem: figure}) or save(figure, path),
    )
    with without_compiling():  # which takes longer than these steps do
        with pytest.raises(KeyboardInterrupt):
            program.main(flags)
        program.main(flags)
    assert trained == ["tiny", "fashion_example", "fashion_example"]

    folder, printed = tmp_path / "study", capsys.readouterr().out
    assert (folder / "fashion_assignment.md").read_text() in printed
    table = pd.read_csv(folder / "fashion_assignment.csv").set_index("recipe")
    rows = pd.read_csv(folder / "fashion_assignment_each_seed.csv").set_index("recipe")
    assert list(table.index) == list(rows.index) == ["fashion", "fashion_example"]
    assert table.loc["fashion_example", "parameters"] == 101_770
    accuracy = rows.loc["fashion", "test accuracy"]
    lines = printed.splitlines()[-5:]
    assert lines[0] == "Chosen run:     fashion, seed 2"
    assert lines[1] == f"Test accuracy:  {accuracy:.2f} %"
    assert lines[2] == f"Grade:          {table.loc['fashion', 'grade']:.2f}"
    assert lines[3] == f"Tables, figures: {folder}"
    assert lines[4].startswith("To submit it:    python -m experiments.fashion_assignment --submit")
    assert lines[4].endswith(f"--model {folder / 'submission-fashion.keras'}")

    model = keras.saving.load_model(folder / "submission-fashion.keras")
    arrays = _01_data_loader.load_data("fashion_mnist")
    predicted = model.predict(arrays.x_test / 255, verbose=0).argmax(axis=1)
    assert 100 * np.mean(predicted == arrays.y_test) == pytest.approx(accuracy)

    matrix, gallery = drawn["fashion_assignment"], drawn["fashion_assignment_misclassified"]
    for labels in (matrix.axes[0].get_xticklabels(), matrix.axes[0].get_yticklabels()):
        assert tuple(label.get_text() for label in labels) == FASHION_NAMES
    assert any(name in panel.get_title() for panel in gallery.axes for name in FASHION_NAMES)
    with Image.open(folder / "fashion_assignment.png") as picture:
        assert picture.width > 700


def test_it_writes_into_the_documents_only_when_told(flags, tmp_path, monkeypatch, results):
    def stand_in(run_folder, path):
        path.with_name(f"{path.name}.png").write_text(str(run_folder))

    everything = {label: {**of_run, "run_folder": label} for label, of_run in results.items()}
    monkeypatch.setattr("studies.tables.PROJECT_DIR", tmp_path / "project")
    monkeypatch.setattr(program, "check_documented", lambda *_: None)
    monkeypatch.setattr(program, "run_all", lambda *_: everything)
    monkeypatch.setattr(program, "draw_figures", stand_in)
    monkeypatch.setattr(program, "write_model", lambda _, folder: folder)
    with pytest.raises(UserError, match="for the documented results: give --n 5"):
        program.main([*flags, "--n=3", "--write-docs"])
    monkeypatch.setattr(program, "DOCUMENTED_SEEDS", 3)
    program.main([*flags, "--n=3", "--write-docs"])
    folder = tmp_path / "project" / "docs" / "results"
    name = "fashion_assignment"
    files = {f"{name}.md", f"{name}.csv", f"{name}_each_seed.csv", f"{name}.png"}
    assert {path.name for path in folder.iterdir()} == files
    assert (folder / f"{name}.png").read_text() == "fashion, seed 4"
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--n", "0"], "--n must be 1 or more, got 0"),
        (["--n", "two"], "invalid int value"),
        (["--recipe", "best"], "invalid choice: 'best'"),
        (["--dataset", "mnist"], "leave --dataset out: the assignment is on fashion_mnist"),
        (["--resume", "folder"], "leave --resume out"),
        (["--epoch", "3"], "Did you mean '--epochs'"),
        (["--flip", "2"], "flip must be a number between 0 and 1, got 2.0"),
        (["--erase", "-1"], "erase must be a number between 0 and 1, got -1.0"),
    ],
)
def test_bad_flags_are_told_in_one_line(wrong, message, monkeypatch):
    monkeypatch.setattr(program, "run_all", lambda *_: pytest.fail("trained"))
    with pytest.raises(UserError, match=message) as caught:
        program.main(wrong)
    assert "\n" not in str(caught.value)


def test_missing_data_are_told_in_one_line(flags, monkeypatch, tmp_path):
    monkeypatch.setattr(_01_data_loader, "DEBIAN_FASHION_DIR", tmp_path / "nowhere")
    with pytest.raises(UserError, match="no source could deliver fashion_mnist") as caught:
        program.main(flags)
    assert "\n" not in str(caught.value)
