import dataclasses
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from _00_main import make_settings
from common.recipes import FOR_USERS, RECIPES
from common.settings import (
    OPTIMIZER_NAMES,
    PLACE_NAMES,
    SETTING_NAMES,
    Settings,
    check_only_place,
    public_settings,
)
from common.user_error import UserError


def test_settings_have_no_defaults_of_their_own():
    with pytest.raises(TypeError, match="missing"):
        Settings()
    assert all(
        field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        for field in dataclasses.fields(Settings)
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"val_size": 0}, "val_size must be a number between 0 and 1, both excluded, got 0"),
        ({"val_size": 1.0}, "val_size must be a number between 0 and 1"),
        ({"val_size": float("nan")}, "val_size must be a number between 0 and 1"),
        (
            {"val_size": "0.1"},
            "val_size must be a number between 0 and 1, both excluded, got '0.1'",
        ),
        ({"val_size": 1j}, "val_size must be a number"),
        ({"epochs": 0}, "epochs must be a positive whole number, got 0"),
        ({"epochs": 5.0}, "epochs must be a positive whole number, got 5.0"),
        ({"epochs": True}, "epochs must be a positive whole number, got True"),
        ({"epochs": None}, "epochs must be a positive whole number, got None"),
        ({"networks": 0}, "networks must be a positive whole number"),
        ({"polish_epochs": -1}, "polish_epochs must be a whole number, 0 or greater"),
        ({"seed": 2**32}, "seed must be below 4294967296"),
        ({"learning_rate": float("inf")}, "learning_rate must be a number greater than 0"),
        ({"rotation": 10**400}, "rotation must be a number 0 or greater"),
        ({"learning_rate": 0.0}, "learning_rate must be a number greater than 0"),
        ({"learning_rate": False}, "learning_rate must be a number greater than 0, got False"),
        ({"rotation": -1}, "rotation must be a number 0 or greater"),
        ({"zoom": 1}, "zoom must be a number at least 0 and below 1"),
        ({"label_smoothing": -0.1}, "label_smoothing must be a number at least 0 and below 1"),
        ({"show": 1}, "show must be true or false, got 1"),
        ({"average_shifts": "yes"}, "average_shifts must be true or false, got 'yes'"),
        ({"monitor": "loss"}, "unknown monitor 'loss'. Did you mean 'val_loss'?"),
        ({"optimizer": "rprop"}, "unknown optimizer 'rprop'. Valid: adam, muon, sgd."),
        ({"precision": "float16"}, "unknown precision 'float16'. Did you mean 'float32'?"),
        ({"figures": "some"}, "unknown figures 'some'"),
        ({"dataset": "mnst"}, "unknown dataset 'mnst'. Did you mean 'mnist'?"),
        ({"dataset": 3}, "dataset must be a name, got 3"),
        ({"architecture": "fast_cn"}, "unknown architecture 'fast_cn'. Did you mean 'fast_cnn'"),
        ({"output_dir": 3}, "output_dir must be a path, got 3"),
        ({"output_dir": ""}, "output_dir must be a path"),
        ({"output_dir": None}, "output_dir must be a path, got None"),
        ({"data_dir": "a\0b"}, "data_dir must be a path"),
        ({"epoch": 3}, "unknown setting 'epoch'. Did you mean 'epochs'?"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(change, message):
    with pytest.raises(UserError) as caught:
        make_settings(**change)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_values_become_plain_python_whatever_they_come_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = make_settings(
        epochs=np.int64(3), seed=np.uint32(7), val_size=np.float32(0.25), rotation=0,
        shear=Fraction(1, 2), output_dir=Path("out"), data_dir="data",
    )  # fmt: skip
    assert (settings.epochs, settings.seed, settings.val_size) == (3, 7, 0.25)
    assert (settings.output_dir, settings.data_dir) == (
        str(tmp_path / "out"),
        str(tmp_path / "data"),
    )
    values = dataclasses.asdict(settings)
    assert type(values["rotation"]) is float and values["shear"] == 0.5
    assert make_settings(**json.loads(json.dumps(values))) == settings


def test_the_home_folder_is_understood(tmp_path, monkeypatch):
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    assert make_settings(data_dir="~/digits").data_dir == str(tmp_path / "digits")


def test_a_link_keeps_its_name_which_may_say_what_the_data_are(tmp_path):
    (tmp_path / "blob-1234").write_text("")
    (tmp_path / "train.csv").symlink_to(tmp_path / "blob-1234")
    assert make_settings(data_dir=tmp_path / "train.csv").data_dir == str(tmp_path / "train.csv")


def test_every_setting_says_what_it_is():
    for field in dataclasses.fields(Settings):
        assert field.metadata["help"] and field.metadata["group"]
    assert set(PLACE_NAMES) < set(SETTING_NAMES)


def test_public_settings_name_no_folder(tmp_path):
    values = dataclasses.asdict(make_settings(output_dir=tmp_path, data_dir=tmp_path))
    public = public_settings(values)
    assert str(tmp_path) not in json.dumps(public)
    assert set(values) - set(public) == {"data_dir", "output_dir", "figures", "show"}


def test_an_interrupted_run_takes_no_settings_that_change_it():
    check_only_place(["output_dir", "data_dir", "figures", "show"])
    with pytest.raises(UserError, match="leave --epochs, --val-size out"):
        check_only_place(["epochs", "output_dir", "val_size"])


def test_the_optimizers_exist():
    from training.optimizers import OPTIMIZERS

    assert set(OPTIMIZER_NAMES) == set(OPTIMIZERS)


# --- Recipes ---


def test_help_names_recipes_that_there_are():
    assert {*FOR_USERS} <= {*RECIPES}


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_is_a_valid_change_of_the_constants(recipe):
    assert make_settings(recipe) == dataclasses.replace(make_settings(), **RECIPES[recipe])


def test_changes_go_over_the_recipe():
    assert make_settings("speedrun_995", epochs=7).epochs == 7
    assert make_settings("speedrun_995").epochs == 2
    with pytest.raises(UserError, match=r"unknown recipe 'bets'. Did you mean 'best'\?"):
        make_settings("bets")


def without_augmentation(settings):
    return (settings.rotation, settings.zoom, settings.shift, settings.shear) == (0, 0, 0, 0)


def test_default_recipe_keeps_its_promises():
    default = make_settings()
    assert default.val_size == 0.1 and default.early_stopping_enabled and default.average_shifts
    assert (default.epochs, default.polish_epochs, default.networks) == (5, 1, 1)
    assert (default.optimizer, default.schedule) == ("muon", "linear")
    assert default.label_smoothing == 0.05 and not without_augmentation(default)
    assert default.precision == "auto"


def test_best_averages_five_networks_that_nothing_stops_or_slows_down():
    best, default = make_settings("best"), make_settings()
    assert best.networks == 5 and not best.early_stopping_enabled
    assert best.plateau_patience >= best.epochs + best.polish_epochs - 1
    same = (
        "architecture",
        "epochs",
        "polish_epochs",
        "learning_rate",
        "rotation",
        "average_shifts",
    )
    assert all(getattr(best, name) == getattr(default, name) for name in same)


def test_speedruns_are_short_and_predict_each_image_once():
    fast, fine = make_settings("speedrun_990"), make_settings("speedrun_995")
    assert (fast.epochs, fast.polish_epochs, fast.batch_size) == (1, 0, 256)
    assert without_augmentation(fast) and not fast.average_shifts
    assert (fine.epochs, fine.polish_epochs, fine.label_smoothing) == (2, 1, 0.1)
    assert (fine.rotation, fine.zoom, fine.shift, fine.shear) == (10, 0.1, 0.08, 6)
    assert not fine.average_shifts and fine.networks == fast.networks == 1


def test_the_course_projects_recipe_is_its_own():
    project = make_settings("cnn_mnist_101")
    assert (project.architecture, project.epochs, project.batch_size) == ("cnn_mnist_101", 150, 64)
    assert (project.rotation, project.zoom, project.shift, project.shear) == (10, 0.1, 0.1, 0)
    assert (project.optimizer, project.learning_rate, project.beta_2) == ("adam", 1e-3, 0.999)
    assert (project.monitor, project.schedule) == ("val_accuracy", "constant")
    assert (project.early_stopping_patience, project.plateau_patience) == (10, 3)
    assert project.val_size == 0.1 and project.early_stopping_enabled
    assert project.polish_epochs == 0 == project.label_smoothing and not project.average_shifts


def test_keras_example_is_trained_as_published():
    example = make_settings("keras_example")
    assert (example.epochs, example.batch_size, example.val_size) == (15, 128, 0.1)
    assert (example.optimizer, example.learning_rate, example.schedule) == (
        "adam",
        1e-3,
        "constant",
    )
    assert without_augmentation(example) and not example.early_stopping_enabled
    assert example.plateau_patience >= example.epochs
    assert example.polish_epochs == 0 == example.label_smoothing and not example.average_shifts
