"""Two weights per byte in a LiteRT file, where a network was trained with weights of four bits.

The converter knows int8 only: it stores a weight k * s, with k from -7 to 7, as round(k * 127 / 7)
with the scale s * 7 / 127. Here k is found again and stored as int4, two to a byte, the first in
the low half, as the LiteRT and the micro interpreter read them.
"""

from typing import Any

import numpy as np

CONVOLUTIONS = {3, 4}  # of BuiltinOperator in the schema: CONV_2D, DEPTHWISE_CONV_2D
INT4, INT8 = 17, 9  # of TensorType in the schema
LARGEST = 7
STEP = 127 / LARGEST  # of the int8 numbers, between two neighbouring weights
ROUNDING = 0.5 / STEP + 1e-6  # how far an int8 number may be from a whole k


def pack_four_bits(model: Any) -> None:
    """Store as int4 the weights of those convolutions all of whose weights are on the grid.

    Args:
        model: in the schema's object form; is changed.
    """
    (graph,) = model.subgraphs
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        if max(code.builtinCode, code.deprecatedBuiltinCode) not in CONVOLUTIONS:
            continue
        weights, bias = (graph.tensors[index] for index in operator.inputs[1:3])
        numbers = np.frombuffer(bytes(model.buffers[weights.buffer].data), np.int8) / STEP
        on_grid = np.rint(numbers)
        if weights.type != INT8 or np.abs(numbers - on_grid).max() > ROUNDING:
            continue
        weights.type = INT4
        weights.quantization.scale = np.asarray(weights.quantization.scale) * np.float32(STEP)
        model.buffers[weights.buffer].data = _in_pairs(on_grid.astype(np.int8))
        # A bias is a whole number of input scale times weight scale, so it shrinks as that grows.
        content = model.buffers[bias.buffer]
        exact = np.frombuffer(bytes(content.data), np.int32) / STEP
        content.data = np.frombuffer(np.rint(exact).astype(np.int32).tobytes(), np.uint8)
        if bias.quantization is not None and bias.quantization.scale is not None:
            bias.quantization.scale = np.asarray(bias.quantization.scale) * np.float32(STEP)


def _in_pairs(numbers: np.ndarray) -> np.ndarray:
    """Return int8 numbers from -8 to 7 as uint8, two in each; an odd one is followed by 0."""
    halves = np.append(numbers, np.zeros(len(numbers) % 2, np.int8)).astype(np.uint8) & 0x0F
    return halves[0::2] | (halves[1::2] << 4)
