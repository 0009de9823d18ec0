"""Step 2: from raw arrays to what the network is trained on: scaled and split."""

import numpy as np
from sklearn.model_selection import train_test_split

from _01_data_loader import load_data
from common.data import Arrays, Splits
from common.settings import Settings
from common.user_error import UserError

# Proposed, if they work, where another share leaves a class without images.
USUAL_VAL_SIZES = (0.1, 0.2, 0.3, 0.5)


def load_splits(settings: Settings) -> Splits:
    """Load the data set of the settings, scale and split it: steps 1 and 2 in one.

    Raises:
        UserError: no source could deliver, or the data cannot be split.
    """
    arrays = load_data(settings.dataset, settings.data_dir)
    return preprocess(arrays, settings.val_size, settings.seed)


def preprocess(arrays: Arrays, val_size: float, seed: int) -> Splits:
    """Scale the images and set a share of the training images aside for validation.

    The split is stratified (every class keeps its share) and depends on nothing but the seed.

    Args:
        arrays: the data set as published.
        val_size: share of the training images used for validation, in (0, 1).
        seed: of the shuffle before the split.

    Raises:
        UserError: a class is left without training or validation images.
    """
    labels = arrays.y_train.astype(np.int32)
    split = _split_indices(labels, val_size, seed)
    if split is None:
        raise UserError(_why_no_split(labels, val_size, seed))
    train, val = split
    images = scale(arrays.x_train)
    return Splits(
        images[train],
        labels[train],
        images[val],
        labels[val],
        scale(arrays.x_test),
        arrays.y_test.astype(np.int32),
    )


def scale(images: np.ndarray) -> np.ndarray:
    """Return uint8 images (n, 28, 28) as float32 (n, 28, 28, 1), from [0, 255] to [0, 1]."""
    return images[..., np.newaxis].astype(np.float32) / 255.0


def _split_indices(
    labels: np.ndarray, val_size: float, seed: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the indices of the training and of the validation images, each with every class.

    None if there is no such split.
    """
    try:
        train, val = train_test_split(
            np.arange(len(labels)), test_size=val_size, stratify=labels, random_state=seed
        )
    except ValueError:  # fewer images on one side than there are classes, or one of a class
        return None
    n_classes = len(np.unique(labels))
    has_all = all(len(np.unique(labels[part])) == n_classes for part in (train, val))
    return (train, val) if has_all else None


def _why_no_split(labels: np.ndarray, val_size: float, seed: int) -> str:
    """Return what keeps the labels from being split, and what to do."""
    classes, counts = np.unique(labels, return_counts=True)
    rarest, count = classes[counts.argmin()], counts.min()
    if count == 1:
        return (
            f"class {rarest} has a single training image, but needs one for training and one for "
            "validation. Add images of it, or leave the class out."
        )
    working = [one for one in USUAL_VAL_SIZES if _split_indices(labels, one, seed) is not None]
    advice = f"Choose another, for example {working[0]}." if working else "Add images."
    return (
        f"val_size {val_size} of {len(labels):,} images leaves a class without validation or "
        f"without training images (the rarest, {rarest}, has {count:,}). {advice}"
    )
