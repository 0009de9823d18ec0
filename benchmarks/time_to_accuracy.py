"""How long does each recipe train to reach 99.0, 99.5 and 99.7 % test accuracy?

    python -m benchmarks.time_to_accuracy --repetitions 3
    python -m benchmarks.time_to_accuracy --recipes default cnn_mnist_101 --repetitions 1

Each training is a process of its own, and the recipes take turns (A B C, A B C, ...): on a machine
whose speed drifts, only ratios within a turn mean anything. No recipe stops by looking at the test
set: the weights of every epoch are kept and read on the test images when the training is over.
Killed and started again, it goes on where it was; after a change of the code, choose another
`--folder`. Writes table, figure and all curves into it (by default `runs/time_to_accuracy/`).
"""

import argparse
import dataclasses
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _00_main import PROJECT_DIR, RECIPES, Settings, parse_command_line
from command_line import Parser, run_program
from keras_backend import load_keras
from safe_files import write_atomically
from user_error import UserError, unknown_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REFERENCE = "cnn_mnist_101"
RECIPES_COMPARED = ["default", "speedrun_995", "speedrun_990", "keras_example", REFERENCE]
THRESHOLDS = (0.990, 0.995, 0.997)
FLOPS_PER_MULTIPLY_ADD = 2
PASSES = 3  # forward, and backward to the inputs and to the weights: each costs the same
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe-Ito


# --- One training, in its own process -----------------------------------------------------------


def worker_settings(recipe: str, seed: int, output: Path, flags: list[str]) -> Settings:
    """Return the settings of a training; its run folder lies beside `output`."""
    own = [f"--recipe={recipe}", f"--seed={seed}", f"--output-dir={output.with_suffix('')}"]
    settings, _ = parse_command_line([*own, "--figures=none", *flags])
    if settings.networks > 1:
        raise UserError(
            f"'{recipe}' would train {settings.networks} networks, but a curve is that of one: "
            "give --networks 1."
        )
    return settings


def worker(settings: Settings, recipe: str, process_started: float, output: Path) -> None:
    """Train and write curve and cost as JSON.

    Args:
        settings: those of `recipe`, which is a key of RECIPES.
        process_started: when this process was started, in seconds since the epoch.
        output: the JSON file to write.
    """
    load_keras()
    if recipe == REFERENCE:
        from benchmarks.reference_101 import train_reference as train_recipe
    else:
        from benchmarks.epoch_curve import train_with_curve as train_recipe
    from benchmarks.epoch_curve import matrix_product_peak, multiply_adds

    model, curve = train_recipe(settings, process_started)
    images = curve.pop("images_per_epoch")
    flops = FLOPS_PER_MULTIPLY_ADD * PASSES * multiply_adds(model) * images
    result = {
        "settings": dataclasses.asdict(settings),
        **curve,  # train_seconds, process_seconds, test_accuracy: a value an epoch
        "n_parameters": model.count_params(),
        "multiply_adds": multiply_adds(model),
        "flops_per_epoch": flops,
        "gflops_per_second": flops * len(curve["train_seconds"]) / curve["train_seconds"][-1] / 1e9,
        "peak_gflops_per_second": matrix_product_peak() / 1e9,
    }
    write_atomically(output, json.dumps(result, indent=1))


def train_in_own_process(recipe: str, seed: int, output: Path, flags: list[str]) -> None:
    """Start a worker and wait for it."""
    command = [sys.executable, "-m", "benchmarks.time_to_accuracy", "--worker", recipe]
    command += ["--worker-seed", str(seed), "--folder", str(output), "--started", str(time.time())]
    run_worker([*command, *flags], recipe)


def run_worker(command: list[str], recipe: str) -> None:
    """Run the command that trains a recipe; raise UserError if it fails."""
    answer = subprocess.run(command, cwd=PROJECT_DIR)
    if answer.returncode == 130:
        raise KeyboardInterrupt
    if answer.returncode != 0:
        raise UserError(f"the training of '{recipe}' failed (see above).")


def load_or_train(recipe: str, seed: int, folder: Path, flags: list[str]) -> dict[str, Any]:
    """Return the result of a training from the folder, or train it there.

    Raises:
        UserError: the folder has this training with other settings, or the training failed.
    """
    output = folder / f"{recipe}-{seed}.json"
    settings = dataclasses.asdict(worker_settings(recipe, seed, output, flags))
    if not output.exists():
        folder.mkdir(parents=True, exist_ok=True)
        train_in_own_process(recipe, seed, output, flags)
    result = json.loads(output.read_text())
    if result["settings"] != settings:
        raise UserError(f"{output} was trained with other settings. Choose another --folder.")
    return result


def check_flags(flags: list[str]) -> None:
    """Raise UserError for flags that are the benchmark's own to set."""
    for flag in flags:
        if flag.replace("_", "-").split("=")[0] in ("--seed", "--recipe", "--output-dir"):
            raise UserError(
                f"leave {flag.split('=')[0]} out: the seeds are 0, 1, ..., each recipe is trained "
                "in turn, and --folder says where."
            )


# --- The comparison -----------------------------------------------------------------------------


def seconds_to(result: dict[str, Any], threshold: float, clock: str) -> float | None:
    """Return the seconds at the first epoch's end with at least this test accuracy, or None."""
    for seconds, accuracy in zip(result[clock], result["test_accuracy"], strict=True):
        if accuracy >= threshold:
            return seconds
    return None


def median_or_dash(values: Sequence[float | None], form: str) -> str:
    """Format the median; where one value is missing, say of how many it is."""
    present = [value for value in values if value is not None]
    if not present:
        return "-"
    text = f"{statistics.median(present):{form}}"
    return text if len(present) == len(values) else f"{text} ({len(present)} of {len(values)})"


def median_and_range(values: Sequence[float]) -> str:
    """Format as median (min to max)."""
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def ratios_to_reference(
    results: Sequence[dict[str, Any]], references: Sequence[dict[str, Any]], threshold: float
) -> list[float | None]:
    """Return reference seconds / own seconds of training to a threshold, turn by turn."""
    ratios: list[float | None] = []
    for own, reference in zip(results, references, strict=False):
        mine = seconds_to(own, threshold, "train_seconds")
        other = seconds_to(reference, threshold, "train_seconds")
        ratios.append(None if mine is None or other is None else other / mine)
    return ratios


def make_table(by_recipe: dict[str, list[dict[str, Any]]]) -> str:
    """Return the comparison as a Markdown table: medians over the turns."""
    head = ["recipe", "n", "parameters", "M multiply-adds", "TFLOP of training"]
    head += ["epochs", "training in s", "final accuracy in %"]
    for threshold in THRESHOLDS:
        head.append(f"s to {100 * threshold:.1f} % (process)")
    head += [f"times faster to {100 * threshold:.1f} %" for threshold in THRESHOLDS]
    head.append("times shorter training")
    head += ["GFLOP/s", "share of peak"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for recipe, results in by_recipe.items():
        lines.append(f"| {' | '.join(table_row(recipe, results, by_recipe.get(REFERENCE, [])))} |")
    return "\n".join(lines) + "\n"


def table_row(
    recipe: str, results: Sequence[dict[str, Any]], references: Sequence[dict[str, Any]]
) -> list[str]:
    """Return the cells of one recipe's row."""
    first = results[0]
    epochs = [len(result["train_seconds"]) for result in results]
    tera_flops = statistics.median(epochs) * first["flops_per_epoch"] / 1e12
    cells = [recipe, str(len(results)), f"{first['n_parameters']:,}"]
    cells += [f"{first['multiply_adds'] / 1e6:.1f}", f"{tera_flops:.1f}"]
    cells += [f"{statistics.median(epochs):g}"]
    cells.append(median_or_dash([result["train_seconds"][-1] for result in results], ".0f"))
    cells.append(median_or_dash([100 * result["test_accuracy"][-1] for result in results], ".2f"))
    for threshold in THRESHOLDS:
        training, process = (
            median_or_dash([seconds_to(result, threshold, clock) for result in results], ".0f")
            for clock in ("train_seconds", "process_seconds")
        )
        cells.append(f"{training} ({process})" if training != "-" else "-")
    for threshold in THRESHOLDS:
        cells.append(median_or_dash(ratios_to_reference(results, references, threshold), ".1f"))
    pairs = zip(results, references, strict=False)
    shorter = [other["train_seconds"][-1] / own["train_seconds"][-1] for own, other in pairs]
    cells.append(median_or_dash(shorter, ".1f"))
    cells.append(median_or_dash([result["gflops_per_second"] for result in results], ".0f"))
    shares = [result["gflops_per_second"] / result["peak_gflops_per_second"] for result in results]
    return [*cells, median_or_dash(shares, ".0%")]


def plot_curves(by_recipe: dict[str, list[dict[str, Any]]]) -> "Figure":
    """Draw test error against seconds of training and against FLOPs, both axes logarithmic."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
    for (recipe, results), colour in zip(by_recipe.items(), COLOURS, strict=False):
        for number, result in enumerate(results):
            errors = [100 * (1 - accuracy) for accuracy in result["test_accuracy"]]
            tera_flops = [
                (epoch + 1) * result["flops_per_epoch"] / 1e12 for epoch in range(len(errors))
            ]
            for panel, x in zip(panels, (result["train_seconds"], tera_flops), strict=True):
                label = None if number else recipe
                panel.plot(x, errors, color=colour, marker=".", linewidth=1, label=label)
    for panel, label in zip(panels, ("seconds of training", "TFLOP of training"), strict=True):
        panel.set(xscale="log", yscale="log", xlabel=label)
        panel.grid(alpha=0.3, which="both")
        for threshold in THRESHOLDS:
            panel.axhline(100 * (1 - threshold), color="#767676", linestyle=":", linewidth=1)
    ticks = [0.2, 0.3, 0.5, 1, 2, 5, 10]
    panels[0].set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    panels[0].set_ylabel("test error in %")
    panels[0].legend()
    figure.suptitle("Test error over training; dotted: 99.0, 99.5 and 99.7 % accuracy")
    return figure


def compare(recipes: list[str], repetitions: int, folder: Path, flags: list[str]) -> str:
    """Train what is not trained yet, turn by turn; write table and figure; return the table."""
    import matplotlib

    matplotlib.use("Agg")
    by_recipe: dict[str, list[dict[str, Any]]] = {recipe: [] for recipe in recipes}
    for seed in range(repetitions):
        for recipe, results in by_recipe.items():
            results.append(load_or_train(recipe, seed, folder, flags))
    table = make_table(by_recipe)
    write_atomically(folder / "table.md", table)
    plot_curves(by_recipe).savefig(folder / "curves.png", dpi=150)
    return table


def main(arguments: list[str]) -> None:
    """Compare the recipes; other flags are the main program's, and change every recipe.

    Of the reference, which trains as its project did, they change data, split, epochs and batches.
    """
    parser = Parser(__doc__)
    parser.add_argument("--recipes", nargs="+", default=RECIPES_COMPARED, metavar="RECIPE")
    parser.add_argument("--repetitions", type=int, default=3, help="turns; the seeds are 0, 1, ...")
    parser.add_argument("--folder", type=Path, default=PROJECT_DIR / "runs" / "time_to_accuracy")
    for hidden in ("--worker", "--worker-seed", "--started"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    own, flags = parser.parse_known_args(arguments)
    check_flags(flags)
    if own.worker:  # a process that this program has started
        settings = worker_settings(own.worker, int(own.worker_seed), own.folder, flags)
        worker(settings, own.worker, float(own.started), own.folder)
        return
    for recipe in own.recipes:
        if recipe not in RECIPES:
            raise unknown_name("recipe", recipe, RECIPES)
    if own.repetitions < 1:
        raise UserError(f"--repetitions must be 1 or more, got {own.repetitions}.")
    print(f"\n{compare(own.recipes, own.repetitions, own.folder, flags)}")


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
