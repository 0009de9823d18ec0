"""Is the speedrun to 99.0 % faster than the published one-epoch recipe in PyTorch?

    pip install torch
    python -m benchmarks.one_epoch_pytorch            # 10 turns, a seed each

The recipe is that of https://github.com/tuomaso/train_mnist_fast (its last step, "0.76 seconds" on
a graphics card), written anew: two convolutions, 256 dense units, one epoch in the published order
of the images, batches of 256, Adam with a one-cycle schedule. Each training is a process of its
own, and the two take turns. The training's clock starts when the data lie in memory, as in the
publication; the process clock includes starting Python, importing PyTorch or Keras, and loading the
data. Killed and started again, it goes on where it was.

Prints two Markdown tables, a row per recipe and the ratio of their times within a turn, and writes
them into `--folder` as `table` and `ratios`, each as `.md` and `.csv`.
"""

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _01_data_loader import load_data
from common.command_line import PROJECT_DIR, Parser, run_program
from common.user_error import UserError
from studies.seed_summary import check_seed_count, median_and_range
from studies.settings_flags import parse_changes
from studies.tables import write_table
from studies.timed_recipes import (
    SET_BY_TURNS,
    TIMING_FORMATS,
    WHY_SET_BY_TURNS,
    time_recipe,
    timing_row,
)
from studies.timed_runs import load_or_run, seconds_since, take_turns

if TYPE_CHECKING:
    import torch

OURS = "speedrun_990"
PUBLISHED = "one epoch in PyTorch"
TARGET = 0.99
BATCH_SIZE = 256
MEAN, DEVIATION = 0.1307, 0.3081  # of MNIST's pixels in [0, 1]
RATIO_FORMATS = {f"PyTorch's seconds / ours, {name}": ".2f" for name in ("median", "min", "max")}


# --- The published recipe -----------------------------------------------------------------------


def build_network() -> "torch.nn.Module":
    """Return the published network: images (n, 1, 28, 28) in, 10 logits out; 215,194 weights."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 24, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(24, 32, 3),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(800, 256),
        nn.ReLU(),
        nn.Linear(256, 10),
    )


def train_one_epoch(
    model: "torch.nn.Module", images: "torch.Tensor", labels: "torch.Tensor"
) -> None:
    """Train for one epoch by the published recipe.

    Args:
        model: from `build_network`.
        images: float32 (n, 1, 28, 28), of mean 0 and deviation 1.
        labels: int64 (n,).
    """
    import torch

    image_batches, label_batches = images.split(BATCH_SIZE), labels.split(BATCH_SIZE)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, betas=(0.7, 0.9))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1e-2, total_steps=len(image_batches), cycle_momentum=False
    )
    for x, y in zip(image_batches, label_batches, strict=True):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        schedule.step()


def train_published(seed: int, process_started: float) -> dict[str, Any]:
    """Train once on MNIST; return seconds on both clocks and the test accuracy, as one-item lists.

    Args:
        process_started: when this process was started (see `studies.timed_runs`).
    """
    import torch

    torch.manual_seed(seed)
    arrays = load_data("mnist")
    x_train, x_test = (
        torch.from_numpy((images[:, None] / 255.0 - MEAN) / DEVIATION).float()
        for images in (arrays.x_train, arrays.x_test)
    )
    y_train, y_test = (torch.from_numpy(y).long() for y in (arrays.y_train, arrays.y_test))

    before_training = seconds_since(process_started)
    model = build_network()
    train_one_epoch(model, x_train, y_train)
    process_seconds = seconds_since(process_started)
    with torch.no_grad():
        predicted = torch.cat([model(x).argmax(dim=1) for x in x_test.split(1000)])
    return {
        "train_seconds": [round(process_seconds - before_training, 2)],
        "process_seconds": [round(process_seconds, 2)],
        "test_accuracy": [int((predicted == y_test).sum()) / len(y_test)],
        "torch": torch.__version__,
    }


# --- The comparison -----------------------------------------------------------------------------


def time_published(seed: int, folder: Path) -> dict[str, Any]:
    """Return the result of the published recipe from the folder, or train it there."""
    return load_or_run(folder, f"pytorch-{seed}", train_published, seed, {"seed": seed})


def ratio_rows(ours: Sequence[Mapping], published: Sequence[Mapping]) -> list[dict[str, Any]]:
    """Return a row per clock: how many times as long PyTorch takes, over the turns."""
    rows = []
    for name, clock in (("training", "train_seconds"), ("process", "process_seconds")):
        pairs = zip(ours, published, strict=True)
        ratios = [theirs[clock][-1] / mine[clock][-1] for mine, theirs in pairs]
        rows.append({"clock": name} | median_and_range("PyTorch's seconds / ours", ratios))
    return rows


def main(arguments: list[str]) -> None:
    """Train both recipes in turns and print the tables; other flags change our recipe."""
    parser = Parser(__doc__)
    parser.add_argument("--n", type=int, default=10, help="turns; the seeds are 0, 1, ...")
    parser.add_argument("--folder", type=Path, default=PROJECT_DIR / "runs" / "one_epoch_pytorch")
    given, others = parser.parse_known_args(arguments)
    check_seed_count(given.n)
    changes = parse_changes(others, SET_BY_TURNS, WHY_SET_BY_TURNS).changes
    if find_spec("torch") is None:
        raise UserError("this comparison needs PyTorch: pip install torch")
    timed = {
        OURS: partial(time_recipe, OURS, folder=given.folder, changes=changes),
        PUBLISHED: partial(time_published, folder=given.folder),
    }
    results = take_turns(timed, given.n)
    rows = [timing_row(recipe, TARGET, results[recipe]) for recipe in timed]
    print(f"\n{write_table(given.folder / 'table', rows, TIMING_FORMATS)}")
    ratios = ratio_rows(results[OURS], results[PUBLISHED])
    print(write_table(given.folder / "ratios", ratios, RATIO_FORMATS))


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
