"""How small may a network be? The bytes of its complete file against its accuracy.

    python -m experiments.network_size

Trains networks from six to forty-six thousand weights, the first three with weights rounded
to four bits, exports each by `python -m apps.export --format int8`, and reads all test images with
the file that came out. Killed and started again, it goes on where it was. Prints a Markdown table,
and writes it into the folder, with a row for each seed and a figure; the files stay in the folders
of the runs.

The last epoch counts, of fast_cnn_small after the best one by validation images: nothing is chosen
by the test images. On two cores, all takes half an hour to an hour and a half.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from _00_main import make_settings
from _01_data_loader import load_data
from _02_data_preprocess import scale
from common.command_line import PROJECT_DIR, Parser, run_program
from common.int8_network import Int8Network
from common.settings import Settings
from common.user_error import UserError
from figures.screen import our_style, without_screen
from figures.style import BLUE, DOTS_PER_INCH, ORANGE
from studies.many_runs import run_all
from studies.tables import results_folder, write_csv, write_table

NAME = "network_size"
NETWORKS = {  # network -> its recipe, and how many seeds of it: the one that README quotes has five
    "tiny_cnn_small": ("tiny", 1),
    "tiny_cnn": ("tiny", 5),
    "tiny_cnn_large": ("tiny", 1),
    "fast_cnn_small": ("default", 1),
}
EXPORT = "model_int8.tflite"
# Bytes and accuracy in % of BitNetMCU, which needs an engine of its own and 16x16 pixels:
# https://github.com/cpldcpu/BitNetMCU
PUBLISHED = ((9_300, 99.44), (11_000, 99.54), (13_000, 99.58))


def main(arguments: list[str]) -> None:
    """Train, export and measure; print and write the tables and the figure."""
    parser = Parser(__doc__)
    parser.add_argument("--n", type=int, help="seeds of each network (5 of tiny_cnn, else 1)")
    parser.add_argument("--study", default=NAME, help=f"its name ({NAME})")
    parser.add_argument("--storage", help="database URL (default: runs/studies.db)")
    parser.add_argument("--folder", type=Path, default=PROJECT_DIR / "runs" / NAME)
    parser.add_argument("--write-docs", action="store_true", help="write into docs/results")
    given = parser.parse_args(arguments)
    if given.n is not None and given.n < 1:
        raise UserError(f"--n must be 1 or more, got {given.n}.")
    runs = runs_of(given.n)
    results = run_all(given.study, runs, given.storage)
    rows = [row_of(label, runs[label], metrics) for label, metrics in results.items()]
    folder = results_folder(given.write_docs, given.folder)
    write_csv(folder / f"{NAME}_each_seed.csv", rows)
    table = summary_of(rows)
    formats = {"parameters": ",d", "bytes": ",.0f"} | dict.fromkeys(table.columns[4:], ".2f")
    print(f"\n{write_table(folder / NAME, table, formats)}")
    draw_sizes(table).savefig(folder / f"{NAME}.png", dpi=DOTS_PER_INCH)
    print(f"Tables and figure: {folder}")


def runs_of(n: int | None) -> dict[str, Settings]:
    """Return the settings of each run by its label; n is None for as many as NETWORKS says."""
    changes: dict[str, Any] = {"average_shifts": False, "figures": "none"}
    return {
        f"{network} seed {seed}": make_settings(recipe, architecture=network, seed=seed, **changes)
        for network, (recipe, n_seeds) in NETWORKS.items()
        for seed in range(n_seeds if n is None else n)
    }


def row_of(label: str, settings: Settings, metrics: dict[str, Any]) -> dict[str, Any]:
    """Return what a run came to, and its exported file: one row of the table of each seed."""
    path = metrics["run_folder"] / EXPORT
    if not path.exists():
        export(metrics["run_folder"], path)
    print(f"Reading the test images by {label} in int8 ...", flush=True)
    return {
        "network": settings.architecture,
        "seed": settings.seed,
        "parameters": metrics["n_parameters"],
        "bytes": path.stat().st_size,
        "float accuracy in %": 100 * metrics["test_accuracy"],
        "int8 accuracy in %": 100 * int8_accuracy(path.read_bytes(), settings),
        "epochs": metrics["epochs_trained"],
        "training in s": metrics["train_seconds"],
    }


def export(run_folder: Path, path: Path) -> None:
    """Write the network of a run as an int8 file, by the program that its users run.

    Raises:
        UserError: it failed; it has said why.
    """
    command = [sys.executable, "-m", "apps.export", "--format", "int8", "--model", run_folder]
    code = subprocess.run([*command, "--output", path], cwd=PROJECT_DIR).returncode
    if code:
        raise UserError(f"{run_folder} could not be exported; the reason stands above.")


def int8_accuracy(content: bytes, settings: Settings) -> float:
    """Return the share of the test images that an int8 file reads right."""
    arrays = load_data(settings.dataset, settings.data_dir)
    answers = Int8Network(content).run(scale(arrays.x_test)).argmax(axis=1)
    return float(np.mean(answers == arrays.y_test))


def summary_of(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return a row per network: means over its seeds, and their standard deviation, if several."""
    by_network = pd.DataFrame(rows).groupby("network", sort=False)
    return pd.DataFrame(
        {
            "n": by_network.size(),
            "parameters": by_network["parameters"].first(),
            "bytes": by_network["bytes"].mean(),
            "float accuracy in %": by_network["float accuracy in %"].mean(),
            "int8 accuracy in %": by_network["int8 accuracy in %"].mean(),
            "its standard deviation": by_network["int8 accuracy in %"].std(),
        }
    ).reset_index()


def draw_sizes(table: pd.DataFrame) -> Figure:
    """Return a figure of test errors against kilobytes (on a logarithmic axis)."""
    import matplotlib.pyplot as plt

    with without_screen(), our_style():
        figure, panel = plt.subplots(figsize=(7, 4.5), layout="constrained")
        panel.errorbar(
            table["bytes"] / 1000, 100 - table["int8 accuracy in %"],
            yerr=table["its standard deviation"].fillna(0), color=BLUE, marker="o", capsize=3,
            label="ours: a complete LiteRT file",
        )  # fmt: skip
        for row in table.itertuples():
            panel.annotate(
                f"{row.network}\nn = {row.n}", (row.bytes / 1000, 100 - row[6]),
                xytext=(-7, -5), textcoords="offset points", ha="right", va="top",
            )  # fmt: skip
        sizes, accuracies = np.array(PUBLISHED).T
        panel.plot(
            sizes / 1000, 100 - accuracies, "s--", color=ORANGE,
            label="BitNetMCU: weights for an engine of its own",
        )  # fmt: skip
        panel.axvline(10.24, color="black", linewidth=0.8, linestyle=":", label="10,240 bytes")
        panel.set(xscale="log", xlabel="kilobytes", ylabel="test errors in %")
        panel.set_xticks([5, 10, 20, 50], ["5", "10", "20", "50"])
        panel.minorticks_off()
        panel.margins(x=0.1, y=0.12)
        panel.set_xlim(left=table["bytes"].min() / 2000)  # room for the first name
        panel.set_ylim(0, None)
        panel.grid(alpha=0.3)
        panel.legend(frameon=False)
    return figure


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
