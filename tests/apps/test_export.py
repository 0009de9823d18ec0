# ruff: noqa: F401, F811 (fixtures are imported by name)
import sys

import keras
import numpy as np
import pytest
from keras import layers

from apps import export
from apps.export_int8 import check_answers, check_quantisation
from apps.export_subject import data_of, load_subject
from architectures.averaging import average_networks, average_shifts
from common.classifier import load_classifier
from common.int8_network import Int8Network, Quantisation
from common.user_error import UserError
from tests.apps.exporting import as_run, run, run_folder, small_network, trained

pytest.importorskip("ai_edge_litert")
flatbuffer_utils = pytest.importorskip("tensorflow.lite.tools.flatbuffer_utils")


def operators_of(path):
    model = flatbuffer_utils.read_model(str(path))
    return [
        flatbuffer_utils.opcode_to_name(model, index) for index in range(len(model.operatorCodes))
    ]


def agreement(trained, splits, outputs):
    expected = trained.predict(splits.x_test, verbose=0).argmax(1)
    return float((outputs.argmax(1) == expected).mean())


# --- What is written ----------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [(), ("--float16",)], ids=["float32", "float16"])
def test_litert_answers_as_keras(flags, run_folder, trained, splits, tmp_path, capsys):
    path = tmp_path / "new" / "a.tflite"
    assert run("--format", "litert", "--model", run_folder, "--output", path, *flags) == 0
    printed = capsys.readouterr()
    assert not printed.err
    assert "Network:    small, 1,914 parameters\n" in printed.out
    assert "360 test images of digits: 100.00 % are answered as by Keras" in printed.out
    assert f"({path.stat().st_size:,} bytes)" in printed.out
    assert (path.stat().st_size < 10_500) == bool(flags)
    assert "CUSTOM" not in operators_of(path)
    probabilities = load_classifier(path).predict(splits.x_test)
    expected = trained.predict(splits.x_test, verbose=0)
    assert np.abs(probabilities - expected).max() < (5e-3 if flags else 1e-5)


@pytest.mark.parametrize("flags", [(), ("--per-tensor",)], ids=["per channel", "per tensor"])
def test_int8_answers_as_keras_and_is_small(
    flags,
    run_folder,
    trained,
    splits,
    tmp_path,
    capsys,
):
    path = tmp_path / "a.tflite"
    arguments = ("--format", "int8", "--model", run_folder, "--output", path)
    assert run(*arguments, "--representative", 100, *flags) == 0
    printed = capsys.readouterr()
    assert not printed.err
    sizes = [
        int(line.removeprefix("Size:").split()[0].replace(",", ""))
        for line in printed.out.splitlines()
        if " bytes " in line
    ]
    assert len(sizes) > 5 and sizes == sorted(sizes, reverse=True)
    assert path.stat().st_size == sizes[-1] < 0.75 * sizes[0]
    network = Int8Network(path.read_bytes())
    assert network.types == (np.int8, np.int8)
    assert network.input == (pytest.approx(1 / 255, rel=0.01), -128)
    assert network.output == (1 / 256, -128)
    outputs = network.run(splits.x_test)
    assert agreement(trained, splits, outputs) >= 0.99
    probabilities = (outputs.astype(float) + 128) / 256
    assert np.abs(probabilities.sum(1) - 1).max() < 0.05


def test_onnx_answers_as_keras(run_folder, trained, splits, tmp_path, capsys):
    pytest.importorskip("tf2onnx")
    runtime = pytest.importorskip("onnxruntime")
    path = tmp_path / "a.onnx"
    assert run("--format", "onnx", "--model", run_folder, "--output", path) == 0
    printed = capsys.readouterr()
    assert not printed.err and "100.00 % are answered as by Keras" in printed.out
    session = runtime.InferenceSession(path)
    (given,) = session.get_inputs()
    assert given.type == "tensor(float)" and given.shape[1:] == [28, 28, 1]
    (probabilities,) = session.run(None, {given.name: splits.x_test[:7]})
    expected = trained.predict(splits.x_test[:7], verbose=0)
    assert np.abs(probabilities - expected).max() < 1e-5


def test_of_a_mean_int8_takes_the_first_network(trained, splits, tmp_path, capsys):
    first, second = keras.models.clone_model(trained), small_network()
    first.set_weights(trained.get_weights())
    first.name, second.name = "first", "second"
    means = [average_shifts(network) for network in (first, second)]
    for mean, name in zip(means, ("a", "b"), strict=True):
        mean.name = f"mean_of_{name}"
    means[0].name = "mean_of_five_shifts"
    folder = as_run(average_networks(means), tmp_path / "mean")
    path = tmp_path / "a.tflite"
    assert run("--format", "int8", "--model", folder, "--output", path) == 0
    printed = capsys.readouterr().out
    assert "first, 1,914 parameters; the first of the networks in mean_of_networks\n" in printed
    assert agreement(trained, splits, Int8Network(path.read_bytes()).run(splits.x_test)) >= 0.99


@pytest.mark.parametrize("is_single", [True, False])
def test_what_is_exported_of_a_mean_over_shifts(is_single, trained, tmp_path, capsys):
    folder = as_run(average_shifts(trained), tmp_path / "mean")
    subject = load_subject(folder, is_single)
    name = "small" if is_single else "mean_of_five_shifts"
    assert subject.network.name == name and subject.dataset == "digits"
    assert capsys.readouterr().out.startswith(f"Network:    {name}, 1,914 parameters")


def test_a_network_in_bfloat16_is_exported(trained, tmp_path, capsys):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = small_network()
    model.set_weights(trained.get_weights())
    keras.config.set_dtype_policy("float32")
    folder = as_run(model, tmp_path / "run")
    assert run("--format", "int8", "--model", folder, "--output", tmp_path / "a.tflite") == 0
    assert "are answered as by Keras" in capsys.readouterr().out


# --- What is refused ----------------------------------------------------------------------------


def refused(capsys, *arguments):
    """Return the one line with which the program refuses what it is asked for."""
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1, error
    return error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "required: --format"),
        (("--format", "tflite"), "invalid choice: 'tflite'"),
        (("--format", "onnx", "--float16"), "--float16 is for --format litert only"),
        (("--format", "litert", "--per-tensor"), "--per-tensor is for --format int8 only"),
        (("--format", "onnx", "--representative", "0"), "is for --format int8 or microcontroller"),
        (("--format", "int8", "--representative", "many"), "invalid int value"),
        (("--format", "int8", "--model", "none.keras"), "there is no model none.keras"),
    ],
)
def test_wrong_flags_are_refused(arguments, words, capsys):
    assert words in refused(capsys, *arguments)


@pytest.mark.parametrize("n", [0, 99, 501])
def test_a_bad_number_of_representative_images_is_refused(n, run_folder, tmp_path, capsys):
    path = tmp_path / "a.tflite"
    arguments = ("--format", "int8", "--model", run_folder, "--output", path)
    assert "is not from 100 to 500" in refused(capsys, *arguments, "--representative", n)
    assert not path.exists()


def test_a_data_set_with_too_few_images_is_refused(trained, splits, tmp_path, capsys):
    images = (255 * splits.x_train[:150, ..., 0]).astype("uint8")
    np.savez(
        tmp_path / "few.npz", x_train=images, y_train=splits.y_train[:150],
        x_test=images, y_test=splits.y_train[:150],
    )  # fmt: skip
    folder = as_run(trained, tmp_path / "run", "custom")
    text = (folder / "settings.json").read_text()
    (folder / "settings.json").write_text(text.replace("null", f'"{tmp_path}/few.npz"'))
    error = refused(capsys, "--format", "int8", "--model", folder)
    assert "custom has 150 training images, fewer than the 300" in error


def test_another_input_is_refused(tmp_path, capsys):
    model = keras.Sequential([layers.Input((8, 8, 1)), layers.Flatten(), layers.Dense(10)])
    error = refused(capsys, "--format", "int8", "--model", as_run(model, tmp_path / "run"))
    assert "it takes inputs of shape (8, 8, 1), expected (28, 28, 1)" in error


@keras.saving.register_keras_serializable("tests")
class Odd(layers.Layer):
    """A layer of a user's own, of an operator that only the whole of TensorFlow has."""

    def call(self, inputs):
        return keras.ops.erfinv(inputs / 2)


@pytest.mark.parametrize("export_format", ["litert", "int8"])
def test_a_layer_that_does_not_convert_is_refused(export_format, tmp_path, capfd):
    model = keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Flatten(),
            Odd(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    path = tmp_path / "a.tflite"
    folder = as_run(model, tmp_path / "run")
    error = refused(capfd, "--format", export_format, "--model", folder, "--output", path)
    assert "does not convert to" in error and "LiteRT has no operator for Erfinv." in error
    assert not path.exists()


@pytest.mark.parametrize("layer", [layers.LSTM(4), layers.Bidirectional(layers.GRU(2))])
def test_a_recurrent_layer_is_refused_in_int8_before_the_converter_crashes(layer, tmp_path, capfd):
    model = keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Reshape((28, 28)),
            layer,
            layers.Dense(10, activation="softmax"),
        ]
    )
    folder = as_run(model, tmp_path / "run")
    error = refused(capfd, "--format", "int8", "--model", folder, "--output", tmp_path / "a.tflite")
    assert "does not convert to int8: it has a loop" in error and "--format onnx" in error


@pytest.mark.parametrize("package", ["onnx", "tf2onnx", "onnxruntime"])
def test_a_missing_package_is_named(package, run_folder, tmp_path, capsys, monkeypatch):
    for name in ("onnx", "tf2onnx", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None if name == package else sys)
    path = tmp_path / "a.onnx"
    error = refused(capsys, "--format", "onnx", "--model", run_folder, "--output", path)
    assert f"'{package}' is not installed. Run 'pip install -r requirements-extras.txt'" in error
    assert not path.exists()


@pytest.mark.parametrize("export_format", ["int8", "microcontroller"])
def test_a_folder_that_cannot_be_written_is_named_before_the_work(
    export_format, tmp_path, capsys, monkeypatch
):
    monkeypatch.delattr(export, "load_subject")
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "inside" / "deeper"
    error = refused(capsys, "--format", export_format, "--output", path)
    assert error == f"error: cannot write {path}: Not a directory. Choose another --output.\n"


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.delattr(export, "load_subject")
    error = refused(capsys, "--format", "onnx", "--output", tmp_path)
    assert error == f"error: cannot write {tmp_path}: Is a directory. Choose another --output.\n"


def test_a_folder_that_vanishes_during_the_work_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Choose another --output"):
        export.write_file(tmp_path / "file" / "model.onnx", b"")


def test_an_export_that_answers_otherwise_is_not_written(
    run_folder,
    tmp_path,
    capsys,
    monkeypatch,
):
    monkeypatch.setattr(export, "LEAST_AGREEMENT", 1.01)
    path = tmp_path / "a.tflite"
    error = refused(capsys, "--format", "int8", "--model", run_folder, "--output", path)
    assert "the export is not written" in error and not path.exists()


class FakeNetwork:
    types = (np.int8, np.int8)
    input = Quantisation(1 / 255, -128)


def test_a_wrong_scale_of_the_input_is_explained(tmp_path):
    network = FakeNetwork()
    check_quantisation(network, tmp_path)
    network.input = Quantisation(2 / 255, -128)
    with pytest.raises(UserError, match="scale 0.00784 and zero point -128, expected about"):
        check_quantisation(network, tmp_path)
    network.types = (np.float32, np.int8)
    with pytest.raises(UserError, match="float32 and int8 in and out"):
        check_quantisation(network, tmp_path)


def test_equal_answers_to_all_images_are_refused(tmp_path):
    outputs = np.array([[1, 2], [1, 2], [1, 2]], "int8")
    with pytest.raises(UserError, match="answers every image alike"):
        check_answers(outputs, tmp_path)
    outputs[1, 0] = 3
    check_answers(outputs, tmp_path)


# --- The data that a model was trained on -------------------------------------------------------


def test_the_data_set_is_that_of_the_run_or_the_record(tmp_path):
    assert data_of(tmp_path / "model.keras") == ("mnist", None)
    text = '{"settings": {"dataset": "custom", "data_dir": "mine"}}'
    (tmp_path / "settings.json").write_text(text)
    assert data_of(tmp_path / "model.keras") == ("custom", "mine")
    assert data_of(tmp_path / "best_model_digits.keras") == ("mnist", None)
    record = '{"parameters": {"dataset": "digits"}}'
    (tmp_path / "best_parameters_digits.json").write_text(record)
    assert data_of(tmp_path / "best_model_digits.keras") == ("digits", None)
