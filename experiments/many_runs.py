"""Many runs as one Optuna study: the mechanism behind comparisons, seeds and sweeps.

A study is a list of settings. It is kept in a database, by default an SQLite file in `runs/`; so a
study that was killed goes on where it was, in the middle of a run too. With
`--storage postgresql://...`, any number of machines share one: each takes the next run that nobody
has begun.
"""

import dataclasses
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras_backend
from _00_main import PROJECT_DIR, Settings, run
from _04_data_saver import create_run_folder
from user_error import UserError

if TYPE_CHECKING:
    import optuna

HEARTBEAT_SECONDS = 10  # a run without a sign of life for three of these counts as killed


def run_all(
    study_name: str, runs: Mapping[str, Settings], storage: str | None = None
) -> dict[str, dict[str, Any]]:
    """Make all runs that are not made yet, and return the metrics of all.

    Args:
        study_name: under this name the results are kept and found again.
        runs: settings by label. A label means the same settings for ever: runs that the study
            already has are not made again.
        storage: URL of a database; None is the SQLite file `runs/studies.db`.

    Returns:
        By label, the content of metrics.json and the run folder.

    Raises:
        UserError: Optuna is not installed, or a label has other settings in the study.
    """
    study = open_study(study_name, storage)
    enqueue(study, runs)
    while any(label not in finished(study) for label in runs):
        if any(trial.state.name == "WAITING" for trial in study.trials):
            study.optimize(make_run, n_trials=1)
        else:  # all that is missing is under way elsewhere, or was killed a moment ago
            time.sleep(HEARTBEAT_SECONDS)
            import_optuna().storages.fail_stale_trials(study)  # puts killed runs back
    results = finished(study)
    return {label: results[label] for label in runs}


def import_optuna():
    """Import Optuna, or raise UserError that says how to install it."""
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise UserError(
            "Optuna is not installed. Run 'pip install -r requirements-extras.txt'."
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # The heartbeat has been "experimental" since 2021.
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna


def open_study(study_name: str, storage: str | None) -> "optuna.Study":
    """Open or begin a study whose killed runs are taken up again."""
    optuna = import_optuna()
    if storage is None:
        folder = PROJECT_DIR / "runs"
        folder.mkdir(exist_ok=True)
        storage = f"sqlite:///{folder / 'studies.db'}"
    database = optuna.storages.RDBStorage(
        storage,
        heartbeat_interval=HEARTBEAT_SECONDS,
        grace_period=3 * HEARTBEAT_SECONDS,
        heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(),
    )
    return optuna.create_study(
        storage=database, study_name=study_name, direction="maximize", load_if_exists=True
    )


def enqueue(study: "optuna.Study", runs: Mapping[str, Settings]) -> None:
    """Put the runs into the study that are neither waiting nor under way nor finished."""
    optuna = import_optuna()
    trials = [(trial.state.name, trial.user_attrs) for trial in study.trials]
    known = {
        attributes["label"]: attributes["settings"]
        for state, attributes in trials
        if state in ("WAITING", "RUNNING", "COMPLETE")
    }
    for label, settings in runs.items():
        content = dataclasses.asdict(settings)
        if label not in known:
            attributes = {"label": label, "settings": content}
            for _, failed in trials:  # by Ctrl-C or a full disk: go on in its folder
                if attributes.items() <= failed.items():
                    attributes = failed
            study.add_trial(
                optuna.trial.create_trial(
                    state=optuna.trial.TrialState.WAITING, user_attrs=attributes
                )
            )
        elif known[label] != content:
            raise UserError(
                f"study '{study.study_name}' holds '{label}' with other settings. Choose another "
                "study name with --study."
            )


def make_run(trial: "optuna.Trial") -> float:
    """Make the run of a trial and note its metrics; the value is the validation accuracy."""
    keras_backend.load_keras()
    import keras

    print(f"\n=== {trial.study.study_name}: {trial.user_attrs['label']} ===", flush=True)
    keras.backend.clear_session()  # or memory grows with each model
    settings = Settings(**trial.user_attrs["settings"])
    begun = trial.user_attrs.get("run_folder")
    if begun and (Path(begun) / "settings.json").exists():
        folder = Path(begun)
    else:  # not begun yet, or on another machine
        folder = create_run_folder(settings, keras_backend.describe_machine(settings.precision))
        trial.set_user_attr("run_folder", str(folder))
    result = run(settings, resume_folder=folder)
    trial.set_user_attr("metrics", result.metrics)
    return result.metrics["val_accuracy"]


def finished(study: "optuna.Study") -> dict[str, dict[str, Any]]:
    """Return metrics and run folder of the finished runs, by label."""
    return {
        trial.user_attrs["label"]: {
            **trial.user_attrs["metrics"],
            "run_folder": Path(trial.user_attrs["run_folder"]),
        }
        for trial in study.trials
        if trial.state.name == "COMPLETE"
    }
