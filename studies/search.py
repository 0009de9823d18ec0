"""A search for good settings: what may be varied, and what each trial reports while it trains.

`run_all(..., search=Search(...))` makes it. Optuna's sampler (a tree of Parzen estimators) draws
what looks promising after the trials so far. Its pruner ends a trial whose best validation accuracy
so far is among the worst quarter of the finished trials after as many epochs. The test images have
no part in either.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from common.settings import Settings
from common.user_error import UserError
from studies.run_queue import counting_trials
from studies.study_storage import open_study

if TYPE_CHECKING:
    import keras
    import optuna

FIRST_TRIALS = 5  # so many are drawn at random, and so many are finished before one is ended
KEPT = 75.0  # in %. With half of them kept, 33 of 40 were ended early: the bar rises (docs/log.md)
FEWEST_TRIALS = 4  # that importances are estimated from


class Range(NamedTuple):
    """Numbers from `low` to `high` in steps, both ends included."""

    low: float
    high: float
    step: float


Space = Mapping[str, Range | Sequence[Any]]  # by name: a range, or a list of values


class Search(NamedTuple):
    """What a study varies."""

    space: Space
    # The base settings and a value for each name -> the settings of a trial.
    settings_of: Callable[[Settings, Mapping[str, Any]], Settings]
    # A value for each name -> further Keras callbacks, such as those that log to a tracker.
    callbacks_of: "Callable[[Mapping[str, Any]], list[keras.callbacks.Callback]]" = lambda _: []

    def enter(self, study: "optuna.Study") -> None:
        """Let the study search this space.

        Raises:
            UserError: the space holds nothing, or the study searches another one.
        """
        import optuna

        check_space(self.space)
        check_same_space(study, self.space)
        study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=FIRST_TRIALS, multivariate=True, constant_liar=True
        )
        study.pruner = optuna.pruners.PercentilePruner(  # of the best, those that go on
            KEPT, n_startup_trials=FIRST_TRIALS, n_warmup_steps=1
        )

    def vary(self, trial: "optuna.Trial", settings: Settings) -> Settings:
        """Return the settings of a trial: the same for ever, also if it is taken up by another."""
        return self.settings_of(settings, sample(trial, self.space))


def check_space(space: Space) -> None:
    """Raise UserError, which names it, for a range or a list that holds nothing."""
    for name, values in space.items():
        if isinstance(values, Range):
            if not (values.low <= values.high and values.step > 0):
                raise UserError(
                    f"the space of {name} is empty: from {values.low:g} to {values.high:g} in "
                    f"steps of {values.step:g}."
                )
        elif not values or isinstance(values, str):
            raise UserError(f"the space of {name} must be a range or a list, got {values!r}.")


def sample(trial: "optuna.Trial", space: Space) -> dict[str, Any]:
    """Return a value for each name of the space, chosen by the study's sampler."""
    drawn: dict[str, Any] = {}
    for name, values in space.items():
        if not isinstance(values, Range):
            drawn[name] = trial.suggest_categorical(name, list(values))
        elif all(isinstance(number, int) for number in values):
            low, high, step = (int(number) for number in values)
            drawn[name] = trial.suggest_int(name, low, high, step=step)
        else:
            drawn[name] = trial.suggest_float(name, values.low, values.high, step=values.step)
    return drawn


def describe_space(space: Space) -> dict[str, Any]:
    """Return the space as JSON holds it, to be compared with that of a study begun before."""
    return {
        name: dict(values._asdict()) if isinstance(values, Range) else list(values)
        for name, values in space.items()
    }


def check_same_space(study: "optuna.Study", space: Space) -> None:
    """Note the space in a study, or check that it is the one noted there.

    Raises:
        UserError: the study searches another space.
    """
    noted, wanted = study.user_attrs.get("space"), describe_space(space)
    if noted is None and not study.get_trials(deepcopy=False):
        study.set_user_attr("space", wanted)
    elif noted != wanted:
        raise UserError(
            f"study '{study.study_name}' searches another space. Choose another name with --study."
        )


# --- What came out ------------------------------------------------------------------------------


def trial_values(study_name: str, storage: str) -> dict[str, dict[str, Any]]:
    """Return the values that each trial of a search was made with, by its label."""
    counting = counting_trials(open_study(study_name, storage))
    return {label: dict(trial.params) for label, trial in counting.items()}


def importances(study_name: str, storage: str) -> dict[str, float]:
    """Return how much of the differences each parameter explains, the largest share first.

    By fANOVA (Hutter et al., ICML 2014), from the trials that were not ended early.

    Returns:
        Shares that sum to 1; none if fewer than FEWEST_TRIALS, which say too little, or equal
        accuracies.
    """
    import optuna

    study = open_study(study_name, storage)
    finished = [
        trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"
    ]
    if len(finished) < FEWEST_TRIALS or len({trial.value for trial in finished}) == 1:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return optuna.importance.get_param_importances(study, evaluator=evaluator)
