"""Callbacks that tell of a training while it goes on: a search, Weights & Biases, TensorBoard.

They are ours, because the packages' own callbacks import TensorFlow; these serve every back end.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from common.safe_files import writing
from common.user_error import UserError, reason_of
from studies.study_storage import extras

if TYPE_CHECKING:
    import optuna


class LogToWandb(keras.callbacks.Callback):
    """Logs each epoch to a run of Weights & Biases.

    Without an account, set WANDB_MODE=offline: the run is then a folder that `wandb sync` uploads
    later. Under `wandb agent`, the run is one of its sweep.

    Args:
        project: of the run; the environment variable WANDB_PROJECT goes before it.
        config: the settings that the run is listed with.
        folder: gets the files, in `wandb/`.

    Raises:
        UserError: the package is not installed, nobody is logged in, or the run cannot begin.
    """

    def __init__(self, project: str, config: Mapping[str, Any], folder: Path):
        super().__init__()
        with extras():
            import wandb
        try:
            # Without prompt: a program that waits for a key seems to hang.
            if os.environ.get("WANDB_MODE", "online") == "online" and not wandb.login(prompt=False):
                raise UserError(
                    "--wandb needs an account: run 'wandb login' first. Or set "
                    "WANDB_MODE=offline, which needs none and writes a folder that 'wandb sync' "
                    "uploads."
                )
            # A run that this process has not finished yet is finished first.
            self.run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", project),
                config=dict(config),
                dir=folder,
                reinit="finish_previous",
            )
        except (wandb.Error, OSError, ValueError) as error:  # ValueError: an unknown WANDB_MODE
            raise UserError(
                f"no W&B run can begin: {reason_of(error)}. WANDB_MODE=offline needs no server."
            ) from error

    def on_epoch_end(self, epoch, logs=None):
        """Log the epoch."""
        self.run.log({"epoch": epoch + 1, **(logs or {})})


class LogToTensorBoard(keras.callbacks.Callback):
    """Writes each epoch for TensorBoard: `tensorboard --logdir FOLDER` shows it.

    Args:
        folder: of this training; those beside it are shown together.

    Raises:
        UserError: the package is not installed, or the folder cannot be written.
    """

    def __init__(self, folder: Path):
        super().__init__()
        with extras():
            from tensorboard.summary import Writer
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self.writer = Writer(str(folder))

    def on_epoch_end(self, epoch, logs=None):
        """Write the epoch, at once: the training may be killed."""
        for name, value in (logs or {}).items():
            self.writer.add_scalar(name, float(value), epoch + 1)
        self.writer.flush()


class ReportToTrial(keras.callbacks.Callback):
    """Tells the trial the validation accuracy after each epoch; ends it where it looks poor.

    It ends at the beginning of the next epoch: by then, the last one is in history.csv.

    Raises:
        optuna.TrialPruned: the trial ends here.
    """

    def __init__(self, trial: "optuna.Trial"):
        super().__init__()
        self.trial, self.looks_poor = trial, False

    def on_epoch_begin(self, epoch, logs=None):
        """End the trial if it looked poor."""
        import optuna

        if self.looks_poor:
            raise optuna.TrialPruned

    def on_epoch_end(self, epoch, logs=None):
        """Report, and ask."""
        self.trial.report(float((logs or {})["val_accuracy"]), epoch)
        self.looks_poor = self.trial.should_prune()
