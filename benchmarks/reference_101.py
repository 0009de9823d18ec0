"""The course project CNN-MNIST-101 as it was: the reference that speed is compared with."""

from typing import Any

import keras

from _00_main import Settings
from _01_data_loader import load_data
from _02_data_preprocess import preprocess
from _03_model_training import Batches
from architectures import build_architecture
from benchmarks.epoch_curve import EpochWeights
from keras_backend import input_pipeline, prepare


def train_reference(
    settings: Settings, process_started: float
) -> tuple[keras.Model, dict[str, Any]]:
    """Train network 101 with the classic ImageDataGenerator; return the model and its curve.

    Rotation +-10 degrees, zoom and shifts +-10 %, Adam 1e-3, batches of 64, ReduceLROnPlateau
    and EarlyStopping on the validation accuracy, as in the project. Of `settings` only the data,
    the split, the seed, the epochs and the batch size count; needs TensorFlow.

    The batches come through the program's own input pipeline, because Keras' would make the
    reference wait at the end of many epochs. What it learns from stays the same; it is the
    batches' on_epoch_end() that draws the next epoch's order.
    """
    prepare(settings.seed, settings.precision)
    from tensorflow.keras.preprocessing.image import ImageDataGenerator

    splits = preprocess(
        load_data(settings.dataset, settings.data_dir), settings.val_size, settings.seed
    )
    augmentation = ImageDataGenerator(
        rotation_range=10, zoom_range=0.1, width_shift_range=0.1, height_shift_range=0.1
    )
    model = build_architecture("cnn_mnist_101")
    model.compile(
        "adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False
    )
    keeper = EpochWeights(process_started, model)
    batches = augmentation.flow(
        splits.x_train, splits.y_train, batch_size=settings.batch_size, seed=settings.seed
    )
    model.fit(
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
    curve = keeper.curve(model, splits.x_test, splits.y_test)
    return model, {**curve, "images_per_epoch": len(splits.y_train)}
