import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_backend
from user_error import UserError

PROJECT = Path(__file__).parent.parent


def test_machine_is_described():
    machine = keras_backend.describe_machine("float32")
    assert machine["backend"].split()[0] in ("tensorflow", "jax", "torch")
    assert machine["threads"] >= 1 and machine["device"] and machine["precision"] == "float32"


@pytest.mark.parametrize(
    ("system", "remedy"),
    [("Linux", "pip install"), ("Windows", "WSL 2")],
)
def test_gpu_that_cannot_be_used_is_pointed_out(monkeypatch, system, remedy):
    monkeypatch.setattr(keras_backend, "_gpu_names", list)
    monkeypatch.setattr(keras_backend, "_nvidia_gpus", lambda: "NVIDIA H200")
    monkeypatch.setattr(keras_backend.platform, "system", lambda: system)
    hint = keras_backend.idle_gpu_hint()
    assert "NVIDIA H200 is there" in hint and remedy in hint


def test_no_hint_without_a_gpu_or_with_one_in_use(monkeypatch):
    monkeypatch.setattr(keras_backend, "_gpu_names", list)
    monkeypatch.setattr(keras_backend, "_nvidia_gpus", lambda: "")
    assert keras_backend.idle_gpu_hint() is None
    monkeypatch.setattr(keras_backend, "_gpu_names", lambda: ["NVIDIA H200"])
    assert keras_backend.idle_gpu_hint() is None


def test_gpus_are_asked_of_the_driver(monkeypatch):
    def answer(command, **_options):
        return subprocess.CompletedProcess(command, 0, stdout="NVIDIA H200\nNVIDIA T4\n")

    monkeypatch.setattr(keras_backend.shutil, "which", lambda name: None)
    assert keras_backend._nvidia_gpus() == ""
    monkeypatch.setattr(keras_backend.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(keras_backend.subprocess, "run", answer)
    assert keras_backend._nvidia_gpus() == "NVIDIA H200, NVIDIA T4"


def test_startup_chatter_is_dropped_and_everything_else_passed_on(capfd):
    with keras_backend._without_startup_chatter():
        os.write(2, b"I0000 oneDNN custom operations are on. You may ...\nE0000 out of memory\n")
    assert capfd.readouterr().err == "E0000 out of memory\n"


def test_chatter_is_passed_on_after_an_error_too(capfd):
    with pytest.raises(RuntimeError), keras_backend._without_startup_chatter():
        os.write(2, b"the cause\n")
        raise RuntimeError
    assert capfd.readouterr().err == "the cause\n"


def test_unknown_back_end_gets_one_line():
    answer = subprocess.run(
        [sys.executable, "_00_main.py", "--dataset=digits"],
        cwd=PROJECT,
        env={**os.environ, "KERAS_BACKEND": "nonsense"},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: Keras cannot start") and answer.stderr.count("\n") == 1


def test_back_end_that_cannot_train(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    with pytest.raises(UserError, match="'numpy' cannot train"):
        keras_backend.load_keras()


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)  # what `import` meets when it is missing
    with pytest.raises(UserError, match="'keras' is not installed.*requirements.txt"):
        keras_backend.load_keras()


class Pairs(keras.utils.PyDataset):
    """Three batches; the last is smaller. The images count upwards from `start`."""

    start = 0.0

    def __len__(self):
        return 3

    def __getitem__(self, index):
        n = 1 if index == 2 else 2
        images = np.full((n, 4, 4, 1), self.start + index, np.float32)
        return images, np.full(n, index)


def read(pipeline):
    return [tuple(np.asarray(part) for part in batch) for batch in pipeline]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="others get the batches")
def test_input_pipeline_holds_the_batches_in_order_as_they_are_now():
    batches = Pairs()
    pipeline = keras_backend.input_pipeline(batches)
    assert len(pipeline) == 3  # without it, Keras could show no progress in the first epoch
    for start in (0.0, 7.0):  # an epoch each
        batches.start = start
        read_back = read(pipeline)
        assert len(read_back) == 3
        for index, (images, labels) in enumerate(read_back):
            np.testing.assert_array_equal(images, batches[index][0])
            np.testing.assert_array_equal(labels, batches[index][1])
            assert images.dtype == np.float32


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="others have no autotuning")
def test_input_pipeline_does_not_wait_for_autotuning_at_the_end_of_an_epoch():
    assert keras_backend.input_pipeline(Pairs()).options().autotune.enabled is False


def test_other_back_ends_read_the_batches_themselves(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    batches = Pairs()
    assert keras_backend.input_pipeline(batches) is batches
