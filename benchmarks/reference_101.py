"""The course project CNN-MNIST-101 as it was: the reference that `time_to_accuracy` compares with.

Network 101 with the classic ImageDataGenerator: rotation +-10 degrees, zoom and shifts +-10 %, Adam
1e-3, batches of 64, ReduceLROnPlateau and EarlyStopping on the validation accuracy, as in the
project. It cannot train through `run()`, whose images are varied by a layer of our own.
"""

import dataclasses
from typing import TYPE_CHECKING, Any

from common.settings import Settings
from common.user_error import UserError
from studies.timed_recipes import describe_training

if TYPE_CHECKING:
    import keras

    from common.data import Splits

RECIPE = "cnn_mnist_101"


def train_reference(settings: Settings, process_started: float) -> dict[str, Any]:
    """Train the reference; return its curve and costs (see `describe_training`).

    Of `settings` only the data, the split, the seed, the epochs, the batch size and the precision
    count.

    Args:
        process_started: when this process was started (see `studies.timed_runs`).

    Raises:
        UserError: the back end is not TensorFlow, whose ImageDataGenerator it needs.
    """
    from common.keras_start import prepare

    machine = prepare(settings.seed, settings.precision)  # before what imports Keras
    if not str(machine["backend"]).startswith("tensorflow"):
        raise UserError(f"'{RECIPE}' is trained here by TensorFlow's ImageDataGenerator only.")
    from _02_data_preprocess import load_splits
    from _03_model_training import build_network
    from studies.accuracy_curve import WeightsAfterEachEpoch
    from training.precision import in_float32

    splits = load_splits(settings)
    network = build_network(dataclasses.replace(settings, architecture=RECIPE))
    network.compile(
        "adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False
    )
    keeper = WeightsAfterEachEpoch(process_started, network)
    fit(network, splits, settings, keeper)
    classifier = in_float32(network)
    curve = keeper.curve(classifier, splits.x_test, splits.y_test)
    return describe_training(classifier, curve, len(splits.y_train), machine)


def fit(
    network: "keras.Model",
    splits: "Splits",
    settings: Settings,
    keeper: "keras.callbacks.Callback",
) -> None:
    """Train until EarlyStopping or the last epoch.

    The batches come through the program's own input pipeline, because Keras' would make the
    reference wait at the end of many epochs. What it learns from stays the same; it is the
    batches' on_epoch_end() that draws the next epoch's order.
    """
    import keras
    from tensorflow.keras.preprocessing.image import ImageDataGenerator

    from training.batches import Batches, input_pipeline

    augmentation = ImageDataGenerator(
        rotation_range=10, zoom_range=0.1, width_shift_range=0.1, height_shift_range=0.1
    )
    batches = augmentation.flow(
        splits.x_train, splits.y_train, batch_size=settings.batch_size, seed=settings.seed
    )
    network.fit(
        input_pipeline(batches),
        shuffle=False,  # the batches do that themselves
        epochs=settings.epochs,
        validation_data=input_pipeline(Batches(splits.x_val, splits.y_val)),
        callbacks=[
            keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: batches.on_epoch_end()),
            keeper,
            keras.callbacks.ReduceLROnPlateau("val_accuracy", 0.2, patience=3, min_lr=1e-5),
            keras.callbacks.EarlyStopping("val_accuracy", patience=10, restore_best_weights=True),
        ],
        verbose=2,
    )
