"""What all tests share: no network, no user's files, and small real digits."""

import gc
import os
import socket

import pytest

os.environ["MPLBACKEND"] = "Agg"  # tests draw without a screen
# Test processes share the cores: threads that wait for one another cost more than they gain.
os.environ.setdefault("OMP_NUM_THREADS", "1")
for name in ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH"):  # the program refuses them
    os.environ.pop(name, None)

from _00_main import make_settings
from _01_data_loader import load_data
from _02_data_preprocess import preprocess
from architectures import ARCHITECTURES
from common.data import Arrays, Splits
from common.keras_start import configure_keras, load_keras
from common.settings import Settings

# A long file that begins last keeps all processes but one waiting, so these begin first.
LONG_FILES = (
    "test_walkthrough.py",
    "test_page_drawing.py",
    "test_00_main.py",
    "test_many_runs.py",
    "test_tiny_schiller_network.py",
    "test_program.py",
    "test_page_collection.py",
    "test_page_computation.py",
)


def pytest_configure(config):
    """Load Keras before what is tested does: without its start-up chatter.

    The process that only hands the tests out to others does without it, for it takes seconds.
    """
    hands_out = config.getoption("numprocesses", None) and not hasattr(config, "workerinput")
    if not hands_out:
        load_keras()


def pytest_collection_modifyitems(items):
    """Put the long files first."""
    items.sort(key=lambda item: item.path.name not in LONG_FILES)


@pytest.fixture(scope="module", autouse=True)
def few_objects_to_look_through():
    """Keep the libraries' million objects out of garbage collection.

    Each run of a study calls Keras' `clear_session`, which would look through all of them.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def default_configuration():
    """Leave no precision or the like to the next test."""
    configure_keras()
    yield
    configure_keras()


@pytest.fixture(autouse=True)
def isolated(monkeypatch, tmp_path, request):
    """Keep tests off the network and out of the user's Keras folder."""
    if "slow" in request.keywords:
        return
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("DIGITS_DATA_DIR", raising=False)

    def refuse(*_args, **_kwargs):
        raise OSError("the fast tests use no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(autouse=True)
def closed_figures():
    """Let no test see the figures of another."""
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


@pytest.fixture(scope="session")
def digits() -> Arrays:
    """All 1,797 digits of scikit-learn's bundled set, as uint8 28x28."""
    return load_data("digits")


@pytest.fixture(scope="session")
def splits(digits) -> Splits:
    return preprocess(digits, 0.2, seed=0)


@pytest.fixture(scope="session", autouse=True)
def tiny_architecture():
    """Register a network that trains within a second, as a user would add one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ARCHITECTURES, "tiny", "tests.tiny")
        yield


def make_tiny_settings(output_dir, **changes) -> Settings:
    """Return a run of seconds: two varied epochs and one of polish on the small digits."""
    tiny = {
        "dataset": "digits",
        "architecture": "tiny",
        "epochs": 2,
        "polish_epochs": 1,
        "learning_rate": 0.01,
        "precision": "float32",
        "figures": "none",
        "output_dir": output_dir,
    }
    return make_settings(**tiny | changes)


@pytest.fixture
def tiny_settings(tmp_path, tiny_architecture) -> Settings:
    """Settings of a run of seconds."""
    return make_tiny_settings(tmp_path / "out")
