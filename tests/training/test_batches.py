import gc
import weakref

import keras
import numpy as np
import pytest

from _00_main import run
from training.batches import Batches, input_pipeline, soft_labels

needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="other back ends read the batches themselves"
)


# --- Batches ---


def test_batches_cover_every_image_once_in_an_order_of_seed_and_epoch():
    batches = Batches(np.arange(10), np.arange(10), batch_size=4)
    orders = []
    for seed, epoch in ((1, 0), (1, 1), (2, 0), (1, 0)):
        batches.shuffle(seed, epoch)
        images = np.concatenate([batches[i][0] for i in range(len(batches))])
        labels = np.concatenate([batches[i][1] for i in range(len(batches))])
        np.testing.assert_array_equal(images, labels)
        assert sorted(images) == list(range(10))
        orders.append(tuple(images))
    assert len(set(orders)) == 3 and orders[0] == orders[3]


def test_the_order_does_not_depend_on_what_was_drawn_before():
    fresh, used = (Batches(np.arange(50), np.arange(50)) for _ in range(2))
    for epoch in range(3):
        used.shuffle(7, epoch)
    np.random.default_rng(7).random()
    fresh.shuffle(7, 2)  # as a run that is resumed in the third epoch
    np.testing.assert_array_equal(fresh.order, used.order)


def test_unshuffled_batches_keep_the_order():
    batches = Batches(np.arange(5), np.arange(5), batch_size=2)
    assert [list(batches[i][0]) for i in range(3)] == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize(("n", "n_batches"), [(4, 2), (5, 3), (1, 1)])
def test_the_last_batch_may_be_smaller_but_not_empty(n, n_batches):
    batches = Batches(np.arange(n), np.arange(n), batch_size=2)
    assert len(batches) == n_batches and len(batches[n_batches - 1][0]) == (n % 2 or 2)


# --- Input pipeline ---


def test_a_run_leaves_no_images_in_memory(tiny_settings, monkeypatch):
    """Or a study of a hundred runs would hold the images of all of them."""
    made, begin = [], Batches.__init__

    def noted(self, *arguments):
        begin(self, *arguments)
        made.append(weakref.ref(self))

    monkeypatch.setattr(Batches, "__init__", noted)
    run(tiny_settings)
    gc.collect()
    assert len(made) >= 4 and [one for one in made if one() is not None] == []


class Pairs(keras.utils.PyDataset):
    """Three batches; the last is smaller. The images count upwards from `start`."""

    start = 0.0

    def __len__(self):
        return 3

    def __getitem__(self, index):
        n = 1 if index == 2 else 2
        images = np.full((n, 4, 4, 1), self.start + index, np.float32)
        return images, np.full(n, index)


def read(pipeline):
    return [tuple(np.asarray(part) for part in batch) for batch in pipeline]


@needs_tensorflow
def test_input_pipeline_holds_the_batches_in_order_as_they_are_now():
    batches = Pairs()
    pipeline = input_pipeline(batches)
    assert len(pipeline) == 3  # without it, Keras could show no progress in the first epoch
    for start in (0.0, 7.0):  # an epoch each
        batches.start = start
        read_back = read(pipeline)
        assert len(read_back) == 3
        for index, (images, labels) in enumerate(read_back):
            np.testing.assert_array_equal(images, batches[index][0])
            np.testing.assert_array_equal(labels, batches[index][1])
            assert images.dtype == np.float32 and labels.dtype == batches[index][1].dtype


@needs_tensorflow
def test_input_pipeline_does_not_wait_for_autotuning_at_the_end_of_an_epoch():
    assert input_pipeline(Pairs()).options().autotune.enabled is False


def test_other_back_ends_read_the_batches_themselves(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    batches = Pairs()
    assert input_pipeline(batches) is batches


# --- Soft labels ---


def test_soft_labels_are_probabilities_and_keep_the_class():
    soft = soft_labels(np.array([2, 0]), n_classes=4, smoothing=0.2)
    np.testing.assert_allclose(soft, [[0.05, 0.05, 0.85, 0.05], [0.85, 0.05, 0.05, 0.05]])
    assert soft.dtype == np.float32
    np.testing.assert_array_equal(soft_labels(np.array([1]), 3), [[0, 1, 0]])
