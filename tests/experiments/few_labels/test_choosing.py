import numpy as np
import pytest

from _01_data_loader import load_data
from common.user_error import UserError
from experiments.few_labels.choosing import random_images, typical_images

# The facts of the project: one image per digit, by exact recomputation.
ONE_PER_DIGIT = [47797, 28063, 37083, 29269, 1271, 36787, 28552, 37245, 5977, 36225]


def mean_similarity(images, labels, index):
    """By the definition: a loop over all images of the class, and over their pixels."""
    similarities = []
    for other in np.flatnonzero(labels == labels[index]):
        a, b = (images[i].ravel().astype(float) for i in (index, other))
        dot = sum(float(x) * float(y) for x, y in zip(a, b, strict=True))
        similarities.append(dot / (np.sqrt((a**2).sum()) * np.sqrt((b**2).sum())))
    return np.mean(similarities)


def test_typical_images_are_those_of_highest_mean_cosine_similarity(digits):
    images, labels = digits.x_train[:120], digits.y_train[:120]
    chosen = typical_images(images, labels, 3).reshape(10, 3)
    for label in range(10):
        of_class = np.flatnonzero(labels == label)
        order = sorted(of_class, key=lambda index: -mean_similarity(images, labels, index))
        assert chosen[label].tolist() == [int(index) for index in order[:3]]


def test_how_bright_an_image_is_does_not_matter_and_an_empty_one_is_never_typical(digits):
    images, labels = digits.x_train[:300].copy(), digits.y_train[:300]
    before = typical_images(images, labels, 2)
    images[before[::2]] = images[before[::2]] // 2  # rounding changes little
    assert set(typical_images(images, labels, 2)) >= set(before[::2])
    images[before] = 0
    assert not set(typical_images(images, labels, 2)) & set(before)


def test_random_images_are_of_each_class_and_the_few_are_among_the_many(digits):
    labels = digits.y_train
    many = random_images(labels, 50, seed=3)
    assert len(set(many)) == 500 and (np.bincount(labels[many]) == 50).all()
    assert set(random_images(labels, 5, seed=3)) <= set(many)
    assert random_images(labels, 50, seed=3).tolist() == many.tolist()
    assert set(random_images(labels, 50, seed=4)) != set(many)


@pytest.mark.parametrize("choose", [lambda y, n: typical_images(np.zeros((len(y), 28, 28)), y, n),
                                    lambda y, n: random_images(y, n, 0)])  # fmt: skip
@pytest.mark.parametrize(
    ("labels", "per_class", "message"),
    [
        (np.repeat(np.delete(np.arange(10), 4), 5), 1, "class 4 has no images"),
        (np.array([0] * 3 + list(range(10)) * 5), 6, "6 labels per class.*class 1 has 5 images"),
        (np.repeat(np.arange(10), 5), 0, "0 labels per class.*Choose from 1 to 5"),
    ],
)
def test_what_cannot_be_chosen_is_told_in_one_line(choose, labels, per_class, message):
    with pytest.raises(UserError, match=message) as caught:
        choose(labels, per_class)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_mnists_most_typical_images_are_the_known_ones():
    mnist = load_data("mnist")
    assert typical_images(mnist.x_train, mnist.y_train, 1).tolist() == ONE_PER_DIGIT
