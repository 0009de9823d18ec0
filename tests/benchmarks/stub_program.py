"""Stands for `benchmarks.seeds`: it takes the same flags, and its runs are stubs."""

import sys
from pathlib import Path
from types import SimpleNamespace

from benchmarks import seeds
from studies import many_runs


def open_run_folder(trial, settings):
    trial.set_user_attr("run_folder", settings.output_dir)
    return Path(settings.output_dir)


def run(settings, resume_folder):
    metrics = {"val_accuracy": 0.5, "test_accuracy": 0.5, "test_loss": 0.5, "total_seconds": 1.0}
    return SimpleNamespace(metrics={**metrics, "train_seconds": 1.0, "epochs_trained": 1})


if __name__ == "__main__":
    many_runs.open_run_folder, many_runs.run = open_run_folder, run
    many_runs.settings_to_resume = lambda folder, changes: SimpleNamespace(seed=0)
    seeds.main(sys.argv[1:])
