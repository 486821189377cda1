"""The null test: searches in which every candidate is the same activation, and how often one is named better."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from eafo import catalog, tasks
from eafo.errors import InputError
from eafo.search.comparison import length_of, run_jobs
from eafo.search.confirmation import Sequential
from eafo.search.executors import Job
from eafo.search.executors.choice import make_executor
from eafo.search.progress import Progress, SilentProgress
from eafo.tasks import Outcome

if TYPE_CHECKING:
    from eafo.catalog import ActivationLike

__all__ = ["NullDesign", "NullResult", "null_resampled", "null_trained"]

_FIRST_SEED = 2_000_000
_LOOKS = 4


@dataclass(frozen=True)
class NullDesign:
    """A search and its confirmation, as they are run where there may be something to find.

    Args:
        trials: candidates of the search.
        seeds: of each in the search.
        finalists: so many of the best are confirmed.
        baselines: what they are held against.
        fresh: seeds of the confirmation, from 8.
        level: of the confirmation.

    Raises:
        InputError: a number out of its range.
    """

    trials: int = 30
    seeds: int = 3
    finalists: int = 3
    baselines: int = 3
    fresh: int = 20
    level: float = 0.05

    def __post_init__(self) -> None:
        for name, least in (
            ("trials", 2),
            ("seeds", 1),
            ("finalists", 1),
            ("baselines", 1),
            ("fresh", 2 * _LOOKS),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"{name} of a null test must be a whole number from {least}", value)
        if self.finalists > self.trials:
            raise InputError("a null test has no more finalists than trials", self.finalists)

    @property
    def looks(self) -> tuple[int, ...]:
        """The numbers of fresh seeds at which the confirmation looks."""
        return tuple(self.fresh * (k + 1) // _LOOKS for k in range(_LOOKS))

    @property
    def most(self) -> int:
        """Trainings of one null search, where nothing is decided early."""
        return self.trials * self.seeds + (self.finalists + self.baselines) * self.fresh


@dataclass(frozen=True)
class NullResult:
    """How often a winner was named where there is none.

    Args:
        studies: null searches.
        winners: those that named one.
        low: lower end of the 95 % interval of the share, by Clopper and Pearson.
        high: upper end.
        level: what the share must not exceed.
        trainings: how many were run or drawn.
    """

    studies: int
    winners: int
    low: float
    high: float
    level: float
    trainings: int

    @classmethod
    def of(cls, named: Sequence[bool], level: float, trainings: int) -> NullResult:
        """Count."""
        interval = stats.binomtest(sum(named), len(named)).proportion_ci(0.95, "exact")
        return cls(len(named), sum(named), float(interval.low), float(interval.high), level, trainings)

    @property
    def holds(self) -> bool:
        """Whether the interval of the share reaches down to the level."""
        return self.low <= self.level

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {**asdict(self), "holds": self.holds}

    def __str__(self) -> str:
        share = 100 * self.winners / self.studies
        return (
            f"{self.winners} of {self.studies} null searches named a winner: {share:.1f} % "
            f"({100 * self.low:.1f} to {100 * self.high:.1f}), at most {100 * self.level:g} % may"
        )


def null_resampled(
    scores: Sequence[float], design: NullDesign | None = None, *, studies: int = 2000, seed: int = 0
) -> NullResult:
    """Null searches whose every score is drawn from real ones.

    Args:
        scores: of one activation, a number a seed, from 20.
        design: how each search is made.
        studies: how many.
        seed: of the drawing.

    Raises:
        InputError: too few scores, or one that is not finite; no study.
    """
    pool = np.asarray(scores, np.float64)
    if pool.size < 20 or not np.isfinite(pool).all():
        raise InputError("a null test draws from at least 20 finite scores", pool.size)
    _check_studies(studies)
    rng, design, drawn = np.random.default_rng(seed), design or NullDesign(), itertools.count()

    def draw(count: int) -> list[float]:
        for _ in range(count):
            next(drawn)
        return list(map(float, rng.choice(pool, count)))

    named = [_names_a_winner(design, draw) for _ in range(studies)]
    return NullResult.of(named, design.level, next(drawn))


def null_trained(
    activation: ActivationLike,
    task: str = "mnist1d-mlp",
    design: NullDesign | None = None,
    *,
    studies: int = 40,
    epochs: int | None = None,
    budget: str = "tiny",
    workers: int | None = None,
    executor: str = "local",
    gpus: float = 0.0,
    setting: tasks.Setting | None = None,
    progress: Progress | None = None,
) -> tuple[NullResult, list[float]]:
    """Null searches that are trained: each candidate is the activation with seeds of its own, and so is each baseline.

    Args:
        activation: in any form that `eafo.get` reads.
        task: a task's name, or ``"module:object"``.
        design: how each search is made.
        studies: how many.
        epochs: the length of each training; where not given, the task's for this budget.
        budget: ``"tiny"``, ``"short"`` or ``"full"``.
        workers: how many worker processes; one for each processor where not given.
        executor: ``"local"``, ``"ray"`` or the address of a Ray cluster; see `eafo.search.executors.choice.make_executor`.
        gpus: GPUs of each training, which Ray shares out; a fraction lets trainings share one.
        setting: on what trainings run; ``stacked`` seeds are trained together.
        progress: told how far it is.

    Returns:
        What came of it, and every score.

    Raises:
        InputError: a wrong number or an unknown name; a training that diverged.
        DataError: the task's data are missing or damaged.
    """
    _check_studies(studies)
    design, act, found = design or NullDesign(), catalog.get(activation), tasks.get(task)
    epochs, setting = length_of(found, epochs, budget, setting)
    found.prepare()
    scores: list[float] = []
    seeds = itertools.count(_FIRST_SEED)
    with make_executor(executor, workers, gpus) as at_work:

        def train(count: int) -> list[float]:
            fresh = list(itertools.islice(seeds, count))
            size = setting.stacked
            stacks = [fresh[k : k + size] for k in range(0, count, size)]
            jobs = [Job(0, act, task, first, epochs, setting, tuple(rest)) for first, *rest in stacks]
            results = run_jobs(jobs, at_work, SilentProgress(), [act.name])[0]
            for result in results.values():
                if not isinstance(result, Outcome):
                    raise InputError(f"a null test needs trainings that finish ({result})", act.name)
            scores.extend(r.score for _, r in sorted(results.items()) if isinstance(r, Outcome))
            return scores[-count:]

        bar = progress or SilentProgress()
        bar.started(studies, 0)
        named = []
        try:
            for _ in range(studies):
                named.append(_names_a_winner(design, train))
                bar.advanced(1, f"{sum(named)} named a winner")
        finally:
            bar.finished()
    return NullResult.of(named, design.level, len(scores)), scores


def _check_studies(studies: int) -> None:
    if isinstance(studies, bool) or not isinstance(studies, int) or studies < 1:
        raise InputError("the number of null searches must be a whole number from 1", studies)


def _names_a_winner(design: NullDesign, draw: Callable[[int], list[float]]) -> bool:
    """One null search: its best candidates, confirmed as others are."""
    # The search itself: its scores choose the finalists, who are all alike, and are then forgotten.
    draw(design.trials * design.seeds)
    test = Sequential(design.finalists, design.looks, design.level)
    candidates: dict[int, list[float]] = {i: [] for i in range(design.finalists)}
    baselines: list[list[float]] = [[] for _ in range(design.baselines)]
    done = 0
    for count in design.looks:
        running = [*(candidates[i] for i in test.open), *baselines]
        # All at once, so that every worker has something to do.
        fresh = draw((count - done) * len(running))
        for k, own in enumerate(running):
            own.extend(fresh[k * (count - done) : (k + 1) * (count - done)])
        done = count
        test.look({i: candidates[i] for i in test.open}, baselines)
        if not test.open:
            break
    return any(v.decision == "better" for v in test.verdicts.values())
