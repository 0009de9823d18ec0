"""Where does a training step spend its time, and how close is it to what the machine can do?

    python -m benchmarks.profile_step
    python -m benchmarks.profile_step --architecture cnn_mnist_101 --batch-size 64

Measures the matrix-product peak, then each pass of each convolution and dense layer by itself,
and last the whole training step. What the passes do not explain is augmentation, normalisation,
pooling, dropout, the optimizer and the framework. All flags are those of the main program. Needs
TensorFlow. Prints a Markdown table.
"""

import statistics
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from _00_main import Settings, parse_command_line
from command_line import Parser, run_program
from user_error import UserError

if TYPE_CHECKING:
    import keras

REPETITIONS, WARM_UPS = 40, 5
FLOPS_PER_MULTIPLY_ADD = 2


class Pass(NamedTuple):
    """One pass through one layer, by itself."""

    layer: str
    name: str  # forward, to inputs, to weights
    seconds: float  # median
    flops: float

    @property
    def rate(self) -> float:
        """FLOP/s."""
        return self.flops / self.seconds


def median_seconds(function: Callable[[], Any]) -> float:
    """Return the median time of a call, without the first ones."""
    for _ in range(WARM_UPS):
        function()
    times = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure_layer(layer: "keras.layers.Layer", batch_size: int, is_first: bool) -> list[Pass]:
    """Measure the passes of a convolution or a dense layer: their speed depends on shapes alone.

    Args:
        is_first: of the network: nobody asks for the gradient with respect to the image.
    """
    import tensorflow as tf

    inputs = tf.random.normal((batch_size, *layer.input.shape[1:]))
    gradient = tf.random.normal((batch_size, *layer.output.shape[1:]))
    kernel = tf.random.normal(layer.kernel.shape)
    if len(kernel.shape) == 4:
        options = {
            "strides": [1, *layer.strides, 1],
            "padding": layer.padding.upper(),
            "dilations": [1, *layer.dilation_rate, 1],
        }
        calls = {
            "forward": lambda: tf.nn.conv2d(inputs, kernel, **options),
            "to inputs": lambda: tf.raw_ops.Conv2DBackpropInput(
                input_sizes=inputs.shape, filter=kernel, out_backprop=gradient, **options
            ),
            "to weights": lambda: tf.raw_ops.Conv2DBackpropFilter(
                input=inputs, filter_sizes=kernel.shape, out_backprop=gradient, **options
            ),
        }
    else:
        calls = {
            "forward": lambda: inputs @ kernel,
            "to inputs": lambda: tf.matmul(gradient, kernel, transpose_b=True),
            "to weights": lambda: tf.matmul(inputs, gradient, transpose_a=True),
        }
    if is_first:
        del calls["to inputs"]
    from benchmarks.epoch_curve import layer_multiply_adds

    flops = FLOPS_PER_MULTIPLY_ADD * layer_multiply_adds(layer) * batch_size
    return [
        Pass(layer.name, name, median_seconds(tf.function(call)), flops)
        for name, call in calls.items()
    ]


def measure_step(classifier: "keras.Model", settings: Settings) -> float:
    """Return the median seconds of a whole training step, as the program compiles it."""
    import keras
    import numpy as np

    from _02_data_preprocess import RandomAffine
    from _03_model_training import compile_trainer, soft_labels

    shape = classifier.inputs[0].shape[1:]
    augmentation = RandomAffine(
        settings.rotation, settings.zoom, settings.shift, settings.shear, seed=settings.seed
    )
    trainer = keras.Sequential([keras.Input(shape), augmentation, classifier])
    compile_trainer(trainer, settings, steps_per_epoch=WARM_UPS + REPETITIONS)
    random = np.random.default_rng(0)
    images = random.random((settings.batch_size, *shape), np.float32)
    n_classes = classifier.output.shape[-1]
    labels = soft_labels(random.integers(0, n_classes, settings.batch_size), n_classes)
    return median_seconds(lambda: trainer.train_on_batch(images, labels))


def make_table(passes: list[Pass], step_seconds: float, peak: float) -> str:
    """Return the passes, what they leave, and the whole step as a Markdown table.

    Args:
        passes: of all layers.
        step_seconds: of the whole step.
        peak: FLOP/s of the matrix product.
    """
    in_passes = sum(one.seconds for one in passes)
    flops = sum(one.flops for one in passes)
    lines = [
        f"Matrix-product peak: {peak / 1e9:.0f} GFLOP/s",
        "",
        "| layer | pass | ms | share of the step | GFLOP/s | share of the peak |",
        "|---|---|---|---|---|---|",
    ]
    rows = [(one.layer, one.name, one.seconds, one.rate) for one in passes]
    rows += [
        ("all of these", "", in_passes, flops / in_passes),
        ("the rest", "", step_seconds - in_passes, None),
        ("whole step", "", step_seconds, flops / step_seconds),
    ]
    for layer, name, seconds, rate in rows:
        cells = [layer, name, f"{1e3 * seconds:.2f}", f"{seconds / step_seconds:.0%}"]
        cells += ["", ""] if rate is None else [f"{rate / 1e9:.0f}", f"{rate / peak:.0%}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    """Measure the step of the recipe that the flags give, and print the table."""
    _, flags = Parser(__doc__).parse_known_args(arguments)  # has no flags of its own but --help
    settings, _ = parse_command_line(flags)
    from keras_backend import prepare

    machine = prepare(settings.seed, settings.precision)
    if not machine["backend"].startswith("tensorflow") or not machine["device"].startswith("CPU"):
        raise UserError("the profile measures TensorFlow's kernels on a CPU.")
    if settings.precision != "float32":
        raise UserError("the profile measures float32 only; leave --precision out.")
    from architectures import build_architecture
    from benchmarks.epoch_curve import layer_multiply_adds, matrix_product_peak

    classifier = build_architecture(settings.architecture)
    peak = matrix_product_peak()
    layers = [layer for layer in classifier.layers if layer_multiply_adds(layer)]
    passes = [
        one
        for number, layer in enumerate(layers)
        for one in measure_layer(layer, settings.batch_size, is_first=number == 0)
    ]
    print(f"\n{make_table(passes, measure_step(classifier, settings), peak)}")


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
