import os
import subprocess
import sys

import keras
import pytest

from common.command_line import PROJECT_DIR


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="Keras has no way for it")
def test_two_devices_train_as_one_does():
    """In a process of its own: devices are made before anything else."""
    answer = subprocess.run(
        [sys.executable, "-m", "tests.studies.two_devices", "muon"],
        cwd=PROJECT_DIR, env=os.environ | {"KERAS_BACKEND": keras.backend.backend()},
        capture_output=True, text=True,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert "two devices: " in answer.stdout
