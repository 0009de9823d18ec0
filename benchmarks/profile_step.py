"""Where does a training step spend its time, and how close is it to what the machine can do?

    python -m benchmarks.profile_step
    python -m benchmarks.profile_step --architecture cnn_mnist_101 --batch-size 64

Measures the matrix-product peak, then each pass of each convolution and dense layer by itself, and
last the whole training step, all in the precision of the settings. What the passes do not explain
is augmentation, normalisation, pooling, dropout, the optimizer and the framework. All flags but
`--folder` are those of the main program. Needs TensorFlow on a CPU. Prints the peak and a Markdown
table with a row per pass, and writes the table into the folder as `table.md` and `table.csv`.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from _00_main import make_settings
from common.command_line import PROJECT_DIR, Parser, run_program
from common.user_error import UserError
from studies.settings_flags import parse_changes
from studies.tables import write_table
from studies.timed_steps import Repetitions, median_seconds, step_seconds

if TYPE_CHECKING:
    import keras

REPETITIONS = Repetitions(40, warm_ups=5)
FORMATS = {
    "ms": ".2f",
    "% of the step": ".0f",
    "GFLOP/s": ".0f",
    "% of the peak": ".0f",
}


class Pass(NamedTuple):
    """One pass through one layer, by itself."""

    layer: str
    name: str  # forward, to inputs, to weights
    seconds: float  # median
    flops: float


# --- Measuring ----------------------------------------------------------------------------------


def measure_layer(
    layer: "keras.layers.Layer", batch_size: int, dtype: str, is_first: bool
) -> list[Pass]:
    """Measure the passes of a convolution or a dense layer: their speed depends on shapes alone.

    Args:
        dtype: what is multiplied, float32 or bfloat16.
        is_first: of the network: nobody asks for the gradient with respect to the image.
    """
    import tensorflow as tf

    from studies.costs import FLOPS_PER_MULTIPLY_ADD, layer_multiply_adds

    inputs, gradient, kernel = (
        tf.cast(tf.random.normal(shape), dtype)
        for shape in (
            (batch_size, *layer.input.shape[1:]),
            (batch_size, *layer.output.shape[1:]),
            layer.kernel.shape,
        )
    )
    calls = passes_of(layer, inputs, gradient, kernel)
    if is_first:
        del calls["to inputs"]
    flops = FLOPS_PER_MULTIPLY_ADD * layer_multiply_adds(layer) * batch_size
    return [
        Pass(
            layer.name, name, median_seconds(tf.function(call, autograph=False), REPETITIONS), flops
        )
        for name, call in calls.items()
    ]


def passes_of(
    layer: "keras.layers.Layer", inputs: Any, gradient: Any, kernel: Any
) -> dict[str, Callable[[], Any]]:
    """Return the three passes of a layer as calls of TensorFlow's kernels, by name.

    Args:
        inputs: tensor (n, ...) of the shape that the layer takes.
        gradient: tensor (n, ...) of the shape that it returns.
        kernel: tensor of its kernel's shape.

    Raises:
        UserError: it is neither a Conv2D nor a dense layer.
    """
    import keras
    import tensorflow as tf

    if isinstance(layer, keras.layers.Dense):
        return {
            "forward": lambda: inputs @ kernel,
            "to inputs": lambda: tf.matmul(gradient, kernel, transpose_b=True),
            "to weights": lambda: tf.matmul(inputs, gradient, transpose_a=True),
        }
    if not isinstance(layer, keras.layers.Conv2D):
        raise UserError(f"the profile does not measure {type(layer).__name__} layers.")
    options: dict[str, Any] = {
        "strides": [1, *layer.strides, 1],
        "padding": layer.padding.upper(),
        "dilations": [1, *layer.dilation_rate, 1],
    }
    return {
        "forward": lambda: tf.nn.conv2d(inputs, kernel, **options),
        "to inputs": lambda: tf.raw_ops.Conv2DBackpropInput(
            input_sizes=inputs.shape, filter=kernel, out_backprop=gradient, **options
        ),
        "to weights": lambda: tf.raw_ops.Conv2DBackpropFilter(
            input=inputs, filter_sizes=kernel.shape, out_backprop=gradient, **options
        ),
    }


# --- The table ----------------------------------------------------------------------------------


def profile_rows(passes: Sequence[Pass], step_seconds: float, peak: float) -> list[dict[str, Any]]:
    """Return a row per pass, and rows of their sum, of the rest and of the whole step.

    Args:
        passes: of all layers.
        step_seconds: of the whole step.
        peak: FLOP/s of the matrix product.
    """
    in_passes = sum(one.seconds for one in passes)
    flops = sum(one.flops for one in passes)
    rest = Pass("the rest", "", step_seconds - in_passes, float("nan"))  # its FLOPs are not known
    sums = [
        Pass("all of these", "", in_passes, flops),
        rest,
        Pass("whole step", "", step_seconds, flops),
    ]
    return [
        {
            "layer": one.layer,
            "pass": one.name,
            "ms": 1e3 * one.seconds,
            "% of the step": 100 * one.seconds / step_seconds,
            "GFLOP/s": one.flops / one.seconds / 1e9,
            "% of the peak": 100 * one.flops / one.seconds / peak,
        }
        for one in [*passes, *sums]
    ]


def main(arguments: list[str]) -> None:
    """Measure the step of the recipe that the flags give, and print the table."""
    parser = Parser(__doc__)
    parser.add_argument("--folder", type=Path, default=PROJECT_DIR / "runs" / "profile_step")
    given, others = parser.parse_known_args(arguments)
    flags = parse_changes(others, set_here=(), reason="")
    settings = make_settings(flags.recipe or "default", **flags.changes)
    from common.keras_start import prepare

    machine = prepare(settings.seed, settings.precision)
    on_tensorflow = str(machine["backend"]).startswith("tensorflow")
    if not on_tensorflow or not str(machine["device"]).startswith("CPU"):
        raise UserError("the profile measures TensorFlow's kernels on a CPU.")
    from _03_model_training import build_network
    from studies.costs import compute_dtype, layer_multiply_adds, matrix_product_peak, plain_layers

    network = build_network(settings)
    dtype = compute_dtype(str(machine["precision"]))
    peak = matrix_product_peak(dtype)
    layers = [layer for layer in plain_layers(network) if layer_multiply_adds(layer)]
    passes = [
        one
        for number, layer in enumerate(layers)
        for one in measure_layer(layer, settings.batch_size, dtype, is_first=number == 0)
    ]
    rows = profile_rows(passes, step_seconds(network, settings, REPETITIONS), peak)
    print(f"\nMatrix-product peak in {dtype}: {peak / 1e9:.0f} GFLOP/s\n")
    print(write_table(given.folder / "table", rows, FORMATS))


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
