"""Making a LiteRT file smaller while its answers stay the same.

The converter writes every tensor's shape, name and scale anew, gives every tensor a buffer, and
describes the file at length. In a network of a few thousand weights, that is a third of the file.
These are the bytes after each step, for a network of four convolutions, two poolings and a dense
layer (7,596 parameters) and for fast_cnn_small (45,778), in int8 with a batch of one:

    step                                      7,596   and --per-tensor   fast_cnn_small
    as converted                             12,848             11,312           55,472
    without names, metadata and signatures   11,912             10,408           53,400
    without reshapes before dense layers     11,912             10,408           53,352
    without unused tensors, equal buffers    11,656             10,160           52,904
    without fields that say the default      10,744              9,928           50,672
    equal vectors and tables written once    10,480              9,616           49,952

What remains beside weights and biases, 1,844 bytes of the 9,616, are the tables of tensors and
operators, scales and zero points. LiteRT insists on a bias for every convolution and on a zero
point for every channel, so these stay, even where all are zero. It computes a bias's scale from the
others if the file has none; fast kernels may then round otherwise, and a few answers move by some
256ths.

The format: https://github.com/google-ai-edge/LiteRT, tflite/schema/schema.fbs. A table or vector
may be pointed to from several places, which readers cannot tell from copies.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flatbuffers
import numpy as np

from common.tflite_int4 import pack_four_bits

LEAST_ALIGNMENT = 4  # bytes: biases are int32
FULLY_CONNECTED, RESHAPE = 9, 22  # of BuiltinOperator in the schema
INT32 = 2  # of TensorType
LAST_OLD_CODE = 126  # operators up to this one have a field of one byte, which all readers look at


class Step(NamedTuple):
    """What one step of making a file smaller came to."""

    name: str
    n_bytes: int  # of the file after the step


def make_small(content: bytes, alignment: int = LEAST_ALIGNMENT) -> tuple[bytes, list[Step]]:
    """Return a LiteRT file in fewer bytes, and what each step came to.

    Args:
        content: a file with one graph and a batch of one.
        alignment: of the weights in the file, in bytes. The schema asks for 16; LiteRT reads any
            that suits the numbers. Vector instructions of small processors may need the 16.
    """
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    steps = [Step("as converted", len(content))]
    for name, change in STEPS:
        change(model)
        steps.append(Step(name, len(_packed(model, flatbuffers.Builder(1024)))))
    _share_tables(model)
    content = _packed(model, SharingBuilder(alignment))
    steps.append(Step("equal vectors and tables written once", len(content)))
    return content, steps


def _packed(model: Any, builder: flatbuffers.Builder) -> bytes:
    """Return the file of a model in the schema's object form."""
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


class SharingBuilder(flatbuffers.Builder):
    """Writes vectors of numbers with equal content once, and weights where they are aligned."""

    def __init__(self, alignment: int):
        super().__init__(1024)
        self.alignment = alignment
        self.written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802
        """Write a vector, or return where an equal one has been written."""
        key = (x.dtype.str, x.tobytes())
        if key not in self.written:
            self.written[key] = super().CreateNumpyVector(x)
        return self.written[key]

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:  # noqa: N802, N803
        """Begin a vector; the content of buffers is the only one of single bytes."""
        wanted = self.alignment if elemSize == 1 else alignment
        return super().StartVector(elemSize, numElems, wanted)


# --- The steps ----------------------------------------------------------------------------------


def _remove_words(model: Any) -> None:
    """Remove names, descriptions, metadata and signatures: nothing is computed by them."""
    model.description = model.metadata = model.metadataBuffer = model.signatureDefs = None
    for graph in model.subgraphs:
        graph.name = None
        for tensor in graph.tensors:
            tensor.name = None


def _remove_defaults(model: Any) -> None:
    """Leave out fields that say what holds without them, or that only the converter reads."""
    for code in model.operatorCodes:
        if code.builtinCode <= LAST_OLD_CODE:  # readers take the larger of the two fields
            code.builtinCode = 0
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.hasRank, tensor.shapeSignature = False, None
            quantization = tensor.quantization
            if quantization is not None:
                quantization.min = quantization.max = None
            has_no_scale = quantization is not None and quantization.scale is None
            # The scale of a bias is that of the input times that of the weights.
            if has_no_scale or tensor.type == INT32:
                tensor.quantization = None


def _remove_reshapes(model: Any) -> None:
    """Remove reshapes to (1, n) in front of dense layers, which flatten what they get anyway."""
    (graph,) = model.subgraphs
    kept = []
    for operator in graph.operators:
        output = operator.outputs[0]
        users = [one for one in graph.operators if output in one.inputs]
        is_flat = len(graph.tensors[output].shape) == 2 and graph.tensors[output].shape[0] == 1
        is_flattening = all(_flattens(model, user) and user.inputs[0] == output for user in users)
        is_reshape = _code(model, operator) == RESHAPE
        if is_reshape and is_flat and users and is_flattening and output not in graph.outputs:
            for user in users:
                user.inputs[0] = operator.inputs[0]
        else:
            kept.append(operator)
    graph.operators = kept


def _code(model: Any, operator: Any) -> int:
    """Return an operator's number in the schema."""
    code = model.operatorCodes[operator.opcodeIndex]
    return max(code.builtinCode, code.deprecatedBuiltinCode)


def _flattens(model: Any, operator: Any) -> bool:
    """Return whether this is a dense layer that returns two dimensions whatever it gets."""
    return _code(model, operator) == FULLY_CONNECTED and not operator.builtinOptions.keepNumDims


def _remove_unused(model: Any) -> None:
    """Remove tensors and operator codes that no operator names, and copies of buffers."""
    (graph,) = model.subgraphs
    lists = [graph.inputs, graph.outputs]
    lists += [each for one in graph.operators for each in (one.inputs, one.outputs)]
    used = sorted({int(index) for one in lists for index in one if index >= 0})
    new_index = {old: new for new, old in enumerate(used)}
    for one in lists:
        one[:] = [new_index.get(int(index), -1) for index in one]  # -1: left out
    graph.tensors = [graph.tensors[index] for index in used]
    codes = sorted({operator.opcodeIndex for operator in graph.operators})
    for operator in graph.operators:
        operator.opcodeIndex = codes.index(operator.opcodeIndex)
    model.operatorCodes = [model.operatorCodes[index] for index in codes]
    _merge_buffers(model, graph)


def _merge_buffers(model: Any, graph: Any) -> None:
    """Keep one buffer of each content; the first is empty, for what is computed."""
    empty = model.buffers[0]
    kept, place = [empty], {b"": 0}
    for tensor in graph.tensors:
        buffer = model.buffers[tensor.buffer]
        content = b"" if buffer.data is None else bytes(buffer.data)
        if content not in place:
            place[content] = len(kept)
            kept.append(buffer)
        tensor.buffer = place[content]
    model.buffers = kept


# Each changes the model in its object form.
STEPS: tuple[tuple[str, Callable[[Any], None]], ...] = (
    ("with two weights a byte, if of four bits", pack_four_bits),
    ("without names, metadata and signatures", _remove_words),
    ("without reshapes before dense layers", _remove_reshapes),
    ("without unused tensors, equal buffers", _remove_unused),
    ("without fields that say the default", _remove_defaults),
)


# --- Sharing tables -----------------------------------------------------------------------------


class _Shared:
    """A table that is written at its first use and pointed to at all others."""

    def __init__(self, table: Any):
        self.table, self.offset = table, None

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802
        """Return where the table stands; the schema's code calls this."""
        if self.offset is None:
            self.offset = self.table.Pack(builder)
        return self.offset


def _share_tables(model: Any) -> None:
    """Let equal scales and zero points, and equal options of operators, be one table each."""
    shared: dict[Any, _Shared] = {}

    def one_of(table: Any) -> _Shared | None:
        return None if table is None else shared.setdefault(_content(table), _Shared(table))

    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.quantization = one_of(tensor.quantization)
        for operator in graph.operators:
            operator.builtinOptions = one_of(operator.builtinOptions)


def _content(value: Any) -> Any:
    """Return something that is equal for tables of one type with equal content."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tobytes()
    if hasattr(value, "__dict__"):
        fields = tuple((name, _content(one)) for name, one in sorted(vars(value).items()))
        return type(value).__name__, fields
    return value
