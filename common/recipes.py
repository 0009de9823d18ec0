"""Recipes: named changes of the constants in `_00_main.py`, for `--recipe`.

What a recipe does not name is the constant. Flags change a recipe further.
"""

from typing import Any

from common.user_error import unknown_name

NO_AUGMENTATION: dict[str, Any] = {"rotation": 0.0, "zoom": 0.0, "shift": 0.0, "shear": 0.0}
# A constant rate on plain labels, as most published examples train.
CLASSIC_ADAM: dict[str, Any] = {
    "polish_epochs": 0,
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "schedule": "constant",
    "beta_2": 0.999,
    "label_smoothing": 0.0,
    "average_shifts": False,
}

# The last epoch counts: nothing stops the training or lowers its rate.
TO_THE_END: dict[str, Any] = {"early_stopping_enabled": False, "plateau_patience": 1000}
# The lecture's networks. Published are Adam, the batches and the epochs.
LECTURE: dict[str, Any] = {
    **CLASSIC_ADAM,
    **TO_THE_END,
    **NO_AUGMENTATION,
    "architecture": "drop_conv",
    "epochs": 10,
    "batch_size": 64,
}

# Clothes may look to the left as to the right, but are never upside down.
FASHION: dict[str, Any] = {
    **TO_THE_END,
    **NO_AUGMENTATION,
    "dataset": "fashion_mnist",
    "architecture": "fashion_cnn",
    "val_size": 0.02,  # 1,200 images: choices are made before, on more of them
    "epochs": 7,
    "shift": 0.036,  # +-1 pixel
    "flip": 0.5,
    "average_flips": True,  # beside the shifts
}

RECIPES: dict[str, dict[str, Any]] = {
    "default": {},
    # Five default networks, averaged, for five times the training. Wider networks or longer
    # training are no better on other people's handwriting (docs/log.md).
    "best": {
        **TO_THE_END,
        "val_size": 0.01,  # its choices are made: nothing stops or slows it down any more
        "networks": 5,
    },
    # As few seconds as possible to 99.0 % and to 99.5 %: see benchmarks/speedrun.py.
    "speedrun_990": {
        **NO_AUGMENTATION,
        "architecture": "fast_cnn_tiny",
        "val_size": 0.01,
        "epochs": 1,
        "polish_epochs": 0,
        "batch_size": 256,
        "learning_rate": 5e-3,
        "label_smoothing": 0.05,
        "average_shifts": False,
    },
    "speedrun_995": {
        "architecture": "fast_cnn_small",
        "val_size": 0.01,
        "epochs": 2,
        "rotation": 10.0,
        "zoom": 0.1,
        "shift": 0.08,
        "shear": 6.0,
        "label_smoothing": 0.1,
        "average_shifts": False,
    },
    # For other people's digits: other pens and shapes, and ways of writing that MNIST hardly has.
    "robust": {"zoom": 0.15, "shear": 12.0, "stretch": 0.8, "pen": 0.8, "paper": 0.2, "drawn": 0.2},
    # For a microcontroller: rounded weights learn slowly, and few of them need little variation.
    "tiny": {
        **TO_THE_END,
        "architecture": "tiny_cnn",
        "val_size": 0.01,
        "epochs": 20,
        "rotation": 8.0,
        "zoom": 0.1,
        "shift": 0.08,
        "shear": 6.0,
        "average_shifts": False,
    },
    # The course project's network by its own recipe; its record took 41 epochs. The classic
    # ImageDataGenerator draws the same rotations, zooms and shifts.
    "cnn_mnist_101": {
        **CLASSIC_ADAM,
        "architecture": "cnn_mnist_101",
        "val_size": 0.1,
        "epochs": 150,
        "batch_size": 64,
        "early_stopping_patience": 10,
        "plateau_patience": 3,
        "monitor": "val_accuracy",
        "rotation": 10.0,
        "zoom": 0.1,
        "shift": 0.1,
        "shear": 0.0,
    },
    # Fashion-MNIST in ten minutes on two CPU cores, and by five networks in hours.
    "fashion": FASHION,
    # Covering parts of the images costs accuracy in short training (docs/log.md), and gains some in
    # 300 epochs: Zhong et al., arXiv 1708.04896. This is between the two.
    "fashion_long": {
        **FASHION,
        "epochs": 23,
        "networks": 5,
        "erase": 0.5,
    },
    # The course's example for its Fashion-MNIST assignment: SGD at Keras' own rate and batch size.
    # There it minimised the mean squared error; here, as everything here, the cross-entropy.
    "fashion_example": {
        **CLASSIC_ADAM,
        **TO_THE_END,
        **NO_AUGMENTATION,
        "dataset": "fashion_mnist",
        "architecture": "fashion_example",
        "val_size": 0.02,
        "epochs": 40,
        "batch_size": 32,
        "optimizer": "sgd",
        "learning_rate": 0.01,
    },
    # Keras' own example of a convolutional network for MNIST, as published.
    "keras_example": {
        **CLASSIC_ADAM,
        **TO_THE_END,
        **NO_AUGMENTATION,
        "architecture": "keras_example",
        "val_size": 0.1,
        "epochs": 15,
        "batch_size": 128,
    },
    "simple_conv": {**LECTURE, "architecture": "simple_conv"},
    "drop_conv": LECTURE,
    "drop_move_conv": {**LECTURE, "shift": 0.18},  # +-5 pixels
    "drop_full_conv": {**LECTURE, "shift": 0.18, "rotation": 30.0},
    # Where a student's sweep over hyperparameters began.
    "sweep_baseline": {
        **CLASSIC_ADAM,
        **TO_THE_END,
        **NO_AUGMENTATION,
        "architecture": "sweep_baseline",
        "learning_rate": 3e-3,
        "epochs": 100,
        "batch_size": 512,
    },
    # The best network of that sweep. Its author stopped by the test images.
    "sweep_best": {
        **CLASSIC_ADAM,
        "architecture": "sweep_best",
        "epochs": 100,
        "batch_size": 32,
        "rate_decay": 0.975,
        "early_stopping_patience": 10,
        "plateau_patience": 1000,  # never: the rate falls by itself
        "monitor": "val_accuracy",
        "rotation": 15.0,
        "zoom": 0.15,
        "shift": 0.1,
        "shear": 0.1,  # degrees, as Keras' ImageDataGenerator, which had these names, takes it
    },
    # The default that one_factor changes, one factor at a time.
    "one_factor": {
        **CLASSIC_ADAM,
        **TO_THE_END,
        **NO_AUGMENTATION,
        "architecture": "one_convolution",
        "epochs": 10,
        "batch_size": 64,
    },
}


# What --help names; the others are those of published networks, to compare with.
FOR_USERS = ("default", "best", "robust", "tiny", "speedrun_995", "speedrun_990", "fashion")


def recipe_changes(name: str) -> dict[str, Any]:
    """Return what a recipe changes.

    Raises:
        UserError: no recipe is called `name`.
    """
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return RECIPES[name]
