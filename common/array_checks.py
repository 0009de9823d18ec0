"""Arrays that people bring become images uint8 (n, 28, 28) and labels (n,), or a clear error.

What can mean one thing only is converted: other shapes, pixels in [0, 1], labels as floats or
one-hot. What could mean two things is refused with a line that says how to mend it.
"""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.user_error import UserError

# Scales in use that are not 0 to 255, such as 0 to 16 or per cent, end at 100 or before.
DIMMEST_INK = 100
BRIGHT_BORDER = 160  # mean of the outermost pixels; Fashion-MNIST's brightest image has 108
MAX_SHARE_DARK_ON_LIGHT = 0.05
LEAST_OF_CLASS = 3  # images: of fewer, none is set aside for the test


class Labelled(NamedTuple):
    """The images and labels of one part, training or test."""

    images: np.ndarray
    labels: np.ndarray


def check_part(raw: Labelled, n_classes: int, what: str, hint: str = "") -> Labelled:
    """Return images uint8 (n, 28, 28), white on black, and labels of the smallest unsigned type.

    Args:
        raw: the arrays as they were stored.
        n_classes: labels run from 0 to n_classes - 1.
        what: begins the messages: "FILE: the train".
        hint: what to say of labels out of range.

    Raises:
        UserError: they cannot be converted, or could be in more than one way.
    """
    images = to_images(raw.images, f"{what} images")
    labels = to_labels(raw.labels, n_classes, f"{what} labels", hint)
    if len(images) != len(labels):
        raise UserError(
            f"{what} part has {len(images):,} images, but {len(labels):,} labels. Expected a label "
            "for each image."
        )
    return Labelled(images, labels)


def to_images(array: np.ndarray, what: str) -> np.ndarray:
    """Return images uint8 (n, 28, 28), from (n, 784), (n, 28, 28, 1) or (n, 1, 28, 28), too."""
    shapes = {(28, 28), (784,), (28, 28, 1), (1, 28, 28)}
    if array.ndim == 0 or array.shape[1:] not in shapes or array.dtype.kind not in "buif":
        is_colour = array.shape[1:] in {(28, 28, 3), (28, 28, 4)}
        mend = " Make them grey: images[..., :3].mean(-1).astype('uint8')." if is_colour else ""
        raise UserError(
            f"{what} are {array.dtype} {array.shape}; expected uint8 (n, 28, 28), or (n, 784), "
            f"(n, 28, 28, 1), (n, 1, 28, 28).{mend}"
        )
    if len(array) == 0:
        raise UserError(f"{what} are none: 0 images. Expected at least one.")
    images = np.ascontiguousarray(_to_bytes(array, what).reshape(-1, 28, 28))
    _check_light_on_dark(images, what)
    return images


def _to_bytes(images: np.ndarray, what: str) -> np.ndarray:
    """Return pixels as uint8 from 0 to 255, from any type, and from 0 to 1, too."""
    low, high = images.min(), images.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UserError(f"{what} have pixels that are NaN or infinite. Expected 0 to 255.")
    if low < 0 or high > 255:
        raise UserError(
            f"{what} have pixels from {low:g} to {high:g}. Expected 0 (black) to 255 (white), or "
            "0 to 1: scale them first."
        )
    if 0 < high <= 1:
        return np.rint(images.astype(np.float32) * 255).astype(np.uint8)
    if 0 < high <= DIMMEST_INK:
        raise UserError(
            f"{what} have pixels from {low:g} to {high:g}, so it is not clear what white is. "
            "Expected 0 (black) to 255 (white), or 0 to 1: scale them first."
        )
    if images.dtype.kind == "f" and (images != np.rint(images)).any():
        raise UserError(
            f"{what} have pixels from {low:g} to {high:g} with fractions, so a part of them may be "
            "scaled to 0 to 1. If not, round them first: np.rint(images).astype('uint8')."
        )
    return images.astype(np.uint8)


def _check_light_on_dark(images: np.ndarray, what: str) -> None:
    """Refuse dark digits on light paper: a network of MNIST's sees nothing in them.

    The border tells: in MNIST it is black, and in no image of Fashion-MNIST's clearly bright.
    """
    is_border = np.ones((28, 28), bool)
    is_border[1:-1, 1:-1] = False
    border, inside = images[:, is_border].mean(axis=1), images[:, ~is_border].mean(axis=1)
    n_dark = int(((border > BRIGHT_BORDER) & (inside < border)).sum())
    if n_dark > MAX_SHARE_DARK_ON_LIGHT * len(images):
        raise UserError(
            f"{what}: {n_dark:,} of {len(images):,} are dark on a light ground. Expected light on "
            "dark, as in MNIST: turn those round by 255 - images (or 1 - images)."
        )


def to_labels(array: np.ndarray, n_classes: int, what: str, hint: str = "") -> np.ndarray:
    """Return labels (n,) of the smallest unsigned type that holds them all.

    Taken are whole numbers of any type, also as text, (n,) or (n, 1), and one-hot (n, n_classes).
    """
    labels = _to_numbers(array, what)
    if labels.ndim == 2 and labels.shape[1] == n_classes > 1 and _is_one_hot(labels):
        labels = labels.argmax(axis=1)
    elif labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise UserError(
            f"{what} are {array.dtype} {array.shape}; expected whole numbers (n,), (n, 1), or "
            f"one-hot (n, {n_classes})."
        )
    if labels.dtype.kind == "f" and not (np.isfinite(labels) & (labels == np.rint(labels))).all():
        raise UserError(f"{what} are not all whole numbers. Expected 0 to {n_classes - 1}.")
    if len(labels) and (labels.min() < 0 or labels.max() >= n_classes):
        raise UserError(
            f"{what} run from {labels.min():g} to {labels.max():g}; expected 0 to {n_classes - 1}."
            f"{hint and ' '}{hint}"
        )
    return labels.astype(np.min_scalar_type(n_classes - 1))


def _to_numbers(labels: np.ndarray, what: str) -> np.ndarray:
    """Return labels as numbers; text such as '7' becomes one."""
    if labels.dtype.kind in "US":
        try:
            return labels.astype(np.float64)
        except ValueError as error:
            text = next(str(one) for one in labels.flat if not _is_number(one))
            raise UserError(
                f"{what} are text, such as {text[:30]!r}. Expected whole numbers."
            ) from error
    if labels.dtype.kind not in "buif":
        raise UserError(f"{what} are {labels.dtype} {labels.shape}; expected whole numbers (n,).")
    return labels.astype(np.uint8) if labels.dtype.kind == "b" else labels


def _is_number(text: str) -> bool:
    """Return whether a text can be read as a number."""
    with suppress(ValueError):
        float(text)
        return True
    return False


def _is_one_hot(labels: np.ndarray) -> bool:
    """Return whether each row is one 1 among zeros."""
    return bool((np.isin(labels, (0, 1)).all(axis=1) & (labels.sum(axis=1) == 1)).all())


def hold_out(part: Labelled, path: Path) -> tuple[Labelled, Labelled]:
    """Return training and test part of data that came in one: the last seventh of each class.

    MNIST's share; of a class of three to six images, the last one. By class, so that a table sorted
    by label serves as well; the last, not random ones, because images that follow each other often
    are one person's.

    Raises:
        UserError: there are too few images for a test part.
    """
    is_test = np.zeros(len(part.labels), bool)
    for label in np.unique(part.labels):
        of_class = np.flatnonzero(part.labels == label)
        n_test = max(1, len(of_class) // 7) if len(of_class) >= LEAST_OF_CLASS else 0
        is_test[of_class[len(of_class) - n_test :]] = True
    if not is_test.any():
        raise UserError(
            f"{path} has no test part, and too few images to set some aside: fewer than "
            f"{LEAST_OF_CLASS} of each class, one to learn from, one to choose by, one to test on."
        )
    print(
        f"{path} has no labels for a test: the last seventh of each class, at least one, is the "
        f"test set: {is_test.sum():,} of {len(is_test):,} images.",
        flush=True,
    )
    return (
        Labelled(part.images[~is_test], part.labels[~is_test]),
        Labelled(part.images[is_test], part.labels[is_test]),
    )
