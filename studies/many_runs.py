"""Many runs as one Optuna study: the mechanism behind comparisons, seeds and sweeps.

A study is a list of settings, by label. What is finished is kept in a database, by default an
SQLite file; so a study that was killed goes on where it was, in the middle of a run too. With
`--storage postgresql://...`, any number of machines share one: each takes the next run that nobody
has begun.

Each run is one Optuna trial, which waits (`studies/run_queue.py`), runs, and is then complete or
failed. A search (`studies/search.py`) does the same with settings that each trial varies.
"""

import time
from collections.abc import Mapping, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from _00_main import make_settings, run, settings_to_resume
from _01_data_loader import load_data
from common.data import sha256_of
from common.machine import describe_machine
from common.run_folder import create_run_folder, read_history
from common.safe_files import read_json, remove_if_there
from common.settings import Settings
from common.streams import tolerant_streams
from common.user_error import DivergedError, UserError
from studies.progress import progress_of, show_progress
from studies.run_queue import (
    check_settings,
    counting_trials,
    enqueue_next,
    finished_runs,
    labels_in_state,
)
from studies.same_settings import in_one_precision, in_precision_of, is_folder_of
from studies.study_storage import (
    HEARTBEAT_SECONDS,
    MISSED_HEARTBEATS,
    StorageError,
    default_storage,
    find_study,
    open_study,
    storage_errors,
)

if TYPE_CHECKING:
    import optuna

    from studies.search import Search

RECONNECTIONS = 12  # a server that is started anew is back after some seconds
LOOK_AGAIN_SECONDS = 5  # how often a worker that has nothing to do looks at the others


class NothingToDoError(Exception):
    """A trial is not to be made: another counts for its run. It fails; no sampler looks at it."""


class Work(NamedTuple):
    """How the runs of a study are made.

    Attributes:
        search: how each run varies its settings; None: not at all.
        show_best: whether the progress names the run with the highest validation accuracy. Of runs
            that learn from different images, it would compare what cannot be compared.
        may_diverge: whether a run that diverges is noted, and the others are made. In a search it
            always is.
    """

    search: "Search | None" = None
    show_best: bool = True
    may_diverge: bool = False


@tolerant_streams()
def run_all(
    study_name: str,
    runs: Mapping[str, Settings],
    storage: str | None = None,
    heartbeat_seconds: int = HEARTBEAT_SECONDS,
    search: "Search | None" = None,
    show_best: bool = True,
    may_diverge: bool = False,
) -> dict[str, dict[str, Any]]:
    """Make all runs that are not made yet, and return the metrics of all.

    Args:
        study_name: under this name the results are kept and found again.
        runs: settings by label. A label means the same settings for ever: runs that the study
            already has are not made again.
        storage: URL of a database; None is the SQLite file `runs/studies.db` in the output_dir of
            the first run.
        heartbeat_seconds: how often a worker gives a sign of life. A killed worker's run is taken
            up by another after MISSED_HEARTBEATS of them.
        search, show_best, may_diverge: see `Work`.

    Returns:
        By label, the content of metrics.json and the run folder. Of a run that a search ended
        early or that diverged, `ended_early`, `val_accuracy`, `epochs_trained`, `total_seconds` and
        the folder.

    Raises:
        UserError: Optuna or rich is not installed, a label has other settings in the study or the
            study has another space, the database fails, or a run does.
    """
    storage = storage or storage_of(runs)
    study = open_study(study_name, storage, heartbeat_seconds)
    how = Work(search, show_best, may_diverge or search is not None)
    attempts = 0
    while True:
        started = time.monotonic()
        try:
            return work_on(study, runs, storage, heartbeat_seconds, how)
        except StorageError as error:
            lasted = time.monotonic() - started > RECONNECTIONS * LOOK_AGAIN_SECONDS
            attempts = 1 if lasted else attempts + 1
            if storage.startswith("sqlite") or attempts > RECONNECTIONS:
                raise
            print(f"{error} Trying again ...", flush=True)
            time.sleep(LOOK_AGAIN_SECONDS)


def work_on(
    study: "optuna.Study",
    runs: Mapping[str, Settings],
    storage: str,
    heartbeat_seconds: int,
    how: Work,
) -> dict[str, dict[str, Any]]:
    """Make all runs that are not made yet, and return the metrics of all; see `run_all`."""
    with storage_errors(storage):
        if how.search is not None:
            how.search.enter(study)
        elif "space" in study.user_attrs:
            raise UserError(
                f"study '{study.study_name}' is a search. Choose another study name with --study."
            )
        runs = in_precision_of(study, runs)
        while True:
            check_settings(study, runs)  # each time: another worker may have queued others
            results = finished_runs(study, runs)
            n_running = len(labels_in_state(study, "RUNNING"))
            name = study.study_name
            show_progress(progress_of(name, runs, results, n_running, how.show_best))
            if len(results) == len(runs):
                return results
            if enqueue_next(study, runs) or labels_in_state(study, "WAITING"):
                make_next_run(study, runs, how)
            else:
                wait_for_others(study, runs.keys() - results.keys(), heartbeat_seconds)


def look_at(
    study_name: str, runs: Mapping[str, Settings], storage: str | None = None
) -> tuple[dict[str, Settings], list[str]]:
    """Return the runs in the precision of the study, and the labels of those that are finished.

    Nothing is written: what was only looked at leaves no trace. Args and errors as of `run_all`.
    """
    storage = storage or storage_of(runs)
    study = find_study(study_name, storage)
    with storage_errors(storage):
        chosen = None if study is None else study.user_attrs.get("precision")
        in_precision = in_one_precision(runs, chosen)
        if study is None:
            return in_precision, []
        check_settings(study, in_precision)
        return in_precision, list(finished_runs(study, in_precision))


def storage_of(runs: Mapping[str, Settings]) -> str:
    """Return the URL of the SQLite file beside the runs."""
    return default_storage(Path(next(iter(runs.values())).output_dir) / "runs")


# --- One run ------------------------------------------------------------------------------------


def make_next_run(study: "optuna.Study", runs: Mapping[str, Settings], how: Work) -> None:
    """Take the first run of the queue and make it.

    Raises:
        UserError: the run failed, or was taken over by another worker in the meantime.
    """
    try:
        study.optimize(
            lambda trial: make_run(trial, runs, how), n_trials=1, catch=(NothingToDoError,)
        )
    except UnboundLocalError as error:  # Optuna 5, if the database fails at a trial's last step
        raise error.__context__ or error from None
    except ValueError as error:
        if not str(error).startswith("Cannot tell a"):  # Optuna's word on a trial that has ended
            raise
        raise UserError(
            "another worker has taken this run over: for too long this one gave no sign of life "
            "(did the machine sleep?). Start the study again to go on with it."
        ) from error


def make_run(trial: "optuna.Trial", runs: Mapping[str, Settings], how: Work) -> float:
    """Make the run of a trial and note its metrics.

    Returns:
        The validation accuracy: Optuna's value of the trial.

    Raises:
        optuna.TrialPruned: the search ends the run early, or it diverges and may.
        NothingToDoError: another trial counts for the label, or another worker has emptied the
            queue (Optuna then makes up a trial, which has no label).
    """
    import optuna

    label = trial.user_attrs.get("label", "")
    counting = counting_trials(trial.study).get(label)
    if counting is None or counting.number != trial.number:
        raise NothingToDoError
    print(f"\n=== {trial.study.study_name}: {label} ===", flush=True)
    settings = runs.get(label) or settings_of_another_list(trial, runs)
    if how.search is not None:
        settings = how.search.vary(trial, settings)
    folder = open_run_folder(trial, settings)
    if (folder / "metrics.json").exists():  # the worker was killed after the run's last step
        metrics = read_json(folder / "metrics.json")
    else:
        metrics = train(trial, folder, how)
    trial.set_user_attr("metrics", metrics)
    if metrics.get("ended_early"):
        raise optuna.TrialPruned
    return metrics["val_accuracy"]


def train(trial: "optuna.Trial", folder: Path, how: Work) -> dict[str, Any]:
    """Train what a run folder says, from wherever it stands, and return the metrics."""
    import optuna

    settings, options = settings_to_resume(folder, {}), {}
    if how.search is not None:
        from studies.trackers import ReportToTrial

        options["callbacks"] = [ReportToTrial(trial), *how.search.callbacks_of(trial.params)]
    try:
        return run(settings, resume_folder=folder, **options).metrics
    except (optuna.TrialPruned, DivergedError) as end:
        if not how.may_diverge:
            raise
        print(f"Ended early: {str(end) or 'among the worst quarter so far'}", flush=True)
        return metrics_so_far(folder)


def metrics_so_far(folder: Path) -> dict[str, Any]:
    """Return what is kept of a run that ends early; its backup is of no use any more."""
    remove_if_there(folder / "backup.npz")
    history = read_history(folder) if (folder / "history.csv").exists() else pd.DataFrame()
    if history.empty:  # it diverged in its first epoch
        return {"ended_early": True, "val_accuracy": 0.0, "epochs_trained": 0, "total_seconds": 0.0}
    return {
        "ended_early": True,
        "val_accuracy": float(history["val_accuracy"].max()),
        "epochs_trained": len(history),
        "total_seconds": float(history["seconds"].iloc[-1]),
    }


def settings_of_another_list(trial: "optuna.Trial", runs: Mapping[str, Settings]) -> Settings:
    """Return the settings of a run that only another worker has listed, in folders of this one."""
    saved, of_this_worker = trial.user_attrs["settings"], next(iter(runs.values()))
    folders: dict[str, str | None] = {"output_dir": of_this_worker.output_dir}
    if saved["dataset"] == of_this_worker.dataset:
        folders["data_dir"] = of_this_worker.data_dir
    return make_settings(**{**saved, **folders})


def open_run_folder(trial: "optuna.Trial", settings: Settings) -> Path:
    """Return the folder that the trial's run was begun in, if this machine has it; else a new one.

    It is noted in the trial before the training begins, so that whoever takes the run up after
    this worker was killed goes on from its last epoch.
    """
    from common.keras_start import load_keras

    load_keras()
    import keras

    keras.backend.clear_session()  # or memory grows with each model
    begun = trial.user_attrs.get("run_folder")
    if begun and is_folder_of(Path(begun), settings):
        return Path(begun)
    arrays = load_data(settings.dataset, settings.data_dir)
    machine = describe_machine(settings.precision)
    folder = create_run_folder(settings, machine, sha256_of(*arrays))
    trial.set_user_attr("run_folder", str(folder))
    return folder


# --- The others ---------------------------------------------------------------------------------


def wait_for_others(study: "optuna.Study", missing: Set[str], heartbeat_seconds: int) -> None:
    """Wait until one of the missing runs, which are all under way elsewhere, is so no more.

    Runs whose worker gives no sign of life are put back into the queue.

    Args:
        missing: labels of runs; not empty.
    """
    import optuna

    grace = MISSED_HEARTBEATS * heartbeat_seconds
    print(
        f"Waiting for {', '.join(sorted(missing))}: under way elsewhere. (What was killed is taken "
        f"up {grace} s after its last sign of life.)",
        flush=True,
    )
    waited_since, has_vouched = time.monotonic(), False
    while missing <= labels_in_state(study, "RUNNING"):
        time.sleep(min(LOOK_AGAIN_SECONDS, heartbeat_seconds))
        optuna.storages.fail_stale_trials(study)
        if not has_vouched and time.monotonic() - waited_since > grace:
            vouch_for_running(study)
            has_vouched = True


def vouch_for_running(study: "optuna.Study") -> None:
    """Give a sign of life for all running trials; those without a worker are found out by it.

    A worker can be killed before its first sign of life. As Optuna misses only what was there,
    its trial would count as running for ever.
    """
    for trial in counting_trials(study).values():
        if trial.state.name == "RUNNING":
            study._storage.record_heartbeat(trial._trial_id)  # type: ignore[attr-defined]
