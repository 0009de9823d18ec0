import numpy as np
import pytest
from sklearn.decomposition import PCA

from figures.projections import reduce_by_pca, reduce_by_tsne


def test_principal_components_are_scikit_learns():
    vectors = np.random.default_rng(0).normal(size=(30, 5)) * [5, 1, 3, 1, 1]
    expected = PCA(2).fit_transform(vectors)
    np.testing.assert_allclose(reduce_by_pca(vectors), expected, atol=1e-9)
    assert reduce_by_pca(vectors).std(axis=0)[0] > reduce_by_pca(vectors).std(axis=0)[1] > 1.5


def test_tsne_keeps_company_together_and_is_the_same_again():
    random = np.random.default_rng(0)
    vectors = random.normal(0, 0.1, (24, 60))
    vectors[12:, 55:] += 2  # what tells the groups apart is not among the first dimensions
    points = reduce_by_tsne(vectors)
    first, second = points[:12], points[12:]
    gap = np.linalg.norm(first.mean(axis=0) - second.mean(axis=0))
    assert gap > 2 * max(first.std(), second.std())
    np.testing.assert_array_equal(reduce_by_tsne(vectors), points)


@pytest.mark.parametrize("reduce", [reduce_by_pca, reduce_by_tsne])
@pytest.mark.parametrize(
    "vectors",
    [
        np.ones((40, 6)),  # a network whose units are all dead
        np.full((40, 6), np.nan),  # a network that has diverged
        np.arange(12.0).reshape(2, 6),
        np.arange(6.0).reshape(1, 6),
    ],
)
def test_maps_of_what_cannot_be_spread_are_a_point(reduce, vectors):
    np.testing.assert_array_equal(reduce(vectors), np.zeros((len(vectors), 2)))


@pytest.mark.parametrize("reduce", [reduce_by_pca, reduce_by_tsne])
def test_maps_of_vectors_with_one_value_and_of_few_vectors(reduce):
    line = reduce(np.arange(12, dtype=np.float32)[:, None])
    assert line.shape == (12, 2) and np.isfinite(line).all() and np.ptp(line[:, 0]) > 0
    assert reduce(np.random.default_rng(0).random((3, 5))).shape == (3, 2)
