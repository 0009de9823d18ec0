"""How much sooner do several workers end one study than one does?

    python -m benchmarks.study_scaling --storage postgresql+psycopg://user@host/name

Starts 1, 2 and 4 workers of a study, each on one core, on a PostgreSQL database; they share `--n`
short runs (the small digits, unless flags say otherwise). The numbers of workers take turns. On a
machine with fewer cores than workers, no more than its cores can be gained. The defaults take 25
minutes of two cores. Prints a Markdown table, and writes it and every study's seconds into the
folder.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.command_line import PROJECT_DIR, Parser, run_program
from common.safe_files import writing
from common.user_error import UserError
from studies.settings_flags import parse_changes
from studies.tables import write_csv, write_table

SHORT = ("--dataset", "digits", "--epochs", "8", "--precision", "float32")
WORKER = "benchmarks.seeds"
ONE_CORE = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
FORMATS = {"workers": "d", "runs": "d", "seconds, median": ".0f", "times as fast": ".2f"}


def main(arguments: list[str]) -> None:
    """Time the studies; print and write the table."""
    given = parse_command_line(arguments)
    seconds: dict[int, list[float]] = {n: [] for n in given.workers}
    name = f"scaling-{time.strftime('%Y%m%d-%H%M%S')}"
    for turn in range(given.turns):
        for n_workers in given.workers:
            study = f"{name}-{turn}-{n_workers}"
            print(f"=== {n_workers} workers, turn {turn + 1} of {given.turns} ===", flush=True)
            seconds[n_workers].append(time_study(study, n_workers, given))
            print(f"{seconds[n_workers][-1]:.0f} s", flush=True)
    each = [
        {"workers": n_workers, "turn": turn + 1, "runs": given.n, "seconds": value}
        for n_workers, of_workers in seconds.items()
        for turn, value in enumerate(of_workers)
    ]
    write_csv(given.folder / "study_scaling_each.csv", each)
    table = write_table(given.folder / "study_scaling", rows_of(seconds, given.n), FORMATS)
    print(f"\n{os.cpu_count()} cores:\n\n{table}")


def parse_command_line(arguments: list[str]) -> argparse.Namespace:
    """Return what the command line says.

    Raises:
        UserError: an unknown flag, or a number that cannot be.
    """
    parser = Parser(__doc__)
    parser.add_argument("--storage", required=True, help="database URL")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4], help="(1 2 4)")
    parser.add_argument("--n", type=int, default=12, help="runs of each study (12)")
    parser.add_argument("--turns", type=int, default=3, help="of all numbers of workers (3)")
    parser.add_argument("--folder", type=Path, default=PROJECT_DIR / "runs" / "study_scaling")
    given, given_flags = parser.parse_known_args(arguments)
    parse_changes(given_flags, ("output_dir",), "--folder says where")  # refused now, or never
    given.flags = [*SHORT, *given_flags]
    if min(*given.workers, given.turns) < 1 or given.n < 2:
        raise UserError("--workers and --turns must be 1 or more, and --n 2 or more.")
    return given


def time_study(study: str, n_workers: int, given: argparse.Namespace) -> float:
    """Return the seconds from the start of the workers to the end of the last one.

    Raises:
        UserError: a worker failed; the end of its log says why.
    """
    with writing(given.folder):
        given.folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", WORKER, "--study", study, "--n", str(given.n)]
    command += ["--storage", given.storage, "--output-dir", str(given.folder / study)]
    logs = [given.folder / f"{study}-worker{number}.log" for number in range(n_workers)]
    workers: list[subprocess.Popen] = []
    started = time.monotonic()
    try:
        for log in logs:
            with writing(log), log.open("w") as file:
                workers.append(
                    subprocess.Popen(
                        [*command, *given.flags],
                        cwd=PROJECT_DIR, env=os.environ | ONE_CORE, stdout=file, stderr=file,
                    )
                )  # fmt: skip
        codes = [worker.wait() for worker in workers]
    finally:
        for worker in workers:  # Ctrl-C, or one that could not be started
            worker.kill()
    for code, log in zip(codes, logs, strict=True):
        if code:
            lines = log.read_text(errors="replace").strip().splitlines() or ["no reason was given."]
            raise UserError(f"a worker failed: {lines[-1]} See {log}.")
    return time.monotonic() - started


def rows_of(seconds: Mapping[int, Sequence[float]], n_runs: int) -> list[dict[str, Any]]:
    """Return a row per number of workers; ratios are medians of those within a turn.

    Args:
        seconds: by number of workers, one value per turn; the ratios are to the first number.
    """
    first = next(iter(seconds.values()))
    return [
        {
            "workers": n_workers,
            "runs": n_runs,
            "seconds, median": statistics.median(of_workers),
            "times as fast": statistics.median(
                one / several for one, several in zip(first, of_workers, strict=True)
            ),
        }
        for n_workers, of_workers in seconds.items()
    ]


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
