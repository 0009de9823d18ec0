import keras
import numpy as np
import pytest

from apps.export_int8 import as_int8
from apps.micro_model import run_micro
from architectures import build_architecture
from architectures.rounding import RoundedConv2D, with_rounded_weights
from common.int8_network import Int8Network
from common.tflite_int4 import INT4, INT8, _in_pairs
from common.tflite_size import make_small

pytest.importorskip("ai_edge_litert")
flatbuffer_utils = pytest.importorskip("tensorflow.lite.tools.flatbuffer_utils")


def unpacked(content, n):
    """Return int4 numbers as LiteRT reads them: the low half of each byte first."""
    halves = np.stack([content & 0x0F, content >> 4], axis=1).ravel()[:n].astype(np.int8)
    return np.where(halves > 7, halves - 16, halves)


@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_two_numbers_share_a_byte_the_first_in_the_low_half(n):
    numbers = np.random.default_rng(n).integers(-8, 8, n).astype(np.int8)
    packed = _in_pairs(numbers)
    assert packed.dtype == np.uint8 and len(packed) == (n + 1) // 2
    np.testing.assert_array_equal(unpacked(packed, n), numbers)


def convolution_types(content):
    """Return the types of the weights of all convolutions."""
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    (graph,) = model.subgraphs
    weights = [graph.tensors[one.inputs[1]] for one in graph.operators if len(one.inputs) == 3]
    return [tensor.type for tensor in weights if len(tensor.shape) == 4]


@pytest.fixture(scope="module")
def tiny(splits):
    """Return the tiny network as it is converted, made small, and Keras' answers.

    Its biases are not zero.
    """
    keras.utils.set_random_seed(3)
    network = build_architecture("tiny_cnn")
    assert sum(isinstance(layer, RoundedConv2D) for layer in network.layers) == 5
    draw = np.random.default_rng(0)
    for layer in network.layers:
        if layer.name.startswith("batch"):
            layer.beta.assign(draw.normal(0, 0.3, layer.beta.shape))
            layer.gamma.assign(draw.uniform(0.5, 1.5, layer.gamma.shape))
    plain = with_rounded_weights(network)
    content = as_int8(plain, splits.x_train[:100], False, "tiny.keras")
    expected = np.asarray(plain(splits.x_test[:100]))
    return content, make_small(content)[0], expected


def test_the_tiny_network_fits_into_ten_kilobytes(tiny):
    assert convolution_types(tiny[0]) == [INT8] * 5
    assert convolution_types(tiny[1]) == [INT4] * 5
    assert len(tiny[1]) < 10_240


@pytest.mark.parametrize("reference", [False, True], ids=["fast kernels", "plain kernels"])
def test_four_bits_answer_as_keras_does_and_not_worse_than_eight(tiny, splits, reference):
    *contents, expected = tiny
    errors = []
    for content in contents:
        network = Int8Network(content, reference)
        outputs = network.run(splits.x_test[:100]).astype(float)
        probabilities = network.output.scale * (outputs - network.output.zero_point)
        errors.append(np.abs(probabilities - expected))
        assert len(np.unique(outputs, axis=0)) > 50
    # Eight bits round the weights, which are on the grid of four, once more.
    assert errors[1].mean() < 1.2 * errors[0].mean() and errors[1].max() < 0.06


def test_the_micro_interpreter_answers_as_the_plain_kernels_do(tiny, splits):
    pytest.importorskip("tflite_micro")
    network = Int8Network(tiny[1], reference=True)
    images = splits.x_test[:50]
    answers = run_micro(tiny[1], network.input.quantise(images)).astype(int)
    differences = np.abs(answers - network.run(images))
    assert differences.max() <= 1 and (differences == 0).mean() > 0.99  # a last bit of softmax


def test_weights_that_are_on_no_grid_stay_as_they_are(splits):
    network = build_architecture("fast_cnn_tiny")
    content = as_int8(network, splits.x_train[:100], False, "fast.keras")
    assert set(convolution_types(make_small(content)[0])) == {INT8}
