"""A graph of images that look alike, and labels that flow along it from very few images."""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from common.user_error import UserError

NEIGHBOURS = 10
ROUNDS = 300  # of the flow: what it is worth is in the log


class Neighbours(NamedTuple):
    """The nearest other images of each image, the nearest first."""

    distances: np.ndarray  # float32 (n, k)
    indices: np.ndarray  # int (n, k)


def nearest_neighbours(features: np.ndarray, k: int = NEIGHBOURS) -> Neighbours:
    """Return the k nearest other images of each image, exactly, by scikit-learn.

    Args:
        features: float32 (n, d).
        k: below n.

    Raises:
        UserError: there are too few images.
    """
    from sklearn.neighbors import NearestNeighbors

    if len(features) <= k:
        raise UserError(
            f"a graph of {k} neighbours needs more than {k} images, got {len(features)}."
        )
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(features)
    return Neighbours(*search.kneighbors())  # without images, it leaves each one itself out


def edge_weights(neighbours: Neighbours) -> sparse.csr_matrix:
    """Return how alike each two neighbours are: a symmetric matrix (n, n), float32, 0 for others.

    exp(-d^2 / (s_i s_j)) with the distance d and, for each image, the distance s to its last
    neighbour: a scale that fits dense and sparse regions alike (Zelnik-Manor and Perona,
    "Self-Tuning Spectral Clustering", NIPS 2004). An edge that only one end has counts half.
    """
    distances, indices = neighbours
    n, k = distances.shape
    scale = np.maximum(distances[:, -1], 1e-12)
    weights = np.exp(-(distances**2) / (scale[:, np.newaxis] * scale[indices]))
    rows = np.repeat(np.arange(n), k)
    one_way = sparse.csr_matrix(
        (weights.ravel().astype(np.float32), (rows, indices.ravel())), shape=(n, n)
    )
    return ((one_way + one_way.T) / 2).tocsr()


def poisson_learning(
    weights: sparse.csr_matrix, labelled: np.ndarray, labels: np.ndarray, n_classes: int = 10
) -> np.ndarray:
    """Return, for all images, how much of each class has flowed to them from the labelled ones.

    Poisson learning (Calder, Cook, Thorpe, Slepcev, "Poisson Learning: Graph Based
    Semi-Supervised Learning at Very Low Label Rates", ICML 2020, arXiv 2006.11184, algorithm 1).
    Labelled images are springs of their class and drains of the others; u solves
    L u = b with the graph's Laplacian L = D - W, by u <- u + (b - L u) / D.

    Args:
        weights: of the edges, symmetric, (n, n).
        labelled: int (m,), the images whose labels are known.
        labels: int (m,), those labels.
        n_classes: they run from 0 to n_classes - 1.

    Returns:
        float32 (n, n_classes); the largest of a row is the answer.

    Raises:
        UserError: a class has no labelled image.
    """
    missing = np.flatnonzero(np.bincount(labels, minlength=n_classes) == 0)
    if len(missing):
        raise UserError(f"class {missing[0]} has no labelled image: label one of each class.")
    degree = np.maximum(np.asarray(weights.sum(axis=1)), 1e-12).astype(np.float32)
    one_hot = np.eye(n_classes, dtype=np.float32)[labels]
    spring = np.zeros((weights.shape[0], n_classes), np.float32)
    spring[labelled] = one_hot - one_hot.mean(axis=0)
    step, spring = sparse.diags_array(1 / degree[:, 0]) @ weights, spring / degree
    flow = np.zeros_like(spring)
    for _ in range(ROUNDS):
        flow = step @ flow + spring
    return flow
