"""What is trained, and how: the four published networks, and two that go beyond them."""

from dataclasses import dataclass, replace

from experiments.numpy_networks.network import Spec

SMALL = (("Dense", 784, 100), ("Sigmoid",), ("Dense", 100, 10))
THREE_LAYERS = (
    ("Dense", 784, 256), ("Sigmoid",), ("Dense", 256, 128), ("Sigmoid",), ("Dense", 128, 10),
)  # fmt: skip
WIDE = (
    ("Dense", 784, 512), ("ReLU",), ("Dropout", 0.2),
    ("Dense", 512, 128), ("ReLU",), ("Dropout", 0.1), ("Dense", 128, 10),
)  # fmt: skip
# The largest of ReLUs is the ReLU of the largest: behind the pooling, it has a quarter of the work.
CONVOLUTIONS = (
    ("Reshape", 28, 28, 1),
    ("Conv2D", 5, 1, 8), ("MaxPool", 2), ("ReLU",),
    ("Conv2D", 5, 8, 24), ("MaxPool", 2), ("ReLU",),
    ("Reshape", 4 * 4 * 24), ("Dropout", 0.2), ("Dense", 4 * 4 * 24, 10),
)  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """All that a training depends on, besides its data and its seed."""

    layers: tuple[Spec, ...]
    loss: str = "SoftmaxCrossEntropy"
    optimizer: str = "GradientDescent"
    batch_size: int = 1  # images of one step
    learning_rate: float = 0.01  # of the mean gradient of these images
    rate_factor: float = 1.0  # by which the rate is multiplied after each epoch
    warm_up: float = 0.0  # share of the steps in which the rate rises; then it falls to 0
    epochs: int = 30
    deviation: float | None = 0.01  # of the first weights; None: as suits ReLU
    shift: int = 0  # each image is moved by up to so many pixels, anew in each epoch
    dtype: str = "float64"


# As published: (network, loss, rate) image by image, in NumPy's usual float64.
PER_IMAGE = {
    "1 sigmoid, squared error": Recipe((*SMALL, ("Sigmoid",)), "MeanSquaredError"),
    "2 softmax, cross-entropy": Recipe(SMALL),
    "3 rate x 0.95 per epoch": Recipe(SMALL, rate_factor=0.95),
    "4 784-256-128-10": Recipe(THREE_LAYERS),
}
PUBLISHED = dict(zip(PER_IMAGE, (93.36, 97.90, 97.73, 97.99), strict=True))

BATCH = 100


def in_batches(recipe: Recipe) -> Recipe:
    """Return the same training in mini-batches.

    BATCH images make one step together: the sum of the steps that each of them would have made,
    but all from the same weights. The mean gradient times BATCH is that sum, hence the rate.
    """
    rate = BATCH * recipe.learning_rate
    return replace(recipe, batch_size=BATCH, learning_rate=rate, dtype="float32")


BATCHES = {name: in_batches(recipe) for name, recipe in PER_IMAGE.items()}
# Shifts, Adam and a rate that goes up and then down to 0; chosen on validation images.
BEYOND = {
    "5 dense, all tricks": Recipe(
        WIDE, optimizer="Adam", batch_size=100, learning_rate=2e-3, warm_up=0.2, epochs=25,
        deviation=None, shift=1, dtype="float32",
    ),
    "6 convolutions": Recipe(
        CONVOLUTIONS, optimizer="Adam", batch_size=100, learning_rate=4e-3, warm_up=0.2,
        epochs=14, deviation=None, shift=1, dtype="float32",
    ),
}  # fmt: skip
