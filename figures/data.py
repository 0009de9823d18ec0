"""Figures of the data: what it looks like, how it clusters, how the augmentation varies it."""

from collections.abc import Sequence

import keras
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.cluster import contingency_matrix

from figures.projections import reduce_by_pca, reduce_by_tsne
from figures.style import CLASS_COLOURS, add_class_legend, draw_image, image_grid, scatter_classes

SAMPLES_PER_CLASS = 12
VARIATION_COLUMNS, N_VARIATIONS = 8, 23


def plot_samples(images: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Draw the first images of each class, a row per class.

    Args:
        images: float32 (n, 28, 28, 1).
        labels: int (n,).
        class_names: a name per class.
    """
    rows = []
    for number in range(len(class_names)):
        of_class = images[labels == number, ..., 0][:SAMPLES_PER_CLASS]
        missing = SAMPLES_PER_CLASS - len(of_class)  # places that stay empty
        padded = np.pad(of_class, ((0, missing), (0, 0), (0, 0)))
        rows.append(np.hstack(list(padded)))
    height = images.shape[1]
    # One picture: a hundred panels would take seconds to lay out.
    figure, panel = plt.subplots(
        figsize=(0.7 * SAMPLES_PER_CLASS + 1, 0.7 * len(rows) + 0.6), layout="constrained"
    )
    panel.imshow(np.vstack(rows), cmap="gray_r", vmin=0, vmax=1)
    panel.set_yticks(height * (np.arange(len(rows)) + 0.5) - 0.5, class_names, fontsize=11)
    panel.set_xticks([])
    panel.tick_params(left=False)
    panel.spines[:].set_visible(False)
    figure.suptitle(f"Training images: the first {SAMPLES_PER_CLASS} of each class")
    return figure


def plot_augmentation(
    augmentation: keras.layers.Layer, image: np.ndarray, class_name: str
) -> Figure:
    """Draw an image and what the augmentation makes of it, drawn anew for each panel.

    Args:
        augmentation: a layer that varies images when called with `training=True`.
        image: float32 (28, 28, 1) in [0, 1].
        class_name: what it shows.
    """
    copies = np.repeat(image[np.newaxis], N_VARIATIONS, axis=0)
    varied = keras.ops.convert_to_numpy(augmentation(copies, training=True))
    figure, panels = image_grid(N_VARIATIONS + 1, VARIATION_COLUMNS, 1.05, 0.7, title_height=0.05)
    for panel, variation in zip(panels, [image, *varied], strict=True):
        draw_image(panel, variation)
    panels[0].set_title("as it is", fontsize=9)
    what = f"variations of one {class_name}"
    if np.array_equal(varied, copies):
        what += ": this run has no augmentation"
    figure.suptitle(f"What the network is trained on: {N_VARIATIONS} {what}")
    return figure


def purity(labels: np.ndarray, clusters: np.ndarray) -> float:
    """Return the share of images whose class is the most frequent of their cluster.

    Args:
        labels, clusters: int (n,).
    """
    counts = contingency_matrix(labels, clusters)
    return float(counts.max(axis=0).sum() / counts.sum())


def plot_clusters(
    images: np.ndarray, labels: np.ndarray, class_names: Sequence[str], n_points: int = 800
) -> Figure:
    """Draw how the raw images lie without any network: PCA, t-SNE and k-means clusters.

    k-means (k = number of classes among the points) sees the pixels of all the points drawn, never
    their labels. Each cluster has name and colour of the class that is most frequent in it.

    Args:
        images: float32 (n, 28, 28, 1).
        labels: int (n,).
        class_names: a name per class.
        n_points: at most so many images, drawn at random.
    """
    chosen = np.random.default_rng(0).permutation(len(labels))[:n_points]
    pixels, labels = images[chosen].reshape(len(chosen), -1), labels[chosen]
    n_clusters = min(len(np.unique(labels)), len(np.unique(pixels, axis=0)))
    clusters = KMeans(n_clusters, n_init=4, random_state=0).fit_predict(pixels)
    by_tsne = reduce_by_tsne(pixels)
    figure, panels = plt.subplots(1, 3, figsize=(13, 5.6), layout="constrained")
    scatter_classes(panels[0], reduce_by_pca(pixels), labels, class_names)
    panels[0].set_title("PCA, coloured by class", fontsize=10)
    scatter_classes(panels[1], by_tsne, labels, class_names)
    panels[1].set_title("t-SNE, coloured by class", fontsize=10)
    majority = np.unique(labels)[contingency_matrix(labels, clusters).argmax(axis=0)]
    names = [class_names[int(number)] for number in majority]
    colours = [CLASS_COLOURS[number % len(CLASS_COLOURS)] for number in majority]
    scatter_classes(panels[2], by_tsne, clusters, names, colours)
    panels[2].set_title(
        "t-SNE, coloured by the majority of the\n"
        f"k-means cluster (purity {purity(labels, clusters):.2f}, "
        f"adjusted Rand index {adjusted_rand_score(labels, clusters):.2f})",
        fontsize=10,
    )
    add_class_legend(figure, labels, class_names)
    figure.suptitle(f"{len(chosen):,} raw training images, without any network")
    return figure
