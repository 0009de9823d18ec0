# ruff: noqa: F401, F811 (fixtures are imported by name)
import numpy as np
import pytest

from apps.export_int8 import as_int8
from apps.micro_model import run_micro
from common.int8_network import Int8Network
from common.tflite_size import make_small
from tests.apps.exporting import run_folder, trained

pytest.importorskip("ai_edge_litert")
flatbuffer_utils = pytest.importorskip("tensorflow.lite.tools.flatbuffer_utils")


@pytest.fixture(scope="module", params=[False, True], ids=["per channel", "per tensor"])
def converted(request, trained, splits, tmp_path_factory):
    """Return an int8 file as it is converted."""
    path = tmp_path_factory.mktemp("int8")
    return as_int8(trained, splits.x_train[:100], request.param, path)


def parse(content):
    return flatbuffer_utils.convert_bytearray_to_object(bytearray(content))


def test_no_answer_changes(converted, splits):
    small, _ = make_small(converted)
    images = splits.x_test[:100]
    before, after = (
        Int8Network(one, reference=True).run(images).astype(int) for one in (converted, small)
    )
    np.testing.assert_array_equal(before, after)
    assert len(np.unique(before.argmax(1))) == 10


def test_fast_kernels_round_otherwise_in_a_last_bit_at_most(converted, splits):
    """A bias without a scale of its own gets one that they compute, to another last bit.

    On some processors, the layers behind it make more of that; so few answers may move, by little.
    """
    small, _ = make_small(converted)
    images = splits.x_test[:100]
    before, after = (Int8Network(one).run(images).astype(int) for one in (converted, small))
    difference = np.abs(before - after)
    assert difference.max() <= 16 and (difference <= 1).mean() >= 0.99
    assert (before.argmax(1) == after.argmax(1)).mean() >= 0.98


def test_no_answer_of_the_micro_interpreter_changes(converted, splits):
    pytest.importorskip("tflite_micro")
    small, _ = make_small(converted)
    images = Int8Network(small).input.quantise(splits.x_test[:100])
    expected = Int8Network(converted, reference=True).run(splits.x_test[:100])
    assert (run_micro(small, images) == expected).all()


def test_each_step_saves_bytes(converted):
    small, steps = make_small(converted)
    sizes = [step.n_bytes for step in steps]
    assert sizes[0] == len(converted) and sizes[-1] == len(small)
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) >= 5


def test_what_is_left_is_needed(converted):
    model = parse(make_small(converted)[0])
    (graph,) = model.subgraphs
    assert model.description is None and not model.metadata and not model.signatureDefs
    assert all(tensor.name is None for tensor in graph.tensors)
    names = [
        flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex) for operator in graph.operators
    ]
    assert "RESHAPE" not in names and names[-2:] == ["FULLY_CONNECTED", "SOFTMAX"]
    assert len(model.operatorCodes) == len(set(names))
    used = {index for one in graph.operators for index in (*one.inputs, *one.outputs)}
    assert used == set(range(len(graph.tensors)))
    contents = [bytes(one.data) for one in model.buffers if one.data is not None]
    assert len(contents) == len(set(contents)) == len(model.buffers) - 1
    weights = sum(len(content) for content in contents)
    assert len(make_small(converted)[0]) - weights < 3000  # of tables


@pytest.mark.parametrize("alignment", [4, 16])
def test_weights_are_aligned(converted, alignment):
    small, _ = make_small(converted, alignment)
    for buffer in parse(small).buffers:
        if buffer.data is not None and len(buffer.data) > 8 and buffer.data.any():
            assert small.find(bytes(buffer.data)) % alignment == 0


def test_a_small_file_is_not_made_larger(converted):
    small, _ = make_small(converted)
    assert len(make_small(small)[0]) == len(small)
