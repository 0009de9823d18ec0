"""A Keras classifier as the page of `draw_a_digit` computes it: passes, each a chain of steps.

A plain network is one pass. A mean over networks or over shifts is several, and its output is the
sum of theirs, each times its share.
"""

from typing import Any, NamedTuple

import keras
from keras import layers

from apps.page_steps import Step, no_step, steps_of, title
from common.user_error import UserError

MOST_PASSES = 100  # five networks times five shifts are 25
IDLE = (  # at inference
    layers.InputLayer,
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.Identity,
    layers.ActivityRegularization,
)


class Pass(NamedTuple):
    """A chain of steps from the image to probabilities, and its share in the mean."""

    share: float
    steps: tuple[Step, ...]


class Path(NamedTuple):
    """The layers of a pass."""

    share: float
    layers: tuple[Any, ...]


def convert(model: keras.Model) -> list[Pass]:
    """Return what a classifier computes.

    Args:
        model: images (n, height, width, channels) in, class probabilities (n, n_classes) out.

    Raises:
        UserError: it has a layer that the page does not know, or is neither a chain of layers nor
            a mean of such chains.
    """
    paths = unroll(model)
    if len(paths) > MOST_PASSES:
        raise UserError(f"the model is a mean of {len(paths)}; the page takes {MOST_PASSES}.")
    shape = tuple(model.inputs[0].shape[1:])
    return [Pass(path.share, tuple(steps_of(path.layers, shape))) for path in paths]


def unroll(model: keras.Model) -> list[Path]:
    """Return the chains of layers whose mean is the model's output.

    Raises:
        UserError: as `convert`.
    """
    if not isinstance(model, keras.Sequential):
        return _paths_to(model.outputs[0])
    paths = [Path(1.0, ())]
    for layer in model.layers:
        paths = _append(paths, layer)
    return paths


def _paths_to(tensor: Any) -> list[Path]:
    """Return the chains that lead from a functional model's input to one of its tensors."""
    layer, node, _ = tensor._keras_history
    if isinstance(layer, layers.InputLayer):
        return [Path(1.0, ())]
    inputs = layer._inbound_nodes[node].input_tensors
    if isinstance(layer, layers.Average):
        return [
            Path(path.share / len(inputs), path.layers) for one in inputs for path in _paths_to(one)
        ]
    if len(inputs) != 1:
        raise no_step(layer)
    return _append(_paths_to(inputs[0]), layer)


def _append(paths: list[Path], layer: Any) -> list[Path]:
    """Return the paths with a layer, or with the layers of a model within the model, at the end."""
    if isinstance(layer, IDLE):
        return paths
    if len(paths) > 1:  # a layer of a mean is not the mean of the layer
        raise UserError(f"{title(layer)} comes after a mean; the page takes means only at the end.")
    before = paths[0].layers
    inner = unroll(layer) if isinstance(layer, keras.Model) else [Path(1.0, (layer,))]
    return [Path(path.share, before + path.layers) for path in inner]
