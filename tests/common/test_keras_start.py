import os
import sys
from pathlib import Path

import keras
import pytest

from common import keras_start
from common.keras_start import load_keras, prepare, seed_everything
from common.user_error import UserError


def test_start_says_what_it_runs_on_and_why_in_this_precision(capsys, monkeypatch):
    monkeypatch.setattr(keras_start, "choose_precision", lambda wanted: ("float32", f"{wanted}!"))
    machine = prepare(1, "auto")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(
        f"Machine:  {machine['device']}, {machine['threads']} threads; Keras"
    )
    assert lines[1] == "Numbers:  float32 (auto!)"
    assert machine["precision"] == "float32"


def test_start_gives_the_hint_on_an_idle_gpu(capsys, monkeypatch):
    monkeypatch.setattr(keras_start, "idle_gpu_hint", lambda: "a GPU is there")
    prepare(1, "float32")
    assert capsys.readouterr().out.splitlines()[-1] == "          a GPU is there"


def test_start_sets_the_precision():
    prepare(1, "mixed_bfloat16")
    assert keras.config.dtype_policy().name == "mixed_bfloat16"
    prepare(1, "float32")
    assert keras.config.dtype_policy().name == "float32"


def test_start_undoes_what_others_have_configured():
    keras.config.set_floatx("float16")
    keras.config.set_epsilon(0.1)
    keras.config.set_image_data_format("channels_first")
    keras.config.set_dtype_policy("float16")
    keras.config.set_max_epochs(1)
    keras.config.set_max_steps_per_epoch(1)
    load_keras()
    assert keras.config.floatx() == "float32" and keras.config.epsilon() == 1e-7
    assert keras.config.image_data_format() == "channels_last"
    assert keras.config.dtype_policy().name == "float32"
    assert keras.config.max_epochs() is None and keras.config.max_steps_per_epoch() is None


@pytest.mark.parametrize("name", ["KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH"])
def test_variables_that_shorten_every_training_are_refused(monkeypatch, name):
    monkeypatch.setenv(name, "1")
    with pytest.raises(UserError, match=f"{name} would end every training early. Unset it"):
        load_keras()


def test_back_end_that_cannot_train(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    with pytest.raises(UserError, match="'numpy' cannot train"):
        load_keras()


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)  # what `import` meets when it is missing
    with pytest.raises(UserError, match=r"'keras' is not installed.*requirements\.txt"):
        load_keras()


class Finder:
    """Stands in the way of one import."""

    def __init__(self, name, what_happens):
        self.name, self.what_happens = name, what_happens

    def find_spec(self, name, *_):
        if name == self.name:
            self.what_happens()


@pytest.fixture
def at_import(monkeypatch):
    """Return a function that calls another when a module, not imported yet, is looked for."""

    def prepare(name, what_happens):
        monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(sys, "meta_path", [Finder(name, what_happens), *sys.meta_path])

    return prepare


def test_an_unknown_back_end_gets_one_line(at_import):
    def refuse():
        raise ValueError("Unable to import backend : nonsense")

    at_import("keras", refuse)
    with pytest.raises(UserError, match="Keras cannot start: .*nonsense. Set KERAS_BACKEND to"):
        load_keras()


def test_keras_finds_no_configuration_of_the_user(at_import, monkeypatch, tmp_path):
    (tmp_path / "keras.json").write_text("nonsense")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_NNX_ENABLED", "true")
    seen = []

    def look():
        seen.append(
            (list(Path(os.environ["KERAS_HOME"]).iterdir()), "KERAS_NNX_ENABLED" in os.environ)
        )
        raise ValueError("that is enough")

    at_import("keras", look)
    with pytest.raises(UserError):
        load_keras()
    assert seen == [([], False)]
    assert os.environ["KERAS_HOME"] == str(tmp_path) and os.environ["KERAS_NNX_ENABLED"] == "true"


def test_no_place_for_temporary_files_gets_one_line(monkeypatch):
    def nowhere():
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(keras_start.tempfile, "TemporaryDirectory", nowhere)
    with pytest.raises(UserError, match="no folder for temporary files: .* Set TMPDIR"):
        load_keras()


def test_equal_seeds_give_equal_numbers_and_determinism_is_asked_for(monkeypatch):
    draws = []
    for seed in (1, 1, 2):
        seed_everything(seed)
        draws.append(float(keras.random.uniform(())))
    assert draws[0] == draws[1] != draws[2]
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        asked = []
        experimental = tf.config.experimental
        monkeypatch.setattr(experimental, "enable_op_determinism", lambda: asked.append(True))
        prepare(1, "float32")
        assert asked == [True]


def test_matplotlib_is_imported_whatever_a_notebook_has_set(at_import, monkeypatch):
    import matplotlib

    seen = []
    monkeypatch.setenv("MPLBACKEND", "module://not_installed")

    def look():
        seen.append(os.environ.get("MPLBACKEND"))
        raise ImportError("that is enough")

    at_import("matplotlib", look)
    with pytest.raises(ImportError):
        keras_start._import_matplotlib()
    assert seen == [None] and os.environ["MPLBACKEND"] == "module://not_installed"
    assert matplotlib is not None


def test_a_user_without_a_home_folder_has_keras_folder_among_temporary_files(monkeypatch):
    def no_home(_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setattr(Path, "expanduser", no_home)
    assert keras_start.keras_home() == Path(keras_start.tempfile.gettempdir(), ".keras")
