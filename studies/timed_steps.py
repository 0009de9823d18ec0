"""How long one call takes, and a whole training step above all."""

import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from common.settings import Settings

if TYPE_CHECKING:
    import keras

MOST_SECONDS = 10.0  # of repetitions of one call: on many CPUs, bfloat16 is slow


class Repetitions(NamedTuple):
    """How often a call is made, to be timed."""

    n: int
    warm_ups: int  # before them, without being timed


def median_seconds(function: Callable[[], Any], repetitions: Repetitions) -> float:
    """Return the median time of a call, without the first ones."""
    for _ in range(repetitions.warm_ups):
        function()
    times: list[float] = []
    while len(times) < repetitions.n and sum(times) < MOST_SECONDS:
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def step_seconds(network: "keras.Model", settings: Settings, repetitions: Repetitions) -> float:
    """Return the median seconds of a whole training step, as the program compiles it.

    The images are random numbers: no kernel is faster for some images than for others.
    """
    import numpy as np

    from _03_model_training import make_trainer
    from training.batches import soft_labels

    trainer = make_trainer(network, settings, steps_per_epoch=repetitions.n + repetitions.warm_ups)
    random = np.random.default_rng(0)
    images = random.random((settings.batch_size, *network.inputs[0].shape[1:]), np.float32)
    n_classes = network.outputs[0].shape[-1]
    labels = soft_labels(random.integers(0, n_classes, settings.batch_size), n_classes)
    return median_seconds(lambda: trainer.train_on_batch(images, labels), repetitions)
