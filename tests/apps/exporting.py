"""What the tests of the exports share: a small trained network, and a C compiler."""

import json
import os
import shutil
import subprocess

import keras
import pytest
from keras import layers

from apps import export
from common.command_line import run_program

C_FLAGS = ("-Wall", "-Wextra", "-Werror", "-std=c99", "-pedantic")


def small_network():
    """Return an untrained network with most of what int8 has to deal with, and a reshape."""
    return keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(8, 3, strides=2, activation="relu"),
            layers.MaxPooling2D(2),
            layers.BatchNormalization(momentum=0.8),
            layers.Conv2D(16, 3, activation="relu", use_bias=False),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ],
        name="small",
    )


def as_run(model, folder, dataset="digits"):
    """Save a model as a run would, which was trained on a data set; return its folder."""
    folder.mkdir(exist_ok=True)
    model.save(folder / "model.keras")
    settings = {"settings": {"dataset": dataset, "data_dir": None}}
    (folder / "settings.json").write_text(json.dumps(settings))
    return folder


@pytest.fixture(scope="session")
def trained(splits):
    """Return a network that was trained for seconds."""
    keras.utils.set_random_seed(0)
    model = small_network()
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(splits.x_train, splits.y_train, 64, epochs=8, verbose=0)
    assert (model.predict(splits.x_val, verbose=0).argmax(1) == splits.y_val).mean() > 0.9
    return model


@pytest.fixture(scope="session")
def run_folder(trained, tmp_path_factory):
    """Return the folder of a run that trained the network."""
    return as_run(trained, tmp_path_factory.mktemp("run"))


def run(*arguments):
    """Run the program; return its exit code."""
    return run_program(export.main, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def compiler():
    """Return the path of a C compiler; without one, skip, or fail where one is required."""
    path = shutil.which("gcc") or shutil.which("clang") or shutil.which("cc")
    if path is None and os.environ.get("REQUIRE_COMPILER"):
        pytest.fail("no C compiler (gcc, clang or cc) is installed, and REQUIRE_COMPILER is set")
    if path is None:
        pytest.skip("no C compiler: install gcc to test the C sources")
    return path


def compile_c(compiler, program, *sources, flags=C_FLAGS):
    """Compile C sources to a program, every warning an error; return the program's path."""
    command = [compiler, *flags, "-O2", *sources, "-lm", "-o", program]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return program
