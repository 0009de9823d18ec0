"""Which images get a label: the most typical ones of each class, or random ones."""

import numpy as np

from common.user_error import UserError

N_CLASSES = 10


def check_counts(labels: np.ndarray, per_class: int) -> None:
    """Check that every class has so many images.

    Args:
        labels: int (n,), from 0 to 9.
        per_class: how many of each class shall be labelled.

    Raises:
        UserError: a class has no images, or fewer than that.
    """
    counts = np.bincount(labels, minlength=N_CLASSES)
    rarest = int(counts.argmin())
    if counts[rarest] == 0:
        raise UserError(
            f"class {rarest} has no images, but each of the {N_CLASSES} classes needs labelled "
            "ones. Add images of it."
        )
    if not 1 <= per_class <= counts[rarest]:
        raise UserError(
            f"{per_class} labels per class cannot be had: class {rarest} has {counts[rarest]:,} "
            f"images. Choose from 1 to {counts[rarest]}."
        )


def typical_images(images: np.ndarray, labels: np.ndarray, per_class: int) -> np.ndarray:
    """Return the images with the highest mean cosine similarity to the images of their class.

    The cosine similarity of two images is the product of their pixels after each image was
    divided by its length. So the mean over a class is the product with the class's mean image:
    one matrix product, and no double loop over 6,000 by 6,000 pairs.

    Args:
        images: uint8 (n, 28, 28); an empty image is similar to none.
        labels: int (n,), from 0 to 9.
        per_class: how many to choose.

    Returns:
        int (10 * per_class,), indices, by class, the most typical first.

    Raises:
        UserError: as `check_counts`.
    """
    check_counts(labels, per_class)
    chosen = []
    for label in range(N_CLASSES):
        of_class = np.flatnonzero(labels == label)
        vectors = images[of_class].reshape(len(of_class), -1).astype(np.float64)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors /= np.maximum(lengths, 1e-12)
        similarity = vectors @ vectors.mean(axis=0)
        chosen.append(of_class[np.argsort(-similarity, kind="stable")[:per_class]])
    return np.concatenate(chosen)


def random_images(labels: np.ndarray, per_class: int, seed: int) -> np.ndarray:
    """Return random images of each class; the few of a seed are among its many.

    So a line over the number of labels is not bent by the luck of each of its points.

    Args:
        labels: int (n,), from 0 to 9.
        per_class: how many to choose.
        seed: of the draw.

    Returns:
        int (10 * per_class,), indices, by class.

    Raises:
        UserError: as `check_counts`.
    """
    check_counts(labels, per_class)
    chosen = []
    for label in range(N_CLASSES):
        order = np.random.default_rng([seed, label]).permutation(np.flatnonzero(labels == label))
        chosen.append(order[:per_class])
    return np.concatenate(chosen)
