"""Maps of vectors in the plane: principal components and t-SNE."""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

LARGEST_DIMENSION = 50  # t-SNE's authors first reduce by PCA: faster, and no worse


def reduce_by_pca(vectors: np.ndarray) -> np.ndarray:
    """Return the first two principal components of vectors (n, d): float (n, 2).

    Where there is nothing to spread (fewer than 3 vectors, or all equal), all points are 0.
    """
    vectors = _finite(vectors)
    if not _can_spread(vectors):
        return np.zeros((len(vectors), 2))
    points = PCA(min(2, vectors.shape[1]), random_state=0).fit_transform(vectors)
    return np.pad(points, ((0, 0), (0, 2 - points.shape[1])))


def reduce_by_tsne(vectors: np.ndarray) -> np.ndarray:
    """Return the t-SNE map of vectors (n, d): float (n, 2); see reduce_by_pca for too few.

    van der Maaten & Hinton, 2008, "Visualizing data using t-SNE".
    """
    vectors = _finite(vectors)
    if not _can_spread(vectors):
        return np.zeros((len(vectors), 2))
    dimensions = min(LARGEST_DIMENSION, *vectors.shape)
    if vectors.shape[1] > dimensions:
        vectors = PCA(dimensions, random_state=0).fit_transform(vectors)
    vectors = np.pad(vectors, ((0, 0), (0, max(0, 2 - vectors.shape[1]))))  # it starts from PCA
    # Half of scikit-learn's usual steps: beyond, points still move, but no longer change company.
    perplexity = min(30, (len(vectors) - 1) / 4)
    tsne = TSNE(perplexity=perplexity, max_iter=500, init="pca", random_state=0)
    # Beside other programs, threads that wait for each other took five times as long as one.
    with threadpool_limits(1, user_api="openmp"):
        return tsne.fit_transform(vectors)


def _finite(vectors: np.ndarray) -> np.ndarray:
    """Return the vectors with 0 for NaN and infinity, which a diverged network gives."""
    return np.nan_to_num(vectors, posinf=0, neginf=0)


def _can_spread(vectors: np.ndarray) -> bool:
    return len(vectors) >= 3 and bool(np.ptp(vectors, axis=0).max() > 0)
