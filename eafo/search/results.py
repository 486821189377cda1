"""What a search and a comparison bring home, frozen: `TrialResult`, `Study`, `Arm`, `Comparison`."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from eafo.activation import Activation
from eafo.errors import EafoError, InputError, MissingDependencyError
from eafo.search.cost import front
from eafo.search.statistics import Estimate
from eafo.tasks.protocol import Outcome
from eafo.tasks.setting import Setting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from eafo.nn import Module
    from eafo.search.plan import Plan

__all__ = ["Arm", "Comparison", "Study", "TrialResult"]

_COMPARISON_FORMAT = "eafo-comparison-1"
_COLUMNS = (
    "activation",
    "formula",
    "rate",
    "per_channel",
    "saved",
    "seed",
    "score",
    "seconds",
    "steps",
    "failure",
)


@dataclass(frozen=True)
class TrialResult:
    """One finished candidate of a search.

    Args:
        number: the trial's number in its study, from 0.
        state: ``"complete"``; ``"pruned"``, given up after some seeds; or ``"failed"``, for the `reason`.
        base: the base activation, as the plan writes it.
        law: the input law, as the plan writes it; ``"none"`` for the base itself.
        activation: the candidate; None only where the trial failed before it was made.
        parameters: the searched values by their names in the plan.
        outcomes: the finished seeds in their order.
        estimate: mean and interval over those seeds; None where no seed finished.
        reason: why it failed or was pruned.
        rungs: the scores of shorter trainings, as (epochs, score).
        features: what was measured before any training, where a plan has a surrogate; see `eafo.search.features`.
        predicted: the score that the surrogate expected, after the first rung where there is a ladder, if it chose the candidate
            out of a pool.
        setting: how it was trained, with what the trial chose of that.
        costs: the further objectives of a complete trial, by their names in the plan.
    """

    number: int
    state: Literal["complete", "pruned", "failed"]
    base: str
    law: str
    activation: Activation | None
    parameters: tuple[tuple[str, float], ...]
    outcomes: tuple[Outcome, ...]
    estimate: Estimate | None
    reason: str = ""
    rungs: tuple[tuple[int, float], ...] = ()
    features: tuple[tuple[str, float], ...] = ()
    predicted: float | None = None
    setting: Setting = field(default_factory=Setting)
    costs: tuple[tuple[str, float], ...] = ()

    def module(self) -> Module:
        """The candidate as a fresh `torch.nn.Module`, its parameters at their start values."""
        if self.activation is None:
            raise InputError("a module needs a trial that got as far as its activation", self.number)
        from eafo.nn import Module  # noqa: PLC0415 - torch is loaded only by who asks for it

        return Module(self.activation)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "number": self.number,
            "state": self.state,
            "base": self.base,
            "law": self.law,
            "activation": None if self.activation is None else json.loads(self.activation.to_json()),
            "parameters": dict(self.parameters),
            "outcomes": [o.to_dict() for o in self.outcomes],
            "estimate": None if self.estimate is None else asdict(self.estimate),
            "reason": self.reason,
            "rungs": [list(rung) for rung in self.rungs],
            "features": dict(self.features),
            "predicted": self.predicted,
            "setting": self.setting.to_dict(),
            "costs": dict(self.costs),
        }


@dataclass(frozen=True)
class Study:
    """A search as it stands: its plan and its finished trials.

    Args:
        name: the plan's name.
        plan: what was asked for.
        trials: the finished trials by number.
        unfinished: how many trials a stopped or still working driver has asked and not finished.
        importance: of each choice, from 0 to 1, the largest first: how much it tells the best tenth of the complete trials
            from the rest (PED-ANOVA: Watanabe, Bansal, Hutter, 2023); none before twenty trials are complete.
        runs: on what it was run, in order; see `eafo.search.environment.environment`.
    """

    name: str
    plan: Plan
    trials: tuple[TrialResult, ...]
    unfinished: int = 0
    importance: tuple[tuple[str, float], ...] = ()
    runs: tuple[Mapping[str, str], ...] = field(default=(), compare=False)

    @property
    def best(self) -> TrialResult:
        """The complete trial of the highest mean score.

        Raises:
            InputError: no trial is complete.
        """
        complete = [t for t in self.trials if t.state == "complete" and t.estimate is not None]
        if not complete:
            raise InputError(
                "a study has a best trial once one is complete",
                f"{len(self.trials)} finished trials, none complete",
                "see the reasons in study.trials",
            )
        return max(complete, key=lambda t: (t.estimate.mean if t.estimate else 0.0, -t.number))

    @property
    def front(self) -> tuple[TrialResult, ...]:
        """The complete trials that no other one beats in every objective at once, the highest score first; of equal candidates the first.

        With one objective, those of the highest mean.
        """
        complete = [(t, t.estimate.mean) for t in self.trials if t.state == "complete" and t.estimate]
        costs = [[dict(t.costs)[name] for t, _ in complete] for name in self.plan.objectives[1:]]
        on = front([mean for _, mean in complete], *costs)
        kept: dict[object, tuple[TrialResult, float]] = {}
        for pair, best in zip(complete, on, strict=True):
            if best:
                kept.setdefault((pair[0].activation, pair[0].setting), pair)
        return tuple(t for t, _ in sorted(kept.values(), key=lambda pair: -pair[1]))

    def leaders(self, count: int, without: Sequence[Activation] = ()) -> tuple[TrialResult, ...]:
        """The best complete trials, no activation twice that differs in its learning rate alone; of several objectives the front's.

        Args:
            count: how many at most.
            without: functions that are not named where they are trained as the plan says, but for the rate: baselines.
        """
        known = [(a.expression, a.parameters) for a in without]
        plain = replace(self.plan.setting, rate=1.0)
        found: dict[tuple[str, Setting], TrialResult] = {}
        several = len(self.plan.objectives) > 1
        complete = [
            t for t in (self.front if several else self.trials) if t.state == "complete" and t.estimate
        ]
        for trial in sorted(complete, key=lambda t: -t.estimate.mean if t.estimate else 0.0):
            activation, setting = trial.activation, replace(trial.setting, rate=1.0)
            if activation is None:
                continue
            if setting != plain or (activation.expression, activation.parameters) not in known:
                found.setdefault((activation.to_json(), setting), trial)
        return tuple(found.values())[:count]

    def frame(self) -> pd.DataFrame:
        """A table with a row a trial (needs pandas).

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        rows = [
            {
                "number": t.number,
                "state": t.state,
                "base": t.base,
                "law": t.law,
                "activation": None if t.activation is None else t.activation.name,
                **dict(t.parameters),
                **{name: getattr(t.setting, name) for name in self.plan.space.choices},
                **dict(t.costs),
                **({} if t.estimate is None else asdict(t.estimate)),
                "seconds": sum(o.seconds for o in t.outcomes),
                "reason": t.reason,
            }
            for t in self.trials
        ]
        return _frame(rows)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "name": self.name,
            "plan": self.plan.to_dict(),
            "trials": [t.to_dict() for t in self.trials],
            "unfinished": self.unfinished,
            "importance": dict(self.importance),
            "runs": [dict(run) for run in self.runs],
            "front": [t.number for t in self.front] if len(self.plan.objectives) > 1 else [],
            "best": next((t.number for t in [self._best_or_none()] if t), None),
        }

    def _best_or_none(self) -> TrialResult | None:
        try:
            return self.best
        except EafoError:
            return None


@dataclass(frozen=True)
class Arm:
    """One activation of a comparison, with all its seeds.

    Args:
        activation: what was trained.
        outcomes: the finished seeds in their order.
        failures: ``"seed 3: reason"`` for each seed that did not finish.
        setting: how it was trained.
        estimate: mean and interval over the seeds; None where a seed failed, for leaving it out would flatter.
    """

    activation: Activation
    outcomes: tuple[Outcome, ...]
    failures: tuple[str, ...] = ()
    setting: Setting = field(default_factory=Setting)

    @classmethod
    def of(cls, activation: Activation, found: Mapping[int, Outcome | EafoError], setting: Setting) -> Arm:
        """The arm of what became of each seed."""
        own = sorted(found.items())
        failures = tuple(f"seed {seed}: {r}" for seed, r in own if not isinstance(r, Outcome))
        return cls(activation, tuple(r for _, r in own if isinstance(r, Outcome)), failures, setting)

    @property
    def estimate(self) -> Estimate | None:
        """Mean and 95 % interval of the score over the seeds."""
        return None if self.failures or not self.outcomes else Estimate.of(o.score for o in self.outcomes)


@dataclass(frozen=True)
class Comparison:
    """A fixed list of activations on one task, all with the same seeds.

    Args:
        task: the task's name.
        epochs: the length of each training.
        seeds: the seeds, the same for every arm.
        arms: the activations in the order given.
        setting: how they were trained, but for what an arm's own says.
        rates: among which each arm's learning rate was chosen, in times the recipe's; empty where it was the recipe's.
        run: on what it was run; see `eafo.search.environment.environment`.
        tuned_on: the seeds by which the rates were chosen.
    """

    task: str
    epochs: int
    seeds: tuple[int, ...]
    arms: tuple[Arm, ...]
    setting: Setting = field(default_factory=Setting)
    rates: tuple[float, ...] = ()
    run: Mapping[str, str] = field(default_factory=dict, compare=False)
    tuned_on: tuple[int, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """A row for each activation and seed."""
        rows: list[dict[str, Any]] = []
        for arm in self.arms:
            finished = {o.seed: o for o in arm.outcomes}
            reasons = dict(f.removeprefix("seed ").split(": ", 1) for f in arm.failures)
            for seed in self.seeds:
                outcome = finished.get(seed)
                values = (outcome.score, outcome.seconds, outcome.steps) if outcome else (None, None, None)
                own = arm.setting
                trained = (own.rate, own.per_channel, own.saved)
                named = (arm.activation.name, str(arm.activation))
                cells = (*named, *trained, seed, *values, reasons.get(str(seed), ""))
                rows.append(dict(zip(_COLUMNS, cells, strict=True)))
        return rows

    def csv(self) -> str:
        """CSV text, a row for each activation and seed."""
        text = io.StringIO()
        writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows())
        return text.getvalue()

    def frame(self) -> pd.DataFrame:
        """A table with a row for each activation and seed (needs pandas).

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        return _frame(self.rows())

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values; `from_dict` reads them back to an equal Comparison."""
        return {
            "format": _COMPARISON_FORMAT,
            "task": self.task,
            "epochs": self.epochs,
            "seeds": list(self.seeds),
            "setting": self.setting.to_dict(),
            "rates": list(self.rates),
            "run": dict(self.run),
            "tuned_on": list(self.tuned_on),
            "arms": [
                {
                    "activation": json.loads(arm.activation.to_json()),
                    "outcomes": [o.to_dict() for o in arm.outcomes],
                    "failures": list(arm.failures),
                    "setting": arm.setting.to_dict(),
                    "estimate": None if arm.estimate is None else asdict(arm.estimate),
                }
                for arm in self.arms
            ],
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Comparison:
        """Read what `to_dict` wrote; estimates are computed anew from the outcomes."""
        try:
            if values["format"] != _COMPARISON_FORMAT:
                raise InputError(f"the format of a comparison must be {_COMPARISON_FORMAT}", values["format"])
            common = values.get("setting", {})
            arms = tuple(
                Arm(
                    Activation.from_json(json.dumps(arm["activation"])),
                    tuple(map(Outcome.from_dict, arm["outcomes"])),
                    tuple(map(str, arm["failures"])),
                    _setting(arm, common),
                )
                for arm in values["arms"]
            )
            seeds, setting = tuple(map(int, values["seeds"])), Setting.from_dict(common)
            rates = tuple(map(float, values.get("rates", ())))
            run = {str(k): str(v) for k, v in values.get("run", {}).items()}
            tuned_on = tuple(map(int, values.get("tuned_on", ())))
            return cls(str(values["task"]), int(values["epochs"]), seeds, arms, setting, rates, run, tuned_on)
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError("a comparison's JSON must be what save wrote", repr(values)) from error

    def save(self, path: str | Path) -> Path:
        """Write as JSON; makes the directory where it is missing.

        Raises:
            InputError: the file cannot be written.
        """
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f".{target.name}.partial")
            partial.write_text(
                json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
            )
            partial.replace(target)
        except OSError as error:
            raise InputError(
                f"the comparison must be writable there ({error.strerror})", str(target)
            ) from error
        return target

    @classmethod
    def load(cls, path: str | Path) -> Comparison:
        """Read what `save` wrote.

        Raises:
            InputError: no such file, or it is no comparison.
        """
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"a comparison's file must be readable ({error.strerror})", str(path)) from error
        except ValueError as error:
            raise InputError("a comparison's file must be what save wrote", str(path)) from error
        return cls.from_dict(values)


def _setting(arm: Mapping[str, Any], common: Mapping[str, Any]) -> Setting:
    """How an arm was trained; for a while its rate alone was written down."""
    own = Setting.from_dict(arm.get("setting", common))
    return replace(own, rate=float(arm["rate"])) if "rate" in arm else own


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    try:
        import pandas as pd  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingDependencyError("a frame needs pandas", remedy='pip install "eafo[frame]"') from error
    return pd.DataFrame(rows)
