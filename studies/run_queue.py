"""The queue of a study's runs: which trial counts for a run, and which run is next.

Two workers may queue the same run at the same moment. So this rule decides: of the trials of one
label that wait, run or are finished, the one with the lowest number counts; others are never run.
"""

import dataclasses
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.settings import Settings
from common.user_error import UserError
from studies.same_settings import differing_settings

if TYPE_CHECKING:
    import optuna

COUNTING_STATES = ("WAITING", "RUNNING", "COMPLETE")


def counts(trial: "optuna.trial.FrozenTrial") -> bool:
    """Return whether a trial waits, is under way or finished, if need be by a search, early."""
    is_ended_early = trial.state.name == "PRUNED" and "metrics" in trial.user_attrs
    return "label" in trial.user_attrs and (trial.state.name in COUNTING_STATES or is_ended_early)


def counting_trials(study: "optuna.Study") -> dict[str, "optuna.trial.FrozenTrial"]:
    """Return, by label, the trial that counts (see the top of this file)."""
    counting: dict[str, optuna.trial.FrozenTrial] = {}
    for trial in sorted(study.get_trials(deepcopy=False), key=lambda trial: trial.number):
        if counts(trial):
            counting.setdefault(trial.user_attrs["label"], trial)
    return counting


def check_settings(study: "optuna.Study", runs: Mapping[str, Settings]) -> None:
    """Check that the study holds none of the labels with other settings.

    Raises:
        UserError: it does.
    """
    counting = counting_trials(study)
    for label, settings in runs.items():
        if label in counting and not _is_of(counting[label], label, settings):
            saved = counting[label].user_attrs.get("settings", {})
            names = ", ".join(differing_settings(saved, settings))
            raise UserError(
                f"study '{study.study_name}' holds '{label}' with other settings ({names}). Choose "
                "another study name with --study."
            )


def _is_of(trial: "optuna.trial.FrozenTrial", label: str, settings: Settings) -> bool:
    """Return whether a trial is of this label and of settings that give the same result."""
    saved = trial.user_attrs.get("settings", {})
    return trial.user_attrs.get("label") == label and not differing_settings(saved, settings)


def enqueue_next(study: "optuna.Study", runs: Mapping[str, Settings]) -> bool:
    """Queue the first run that is neither waiting nor under way nor finished, if there is one.

    Only one: the next is another worker's, or this one's when it comes back.

    Returns:
        Whether one was queued.
    """
    import optuna

    counting = counting_trials(study)
    for label, settings in runs.items():
        if label not in counting:
            attributes = {"label": label, "settings": dataclasses.asdict(settings)}
            chosen: dict[str, Any] = {}
            for failed in study.get_trials(deepcopy=False):  # by Ctrl-C, a full disk or the like
                if _is_of(failed, label, settings) and "run_folder" in failed.user_attrs:
                    attributes["run_folder"] = failed.user_attrs["run_folder"]  # goes on in it
                    chosen = {"fixed_params": failed.params}  # what a search chose for it
            waiting = optuna.trial.TrialState.WAITING
            study.add_trial(
                optuna.trial.create_trial(state=waiting, user_attrs=attributes, system_attrs=chosen)
            )
            fail_waiting_copies(study)
            return True
    return False


def fail_waiting_copies(study: "optuna.Study") -> None:
    """Take the waiting trials out of the queue whose label another trial counts for."""
    import optuna

    states = optuna.trial.TrialState
    counting = counting_trials(study)
    for trial in study.get_trials(deepcopy=False, states=(states.WAITING,)):
        counts_instead = counting.get(trial.user_attrs.get("label", ""), trial)
        if counts_instead.number == trial.number:
            continue
        with suppress(optuna.exceptions.UpdateFinishedTrialError):  # another worker was quicker
            # Only one worker succeeds in making a waiting trial a running one, so none is failed
            # that another has just begun.
            if study._storage.set_trial_state_values(trial._trial_id, states.RUNNING):
                study._storage.set_trial_state_values(trial._trial_id, states.FAIL)


def finished_runs(study: "optuna.Study", runs: Mapping[str, Settings]) -> dict[str, dict[str, Any]]:
    """Return metrics and run folder of those of the runs that are finished, by label."""
    counting = counting_trials(study)
    return {
        label: {
            **counting[label].user_attrs["metrics"],
            "run_folder": Path(counting[label].user_attrs["run_folder"]),
        }
        for label in runs
        if label in counting
        and "metrics" in counting[label].user_attrs
        and counting[label].state.name in ("COMPLETE", "PRUNED")
    }


def labels_in_state(study: "optuna.Study", state: str) -> set[str]:
    """Return the labels of the runs that are in a state, for example WAITING."""
    return {label for label, trial in counting_trials(study).items() if trial.state.name == state}
