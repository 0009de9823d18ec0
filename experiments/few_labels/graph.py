"""A graph of images that look alike, and labels that flow along it from very few images."""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from common.user_error import UserError

NEIGHBOURS = 10
ROUNDS = 300  # of the flow: 100 answer clearly less, 1,000 hardly more
# What is taken for granted beyond ten labels: no digit is much rarer or more common than others.
SHARES = (0.085, 0.115)
BALANCING_ROUNDS, SPREADING_STEPS = 5, 20  # 15 rounds answer alike
MOST_CORRECTIONS = 300


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

    Args:
        neighbours: of each image, distances float32 (n, k) and indices int (n, k).
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
    Labelled images are sources of their class and sinks of the others; u solves
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
    source = np.zeros((weights.shape[0], n_classes), np.float32)
    source[labelled] = one_hot - one_hot.mean(axis=0)
    step, source = sparse.diags_array(1 / degree[:, 0]) @ weights, source / degree
    flow = np.zeros_like(source)
    for _ in range(ROUNDS):
        flow = step @ flow + source
    return flow


def balanced_flow(
    weights: sparse.csr_matrix, flow: np.ndarray, labelled: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """Return a flow whose answers leave no digit out: each has its share of the images, about.

    An odd labelled image, such as a seven with a bar, may be a poor source: then most sevens
    listen to another digit's. So answers become votes, votes spread by a few steps along the
    graph, and classes whose share is too small or too large are helped or held back; again and
    again, until groups and answers agree. This is the MBO scheme with bounds on the volumes, as
    PoissonMBO (algorithm 2 of the paper above) and Jacobs, Merkurjev and Esedoglu, "Auction
    Dynamics: A Volume Constrained MBO Scheme" (Journal of Computational Physics, 2018).

    Args:
        weights: of the edges, symmetric, (n, n).
        flow: float32 (n, n_classes), of `poisson_learning`.
        labelled: int (m,), the images whose labels are known.
        labels: int (m,), those labels.

    Returns:
        float32 (n, n_classes); the largest of a row is the answer.
    """
    one_hot = np.eye(flow.shape[1], dtype=np.float32)
    degree = np.maximum(np.asarray(weights.sum(axis=1)), 1e-12).astype(np.float32)
    step = sparse.diags_array(1 / degree[:, 0]) @ weights
    flow = with_shares_in_bounds(flow)
    for _ in range(BALANCING_ROUNDS):
        votes = one_hot[flow.argmax(axis=1)]
        for _ in range(SPREADING_STEPS):
            votes = step @ votes
            votes[labelled] = one_hot[labels]
        flow = with_shares_in_bounds(votes)
    return flow


def with_shares_in_bounds(flow: np.ndarray) -> np.ndarray:
    """Return the flow with a constant added to each class, so that no share is out of bounds.

    The constants grow in proportion to what is lacking, in units of the usual distance between
    the two largest classes of an image, and by ever smaller steps, so that they settle. Where
    many images are equal, no constant may serve; the shares are then only nearer.

    Args:
        flow: float32 (n, n_classes).

    Returns:
        float32 (n, n_classes).
    """
    two = np.sort(flow, axis=1)[:, -2:]
    unit = 5 * float(  # a first step of five such distances, for all of a class that is lacking
        np.median(two[:, 1] - two[:, 0])
    )
    constants = np.zeros(flow.shape[1], np.float32)
    for number in range(1, MOST_CORRECTIONS + 1):
        answers = (flow + constants).argmax(axis=1)
        share = np.bincount(answers, minlength=flow.shape[1]) / len(flow)
        lacking = np.clip(share, *SHARES) - share
        if not lacking.any():
            break
        constants += (unit / number * lacking).astype(np.float32)
    return flow + constants
