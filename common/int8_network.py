"""Running a network in whole numbers of eight bits, from a LiteRT file."""

from typing import NamedTuple

import numpy as np

from common.streams import without_startup_chatter


class Quantisation(NamedTuple):
    """What the numbers of an int8 tensor stand for: scale * (number - zero_point)."""

    scale: float
    zero_point: int

    def quantise(self, values: np.ndarray) -> np.ndarray:
        """Return the nearest int8 numbers of float values, of the same shape."""
        numbers = np.round(values / self.scale) + self.zero_point
        return np.clip(numbers, -128, 127).astype(np.int8)


class Int8Network:
    """An int8 LiteRT file, ready to run with a batch of one.

    Attributes:
        input: how pixels in [0, 1] are quantised.
        output: what the int8 numbers that it returns stand for.
        types: of the numbers in and out.
        n_classes: how many numbers it returns.
    """

    def __init__(self, content: bytes, reference: bool = False):
        """Load a file's content; `reference`: with the kernels that microcontrollers run, too."""
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        kind = OpResolverType.BUILTIN_REF if reference else OpResolverType.AUTO
        with without_startup_chatter():
            self._interpreter = Interpreter(
                model_content=content, experimental_op_resolver_type=kind
            )
            self._interpreter.allocate_tensors()
        (given,), (returned,) = (
            self._interpreter.get_input_details(),
            self._interpreter.get_output_details(),
        )
        self._input, self._output = given["index"], returned["index"]
        self.input = Quantisation(*given["quantization"])
        self.output = Quantisation(*returned["quantization"])
        self.types = given["dtype"], returned["dtype"]
        self.n_classes = int(returned["shape"][1])

    def run(self, images: np.ndarray) -> np.ndarray:
        """Return the int8 outputs (n, n_classes) of images float32 (n, 28, 28, 1) in [0, 1]."""
        outputs = []
        for image in self.input.quantise(images):
            self._interpreter.set_tensor(self._input, image[None])
            self._interpreter.invoke()
            outputs.append(self._interpreter.get_tensor(self._output)[0])
        return np.array(outputs)
