import io
import shutil
import zipfile

import keras
import numpy as np
import pytest
from keras import layers

from common import classifier as classifiers
from common.classifier import DEFAULT_MODEL, load_classifier, load_keras_model, model_file
from common.command_line import PROJECT_DIR
from common.lite_model import is_made_of, lite_path, load_lite
from common.user_error import UserError

pytest.importorskip("tensorflow")
IMAGES = np.random.default_rng(0).random((150, 28, 28), "float32")


def small_network(*more, n_classes=10):
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(4, 3, strides=2, activation="relu"),
            layers.Flatten(),
            *(more or [layers.Dense(n_classes, activation="softmax")]),
        ]
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model's file that has been used once, and the model."""
    path = tmp_path_factory.mktemp("model") / "model.keras"
    model = small_network()
    model.save(path)
    first = load_classifier(path)
    return path, model, first


def test_first_use_is_by_keras_and_the_next_by_litert_with_the_same_answers(saved):
    path, model, first = saved
    second = load_classifier(path)
    assert (first.runtime, second.runtime) == ("Keras", "LiteRT")
    assert first.n_classes == second.n_classes == 10
    expected = model.predict(IMAGES[..., None], verbose=0)
    np.testing.assert_allclose(first.predict(IMAGES), expected, atol=1e-5)
    np.testing.assert_allclose(second.predict(IMAGES), expected, atol=2e-3)


def test_a_lite_file_alone_and_a_run_folder_serve_too(saved, tmp_path):
    path, *_ = saved
    alone = shutil.copy(lite_path(path), tmp_path / "alone.tflite")
    assert load_classifier(alone).runtime == "LiteRT"
    for file in (path, lite_path(path)):
        shutil.copy(file, tmp_path)
    assert load_classifier(tmp_path).runtime == "LiteRT"


def test_a_lite_file_of_another_model_is_not_taken(saved, tmp_path):
    path, *_ = saved
    other = tmp_path / "model.keras"
    small_network().save(other)
    shutil.copy(lite_path(path), tmp_path / "model.tflite")
    assert not is_made_of(lite_path(other), other)
    classifier = load_classifier(other)
    assert classifier.runtime == "Keras"
    assert is_made_of(lite_path(other), other)  # replaced by its own


def test_without_litert_keras_serves(saved, monkeypatch, capsys):
    def missing(_):
        raise ModuleNotFoundError("No module named 'ai_edge_litert'", name="ai_edge_litert")

    monkeypatch.setattr(classifiers, "load_lite", missing)
    assert load_classifier(saved[0]).runtime == "Keras"
    assert "ai-edge-litert" in capsys.readouterr().err


def test_where_no_file_can_be_written_keras_serves(tmp_path, monkeypatch, capsys):
    path = tmp_path / "model.keras"
    small_network().save(path)

    def full(*_):
        raise UserError("cannot write model.tflite: No space left on device.")

    monkeypatch.setattr(classifiers, "write_lite", full)
    assert load_classifier(path).runtime == "Keras"
    assert "No space left" in capsys.readouterr().err


def test_no_images_give_no_answers(saved):
    assert load_classifier(saved[0]).predict(np.zeros((0, 28, 28))).shape == (0, 10)


def with_lambda(path):
    keras.Sequential(
        [keras.Input((28, 28, 1)), layers.Flatten(), layers.Lambda(lambda x: x[:, :10])]
    ).save(path)


def zip_of(name):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, "x")
    return file.getvalue()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (with_lambda, "holds code of its own"),
        (lambda path: path.write_bytes(b"no model"), "cannot be loaded"),
        (lambda path: path.write_bytes(zip_of("a.txt")), "cannot be loaded"),
        (lambda path: small_network(layers.Dense(10)).save(path), "must end with softmax"),
        (
            lambda path: keras.Sequential(
                [keras.Input((32, 32, 3)), layers.Flatten(), layers.Dense(2, "softmax")]
            ).save(path),
            r"inputs of shape \(32, 32, 3\)",
        ),
    ],
    ids=["code", "text", "zip", "no softmax", "other input"],
)
def test_what_is_no_classifier_of_images_is_refused(tmp_path, make, message):
    path = tmp_path / "model.keras"
    make(path)
    with pytest.raises(UserError, match=message):
        load_classifier(path)


def test_a_model_that_would_unpack_to_too_much_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "model.keras"
    path.write_bytes(zip_of("config.json"))
    monkeypatch.setattr(classifiers, "MAX_BYTES", 0)
    with pytest.raises(UserError, match="it unpacks to 1 bytes, more than"):
        load_classifier(path)


def test_a_model_that_is_refused_gets_no_lite_file(tmp_path):
    path = tmp_path / "model.keras"
    small_network(layers.Dense(10)).save(path)
    with pytest.raises(UserError, match="must end with softmax"):
        load_classifier(path)
    assert not lite_path(path).exists()


def test_a_damaged_lite_file_and_a_missing_model_are_refused(tmp_path):
    (tmp_path / "a.tflite").write_bytes(b"nothing of this kind")
    with pytest.raises(UserError, match="cannot be read as a LiteRT model"):
        load_lite(tmp_path / "a.tflite")
    with pytest.raises(UserError, match="there is no model"):
        load_classifier(tmp_path / "none.keras")


@pytest.mark.parametrize("path", [PROJECT_DIR / "best_model.keras", DEFAULT_MODEL])
def test_what_the_project_ships_has_a_lite_file_that_is_made_of_it(path):
    path = model_file(path)
    assert is_made_of(lite_path(path), path)
    model = load_keras_model(path)
    images = IMAGES[:4, ..., None]
    np.testing.assert_allclose(
        load_lite(lite_path(path))(images), np.asarray(model(images)), atol=2e-3
    )


def test_a_layer_that_is_not_keras_own_is_named(tmp_path):
    class OwnLayer(layers.Layer):
        pass

    model = keras.Sequential([keras.Input((28, 28, 1)), OwnLayer(), layers.Flatten()])
    model.save(tmp_path / "own.keras")
    with pytest.raises(
        UserError, match="it is made of OwnLayer, which is no part of Keras"
    ) as caught:
        load_keras_model(tmp_path / "own.keras")
    assert "\n" not in str(caught.value) and "0x" not in str(caught.value)
