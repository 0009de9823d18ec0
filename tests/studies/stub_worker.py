"""A worker of a study whose runs are stubs: `python -m tests.studies.stub_worker STORAGE LOG N`.

It appends a line per run to the file LOG. `--begin-only` stops in the middle of the first run, as
a killed worker would; `--slow` lets each run take some time.
"""

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from _00_main import make_settings
from common.command_line import PROJECT_DIR
from studies import many_runs


def start_worker(storage, log, n_runs, *options):
    """Return a worker's process, which says "ready" and waits for `let_go`."""
    command = [sys.executable, "-m", "tests.studies.stub_worker", storage, str(log), str(n_runs)]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [*command, *options], cwd=PROJECT_DIR, stdin=pipe, stdout=pipe, text=True
    )


def let_go(worker):
    """Let a worker begin."""
    worker.stdin.write("go\n")
    worker.stdin.flush()


def main(storage, log, n_runs, *options):
    made = []

    def open_run_folder(trial, settings):
        made.append(settings)
        trial.set_user_attr("run_folder", "a folder")
        return Path("a folder")

    def run(settings, resume_folder):
        with open(log, "a") as file:
            file.write(f"{settings.seed}\n")
        print("began a run", flush=True)
        time.sleep(40 if "--begin-only" in options else 1.0 if "--slow" in options else 0.05)
        metrics = {"val_accuracy": 0.5, "test_accuracy": settings.seed / 100, "total_seconds": 1.0}
        return SimpleNamespace(metrics=metrics)

    many_runs.open_run_folder, many_runs.run = open_run_folder, run
    many_runs.settings_to_resume = lambda folder, changes: made[-1]
    # In float32, nobody has to load Keras to choose a precision.
    runs = {f"seed {n}": make_settings(seed=n, precision="float32") for n in range(int(n_runs))}
    print("ready", flush=True)
    sys.stdin.readline()  # so that several begin at the same moment
    results = many_runs.run_all("study", runs, storage, heartbeat_seconds=1)
    print("result:", *(metrics["test_accuracy"] for metrics in results.values()))


if __name__ == "__main__":
    main(*sys.argv[1:])
