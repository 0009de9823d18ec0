"""A network in a file: its layers with their sizes, its loss, and all weights, as .npz.

Nothing in the file is run as code: pickled objects are refused.
"""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from common.data_files import type_of
from common.safe_files import write_atomically
from common.user_error import UserError, reason_of
from experiments.numpy_networks.layers import Maker
from experiments.numpy_networks.network import LOSSES, WITH_RANDOMNESS, WITHOUT, Network

AGAIN = "Delete it; it is then trained again."
MOST_WEIGHTS = 10_000_000  # of one layer: what a file announces is not made before it is checked


def save(network: Network, path: Path) -> None:
    """Write a network, whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    description = json.dumps({"layers": network.specs, "loss": network.loss_name})
    arrays: dict[str, Any] = {"network": np.array(description), **network.named_parameters()}
    content = io.BytesIO()
    np.savez(content, **arrays)
    write_atomically(path, content.getvalue())


def load(path: Path) -> Network:
    """Return the network of a file, ready to be used.

    Raises:
        UserError: there is no such file, it is damaged or another kind of file, it has a layer
            that is not known here, or weights that do not fit the layers.
    """
    if type_of(path) == "folder":
        raise UserError(f"{path} is a folder. Expected the .npz file of a trained network.")
    arrays = _arrays_of(path)
    if "network" not in arrays:
        raise UserError(f"{path} says nothing of layers. Expected a file that this program saved.")
    network = _described(str(arrays.pop("network")), arrays, path)
    expected = network.named_parameters()
    if arrays.keys() != expected.keys():
        odd = ", ".join(sorted(arrays.keys() ^ expected.keys()))
        raise UserError(f"{path} has other weights than its layers need: {odd}. {AGAIN}")
    for name, parameter in expected.items():
        if arrays[name].shape != parameter.shape:
            raise UserError(
                f"{path}: '{name}' has the shape {arrays[name].shape}, but its layer needs "
                f"{parameter.shape}. {AGAIN}"
            )
        if arrays[name].dtype.kind != "f" or not np.isfinite(arrays[name]).all():
            raise UserError(f"{path}: '{name}' holds what are no finite numbers. {AGAIN}")
        parameter[...] = arrays[name]
    return network


def _arrays_of(path: Path) -> dict[str, np.ndarray]:
    """Return all arrays of an .npz file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    # NumPy and zipfile raise more than ten kinds of errors for damaged files, none documented.
    except Exception as error:
        raise UserError(
            f"{path} cannot be read as the .npz file of a network: {reason_of(error)}. It is "
            f"damaged, or another kind of file. {AGAIN}"
        ) from error


def _described(text: str, arrays: dict[str, np.ndarray], path: Path) -> Network:
    """Return the network of a description, its weights all still to be read."""
    known = {*WITH_RANDOMNESS, *WITHOUT}
    try:
        description = json.loads(text)
        specs = [tuple(spec) for spec in description["layers"]]
        names = [spec[0] for spec in specs]
        loss = description["loss"]
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise UserError(f"{path}: its list of layers cannot be read. {AGAIN}") from error
    for kind, name, valid in [("layer", one, known) for one in names] + [("loss", loss, LOSSES)]:
        if not isinstance(name, str) or name not in valid:
            listed = ", ".join(sorted(valid))
            raise UserError(
                f"{path} has a {kind} '{name}', which is not known here. Known: {listed}."
            )
    # float64 holds the weights of both types exactly; the first weights are at once replaced.
    dtype = "float64" if any(one.dtype == np.float64 for one in arrays.values()) else "float32"
    try:
        check_sizes(specs)
        network = Network(specs, loss, Maker(np.random.default_rng(0), dtype, None))
        n_classes = network.predict(np.zeros((1, 784), dtype)).shape[1]
    except Exception as error:  # layers raise many kinds, for sizes that do not fit each other
        raise UserError(f"{path}: its layers do not fit each other: {reason_of(error)}.") from error
    if n_classes != 10:
        raise UserError(f"{path} tells {n_classes} classes apart. Expected the 10 digits.")
    return network


def check_sizes(specs: list[tuple]) -> None:
    """Raise ValueError for sizes that no layer can have, or that would fill the memory."""
    for name, *sizes in specs:
        for size in sizes:
            is_rate = name == "Dropout" and isinstance(size, float) and 0 <= size < 1
            if not is_rate and (not isinstance(size, int) or not 0 < size <= MOST_WEIGHTS):
                raise ValueError(f"{name} has a size of {size!r}")
        n_weights = np.prod([float(size) for size in sizes])
        if name in ("Dense", "Conv2D") and n_weights > MOST_WEIGHTS:
            raise ValueError(f"{name} has {n_weights:,.0f} weights")
