import numpy as np
import pytest
from matplotlib.colors import to_rgba
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from figures.data import (
    N_VARIATIONS,
    SAMPLES_PER_CLASS,
    plot_augmentation,
    plot_clusters,
    plot_samples,
    purity,
)
from figures.projections import reduce_by_pca
from figures.style import CLASS_COLOURS
from training.augmentation import RandomAffine


def test_samples_stand_in_the_row_of_their_class(splits):
    figure = plot_samples(splits.x_train, splits.y_train, "0123456789")
    (panel,) = figure.axes
    drawn = panel.images[0].get_array()
    for row in range(10):
        of_class = splits.x_train[splits.y_train == row]
        for column in range(SAMPLES_PER_CLASS):
            tile = drawn[28 * row : 28 * (row + 1), 28 * column : 28 * (column + 1)]
            np.testing.assert_array_equal(tile, of_class[column, ..., 0])
    assert [text.get_text() for text in panel.get_yticklabels()] == list("0123456789")


def test_samples_of_a_class_with_few_images_leave_places_empty():
    images = np.ones((3, 28, 28, 1), np.float32)
    drawn = plot_samples(images, np.array([0, 1, 1]), "01").axes[0].images[0].get_array()
    assert drawn[:28].sum() == 28 * 28 and drawn[28:].sum() == 2 * 28 * 28


def test_augmentation_shows_the_image_and_its_variations(splits):
    image = splits.x_train[0]
    figure = plot_augmentation(RandomAffine(12, 0.12, 0.1, 8, seed=1), image, "7")
    drawn = [panel.images[0].get_array() for panel in figure.axes]
    assert len(drawn) == N_VARIATIONS + 1
    np.testing.assert_array_equal(drawn[0], image[..., 0])
    assert all(not np.array_equal(drawn[0], variation) for variation in drawn[1:])
    assert len({variation.tobytes() for variation in drawn}) == N_VARIATIONS + 1
    expected = RandomAffine(12, 0.12, 0.1, 8, seed=1)(
        np.repeat(image[None], N_VARIATIONS, axis=0), training=True
    )
    np.testing.assert_allclose(drawn[1:], np.asarray(expected)[..., 0])


def test_a_run_without_augmentation_says_so(splits):
    title = plot_augmentation(RandomAffine(seed=1), splits.x_train[0], "7").get_suptitle()
    assert "no augmentation" in title


def test_purity_equals_a_count_by_hand():
    labels, clusters = np.array([0, 0, 0, 1, 1, 2]), np.array([5, 5, 7, 7, 7, 7])
    assert purity(labels, clusters) == pytest.approx((2 + 2) / 6)
    assert purity(labels, labels) == 1


def test_clusters_are_scikit_learns(splits, quick_tsne):
    figure = plot_clusters(splits.x_train, splits.y_train, "0123456789", n_points=100)
    chosen = np.random.default_rng(0).permutation(len(splits.y_train))[:100]
    pixels = splits.x_train[chosen].reshape(100, -1)
    labels = splits.y_train[chosen]
    clusters = KMeans(10, n_init=4, random_state=0).fit_predict(pixels)
    title = figure.axes[2].get_title()
    assert f"purity {purity(labels, clusters):.2f}" in title
    assert f"adjusted Rand index {adjusted_rand_score(labels, clusters):.2f}" in title
    by_pca, by_tsne = reduce_by_pca(pixels), quick_tsne(pixels)
    for number in range(10):
        for panel, points, groups in zip(
            figure.axes, (by_pca, by_tsne, by_tsne), (labels, labels, clusters), strict=True
        ):
            cloud = panel.collections[number].get_offsets()
            np.testing.assert_allclose(cloud, points[groups == number], atol=1e-3)
        majority = np.bincount(labels[clusters == number]).argmax()
        assert figure.axes[2].texts[number].get_text() == str(majority)
        expected = to_rgba(CLASS_COLOURS[majority], alpha=0.8)
        np.testing.assert_allclose(figure.axes[2].collections[number].get_facecolor()[0], expected)


def test_as_many_clusters_as_classes_occur(quick_tsne):
    images = np.random.default_rng(0).random((6, 28, 28, 1), np.float32)
    figure = plot_clusters(images, np.array([3, 3, 5, 5, 9, 9]), "0123456789")
    assert len(figure.axes[2].collections) == 3
    assert {text.get_text() for text in figure.axes[2].texts} <= {"3", "5", "9"}
    legend = [text.get_text() for text in figure.legends[0].texts]
    assert legend == ["3", "5", "9"]


def test_clusters_of_equal_images():
    figure = plot_clusters(np.ones((6, 28, 28, 1), np.float32), np.arange(6), "0123456789")
    assert len(figure.axes[2].collections) == 1
