"""Images and labels in batches, in an order that a resumed run can repeat."""

import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

EVALUATION_BATCH_SIZE = 500  # larger than in training: nothing has to be kept for gradients


class Batches(keras.utils.PyDataset):
    """Images and labels in batches: as they are, or in an order that is drawn for each epoch.

    That order depends on nothing but the seed and the epoch, so a resumed run sees the images in
    the order in which it would have seen them. (`fit` takes arrays, too, but then draws the order
    from a state that cannot be saved.)
    """

    def __init__(
        self, images: np.ndarray, labels: np.ndarray, batch_size: int = EVALUATION_BATCH_SIZE
    ):
        super().__init__()
        self.images, self.labels, self.batch_size = images, labels, batch_size
        self.order = np.arange(len(labels))

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        return self.images[chosen], self.labels[chosen]

    def shuffle(self, seed: int, epoch: int) -> None:
        """Draw the order of an epoch."""
        self.order = np.random.default_rng([seed, epoch]).permutation(len(self.labels))


def input_pipeline(batches: keras.utils.PyDataset) -> "keras.utils.PyDataset | tf.data.Dataset":
    """Return what `fit` and `predict` shall read the batches from, on this back end.

    Under TensorFlow, Keras reads through tf.data with autotuning on: a thread that wakes ever less
    often. The end of an epoch cancels it, but the thread can miss that (seen in TensorFlow 2.21),
    and then the epoch ends when it next wakes: 46 s of training took 82 s. Reading from arrays
    leaves nothing to tune, so this pipeline is the same without autotuning.

    Args:
        batches: each a tuple of arrays (n, ...); n may differ, the other sizes and dtypes may not.
            They are read anew, in order, whenever the result is iterated over.
    """
    if keras.backend.backend() != "tensorflow":
        return batches
    import tensorflow as tf

    n_batches = len(batches)  # type: ignore[arg-type]  # Keras declares no __len__
    signature = tuple(tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in batches[0])
    # TensorFlow keeps the generator function until the program ends: by it, a study of many runs
    # would keep the images of each.
    reference = weakref.ref(batches)

    def read() -> Iterator[tuple[np.ndarray, ...]]:
        alive: Any = reference()
        return (alive[index] for index in range(n_batches))

    dataset = tf.data.Dataset.from_generator(read, output_signature=signature)
    options = tf.data.Options()
    options.autotune.enabled = False
    known_length = tf.data.experimental.assert_cardinality(n_batches)
    pipeline: Any = dataset.apply(known_length).prefetch(2).with_options(options)
    pipeline.batches = batches  # which live as long as the pipeline
    return pipeline


def soft_labels(labels: np.ndarray, n_classes: int, smoothing: float = 0.0) -> np.ndarray:
    """Return labels as probabilities: all but `smoothing` of it for the label, the rest for all.

    Label smoothing (Szegedy et al., "Rethinking the Inception Architecture", arXiv 1512.00567)
    keeps the network from growing ever surer of images that it gets right already.

    Args:
        labels: int (n,).
        n_classes: width of the result.
        smoothing: in [0, 1), shared equally by all classes; 0 returns one-hot vectors.

    Returns:
        float32 (n, n_classes), each row of sum 1.
    """
    one_hot = np.eye(n_classes, dtype=np.float32)[labels]
    return one_hot * (1.0 - smoothing) + smoothing / n_classes
