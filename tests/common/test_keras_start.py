import os
import sys

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


@pytest.mark.parametrize(
    "error", [ValueError("Unable to import backend : nonsense"), AssertionError(), TypeError("x")]
)
def test_what_keras_cannot_start_with_gets_one_line(monkeypatch, error):
    class Refuses:
        def find_spec(self, name, *_):
            if name == "keras":
                raise error

    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setattr(sys, "meta_path", [Refuses(), *sys.meta_path])
    with pytest.raises(UserError, match=r"Keras cannot start: .*KERAS_BACKEND.*keras\.json"):
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


def test_matplotlib_is_imported_whatever_a_notebook_has_set(monkeypatch):
    import matplotlib

    used = []
    monkeypatch.setenv("MPLBACKEND", "module://not_installed")
    monkeypatch.delitem(sys.modules, "matplotlib")
    monkeypatch.setattr(sys, "modules", dict(sys.modules))  # what the import changes is undone

    class Finder:
        """Gives the module that is there, and notes what the variable was at its import."""

        def find_spec(self, name, *_):
            if name == "matplotlib":
                used.append(os.environ.get("MPLBACKEND"))
                sys.modules["matplotlib"] = matplotlib
                from importlib.machinery import ModuleSpec

                return ModuleSpec(name, self)

        def create_module(self, spec):
            return matplotlib

        def exec_module(self, module):
            pass

    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    keras_start._import_matplotlib()
    assert used == [None] and os.environ["MPLBACKEND"] == "module://not_installed"
