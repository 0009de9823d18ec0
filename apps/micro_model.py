"""What a LiteRT file in int8 asks of a microcontroller's runtime: operators and memory."""

from typing import Any

import numpy as np

from common.streams import without_stderr
from common.tflite_int4 import INT4
from common.user_error import UserError

LARGEST_ARENA = 2**20  # bytes to try: three times an ESP32's
ARENA_STEP = 16  # bytes
BYTES_A_TABLE = 150  # of RAM for each tensor and operator; measured are 90 to 130
# What a network for images can have of the operators of esp-tflite-micro, by its own names.
OPERATORS = (
    "Add", "AveragePool2D", "Concatenation", "Conv2D", "DepthwiseConv2D", "Elu", "FullyConnected",
    "HardSwish", "LeakyRelu", "Logistic", "Maximum", "MaxPool2D", "Mean", "Minimum", "Mul", "Pack",
    "Pad", "PadV2", "Prelu", "Quantize", "ReduceMax", "Relu", "Relu6", "Reshape", "ResizeBilinear",
    "ResizeNearestNeighbor", "Shape", "Slice", "Softmax", "Squeeze", "StridedSlice", "Sub", "Sum",
    "Tanh", "Transpose", "TransposeConv",
)  # fmt: skip


class MicroModel:
    """An int8 LiteRT file with a batch of one, looked at as a microcontroller's runtime does."""

    def __init__(self, content: bytes):
        from tensorflow.lite.tools import flatbuffer_utils

        self._model: Any = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
        (self._graph,) = self._model.subgraphs

    def operators(self) -> list[str]:
        """Return the names of the operators, as esp-tflite-micro's `Add...` functions have them.

        Raises:
            UserError: esp-tflite-micro does not have one of them.
        """
        from tensorflow.lite.tools import flatbuffer_utils

        known = {name.lower(): name for name in OPERATORS}
        names = []
        for index in range(len(self._model.operatorCodes)):
            name = flatbuffer_utils.opcode_to_name(self._model, index) or "an unknown one"
            if name.replace("_", "").lower() not in known:
                raise UserError(
                    f"the network needs the operator {name}, which microcontrollers do not have "
                    "here. Build it of convolutions, pooling, dense layers and ReLU."
                )
            names.append(known[name.replace("_", "").lower()])
        return sorted(names)

    def estimate_arena(self) -> int:
        """Return about how many bytes of RAM the network runs in.

        That is the largest sum of what an operator reads and writes, a convolution's weights of
        four bits, which are unpacked for it, and the runtime's tables.
        """
        maps = max(
            sum(
                self._n_values(index)
                for index in {*one.inputs, *one.outputs}
                if self._is_map(index)
            )
            for one in self._graph.operators
        )
        unpacked = [
            self._n_values(index)
            for index, tensor in enumerate(self._graph.tensors)
            if tensor.type == INT4
        ]
        tables = BYTES_A_TABLE * (len(self._graph.tensors) + len(self._graph.operators))
        return maps + max(unpacked, default=0) + tables

    def vector_scratch(self) -> int:
        """Return how many bytes kernels with vector instructions may ask for beside the arena.

        esp-nn copies the input and the filters of a convolution, channels filled up to 16, to
        where they are aligned.
        """
        sizes = [
            sum(self._n_values(index, fill=16) for index in operator.inputs[:2])
            for operator in self._graph.operators
            if len(operator.inputs) == 3 and len(self._graph.tensors[operator.inputs[1]].shape) == 4
        ]
        return max(sizes, default=0) + 1024

    def _is_map(self, index: int) -> bool:
        """Return whether a tensor is computed, not stored."""
        return self._model.buffers[self._graph.tensors[index].buffer].data is None

    def _n_values(self, index: int, fill: int = 1) -> int:
        """Return a tensor's number of values, with the last side filled up to a multiple."""
        *outer, last = (int(side) for side in self._graph.tensors[index].shape)
        return int(np.prod(outer)) * -(-last // fill) * fill


def measure_arena(content: bytes) -> int | None:
    """Return the fewest bytes of RAM that the micro interpreter runs a network in.

    Pointers are twice as long here as on a chip of 32 bits, so a chip needs rather less.

    Returns:
        None without the package `tflite-micro`, which exists for Linux on x86-64 only.

    Raises:
        UserError: it does not run the network at all.
    """
    try:
        from tflite_micro import runtime
    except ModuleNotFoundError:
        return None

    def runs_in(n_bytes: int) -> bool:
        try:
            runtime.Interpreter.from_bytes(content, arena_size=n_bytes).invoke()
        except RuntimeError:
            return False
        return True

    with without_stderr():  # it says at length what it lacks
        if not runs_in(LARGEST_ARENA):
            raise UserError(
                f"the micro interpreter does not run the network, even in {LARGEST_ARENA:,} bytes "
                "of RAM. Choose a smaller one, such as --architecture fast_cnn_small."
            )
        too_few, enough = 0, LARGEST_ARENA // ARENA_STEP
        while enough - too_few > 1:
            middle = (too_few + enough) // 2
            too_few, enough = (
                (too_few, middle) if runs_in(middle * ARENA_STEP) else (middle, enough)
            )
    return enough * ARENA_STEP


def run_micro(content: bytes, images: np.ndarray) -> np.ndarray:
    """Return what the micro interpreter makes of images, int8 (n, 28, 28, 1): int8 (n, n_classes).

    Raises:
        ModuleNotFoundError: the package `tflite-micro` is not installed.
    """
    from tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(content, arena_size=LARGEST_ARENA)
    outputs = []
    for image in images:
        interpreter.set_input(image[None], 0)
        interpreter.invoke()
        outputs.append(interpreter.get_output(0)[0])
    return np.array(outputs)
