"""The trainings: which they are, and the settings of each.

They go through `studies.many_runs`, as all runs do. Its runs read whole data sets, so each choice
of labelled images becomes a small .npz file that `--dataset custom` reads. Two things follow:

- Every training takes the same number of steps, for its images are repeated until they are as
  many as MNIST's (`subsets.py`).
- Every run sets a hundredth of its images aside as validation images. Most are copies of images
  that it trains on, for there are no other labels. They say nothing, so nothing may stop or slow a
  training down by them. (With all labels, they are other images: 59,400 are trained on.)
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.data import Arrays
from common.recipes import NO_AUGMENTATION
from common.settings import Settings
from experiments.few_labels.choosing import check_counts, random_images, typical_images
from experiments.few_labels.subsets import write_data

NEVER = 1000  # epochs: more than any of these trainings has
# Of the default recipe, what few labels change.
CHANGES = {
    "val_size": 0.01, "early_stopping_enabled": False, "plateau_patience": NEVER, "figures": "none",
    "epochs": 2,  # and one of polish: half the default's time
}  # fmt: skip
SET_HERE = {  # why a flag would not do
    "recipe": "the default recipe is what is measured",
    "dataset": "the labelled images are of MNIST",
    "data_dir": "each training has images of its own",
    "output_dir": "--folder says where everything goes",
    "seed": "--n says how many seeds there are, from 0 on",
    "drawn": "drawn digits would be further labels",
    **dict.fromkeys(
        ("early_stopping_enabled", "plateau_patience", "val_size"),
        "validation images are copies of labelled ones, and nothing may depend on them",
    ),
}
UNVARIED = {**NO_AUGMENTATION, **dict.fromkeys(("stretch", "pen", "paper", "flip", "erase"), 0.0)}
CHOICES = ("typical", "random")


class Training(NamedTuple):
    """One training of the curve."""

    per_class: int | None  # labelled images of each class; None: all there are
    choice: str  # typical, random, or all
    is_varied: bool  # whether the images are augmented
    seed: int  # of the random images and of the training

    @property
    def label(self) -> str:
        """What the study calls it."""
        many = "all labels" if self.per_class is None else f"{self.choice}, {self.per_class} each"
        return f"{many}, {'varied' if self.is_varied else 'unvaried'}, seed {self.seed}"


def list_trainings(counts: Iterable[int | None], n: int) -> list[Training]:
    """Return all trainings of the curve; first one seed of all, so that a part is a whole curve."""
    return [
        Training(count, choice, is_varied, seed)
        for seed in range(n)
        for count in counts
        for choice in (CHOICES if count is not None else ("all",))
        for is_varied in (True, False)
    ]


def curve_runs(
    trainings: Sequence[Training], arrays: Arrays, settings: Settings, folder: Path
) -> dict[str, Settings]:
    """Return the settings of the trainings, by label, and write the data that they read.

    Args:
        trainings: from `list_trainings`.
        arrays: the data set that labelled images are chosen from, and whose test images are read.
        settings: of all of them, but for images, seed and variations.
        folder: where the data are written, unless they are there already.

    Raises:
        UserError: a class has too few images, or the data cannot be written.
    """
    for training in trainings:  # all of them before the first is made
        if training.per_class is not None:
            check_counts(arrays.y_train, training.per_class)
    runs = {}
    for training in trainings:
        path = write_subset(training, arrays, folder)
        of_this = replace(settings, data_dir=str(path), seed=training.seed)
        runs[training.label] = replace(of_this, **({} if training.is_varied else UNVARIED))
    return runs


def write_subset(training: Training, arrays: Arrays, folder: Path) -> Path:
    """Write the labelled images of a training, unless they are there; return the file."""
    name = {
        "all": "all",
        "typical": f"typical_{training.per_class}",
        "random": f"random_{training.per_class}_{training.seed}",
    }[training.choice]
    path = folder / f"{name}.npz"
    if not path.exists():
        indices = labelled_images(training, arrays)
        write_data(path, arrays.x_train[indices], arrays.y_train[indices], arrays)
    return path


def labelled_images(training: Training, arrays: Arrays) -> np.ndarray:
    """Return the indices of the training images whose labels a training sees."""
    if training.per_class is None:
        return np.arange(len(arrays.y_train))
    if training.choice == "typical":
        return typical_images(arrays.x_train, arrays.y_train, training.per_class)
    return random_images(arrays.y_train, training.per_class, training.seed)


def pseudo_runs(
    n: int, draws: int, settings: Settings, path_of: "dict[str, Path]"
) -> dict[str, tuple[str, Settings]]:
    """Return by label the draw and the settings of the trainings on the graph's answers.

    The answers from the ten typical images are learned by n seeds, those from each random draw by
    the seed of its number.

    Args:
        n: how many seeds.
        draws: how many random draws.
        settings: of all of them, but for data and seed.
        path_of: the file of each draw.
    """
    pairs = [("typical", seed) for seed in range(n)]
    pairs += [(f"random {seed}", seed) for seed in range(draws)]
    return {
        f"ten labels by a graph, {name}, seed {seed}": (
            name,
            replace(settings, data_dir=str(path_of[name]), seed=seed),
        )
        for name, seed in pairs
    }
