"""Confirm the best of a search: fresh seeds, a test that may stop early, a correction for the number of candidates."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from eafo import tasks
from eafo.errors import InputError
from eafo.search.comparison import check_rates, distinct, length_of, train_arms, tuned, tuned_on
from eafo.search.environment import environment
from eafo.search.executors.choice import make_executor
from eafo.search.progress import Progress, SilentProgress
from eafo.search.results import Arm, Comparison
from eafo.search.testing import Difference, difference, holm, pairing_helps, spending
from eafo.tasks import Outcome

if TYPE_CHECKING:
    from eafo.catalog import ActivationLike

__all__ = ["BASELINES", "Confirmation", "Sequential", "Verdict", "confirm"]

Decision = Literal["better", "not shown", "failed"]
#: What a winner must beat.
BASELINES = ("relu", "gelu", "silu")
#: Far from the seeds that a search uses.
_FIRST_SEED = 1_000_000
_LOOKS = 4


@dataclass(frozen=True)
class Verdict:
    """What fresh seeds say of a candidate.

    Args:
        decision: ``"better"`` than every baseline; ``"not shown"`` to be; or ``"failed"`` in a seed.
        differences: to each baseline, over the seeds that the candidate had; the other way round than their own order where it failed:
            none.
        p_value: that it is not better than every baseline, corrected for the number of candidates, at the look that decided.
        seeds: how many it had; fewer than planned where it was decided early.
    """

    decision: Decision
    differences: tuple[Difference, ...]
    p_value: float
    seeds: int


class Sequential:
    """Looks at growing scores of candidates and baselines, and decides as early as it may.

    At a look a candidate is better where it beats every baseline: its p-value is the largest over the baselines (an intersection of
    hypotheses needs no correction), corrected by Holm for the number of candidates, and compared with the look's share of the level
    (`eafo.search.testing.spending`). It is given up where it is below a baseline by more than the 95 % interval: that errs on the
    safe side. So a study of candidates none of which is better names one with a probability of at most the level.

    Args:
        candidates: how many.
        looks: the number of seeds at each, rising.
        level: the probability of naming a winner where there is none.
    """

    def __init__(self, candidates: int, looks: Sequence[int], level: float = 0.05) -> None:
        self._shares = spending(level, [n / looks[-1] for n in looks])
        self.looks = tuple(looks)
        self.verdicts: dict[int, Verdict] = {}
        self._candidates = candidates
        self._look = 0

    @property
    def open(self) -> tuple[int, ...]:
        """The candidates that are not decided."""
        return tuple(i for i in range(self._candidates) if i not in self.verdicts)

    def look(self, scores: dict[int, Sequence[float]], baselines: Sequence[Sequence[float]]) -> None:
        """Decide what the scores so far decide.

        Args:
            scores: of each open candidate, a number a seed.
            baselines: of each baseline, the same seeds in the same order.
        """
        share, last = self._shares[self._look], self._look == len(self._shares) - 1
        self._look += 1
        paired = pairing_helps([*scores.values(), *baselines])
        found = {i: [difference(s, b, paired=paired) for b in baselines] for i, s in scores.items()}
        # The decided ones keep their place in the correction.
        worst = [max(d.greater for d in found[i]) if i in found else 1.0 for i in range(self._candidates)]
        corrected = holm(worst)
        for i, differences in found.items():
            count = len(scores[i])
            if corrected[i] <= share:
                self.verdicts[i] = Verdict("better", tuple(differences), corrected[i], count)
            elif last or any(d.high < 0 for d in differences):
                self.verdicts[i] = Verdict("not shown", tuple(differences), corrected[i], count)

    def fail(self, candidate: int, seeds: int) -> None:
        """Decide on a candidate that did not finish a seed."""
        self.verdicts[candidate] = Verdict("failed", (), 1.0, seeds)


@dataclass(frozen=True)
class Confirmation:
    """Candidates against baselines on fresh seeds.

    Args:
        comparison: every training; the candidates first, then the baselines.
        verdicts: on each candidate, in their order.
        level: the probability of naming one better where none is.
        looks: the numbers of seeds at which it was looked.
    """

    comparison: Comparison
    verdicts: tuple[Verdict, ...]
    level: float
    looks: tuple[int, ...]

    @property
    def winners(self) -> tuple[Arm, ...]:
        """The arms that are better than every baseline."""
        return tuple(
            a for a, v in zip(self.comparison.arms, self.verdicts, strict=False) if v.decision == "better"
        )

    @property
    def baselines(self) -> tuple[Arm, ...]:
        """What the candidates were held against."""
        return self.comparison.arms[len(self.verdicts) :]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        rows = [
            {
                "activation": arm.activation.name,
                "formula": str(arm.activation),
                "decision": verdict.decision,
                "p_value": verdict.p_value,
                "seeds": verdict.seeds,
                "differences": {
                    base.activation.name: {
                        "mean": d.mean,
                        "low": d.low,
                        "high": d.high,
                        "p_value": d.greater,
                        "paired": d.paired,
                    }
                    for base, d in zip(self.baselines, verdict.differences, strict=False)
                },
            }
            for arm, verdict in zip(self.comparison.arms, self.verdicts, strict=False)
        ]
        return {
            "level": self.level,
            "looks": list(self.looks),
            "verdicts": rows,
            "comparison": self.comparison.to_dict(),
        }


def confirm(
    candidates: Iterable[ActivationLike],
    task: str = "mnist1d",
    *,
    baselines: Iterable[ActivationLike] = BASELINES,
    seeds: int = 20,
    epochs: int | None = None,
    budget: str = "short",
    level: float = 0.05,
    first_seed: int = _FIRST_SEED,
    workers: int | None = None,
    executor: str = "local",
    gpus: float = 0.0,
    setting: tasks.Setting | None = None,
    settings: Sequence[tasks.Setting] = (),
    rates: Sequence[float] = (),
    progress: Progress | None = None,
) -> Confirmation:
    """Train candidates and baselines with fresh seeds, and say which candidates are better than every baseline.

    The seeds come in four parts; after each, candidates that are decided stop (`Sequential`).

    Args:
        candidates: in any form that `eafo.get` reads; none a baseline.
        task: a task's name, or ``"module:object"``.
        baselines: what a winner must beat.
        seeds: how many at most, from 8.
        epochs: the length of each training; where not given, the task's for this budget.
        budget: ``"tiny"``, ``"short"`` or ``"full"``.
        level: the probability of naming a winner where there is none.
        first_seed: the first of the seeds: none that the search used.
        workers: how many worker processes; one for each processor where not given.
        executor: ``"local"``, ``"ray"`` or the address of a Ray cluster; see `eafo.search.executors.choice.make_executor`.
        gpus: GPUs of each training, which Ray shares out; a fraction lets trainings share one.
        setting: on what trainings run.
        settings: how each candidate is trained, where they are not all trained as ``setting`` says: that of its trial.
        rates: candidates and baselines alike are trained at the best of these, in times the recipe's learning rate, by seeds that
            follow the others; see `eafo.search.comparison.tuned`. Empty for the settings' own.
        progress: told how far it is.

    Raises:
        InputError: a wrong number, an unknown name, an activation given twice, a baseline that diverged.
        DataError: the task's data are missing or damaged.
    """
    chosen, held = list(candidates), list(baselines)
    if not chosen or not held:
        raise InputError("a confirmation needs a candidate and a baseline", f"{len(chosen)} and {len(held)}")
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 2 * _LOOKS:
        raise InputError(f"the seeds of a confirmation must be a whole number from {2 * _LOOKS}", seeds)
    found = tasks.get(task)
    epochs, setting = length_of(found, epochs, budget, setting)
    own = _settings(settings, setting, len(chosen)) + [setting] * len(held)
    arms = distinct([*chosen, *held], own)
    contenders = list(zip(arms, own, strict=True))
    for one in own:
        tasks.check(found, one)
    check_rates(found, contenders, rates)
    found.prepare()
    test = Sequential(len(chosen), [seeds * (k + 1) // _LOOKS for k in range(_LOOKS)], level)
    results: dict[int, dict[int, Any]] = {i: {} for i in range(len(arms))}
    with make_executor(executor, workers, gpus) as at_work:
        train = functools.partial(
            train_arms, task=task, epochs=epochs, executor=at_work, progress=progress or SilentProgress()
        )
        if rates:
            contenders = tuned(train, contenders, rates, after=range(first_seed, first_seed + seeds))
        done = 0
        for count in test.looks:
            running = [*test.open, *range(len(chosen), len(arms))]
            more = train([contenders[i] for i in running], range(first_seed + done, first_seed + count))
            for place, owner in enumerate(running):
                results[owner] |= more[place]
            done = count
            _look(test, results, len(chosen), count)
            if not test.open:
                break
    comparison = Comparison(
        found.name if task in tasks.names() else task,
        epochs,
        tuple(range(first_seed, first_seed + done)),
        tuple(Arm.of(a, results[i], own) for i, (a, own) in enumerate(contenders)),
        setting,
        tuple(float(rate) for rate in rates),
        environment(setting.device, executor),
        tuned_on(range(first_seed, first_seed + seeds), rates),
    )
    return Confirmation(comparison, tuple(test.verdicts[i] for i in range(len(chosen))), level, test.looks)


def _settings(given: Sequence[tasks.Setting], common: tasks.Setting, count: int) -> list[tasks.Setting]:
    """That of each candidate, with the examples of all."""
    if not given:
        return [common] * count
    if len(given) != count:
        raise InputError("there must be a setting for each candidate", f"{len(given)} for {count}")
    found = [own.with_examples(common.examples) for own in given]
    for own in found:
        same = replace(own, rate=common.rate, per_channel=common.per_channel, saved=common.saved)
        if same != common:
            raise InputError(
                "a candidate's setting may differ in rate, per_channel and saved alone, or it is not a comparison of activations",
                ", ".join(f"{k} = {v}" for k, v in own.to_dict().items()),
            )
    return found


def _look(test: Sequential, results: dict[int, dict[int, Any]], candidates: int, count: int) -> None:
    scores: dict[int, list[float]] = {}
    for owner, found in results.items():
        own = [found[seed] for seed in sorted(found)]
        failed = next((r for r in own if not isinstance(r, Outcome)), None)
        if failed is None:
            scores[owner] = [r.score for r in own]
        elif owner >= candidates:
            raise InputError(
                f"every baseline must finish its trainings ({failed})", "one did not", "choose another"
            )
        elif owner not in test.verdicts:
            test.fail(owner, len(own))
    open_scores: dict[int, Sequence[float]] = {i: scores[i] for i in test.open}
    if open_scores:
        test.look(open_scores, [scores[i][:count] for i in range(candidates, len(results))])
