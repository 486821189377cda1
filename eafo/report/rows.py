"""The rows of a results table: what a comparison's arms and a study's trials have in common."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from eafo import catalog, tasks
from eafo.activation import Activation
from eafo.search import Arm, Comparison, Study
from eafo.search.results import TrialResult
from eafo.search.statistics import Estimate
from eafo.tasks import Outcome, Setting

__all__ = [
    "Row",
    "candidate",
    "cells",
    "counted",
    "leading",
    "of_comparison",
    "of_study",
    "standing",
    "text_form",
]


@dataclass(frozen=True)
class Row:
    """An activation with its seeds.

    Args:
        index: fixes the row's look, the same in every figure.
        label: how figures and tables call it.
        activation: what was trained; None where a trial failed before it was made.
        estimate: mean and interval; None where there is none to trust.
        outcomes: the finished seeds.
        note: a failure's reason, a pruned trial's state.
        setting: how it was trained.
    """

    index: int
    label: str
    activation: Activation | None
    estimate: Estimate | None
    outcomes: tuple[Outcome, ...]
    note: str = ""
    setting: Setting = field(default_factory=Setting)

    @property
    def scores(self) -> list[float]:
        """The score of each finished seed."""
        return [outcome.score for outcome in self.outcomes]

    @property
    def seconds(self) -> float | None:
        """The mean wall-clock time of a training."""
        return sum(o.seconds for o in self.outcomes) / len(self.outcomes) if self.outcomes else None


def of_comparison(comparison: Comparison) -> list[Row]:
    """A row for each arm, best mean first; each keeps the look of its place in the list as it was given."""
    labels = _labels(comparison)
    rows = [
        Row(
            index,
            labels[index],
            arm.activation,
            arm.estimate,
            arm.outcomes,
            "; ".join([*_trained(arm, comparison), *arm.failures]),
            arm.setting,
        )
        for index, arm in enumerate(comparison.arms)
    ]
    return sorted(rows, key=lambda row: (row.estimate is None, -row.estimate.mean if row.estimate else 0.0))


def _trained(arm: Arm, comparison: Comparison) -> list[str]:
    """What of an arm's training is its own."""
    own, common = arm.setting, comparison.setting
    told = (
        [f"{own.rate:g} times the recipe's learning rate"]
        if comparison.rates or own.rate != common.rate
        else []
    )
    told += ["a value a channel"] if own.per_channel and not common.per_channel else []
    return told + (["f′ kept in four bits"] if own.saved != common.saved else [])


def of_study(study: Study) -> list[Row]:
    """Give a row for each trial, in the order of `standing`."""
    return [
        Row(
            t.number, f"{t.number}: {candidate(t)}", t.activation, t.estimate, t.outcomes, _note(t), t.setting
        )
        for t in standing(study)
    ]


def standing(study: Study) -> list[TrialResult]:
    """The trials, complete ones first, each kind best mean first."""
    return sorted(
        study.trials,
        key=lambda t: (t.state != "complete", t.estimate is None, -t.estimate.mean if t.estimate else 0.0),
    )


def leading(rows: Iterable[Row], count: int) -> list[Row]:
    """The first rows that have a score, none that was proposed again, with looks of their own."""
    found: dict[object, Row] = {}
    for row in rows:
        if row.estimate is not None:
            found.setdefault((row.activation, row.setting), row)
    return [replace(row, index=index) for index, row in enumerate(list(found.values())[:count])]


def candidate(trial: TrialResult) -> str:
    """What a trial tried, in a few words.

    The base, corrected for the law where there is one, and the searched values; of a composed formula, which has no law, the formula.
    """
    told = [f"{name}={value:.4g}" for name, value in trial.parameters if name != "per_channel"]
    told += ["a value a channel"] if trial.setting.per_channel else []
    told += ["f′ in four bits"] if trial.setting.saved == "code" else []
    if trial.law:
        kind = trial.base if trial.law == "none" else f"{trial.base} × {trial.law}"
    else:
        kind = trial.base if trial.activation is None else str(trial.activation)
    return f"{kind} ({', '.join(told)})" if told else kind


def _labels(comparison: Comparison) -> list[str]:
    """Names as short as may be while no two are alike."""
    arms = comparison.arms
    found = [_label(arm.activation) for arm in arms]
    found = [
        s if found.count(s) == 1 else text_form(arm.activation) for s, arm in zip(found, arms, strict=True)
    ]
    # What differs in nothing else differs in how it was trained.
    told = [", ".join(_trained(arm, comparison)) for arm in arms]
    return [f"{s} ({t})" if found.count(s) > 1 and t else s for s, t in zip(found, told, strict=True)]


def _label(activation: Activation) -> str:
    text = text_form(activation)
    if text.startswith(activation.name) or not activation.parameters or ";" in activation.name:
        return text if activation.name in catalog.names() else activation.name
    values = ", ".join(f"{name}={value:.4g}" for name, value in activation.defaults.items())
    return f"{activation.name} ({values})"


def score_label(task: str) -> str:
    """What a task's score is, with its unit; tasks of the user's own count what they like.

    >>> score_label("mnist1d"), score_label("mine:Task")
    ('test accuracy / %', 'score')
    """
    return str(getattr(tasks.get(task), "measure", "score")) if task in tasks.names() else "score"


def counted(number: int, what: str) -> str:
    """A number with its noun.

    >>> counted(1, "seed"), counted(3, "seed")
    ('1 seed', '3 seeds')
    """
    return f"{number} {what}{'' if number == 1 else 's'}"


def text_form(activation: Activation) -> str:
    """The shortest text that tells this activation from others, in the form that commands accept where there is one.

    >>> text_form(catalog.get("srelu(t=1.5)")), text_form(catalog.get("x*sigmoid(beta*x); beta=2"))
    ('srelu(t=1.5)', 'x/(1 + exp(-beta*x)); beta=2.0')
    """
    if activation.name in catalog.names():
        known = catalog.get(activation.name)
        if known.expression == activation.expression:
            changed = [f"{n}={v!r}" for n, v in activation.defaults.items() if known.defaults[n] != v]
            return f"{activation.name}({', '.join(changed)})" if changed else activation.name
    values = ", ".join(f"{name}={value!r}" for name, value in activation.defaults.items())
    return f"{activation}; {values}" if values else str(activation)


def cells(estimate: Estimate | None) -> tuple[str, str, str, str]:
    """Mean, interval, deviation and count as text, a dash where there is none."""
    if estimate is None:
        return "—", "—", "—", "—"
    interval = "—" if estimate.low is None else f"{estimate.low:.2f} … {estimate.high:.2f}"
    deviation = "—" if estimate.deviation is None else f"{estimate.deviation:.2f}"
    return f"{estimate.mean:.2f}", interval, deviation, str(estimate.count)


def _note(trial: TrialResult) -> str:
    return "" if trial.state == "complete" else ": ".join(filter(None, (trial.state, trial.reason)))
