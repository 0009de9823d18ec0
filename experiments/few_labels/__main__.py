"""How many labels does a network need, and how far do ten of them go?

    python -m experiments.few_labels                    # everything: 86 trainings, three hours
    python -m experiments.few_labels --parts graph      # ten labels and a graph, minutes

*curve*: the default recipe with two varied epochs, on 1, 5, 10, 50, 100, 500 and all labelled
images per class, the most typical of their class or random ones, with varied images and without.
Every training takes the same number of steps. *graph*: ten labels in all flow along a graph of
images that look alike. *network*: the same recipe on all of the graph's answers.

Of ten labels, `ten_labels.py` says what transductive and inductive mean, and which labels the
choices saw.

Flags of the main program change the recipe, for example `--architecture fast_cnn_small`.
`--validate` keeps away from the test images: it chooses labelled ones among the first 50,000
training images and reads the other 10,000. Killed and started again, it goes on where it was; after
a change of the code, choose another `--folder`.
Prints two Markdown tables. Writes them, every training's figures and a figure into the folder.
"""

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from _00_main import make_settings
from common.command_line import PROJECT_DIR, Parser, run_program
from common.data import Arrays
from common.settings import Settings
from common.user_error import UserError, reason_of
from experiments.few_labels.choosing import N_CLASSES
from experiments.few_labels.trainings import (
    CHANGES,
    SET_HERE,
    curve_runs,
    list_trainings,
    pseudo_runs,
)
from studies.many_runs import run_all
from studies.settings_flags import check_documented, parse_changes
from studies.tables import results_folder, write_csv, write_table

NAME = "few_labels"
PARTS = ("curve", "graph", "network")
COUNTS = (1, 5, 10, 50, 100, 500, None)  # labelled images per class; None: all
SEEDS, DRAWS = 3, 5
IGNORE_VALIDATION = (
    "Ignore the validation accuracies: they are of copies of the labelled images, or of the "
    "graph's own answers."
)
FORMATS = {
    "per class": ",.0f",
    "n": "d",
    "accuracy": ".2f",
    "std": ".2f",
    "on training images": ".2f",
}
CURVE_KEYS, TEN_KEYS = ("labels", "per class", "varied"), ("method", "labels")
CURVE = (*CURVE_KEYS, "n", "accuracy", "std")
TEN = (*TEN_KEYS, "n", "accuracy", "std", "on training images")


def main(arguments: list[str]) -> None:
    """Make the trainings and the graphs; print and write the tables and the figure."""
    given, settings = parse_command_line(arguments)
    from _01_data_loader import load_data
    from experiments.few_labels.drawing import draw
    from experiments.few_labels.subsets import for_validation
    from figures.style import DOTS_PER_INCH

    if set(given.parts) != {"graph"}:
        print(IGNORE_VALIDATION, flush=True)
    arrays = load_data("mnist")
    if given.validate:
        arrays = for_validation(arrays)
    what = "validation" if given.validate else "test"
    folder = results_folder(given.write_docs, given.folder)
    if "curve" in given.parts:
        each = curve_rows(given, arrays, settings)
        write_part(folder / NAME, each, over_seeds(each, CURVE_KEYS, CURVE), what)
    if "graph" in given.parts or "network" in given.parts:
        each = ten_rows(given, arrays, settings)
        write_part(folder / f"{NAME}_ten", each, over_seeds(each, TEN_KEYS, TEN), what)
    # Of a part that was left out, the figure shows the table that an earlier call has written.
    curve, ten = read_table(folder / NAME, CURVE), read_table(folder / f"{NAME}_ten", TEN)
    draw(curve, ten, what).savefig(folder / f"{NAME}.png", dpi=DOTS_PER_INCH)
    print(f"Tables and figure: {folder}")


# --- The command line ---------------------------------------------------------------------------


def parse_command_line(arguments: list[str]) -> tuple[argparse.Namespace, Settings]:
    """Return what the command line says, and the settings that all trainings share."""
    parser = Parser(__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="(all)")
    parser.add_argument(
        "--per-class", nargs="+", type=count_of, default=COUNTS, metavar="N",
        help="labelled images per class, or all (1 5 10 50 100 500 all)",
    )  # fmt: skip
    parser.add_argument("--n", type=int, default=SEEDS, help=f"seeds of the networks ({SEEDS})")
    parser.add_argument(
        "--draws", type=int, default=DRAWS, help=f"random draws of ten labels ({DRAWS})"
    )
    parser.add_argument("--validate", action="store_true", help="read validation images instead")
    parser.add_argument("--folder", type=Path, default=PROJECT_DIR / "runs" / NAME)
    parser.add_argument("--study", default=NAME, help=f"name of the trainings ({NAME})")
    parser.add_argument("--storage", help="database URL (default: runs/studies.db in the folder)")
    parser.add_argument("--write-docs", action="store_true", help="write into docs/results")
    given, others = parser.parse_known_args(arguments)
    for name in ("n", "draws"):
        if getattr(given, name) < 1:
            raise UserError(f"--{name} must be 1 or more, got {getattr(given, name)}.")
    if given.write_docs and (given.validate or set(given.parts) != set(PARTS)):
        raise UserError("--write-docs needs all parts, on test images: leave out other flags.")
    # Apart, so that what was measured on other images is not taken for finished.
    given.folder = given.folder.absolute() / ("validation" if given.validate else "")
    changes = parse_changes(others, SET_HERE).changes
    own = {"--n": given.n != SEEDS, "--draws": given.draws != DRAWS}
    own["--per-class"] = tuple(given.per_class) != COUNTS
    check_documented(given.write_docs, changes, [flag for flag, differs in own.items() if differs])
    # Here, --data-dir would be a data set that the ones with few labels replace.
    place = {"dataset": "custom", "data_dir": given.folder, "output_dir": given.folder}
    return given, make_settings(**{**CHANGES, **changes, **place})


def count_of(text: str) -> int | None:
    """Return a number of labelled images per class from the command line; None for all."""
    if text == "all":
        return None
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a number from 1, or all, got {text!r}")
    return int(text)


# --- The figures of each training and graph -----------------------------------------------------


def curve_rows(
    given: argparse.Namespace, arrays: Arrays, settings: Settings
) -> list[dict[str, Any]]:
    """Make the trainings of the curve; return a row for each."""
    trainings = list_trainings(dict.fromkeys(given.per_class), given.n)
    runs = curve_runs(trainings, arrays, settings, given.folder / "data")
    results = run_all(given.study, runs, given.storage, show_best=False)
    mean_per_class = len(arrays.y_train) / N_CLASSES
    return [
        row_of("the default recipe", training.choice, training.seed, results[training.label])
        | {
            "per class": training.per_class or mean_per_class,
            "varied": "yes" if training.is_varied else "no",
        }
        for training in trainings
    ]


def row_of(method: str, labels: str, seed: int, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a training."""
    accuracy = 100 * metrics["test_accuracy"]
    return {"method": method, "labels": labels, "seed": seed, "accuracy": accuracy}


def ten_rows(given: argparse.Namespace, arrays: Arrays, settings: Settings) -> list[dict[str, Any]]:
    """Make the graphs, and the trainings on their answers; return a row for each."""
    from experiments.few_labels.ten_labels import answers_path, graph_results

    folder = given.folder / "graph"
    results = graph_results(arrays, given.draws, folder)
    rows = [
        {
            "method": f"graph, {kind}",
            "labels": draw.split()[0],
            "seed": int((draw.split()[1:] or [0])[0]),
            "accuracy": 100 * result["test images"],
            "on training images": 100 * result["training images"],
        }
        for (kind, draw), result in results.items()
    ]
    if "network" in given.parts:
        paths = {draw: answers_path(folder, draw) for _, draw in results}
        runs = pseudo_runs(given.n, given.draws, settings, paths)
        metrics = run_all(
            given.study,
            {name: run for name, (_, run) in runs.items()},
            given.storage,
            show_best=False,
        )
        rows += [
            row_of("network, inductive", draw.split()[0], run.seed, metrics[name])
            for name, (draw, run) in runs.items()
        ]
    return rows


# --- The tables ---------------------------------------------------------------------------------


def write_part(
    path: Path, each: Sequence[Mapping[str, Any]], table: pd.DataFrame, what: str
) -> None:
    """Print and write the table of a part; `<path>_each.csv` gets the rows that it is made of.

    Args:
        path: without suffix.
        what: which images were read: test or validation.
    """
    write_csv(path.with_name(f"{path.name}_each.csv"), each)
    print(
        f"\nAccuracy on the {what} images in %, mean and standard deviation over n seeds or draws:"
        f"\n\n{write_table(path, table, FORMATS)}",
        flush=True,
    )


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Return a table that `write_part` has written; one without rows, if there is none.

    Raises:
        UserError: the file is no such table.
    """
    file = path.with_name(f"{path.name}.csv")
    if not file.exists():
        return pd.DataFrame(columns=list(columns))
    try:
        return pd.read_csv(file)[list(columns)]
    except (KeyError, ValueError, OSError) as error:
        raise UserError(f"{file} is damaged: {reason_of(error)}. Delete it.") from error


def over_seeds(
    rows: Sequence[Mapping[str, Any]], keys: Sequence[str], columns: Sequence[str]
) -> pd.DataFrame:
    """Return mean and standard deviation of the rows that agree in `keys`, in their order."""
    groups: dict[tuple, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    table = []
    for values, of_group in groups.items():
        accuracies = [row["accuracy"] for row in of_group]
        others = [row["on training images"] for row in of_group if "on training images" in row]
        table.append(
            dict(zip(keys, values, strict=True))
            | {
                "n": len(of_group),
                "accuracy": statistics.fmean(accuracies),
                "std": statistics.stdev(accuracies) if len(accuracies) > 1 else None,
                "on training images": statistics.fmean(others) if others else None,
            }
        )
    # A column of nothing but None would not be one of numbers.
    numbers = {name: float for name in columns if name in ("accuracy", "std", "on training images")}
    return pd.DataFrame(table, columns=list(columns)).astype(numbers)


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
