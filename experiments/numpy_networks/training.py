"""One training, from the first weights to the accuracy: epochs of steps, and nothing else."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from experiments.numpy_networks.layers import Maker
from experiments.numpy_networks.network import Network, scaled
from experiments.numpy_networks.optimizers import Adam, GradientDescent
from experiments.numpy_networks.recipes import Recipe

OPTIMIZERS = {"GradientDescent": GradientDescent, "Adam": Adam}
SIDE = 28


class Data(NamedTuple):
    """What a training sees, and what it is evaluated on: images uint8 (n, 784), labels (n,)."""

    images: np.ndarray
    labels: np.ndarray
    evaluation_images: np.ndarray  # validation images, or the test images
    evaluation_labels: np.ndarray


def train(recipe: Recipe, data: Data, seed: int) -> Iterator[tuple[Network, dict[str, Any]]]:
    """Train a network; after each epoch, yield it and what there is to say of the epoch.

    Equal seeds give equal networks, to the last digit, where BLAS uses as many threads (one here:
    see `runs.py`), on one machine with one set of versions.
    """
    rng = np.random.default_rng(seed)
    network = Network(recipe.layers, recipe.loss, Maker(rng, recipe.dtype, recipe.deviation))
    optimizer = OPTIMIZERS[recipe.optimizer]()
    n_steps = max(1, len(data.images) // recipe.batch_size)
    for epoch in range(recipe.epochs):
        started = time.process_time()
        order = rng.permutation(len(data.images))
        losses = []
        for step in range(n_steps):
            batch = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
            images = shifted(data.images[batch], recipe.shift, rng)
            losses.append(
                network.forward_backward(scaled(images, network.dtype), data.labels[batch])
            )
            optimizer.step(network, rate_at(recipe, epoch, step / n_steps))
        row = {"epoch": epoch + 1, "loss": float(np.mean(losses))}
        yield network, {**row, "cpu_seconds": time.process_time() - started}


def rate_at(recipe: Recipe, epoch: int, share: float) -> float:
    """Return the learning rate of a step.

    Args:
        epoch: from 0.
        share: of the epoch's steps that are done, from 0 to 1.
    """
    rate = recipe.learning_rate * recipe.rate_factor**epoch
    if recipe.warm_up:  # one cycle: up in a straight line, and down in another
        done = (epoch + share) / recipe.epochs
        rate *= min(done / recipe.warm_up, (1 - done) / (1 - recipe.warm_up))
    return rate


def shifted(images: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Return images (n, 784), each moved by up to `most` pixels across and down, at random."""
    if not most:
        return images
    n = len(images)
    padded = np.pad(images.reshape(n, SIDE, SIDE), ((0, 0), (most, most), (most, most)))
    # All places that an image can be seen at: (n, 2 most + 1, 2 most + 1, 28, 28), without a copy.
    views = np.lib.stride_tricks.sliding_window_view(padded, (SIDE, SIDE), axis=(1, 2))
    down, across = rng.integers(0, 2 * most + 1, size=(2, n))
    return views[np.arange(n), down, across].reshape(n, -1)


def evaluate(network: Network, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return loss and accuracy, in [0, 1], on images (n, 784)."""
    starts = range(0, len(images), 1000)
    outputs = np.concatenate(
        [network.forward(scaled(images[k : k + 1000], network.dtype)) for k in starts]
    )
    right = outputs.argmax(axis=1) == labels
    return {"loss": network.loss.forward(outputs, labels), "accuracy": float(right.mean())}
