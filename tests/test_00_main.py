import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import keras
import numpy as np
import pytest

import _00_main
import _03_model_training as model_training
from _00_main import main, make_settings, parse_command_line, run
from _02_data_preprocess import load_splits, scale
from _03_model_training import evaluate
from architectures.averaging import network_of
from common.command_line import PROJECT_DIR
from common.data import sha256_of
from common.user_error import UserError
from figures.catalogue import FIGURES
from tests.conftest import make_tiny_settings
from training.backup import Backup


def tiny_flags(folder, *others):
    return [
        "--dataset=digits",
        "--architecture=tiny",
        "--epochs=2",
        "--learning-rate=0.01",
        "--precision=float32",
        "--figures=none",
        f"--output-dir={folder}",
        *others,
    ]


def printed_loss(capsys):
    return re.search(r"Test loss: +(\S+)", capsys.readouterr().out)[1]


# --- The story, from beginning to end ---


def test_a_run_trains_saves_and_reports(tmp_path, capsys, digits):
    flags = ["--dataset", "digits", "--architecture=fast_cnn_small", "--epochs", "4"]
    assert main([*flags, "--figures", "quick", "--output-dir", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    (folder,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"\d{8}-\d{6}-digits-fast_cnn_small-seed2", folder.name)
    files = {"history.csv", "metrics.json", "model.keras", "report.html", "settings.json"}
    drawn = [name for name, figure in FIGURES.items() if not figure.is_slow]
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
    assert metrics["test_accuracy"] > 0.85
    assert n_wrong == round((1 - metrics["test_accuracy"]) * 360)
    assert metrics["epochs_trained"] == 5 and metrics["is_record"]
    assert 0 < metrics["train_seconds"] < metrics["total_seconds"]

    # The saved files are what the report says: the run's model, and the record's.
    for path in (folder / "model.keras", tmp_path / "best_model_digits.keras"):
        predicted = keras.saving.load_model(path).predict(scale(digits.x_test), verbose=0)
        assert (predicted.argmax(axis=1) != digits.y_test).sum() == n_wrong
    described = json.loads((folder / "settings.json").read_text())
    assert described["settings"]["precision"] in ("float32", "mixed_bfloat16")  # not auto
    assert described["data_sha256"] == sha256_of(*digits)
    record = json.loads((tmp_path / "best_parameters_digits.json").read_text())
    assert record["test_loss"] == metrics["test_loss"]
    assert record["parameters"]["precision"] == described["settings"]["precision"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_architecture):
    """Return settings and result of a finished run of seconds, with a seed of its own."""
    settings = make_tiny_settings(tmp_path_factory.mktemp("finished"), seed=11)
    return settings, run(settings)


def test_metrics_are_of_the_split_by_the_runs_own_seed(finished):
    settings, result = finished
    model = keras.saving.load_model(result.run_folder / "model.keras")
    splits = load_splits(settings)
    val, test = (evaluate(model, getattr(splits, f"x_{part}"), getattr(splits, f"y_{part}"))
                 for part in ("val", "test"))  # fmt: skip
    assert result.metrics["val_loss"] == pytest.approx(val.loss, rel=1e-6)
    assert result.metrics["val_accuracy"] == val.accuracy
    assert result.test_loss == result.metrics["test_loss"] == pytest.approx(test.loss, rel=1e-6)
    assert result.test_accuracy == test.accuracy and val.loss != test.loss
    others = load_splits(replace(settings, seed=_00_main.SEED))
    assert not np.array_equal(others.y_val, splits.y_val)


def test_equal_settings_give_the_same_loss_to_the_last_digit(finished, tmp_path, capsys):
    _, result = finished
    assert main(tiny_flags(tmp_path / "again", "--seed=11")) == 0
    loss = printed_loss(capsys)
    assert loss == str(result.test_loss) and len(loss) > 12
    assert run(make_tiny_settings(tmp_path, seed=12)).test_loss != result.test_loss


def test_choices_never_see_the_test_images(finished, tmp_path, monkeypatch):
    settings, result = finished
    original, calls = model_training.train, []

    def train_without_test_images(network, splits, *others):
        calls.append(len(splits.x_test))
        blank = splits._replace(x_test=np.zeros((0, 28, 28, 1)), y_test=np.zeros(0))
        return original(network, blank, *others)

    monkeypatch.setattr(model_training, "train", train_without_test_images)
    again = run(replace(settings, output_dir=tmp_path))
    assert again.test_loss == result.test_loss and calls == [360]


def test_several_networks_in_bfloat16_leave_one_model_in_float32(tmp_path, capsys):
    flags = ["--networks=2", "--epochs=1", "--precision=mixed_bfloat16"]
    assert main(tiny_flags(tmp_path, *flags)) == 0
    output = capsys.readouterr().out
    assert "Training: 2 × tiny, epochs" in output and "Numbers:  mixed_bfloat16" in output
    (folder,) = (tmp_path / "runs").iterdir()
    files = {str(path.relative_to(folder)) for path in folder.rglob("*.*")}
    of_run = {"settings.json", "history.csv", "metrics.json", "model.keras"}
    assert files == of_run | {"network_2/history.csv"}
    metrics = json.loads((folder / "metrics.json").read_text())
    model = keras.saving.load_model(folder / "model.keras")
    assert metrics["n_parameters"] == 2 * network_of(model).count_params()
    assert {layer.compute_dtype for layer in model._flatten_layers()} == {"float32"}
    splits = load_splits(make_tiny_settings(tmp_path))
    saved = evaluate(model, splits.x_test, splits.y_test)  # what is reported is of what is saved
    assert metrics["test_loss"] == pytest.approx(saved.loss, rel=1e-6)
    assert json.loads((folder / "settings.json").read_text())["settings"]["precision"] == (
        "mixed_bfloat16"
    )


def test_paths_from_python_need_not_be_text(tmp_path):
    assert make_tiny_settings(tmp_path / "out").output_dir == str(tmp_path / "out")


# --- Interruption ---


@contextmanager
def interrupted(epoch, error, before=False):
    """Raise an exception at the end of an epoch (from 0), before or after it is backed up."""
    original = Backup.on_epoch_end

    def on_epoch_end(self, now, logs=None):
        if now == epoch and before:
            raise error
        original(self, now, logs)
        if now == epoch:
            raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Backup, "on_epoch_end", on_epoch_end)
        yield


def test_an_interrupted_run_that_was_moved_ends_as_if_uninterrupted(finished, tmp_path, capsys):
    with interrupted(0, KeyboardInterrupt()):
        assert main(tiny_flags(tmp_path / "a", "--seed=11")) == 130
    command = re.search(
        r"Go on with:\n  python \S*_00_main.py (--resume \S+)", capsys.readouterr().err
    )[1]
    (tmp_path / "a").rename(tmp_path / "b")
    record = tmp_path / "b" / "best_parameters_digits.json"
    record.write_text('{"test_loss": 0.0, "test_accuracy": 1.0, "parameters": {}}')

    resume = command.replace(str(tmp_path / "a"), str(tmp_path / "b")).split()
    assert main(resume) == 0
    output = capsys.readouterr().out
    assert f"Test loss:      {finished[1].test_loss}" in output
    assert "New record:     no (before this run: 100.00 %)" in output  # the record where it lies
    assert not (tmp_path / "a").exists()
    (folder,) = (tmp_path / "b" / "runs").iterdir()
    assert not (folder / "backup.npz").exists()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["total_seconds"] >= metrics["train_seconds"]

    assert main(resume) == 2
    assert "is complete; there is nothing to resume" in capsys.readouterr().err


def test_full_disk_in_training_ends_with_one_line_and_the_command_to_go_on(
    finished, tmp_path, capsys
):
    error = UserError("cannot write backup.npz: No space left on device.")
    with interrupted(0, error, before=True):
        assert main(tiny_flags(tmp_path, "--seed=11")) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and "No space left" in message
    command = shlex.split(re.search(r"python \S*_00_main.py (--resume .+)", message)[1])
    other = tmp_path / "other"
    assert main([*command, "--output-dir", str(other)]) == 0  # where and how may be changed
    assert printed_loss(capsys) == str(finished[1].test_loss)
    assert (other / "best_model_digits.keras").exists() and not (other / "runs").exists()


def test_a_training_that_diverges_is_named_and_leaves_no_result(tmp_path, capsys):
    assert main(tiny_flags(tmp_path, "--learning-rate=1e30", "--optimizer=adam")) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: the training diverged: ") and error.count("\n") == 1
    assert "smaller --learning-rate than 1e+30" in error and "--resume" not in error
    (folder,) = (tmp_path / "runs").iterdir()
    assert not (folder / "metrics.json").exists() and not list(tmp_path.glob("best_*.json"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--epochs", "3"], "leave --epochs out"),
        (["--recipe", "best"], "leave --recipe out"),
        (["--recipe", "default"], "leave --recipe out"),
        ([], "is no run folder: it has no settings.json"),
    ],
)
def test_what_cannot_be_resumed(tmp_path, capsys, flags, message):
    assert main(["--resume", str(tmp_path), *flags]) == 2
    assert message in capsys.readouterr().err


# --- Constants, recipes and flags ---


def test_every_setting_defaults_to_its_constant(monkeypatch):
    settings, resume_folder = parse_command_line([])
    assert resume_folder is None and settings == make_settings()
    for name, value in asdict(settings).items():
        constant = getattr(_00_main, name.upper() if name in ("val_size", "seed") else name)
        assert value == (str(constant) if name == "output_dir" else constant)
    monkeypatch.setattr(_00_main, "epochs", 9)  # as a notebook would
    monkeypatch.setattr(_00_main, "SEED", 8)
    assert (make_settings().epochs, make_settings().seed) == (9, 8)


def test_flags_change_the_recipe_and_the_recipe_the_constants():
    settings, _ = parse_command_line(["--recipe", "cnn_mnist_101", "--epochs", "40"])
    assert settings == make_settings("cnn_mnist_101", epochs=40)


def test_data_of_the_environment_are_noted_and_a_flag_goes_first(tmp_path, monkeypatch):
    monkeypatch.setenv("DIGITS_DATA_DIR", str(tmp_path / "environment"))
    assert make_settings().data_dir == str(tmp_path / "environment")
    assert make_settings(data_dir=tmp_path / "flag").data_dir == str(tmp_path / "flag")
    assert make_settings(dataset="digits").data_dir is None


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--val-size", "nan"], "val_size must be a number between 0 and 1"),
        (["--val-size", "0.001", "--dataset", "digits"], "leaves a class without validation"),
        (["--epochs", "2.5"], "epochs must be a positive whole number, got '2.5'"),
        (["--batch-size", "many"], "batch_size must be a positive whole number, got 'many'"),
        (["--seed", str(2**32)], "seed must be below"),
        (["--show=perhaps"], "show must be true or false, got 'perhaps'"),
        (["--architecture", "fast_cn"], "unknown architecture 'fast_cn'. Did you mean 'fast_cnn'?"),
        (["--dataset", "mnst"], "unknown dataset 'mnst'. Did you mean 'mnist'?"),
        (["--recipe", "defualt"], "unknown recipe 'defualt'. Did you mean 'default'?"),
        (["--epoch", "3"], "unknown flag '--epoch'. Did you mean '--epochs'?"),
        (["--epochs"], "expected one argument"),
        (["--data-dir", "/no/such/folder"], "/no/such/folder does not exist"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(tmp_path, capsys, flags, message):
    assert main([*flags, "--output-dir", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "out").exists()


def test_a_network_that_is_no_classifier_is_refused_before_anything_is_written(
    tmp_path, capsys, monkeypatch
):
    from tests import tiny

    def without_softmax(input_shape, n_classes):
        return keras.Sequential(
            [keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(n_classes)]
        )

    monkeypatch.setattr(tiny, "tiny", without_softmax)
    assert main(tiny_flags(tmp_path / "out")) == 2
    error = capsys.readouterr().err
    assert "architecture 'tiny' cannot be used" in error and "end it with activation='soft" in error
    assert not (tmp_path / "out" / "runs").exists()


def test_help_exits_with_0(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0 and "--early-stopping-enabled" in capsys.readouterr().out


# --- As a program of its own, in hostile surroundings ---


def start(*arguments, folder=PROJECT_DIR, options=(), **variables):
    command = [sys.executable, *options, str(folder / "_00_main.py"), *arguments]
    environment = {**os.environ, **variables}
    return subprocess.run(command, env=environment, capture_output=True, timeout=200)


SMALL = "one_convolution(strides=2)"
QUICK = ["--dataset=digits", f"--architecture={SMALL}", "--epochs=1", "--polish-epochs=0"]
QUICK += ["--optimizer=adam", "--batch-size=500", "--average-shifts=false"]
QUICK += ["--precision=float32", "--figures=none"]


def test_nothing_that_the_user_has_configured_changes_the_result(tmp_path):
    home = tmp_path / "keras"
    home.mkdir()
    configuration = {
        "floatx": "float16",
        "nnx_enabled": True,
        "epsilon": 0.1,
        "image_data_format": "channels_first",
        "backend": "numpy",
    }
    (home / "keras.json").write_text(json.dumps(configuration))
    flags = [*QUICK, "--networks=2"]
    answer = start(
        *flags,
        f"--output-dir={tmp_path / 'program'}",
        KERAS_HOME=str(home),
        MPLBACKEND="module://matplotlib_not_installed.backend_inline",
        PYTHONIOENCODING="ascii",
        PYTHONSAFEPATH="1",
        CUDA_VISIBLE_DEVICES="-1",
    )
    assert answer.returncode == 0, answer.stderr.decode()
    assert f"Training: 2 ? {SMALL}".encode() in answer.stdout
    assert b"is there, but" not in answer.stdout
    (folder,) = (tmp_path / "program" / "runs").iterdir()
    settings, _ = parse_command_line([*flags, f"--output-dir={tmp_path / 'here'}"])
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["test_loss"] == run(settings).test_loss


@pytest.mark.slow  # Python compiles all of TensorFlow anew for this option: a minute
def test_a_run_needs_no_docstrings(tmp_path):
    answer = start(*QUICK, f"--output-dir={tmp_path}", options=["-OO"])
    assert answer.returncode == 0, answer.stderr.decode()


def test_a_terminated_program_says_how_to_go_on(tmp_path):
    flags = ["--dataset=digits", f"--architecture={SMALL}", "--epochs=500", "--figures=none"]
    flags += ["--no-early-stopping-enabled", f"--output-dir={tmp_path}"]
    command = [sys.executable, "-u", str(PROJECT_DIR / "_00_main.py"), *flags]
    program = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, text=True
    )
    for line in program.stdout:
        if line.startswith("Epoch 3/"):
            program.send_signal(signal.SIGTERM)
            break
    _, error = program.communicate(timeout=100)
    assert program.returncode == 143
    (folder,) = (tmp_path / "runs").iterdir()
    assert f"python {PROJECT_DIR / '_00_main.py'} --resume {folder}" in error
    assert (folder / "backup.npz").exists()


def test_a_mistyped_constant_gets_one_line(tmp_path):
    for name in ("_00_main.py", "_01_data_loader.py"):
        shutil.copy(PROJECT_DIR / name, tmp_path)
    for name in ("common", "architectures"):
        shutil.copytree(PROJECT_DIR / name, tmp_path / name)
    code = (tmp_path / "_00_main.py").read_text(encoding="utf-8")
    (tmp_path / "_00_main.py").write_text(code.replace('= "fast_cnn"', '= "fast_cn"', 1))
    answer = start(folder=tmp_path)
    assert answer.returncode == 2 and answer.stderr.count(b"\n") == 1
    assert answer.stderr.startswith(b"error: unknown architecture 'fast_cn'. Did you mean")


def test_a_missing_package_gets_one_line(tmp_path):
    (tmp_path / "numpy.py").write_text("raise ModuleNotFoundError(name='numpy')")
    answer = start(PYTHONPATH=str(tmp_path))
    assert answer.returncode == 2 and answer.stderr.count(b"\n") == 1
    assert answer.stderr.startswith(b"error: 'numpy' is not installed. Run 'pip install -r req")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"KERAS_BACKEND": "nonsense"}, b"error: Keras cannot start"),
        ({"KERAS_MAX_EPOCHS": "1"}, b"error: the environment variable KERAS_MAX_EPOCHS"),
    ],
)
def test_variables_that_keras_cannot_start_with_get_one_line(variables, message):
    answer = start("--dataset=digits", **variables)
    assert answer.returncode == 2 and answer.stderr.count(b"\n") == 1
    assert answer.stderr.startswith(message)


def test_the_program_runs_from_any_folder():
    answer = subprocess.run(
        [sys.executable, str(PROJECT_DIR / "_00_main.py"), "--epochs=0"],
        cwd=Path("/"), capture_output=True, timeout=60,
    )  # fmt: skip
    assert answer.returncode == 2 and b"epochs must be a positive" in answer.stderr
