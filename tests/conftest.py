"""What all tests share: no network, no user's files, and small real digits."""

import os
import socket

import pytest

import keras_backend

os.environ["MPLBACKEND"] = "Agg"  # tests draw without a screen
# As the program does, so that importing the modules under test prints no start-up chatter.
keras_backend.load_keras()

from _00_main import Settings  # noqa: E402
from _01_data_loader import Arrays, load_data  # noqa: E402
from _02_data_preprocess import Splits, preprocess  # noqa: E402
from architectures import ARCHITECTURES  # noqa: E402


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


def make_tiny_settings(output_dir) -> Settings:
    """Return a run of seconds: two varied epochs and one of polish on the small digits."""
    return Settings(
        dataset="digits",
        architecture="tiny",
        epochs=2,
        polish_epochs=1,
        learning_rate=0.01,
        figures="none",
        output_dir=str(output_dir),
    )


@pytest.fixture
def tiny_settings(tmp_path, tiny_architecture) -> Settings:
    """Settings of a run of seconds."""
    return make_tiny_settings(tmp_path / "out")
