"""What the tests of the drawing page share: networks, and their pages in a browser."""

import base64

from common.keras_start import load_keras

load_keras()  # pytest may import this file first

import keras
import numpy as np
import pytest

from apps.draw_a_digit import write_page
from architectures import import_architecture
from architectures.averaging import average_networks, average_shifts, network_of
from common.classifier import load_keras_model
from common.command_line import PROJECT_DIR
from tests.figures.test_report_browser import browser  # noqa: F401  (the fixture)

SIZES = {"desktop": (1280, 800), "phone": (360, 740)}
IMAGES_FROM_BASE64 = """
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const images = Array.from({length: bytes.length / 784}, (_, i) =>
        Float32Array.from(bytes.subarray(784 * i, 784 * (i + 1)), (value) => value / 255));
"""


def decisive(architecture, strength=8):
    """Return an untrained network with statistics of its own that prefers some digits clearly."""
    network = getattr(import_architecture(architecture), architecture)((28, 28, 1), 10)
    random = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    kernel = network.layers[-1].kernel
    kernel.assign(strength * keras.ops.convert_to_numpy(kernel))
    return network


def two_networks():
    """Return a mean of two networks, each a mean over shifts."""
    networks = [average_shifts(decisive(name)) for name in ("fast_cnn_tiny", "keras_example")]
    for network in networks:
        network.name = f"{network.name}_of_{network.layers[-2].name}"
    return average_networks(networks)


@pytest.fixture(scope="session")
def images(digits):
    """Return 1,000 handwritten digits, uint8 (1000, 28, 28)."""
    return np.concatenate([digits.x_test, digits.x_train])[:1000]


@pytest.fixture(scope="session")
def record():
    return load_keras_model(PROJECT_DIR / "best_model.keras")


@pytest.fixture(scope="session")
def strong_network(record):
    """Return the first network of the record: it reads what a hand draws."""
    return network_of(record)


@pytest.fixture(scope="session")
def make_page(tmp_path_factory):
    """Return a function that writes the page of a model and returns its path."""

    def make(model):
        folder = tmp_path_factory.mktemp("page")
        model.save(folder / "network.keras")
        write_page(folder / "network.keras", folder / "draw.html")
        return folder / "draw.html"

    return make


@pytest.fixture(scope="session")
def strong_page(make_page, strong_network):
    return make_page(strong_network)


def probabilities_in_page(page, images, function="classify"):
    """Return what the page makes of images, uint8 (n, 28, 28): float (n, n_classes)."""
    answer = f"return images.map((image) => [...drawADigit.{function}(image)]);"
    run = f"(text) => {{ {IMAGES_FROM_BASE64} {answer} }}"
    return np.array(page.evaluate(run, base64.b64encode(images.tobytes()).decode()))
