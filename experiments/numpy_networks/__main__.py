"""How far does one get with NumPy alone, and how does a network learn?

    python -m experiments.numpy_networks
    python -m experiments.numpy_networks --as-published     # image by image, too: an hour more
    python -m experiments.numpy_networks --read photo.png   # with a network trained before

Begin with `layers.py`: every layer is a small class with a forward and a backward pass. Then
`losses.py`, `network.py`, `optimizers.py` and `training.py`: that is all there is to learning.

Four networks are those of a student who wrote them from scratch (hermanha-ml, of the course
INDA25PlusPlus), with sigmoids as hidden units: a squared error (1), softmax and cross-entropy (2),
a falling rate (3), a third layer (4). They were trained image by image, and so they are here, too,
with `--as-published`. In mini-batches, 100 images make one step together, the sum of their 100
steps, in float32 instead of float64. Network 5 adds what else helps dense layers, all of it
together: ReLU and its first weights, width, dropout, Adam, a rate that rises and falls, shifts by a
pixel. Network 6 is a small convolutional one. Final networks learn from all 60,000 training images;
the column of validation and the curves belong to one more training, on the first 50,000.

It keeps each training that is finished in `runs/numpy_networks/`, and started again, it goes on
with the next one. It ends, after 20 minutes on one core, with a table, of which this is a part:
means and standard deviations of three seeds on the 10,000 test images, and how many times as fast
an epoch is as image by image.

    network                     test %         published %   times as fast
    1 sigmoid, squared error    93.35 ± 0.11   93.36         20.7
    2 softmax, cross-entropy    97.92 ± 0.09   97.90         20.9
    3 rate x 0.95 per epoch     97.88 ± 0.08   97.73         20.8
    4 784-256-128-10            98.03 ± 0.08   97.99         21.6
    5 dense, all tricks         99.10 ± 0.05
    6 convolutions              99.33 ± 0.02
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.command_line import PROJECT_DIR, Parser, run_program
from common.safe_files import write_atomically
from common.user_error import UserError, unknown_name
from experiments.numpy_networks.recipes import BATCHES, BEYOND, PER_IMAGE
from experiments.numpy_networks.runs import Training, file_of, make_all, usable_cores
from experiments.numpy_networks.speed import seconds_per_epoch
from experiments.numpy_networks.summary import epoch_rows, seed_rows, summary_rows
from experiments.numpy_networks.weights_file import load
from studies.tables import results_folder, write_csv, write_table

NAME = "numpy_networks"
BEST = "6 convolutions"
SEEDS, MOST = 3, 100  # MOST: seeds, or trainings at the same time
FORMATS = {
    "images per step": "d", "CPU s per epoch": ".2f", "times as fast": ".1f", "seeds": "d",
    "validation %": ".2f", "test %": ".2f", "std": ".2f", "published %": ".2f",
}  # fmt: skip


def main(arguments: list[str]) -> None:
    """Train all that is not trained yet, and print and write the table and the figure."""
    given = parse_command_line(arguments)
    if given.read:
        from experiments.numpy_networks.reading import read

        print(read(given.read, given.weights or weights_of_best(given.folder)))
        return
    from _01_data_loader import load_data

    trainings = list_trainings(given.n, given.as_published, given.only)
    arrays = load_data("mnist")
    recipes = list(dict.fromkeys([one.recipe for one in trainings]))
    recipes += [PER_IMAGE[one.name] for one in trainings if one.name in PER_IMAGE]
    print("Measuring how long an epoch takes ...", flush=True)
    seconds = seconds_per_epoch(recipes, arrays)
    results = make_all(trainings, arrays, given.folder, given.workers, seconds)
    write_results(results, seconds, given)


def parse_command_line(arguments: list[str]) -> argparse.Namespace:
    """Return what the command line says.

    Raises:
        UserError: an unknown flag or value.
    """
    parser = Parser(__doc__)
    parser.add_argument("--n", type=int, default=SEEDS, help=f"seeds of each network ({SEEDS})")
    parser.add_argument("--as-published", action="store_true", help="image by image, too")
    parser.add_argument("--only", metavar="NUMBER", help="only the network of this number, 1 to 6")
    cores = min(usable_cores(), MOST)
    parser.add_argument(
        "--workers", type=int, default=cores, help=f"trainings at the same time ({cores})"
    )
    parser.add_argument("--read", type=Path, metavar="PICTURE", help="read the digits in it")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="of the network that reads")
    parser.add_argument("--folder", type=Path, default=PROJECT_DIR / "runs" / NAME)
    parser.add_argument("--write-docs", action="store_true", help="write into docs/results")
    given = parser.parse_args(arguments)
    for flag, value in (("--n", given.n), ("--workers", given.workers)):
        if not 1 <= value <= MOST:
            raise UserError(f"{flag} must be from 1 to {MOST}, got {value}.")
    if given.weights and not given.read:
        raise UserError("--weights goes with --read PICTURE.")
    if given.write_docs and (given.only or given.n != SEEDS or not given.as_published):
        raise UserError("--write-docs is for the documented results: give --as-published alone.")
    return given


def weights_of_best(folder: Path) -> Path:
    """Return the weights of the best network that the program trains.

    Raises:
        UserError: it is not trained yet.
    """
    path = file_of(Training(BEST, "mini-batches", BEYOND[BEST], 0, True), folder)
    if not path.exists():
        raise UserError(
            f"there is no trained network {path}. Train it in minutes: python -m "
            f"experiments.{NAME} --only 6 --n 1; or give another with --weights FILE."
        )
    return path


def list_trainings(n: int, as_published: bool, only: str | None) -> list[Training]:
    """Return all trainings: of each network one for the curves, and a final one per seed.

    Raises:
        UserError: no network has the number `only`.
    """
    ways = [("mini-batches", BATCHES | BEYOND)]
    if as_published:
        ways.append(("per image", PER_IMAGE))
    numbers = {name.split()[0] for name in BATCHES | BEYOND}
    if only is not None and only not in numbers:
        raise unknown_name("network", only, numbers)
    return [
        Training(name, how, recipe, seed, is_final)
        for how, recipes in ways
        for name, recipe in recipes.items()
        for seed, is_final in [(0, False)] * (how != "per image") + [(k, True) for k in range(n)]
        if only in (None, name.split()[0])
    ]


def write_results(
    results: Mapping[Training, dict[str, Any]],
    seconds: Mapping[Any, Sequence[float]],
    given: argparse.Namespace,
) -> None:
    """Print and write the table, the raw numbers beside it, and the figure."""
    folder = results_folder(given.write_docs, given.folder)
    table = write_table(folder / NAME, summary_rows(results, seconds), FORMATS)
    write_csv(folder / f"{NAME}_seeds.csv", seed_rows(results))
    write_csv(folder / f"{NAME}_epochs.csv", epoch_rows(results))
    print(f"\n{table}")
    curves = {
        training.name: result["history"]
        for training, result in results.items()
        if training.name in BATCHES and not training.is_final
    }
    networks = {
        training.name: load(file_of(training, given.folder))
        for training in results
        if training.name in curves
        and training.is_final
        and training.seed == 0
        and training.how == "mini-batches"
    }
    if curves:
        from experiments.numpy_networks.drawing import draw

        write_atomically(folder / f"{NAME}.png", draw(curves, networks))
    print(f"Tables and figure: {folder}; trained networks: {given.folder}")


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
