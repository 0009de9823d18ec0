import json
import os
import re
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import keras
import numpy as np
import pytest

import _00_main
import _03_model_training as training
from _00_main import RECIPES, Settings, main, parse_command_line, run
from _02_data_preprocess import scale
from averaging import network_of
from figures.catalogue import FIGURES
from user_error import UserError

PROJECT = Path(_00_main.__file__).parent


def tiny_flags(folder, *others):
    return [
        "--dataset=digits",
        "--architecture=tiny",
        "--epochs=2",
        "--learning-rate=0.01",
        "--figures=none",
        f"--output-dir={folder}",
        *others,
    ]


# --- The story, from beginning to end ---


def test_a_run_trains_saves_and_reports(tmp_path, capsys, digits):
    flags = ["--dataset", "digits", "--epochs", "3", "--figures", "quick"]
    assert main([*flags, "--output-dir", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    (folder,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"\d{8}-\d{6}-digits-fast_cnn-seed2", folder.name)
    files = {"history.csv", "metrics.json", "model.keras", "report.html", "settings.json"}
    drawn = [name for name, kind in FIGURES.items() if not kind.is_slow]
    assert {path.name for path in folder.iterdir()} == files | {f"{name}.png" for name in drawn}

    metrics = json.loads((folder / "metrics.json").read_text())
    n_wrong = metrics["n_misclassified"]
    assert lines[-7:] == [
        f"Test loss:      {metrics['test_loss']}",
        f"Test accuracy:  {100 * metrics['test_accuracy']:.2f} %",
        f"Misclassified:  {n_wrong} of 360 test images",
        "New record:     yes (before this run: none)",
        f"Run folder:     {folder}",
        f"Figures:        {' '.join(drawn)} ",
        f"Report:         {folder / 'report.html'}",
    ]
    assert metrics["test_accuracy"] > 0.9
    assert n_wrong == round((1 - metrics["test_accuracy"]) * 360)
    assert metrics["epochs_trained"] == 4 and metrics["is_record"]

    # The saved files are what the report says: the run's model, and the record's.
    for path in (folder / "model.keras", tmp_path / "best_model_digits.keras"):
        predicted = keras.saving.load_model(path).predict(scale(digits.x_test), verbose=0)
        assert (predicted.argmax(axis=1) != digits.y_test).sum() == n_wrong
    record = json.loads((tmp_path / "best_parameters_digits.json").read_text())
    assert record["test_loss"] == metrics["test_loss"]
    assert record["parameters"]["batch_size"] == 128
    assert str(tmp_path) not in json.dumps(record)  # nobody's paths in a file that is shared


def test_equal_settings_print_the_same_loss_to_the_last_digit(tmp_path, capsys):
    losses = []
    for name in "ab":
        assert main(tiny_flags(tmp_path / name)) == 0
        losses.append(re.search(r"Test loss: +(\S+)", capsys.readouterr().out)[1])
    assert losses[0] == losses[1] and len(losses[0]) > 12


def test_a_run_of_several_networks_leaves_one_model_and_no_backups(tmp_path, capsys):
    assert main(tiny_flags(tmp_path, "--networks=2")) == 0
    assert "Training: 2 × tiny, epochs" in capsys.readouterr().out
    (folder,) = (tmp_path / "runs").iterdir()
    files = {str(path.relative_to(folder)) for path in folder.rglob("*.*")}
    of_run = {"settings.json", "history.csv", "metrics.json", "model.keras"}
    assert files == of_run | {"network_2/history.csv"}
    metrics = json.loads((folder / "metrics.json").read_text())
    model = keras.saving.load_model(folder / "model.keras")
    assert metrics["n_parameters"] == 2 * network_of(model).count_params()


def test_other_seed_other_result(tiny_settings):
    losses = {run(replace(tiny_settings, seed=seed, epochs=1)).test_loss for seed in (1, 2)}
    assert len(losses) == 2


def test_choices_never_see_the_test_images(tiny_settings, monkeypatch):
    original, calls = training.train, []

    def train_without_test_images(splits, *others):
        calls.append(len(splits.x_test))
        blank = splits._replace(x_test=np.zeros((0, 28, 28, 1)), y_test=np.zeros(0))
        return original(blank, *others)

    with_test = run(tiny_settings).test_loss
    monkeypatch.setattr(training, "train", train_without_test_images)
    assert run(tiny_settings).test_loss == with_test and calls == [360]


def test_precision_is_a_setting_and_does_not_stick(tiny_settings):
    model_folder = run(replace(tiny_settings, precision="mixed_bfloat16", epochs=1)).run_folder
    assert keras.config.dtype_policy().name == "mixed_bfloat16"
    layers = network_of(keras.saving.load_model(model_folder / "model.keras")).layers
    assert layers[1].compute_dtype == "bfloat16" and layers[-1].compute_dtype == "float32"
    run(replace(tiny_settings, epochs=1))
    assert keras.config.dtype_policy().name == "float32"


# --- Interruption ---


@pytest.fixture
def ctrl_c(monkeypatch):
    """Return a function that makes Ctrl-C come at the end of an epoch (from 0)."""

    def press(epoch):
        original = training.Backup.on_epoch_end

        def interrupted(self, now, logs=None):
            original(self, now, logs)
            if now == epoch:
                raise KeyboardInterrupt

        monkeypatch.setattr(training.Backup, "on_epoch_end", interrupted)

    return press


def test_ctrl_c_names_the_command_that_ends_as_if_uninterrupted(
    tmp_path, capsys, ctrl_c, monkeypatch
):
    assert main(tiny_flags(tmp_path / "whole")) == 0
    whole = re.search(r"Test loss: +(\S+)", capsys.readouterr().out)[1]

    ctrl_c(0)
    assert main(tiny_flags(tmp_path / "parts")) == 130
    monkeypatch.undo()
    monkeypatch.setitem(_00_main.ARCHITECTURES, "tiny", "tests.tiny")
    command = re.search(r"python _00_main.py (--resume \S+)", capsys.readouterr().err)[1]
    assert main(command.split()) == 0
    assert re.search(r"Test loss: +(\S+)", capsys.readouterr().out)[1] == whole

    (folder,) = (tmp_path / "parts" / "runs").iterdir()
    assert not (folder / "backup.npz").exists()
    assert main(command.split()) == 2
    assert "is complete; there is nothing to resume" in capsys.readouterr().err


def test_full_disk_in_training_ends_with_one_line_and_the_command_to_go_on(
    tmp_path, capsys, monkeypatch
):
    def full_disk(self, epoch, logs=None):
        raise UserError("cannot write backup.npz: No space left on device.")

    with monkeypatch.context() as patch:
        patch.setattr(training.Backup, "on_epoch_end", full_disk)
        assert main(tiny_flags(tmp_path)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "No space left" in error
    assert main(re.search(r"python _00_main.py (--resume \S+)", error)[1].split()) == 0


def test_folders_are_noted_so_that_a_run_can_be_resumed_from_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    settings, _ = parse_command_line(["--output-dir=out", "--data-dir=~/digits"])
    assert settings.output_dir == str(tmp_path / "out")
    assert settings.data_dir == str(tmp_path / "home" / "digits")


def test_resume_takes_no_other_settings(tmp_path, capsys):
    assert main(["--resume", str(tmp_path), "--epochs", "3"]) == 2
    assert "leave other flags out" in capsys.readouterr().err


def test_resume_of_what_is_no_run_folder(tmp_path, capsys):
    assert main(["--resume", str(tmp_path)]) == 2
    assert f"is {tmp_path} a run folder?" in capsys.readouterr().err
    (tmp_path / "settings.json").write_text('{"settings": {"epoch": 3}}')
    assert main(["--resume", str(tmp_path)]) == 2
    assert "has no valid settings" in capsys.readouterr().err


# --- Settings and flags ---


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_is_a_valid_change_of_the_defaults(recipe):
    settings, _ = parse_command_line([f"--recipe={recipe}"])
    assert settings == replace(Settings(), **RECIPES[recipe])


def test_a_mistyped_constant_gets_one_line(tmp_path):
    code = (PROJECT / "_00_main.py").read_text(encoding="utf-8")
    for path in [*PROJECT.glob("*.py"), PROJECT / "architectures"]:
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "_00_main.py").unlink()
    (tmp_path / "_00_main.py").write_text(code.replace('= "fast_cnn"', '= "fast_cn"', 1))
    answer = subprocess.run(
        [sys.executable, "_00_main.py"], cwd=tmp_path, capture_output=True, text=True
    )
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: unknown architecture 'fast_cn'. Did you mean")
    assert answer.stderr.count("\n") == 1


def test_a_missing_package_gets_one_line(tmp_path):
    (tmp_path / "numpy.py").write_text("raise ModuleNotFoundError(name='numpy')")
    answer = subprocess.run(
        [sys.executable, PROJECT / "_00_main.py"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: 'numpy' is not installed. Run 'pip install -r req")
    assert answer.stderr.count("\n") == 1


def test_every_setting_is_a_flag_and_defaults_to_its_constant():
    settings, resume = parse_command_line([])
    assert resume is None and settings == Settings()
    assert settings.val_size == _00_main.VAL_SIZE and settings.seed == _00_main.SEED
    for field in fields(Settings):
        if hasattr(_00_main, field.name):
            assert getattr(settings, field.name) == getattr(_00_main, field.name)
    help_text = _00_main.make_parser().format_help()
    for field in fields(Settings):
        assert f"--{field.name.replace('_', '-')} " in help_text


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--val-size", "0.2"], {"val_size": 0.2}),
        (["--val_size=0.2"], {"val_size": 0.2}),
        (["--batch_size", "64", "--learning-rate=1e-4"], {"batch_size": 64, "learning_rate": 1e-4}),
        (["--no-early-stopping-enabled"], {"early_stopping_enabled": False}),
        (["--early_stopping_enabled=False"], {"early_stopping_enabled": False}),
        (["--early-stopping-enabled", "false"], {"early_stopping_enabled": False}),
        (["--show"], {"show": True}),
        (["--data-dir", "/data_with_underscores"], {"data_dir": "/data_with_underscores"}),
    ],
)
def test_flags(flags, expected):
    assert parse_command_line(flags)[0] == replace(Settings(), **expected)


def test_recipe_101_is_the_course_projects_and_flags_change_it():
    settings, _ = parse_command_line(["--recipe", "cnn_mnist_101", "--epochs", "40"])
    assert (settings.architecture, settings.epochs, settings.batch_size) == (
        "cnn_mnist_101",
        40,
        64,
    )
    assert (settings.rotation, settings.zoom, settings.shift, settings.shear) == (10, 0.1, 0.1, 0)
    assert settings.learning_rate == 1e-3 and settings.monitor == "val_accuracy"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--val-size", "0"], "val_size must be a number between 0 and 1"),
        (["--val-size", "1"], "val_size must be a number between 0 and 1"),
        (["--val-size", "nan"], "val_size must be a number between 0 and 1"),
        (["--val-size", "0.001", "--dataset", "digits"], "leaves a class without validation"),
        (["--epochs", "0"], "epochs must be a positive whole number, got 0"),
        (["--epochs", "2.5"], "epochs must be a positive whole number, got '2.5'"),
        (["--networks", "0"], "networks must be a positive whole number, got 0"),
        (["--batch-size", "-1"], "batch_size must be a positive whole number"),
        (["--batch-size", "many"], "batch_size must be a positive whole number, got 'many'"),
        (["--seed", "-1"], "seed must be a whole number, 0 or greater"),
        (["--seed", str(2**32)], "seed must be below"),
        (["--learning-rate", "inf"], "learning_rate must be a number greater than 0"),
        (["--shift", "1"], "shift must be a number at least 0 and below 1"),
        (["--label-smoothing", "1"], "label_smoothing must be a number at least 0 and below 1"),
        (["--rotation", "-1"], "rotation must be a number 0 or greater"),
        (["--show", "maybe"], "show must be true or false"),
        (["--dataset", "mnits"], "Did you mean 'mnist'"),
        (["--architecture", "cnn_mnist_102"], "Did you mean 'cnn_mnist_101'"),
        (["--schedule", "liner"], "Did you mean 'linear'"),
        (["--figures", "quik"], "Did you mean 'quick'"),
        (["--recipe", "defualt"], "Did you mean 'default'"),
        (["--epoch", "3"], "unknown flag '--epoch'. Did you mean '--epochs'"),
        (["--Epochs=3"], "unknown flag '--Epochs'. Did you mean '--epochs'"),
        (["stray"], "unknown flag 'stray'"),
        (["--epochs"], "expected one argument"),
        (["--data-dir", "/no/such/folder"], "data folder /no/such/folder does not exist"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(tmp_path, capsys, flags, message):
    assert main([*flags, "--output-dir", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "out").exists()


def test_settings_made_in_code_are_checked_too():
    for wrong in ({"epochs": True}, {"val_size": "0.1"}, {"monitor": "loss"}, {"show": 1}):
        with pytest.raises(UserError):
            Settings(**wrong)


def test_help_exits_with_0(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0 and "--early-stopping-enabled" in capsys.readouterr().out
