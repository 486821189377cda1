"""How a study lies in Optuna's storage: the names of its attributes, and the way back to frozen results."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import optuna
from optuna.trial import TrialState

from eafo.activation import Activation
from eafo.errors import InputError
from eafo.search.plan import Plan
from eafo.search.results import Study, TrialResult
from eafo.search.statistics import Estimate
from eafo.tasks import Outcome, Setting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna.trial import FrozenTrial

__all__ = [
    "ACTIVATION",
    "BASE",
    "FEATURES",
    "FEWEST_FOR_IMPORTANCE",
    "FORMULA",
    "LAW",
    "PLAN",
    "PREDICTED",
    "REASON",
    "RUNS",
    "outcome_key",
    "read_features",
    "read_outcomes",
    "read_plan",
    "read_rungs",
    "read_study",
    "rung_key",
    "trained_in",
]

#: Attribute of the study: its plan as JSON.
PLAN = "eafo:plan"
#: Attribute of the study: on what it was run, as JSON, in the order of its runs.
RUNS = "eafo:runs"
#: Attributes of a trial.
ACTIVATION, REASON = "eafo:activation", "eafo:reason"
#: What was measured of it before any training, and what was then expected of it.
FEATURES, PREDICTED = "eafo:features", "eafo:predicted"
#: Names of the two categorical parameters.
BASE, LAW = "base", "law"
#: The base of what a grammar composes.
FORMULA = "formula"

#: Complete trials, before the importance of choices is told.
FEWEST_FOR_IMPORTANCE = 20

#: What a trial may choose of its setting.
_CHOSEN = ("rate", "per_channel", "saved")
_OUTCOME = "eafo:outcome:"
_RUNG = "eafo:rung:"
_STATES: dict[TrialState, Literal["complete", "pruned", "failed"]] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


def outcome_key(seed: int) -> str:
    """The attribute that holds the outcome of one seed of a trial.

    >>> outcome_key(3)
    'eafo:outcome:3'
    """
    return f"{_OUTCOME}{seed}"


def rung_key(epochs: int, seed: int) -> str:
    """The attribute that holds the outcome of a shorter training.

    >>> rung_key(5, 3)
    'eafo:rung:5:3'
    """
    return f"{_RUNG}{epochs}:{seed}"


def read_rungs(trial: FrozenTrial) -> dict[tuple[int, int], Outcome]:
    """The finished shorter trainings of a trial, by epochs and seed, in their order."""
    found = {}
    for key, value in trial.user_attrs.items():
        if key.startswith(_RUNG):
            epochs, seed = map(int, key.removeprefix(_RUNG).split(":"))
            found[epochs, seed] = Outcome.from_dict(value)
    return dict(sorted(found.items()))


def read_features(attributes: Mapping[str, Any]) -> dict[str, float]:
    """What was measured of a trial's candidate before any training; nothing where it was not, or could not be."""
    return {str(name): float(value) for name, value in attributes.get(FEATURES, {}).items()}


def read_outcomes(trial: FrozenTrial) -> dict[int, Outcome]:
    """The finished seeds of a trial, in their order."""
    found = (Outcome.from_dict(value) for key, value in trial.user_attrs.items() if key.startswith(_OUTCOME))
    return {outcome.seed: outcome for outcome in sorted(found, key=lambda o: o.seed)}


def read_plan(study: optuna.Study) -> Plan:
    """The plan that a study was made for.

    Raises:
        InputError: the study is not one of eafo's.
    """
    text = study.user_attrs.get(PLAN)
    if text is None:
        raise InputError(
            "a study must have been made by eafo", study.study_name, "choose another name or storage"
        )
    return Plan.from_dict(json.loads(text), f"the stored plan of {study.study_name}")


def trained_in(setting: Setting, parameters: Mapping[str, Any]) -> Setting:
    """How a trial was trained: the plan's setting with what the trial chose."""
    return replace(setting, **{name: parameters[name] for name in _CHOSEN if name in parameters})


def read_study(study: optuna.Study) -> Study:
    """A study as it stands."""
    trials, plan = study.get_trials(deepcopy=False), read_plan(study)
    finished = tuple(_result(trial, plan) for trial in trials if trial.state in _STATES)
    return Study(
        study.study_name,
        plan,
        finished,
        len(trials) - len(finished),
        _importance(study, finished),
        tuple(json.loads(study.user_attrs.get(RUNS, "[]"))),
    )


def _importance(study: optuna.Study, finished: Sequence[TrialResult]) -> tuple[tuple[str, float], ...]:
    """Of each choice, by PED-ANOVA, the largest first; nothing where there are too few trials to tell."""
    complete = [t for t in finished if t.state == "complete" and t.estimate]
    if len(complete) < FEWEST_FOR_IMPORTANCE or len({t.estimate.mean for t in complete if t.estimate}) < 2:
        return ()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        # It takes what is given for something to be small, and warns that it does.
        warnings.filterwarnings("ignore", "PedAnovaImportanceEvaluator computes")
        several = len(study.directions) > 1
        found = optuna.importance.get_param_importances(
            study, evaluator=evaluator, target=(lambda t: -t.values[0]) if several else None
        )
    return tuple((name, float(value)) for name, value in found.items())


def _result(trial: FrozenTrial, plan: Plan) -> TrialResult:
    outcomes = tuple(read_outcomes(trial).values())
    text = trial.user_attrs.get(ACTIVATION)
    return TrialResult(
        number=trial.number,
        state=_STATES[trial.state],
        base=str(trial.params.get(BASE, "")),
        law=str(trial.params.get(LAW, "")),
        activation=None if text is None else Activation.from_json(text),
        parameters=tuple((name, float(v)) for name, v in trial.params.items() if not isinstance(v, str)),
        outcomes=outcomes,
        estimate=Estimate.of(o.score for o in outcomes) if outcomes else None,
        reason=str(trial.user_attrs.get(REASON, "")),
        rungs=tuple((epochs, outcome.score) for (epochs, _), outcome in read_rungs(trial).items()),
        features=tuple(read_features(trial.user_attrs).items()),
        predicted=trial.user_attrs.get(PREDICTED),
        setting=trained_in(plan.setting, trial.params),
        costs=tuple(zip(plan.objectives[1:], (trial.values or ())[1:], strict=False)),
    )
