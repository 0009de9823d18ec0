"""The speedrun to 99.0 % against the published one-epoch recipe in PyTorch, in turns.

    pip install torch
    python -m benchmarks.one_epoch_pytorch            # 10 turns, a seed each

The recipe is that of https://github.com/tuomaso/train_mnist_fast (its last step, "0.76 seconds" on
a graphics card), written anew: two convolutions, 256 dense units, one epoch in the published order
of the images, batches of 256, Adam with a one-cycle schedule. Each training is a process of its
own. Its own clock starts when the data lie in memory, as in the publication; the process clock
includes starting Python, importing PyTorch or Keras, and loading the data. Killed and started
again, it goes on where it was.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _00_main import PROJECT_DIR
from _01_data_loader import load_data
from benchmarks.seeds import check_seed_count, summarise
from benchmarks.time_to_accuracy import (
    check_flags,
    load_or_train,
    median_and_range,
    run_worker,
)
from command_line import Parser, run_program
from safe_files import write_atomically
from user_error import UserError

if TYPE_CHECKING:
    import torch

OURS = "speedrun_990"
PUBLISHED = "one epoch in PyTorch"
TARGET = 0.99
BATCH_SIZE = 256
MEAN, DEVIATION = 0.1307, 0.3081  # of MNIST's pixels in [0, 1]


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


def worker(seed: int, process_started: float, output: Path) -> None:
    """Train once and write seconds on both clocks and the test accuracy as JSON."""
    try:
        import torch
    except ModuleNotFoundError as error:
        raise UserError("this comparison needs PyTorch: pip install torch") from error
    torch.manual_seed(seed)
    arrays = load_data("mnist")
    x_train, x_test = (
        torch.from_numpy((images[:, None] / 255.0 - MEAN) / DEVIATION).float()
        for images in (arrays.x_train, arrays.x_test)
    )
    y_train, y_test = (torch.from_numpy(y).long() for y in (arrays.y_train, arrays.y_test))

    training_started = time.time()
    model = build_network()
    train_one_epoch(model, x_train, y_train)
    train_seconds = time.time() - training_started
    process_seconds = time.time() - process_started
    with torch.no_grad():
        predicted = torch.cat([model(x).argmax(dim=1) for x in x_test.split(1000)])
    result = {
        "train_seconds": [round(train_seconds, 2)],
        "process_seconds": [round(process_seconds, 2)],
        "test_accuracy": [float((predicted == y_test).float().mean())],
    }
    write_atomically(output, json.dumps(result))


def load_or_train_pytorch(seed: int, folder: Path) -> dict[str, Any]:
    """Return the result of the published recipe from the folder, or train it there."""
    output = folder / f"pytorch-{seed}.json"
    if not output.exists():
        command = [sys.executable, "-m", "benchmarks.one_epoch_pytorch", "--worker", str(seed)]
        command += ["--folder", str(output), "--started", str(time.time())]
        run_worker(command, PUBLISHED)
    return json.loads(output.read_text())


def make_table(by_recipe: dict[str, list[dict[str, Any]]]) -> str:
    """Return seconds and accuracy over the turns as a Markdown table."""
    lines = [
        "| recipe | n | training in s: median (min to max) | process in s: median (min to max) "
        "| test accuracy in %: mean ± std | seeds at 99.0 % |",
        "|---|---|---|---|---|---|",
    ]
    for recipe, results in by_recipe.items():
        accuracies = [100 * result["test_accuracy"][-1] for result in results]
        accuracy = summarise(accuracies)
        reached = sum(value >= 100 * TARGET for value in accuracies)
        cells = [recipe, str(len(results))]
        for clock in ("train_seconds", "process_seconds"):
            seconds = [result[clock][-1] for result in results]
            cells.append(median_and_range(seconds))
        cells += [f"{accuracy.mean:.3f} ± {accuracy.deviation:.3f}", f"{reached} of {len(results)}"]
        lines.append(f"| {' | '.join(cells)} |")
    ratio = statistics.median(
        theirs["train_seconds"][-1] / ours["train_seconds"][-1]
        for ours, theirs in zip(by_recipe[OURS], by_recipe[PUBLISHED], strict=True)
    )
    lines += ["", f"PyTorch's training takes {ratio:.2f} times ours (median over the turns)."]
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    """Train both recipes in turns and print the table; other flags are the main program's."""
    parser = Parser(__doc__)
    parser.add_argument("--n", type=int, default=10, help="turns; the seeds are 0, 1, ...")
    parser.add_argument("--folder", type=Path, default=PROJECT_DIR / "runs" / "one_epoch_pytorch")
    for hidden in ("--worker", "--started"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    own, flags = parser.parse_known_args(arguments)
    check_flags(flags)
    if own.worker:  # a process that this program has started
        worker(int(own.worker), float(own.started), own.folder)
        return
    check_seed_count(own.n)
    by_recipe: dict[str, list[dict[str, Any]]] = {OURS: [], PUBLISHED: []}
    for seed in range(own.n):
        by_recipe[OURS].append(load_or_train(OURS, seed, own.folder, flags))
        by_recipe[PUBLISHED].append(load_or_train_pytorch(seed, own.folder))
    table = make_table(by_recipe)
    write_atomically(own.folder / "table.md", table)
    print(f"\n{table}")


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
