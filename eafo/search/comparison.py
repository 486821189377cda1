"""Compare a fixed list of activations, all with the same seeds."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from typing import TYPE_CHECKING

from eafo import catalog, tasks
from eafo.errors import EafoError, InputError
from eafo.search.environment import environment
from eafo.search.executors import Executor, Job, Result
from eafo.search.executors.choice import make_executor
from eafo.search.progress import Progress, SilentProgress
from eafo.search.results import Arm, Comparison
from eafo.tasks import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from eafo.activation import Activation
    from eafo.catalog import ActivationLike

__all__ = [
    "Contender",
    "Found",
    "check_rates",
    "compare",
    "distinct",
    "length_of",
    "run_jobs",
    "train_arms",
    "tuned",
    "tuned_on",
]

_MOST_SEEDS = 10_000
#: By which learning rates are first told apart.
_TUNING_SEEDS = 4


def compare(
    activations: Iterable[ActivationLike],
    task: str = "mnist1d",
    seeds: int = 10,
    *,
    epochs: int | None = None,
    budget: str = "short",
    workers: int | None = None,
    executor: str = "local",
    gpus: float = 0.0,
    first_seed: int = 0,
    setting: tasks.Setting | None = None,
    rates: Sequence[float] = (),
    progress: Progress | None = None,
) -> Comparison:
    """Train each activation with each seed and gather scores with intervals.

    All arms get the same seeds, and with a seed the same order of the examples and the same initial weights. A training
    that diverges ends in its arm's failures.

    Args:
        activations: what to compare, in any form that `eafo.get` reads; no two alike.
        task: a task's name, or ``"module:object"``.
        seeds: how many, from 1.
        epochs: the length of each training; where not given, the task's for this budget.
        budget: ``"tiny"``, ``"short"`` or ``"full"``.
        workers: how many worker processes; one for each processor where not given.
        executor: ``"local"``, ``"ray"`` or the address of a Ray cluster; see `eafo.search.executors.choice.make_executor`.
        gpus: GPUs of each training, which Ray shares out; a fraction lets trainings share one.
        first_seed: the first of the seeds.
        setting: on what trainings run, and what they keep; the default is one thread of the processor in float32.
        rates: each activation is trained at the best of these, in times the recipe's learning rate: by seeds that follow the
            compared ones, on which nothing else is decided; see `tuned`. Empty for the recipe's own.
        progress: told how far it is.

    Raises:
        InputError: a wrong number, an unknown name, an activation given twice.
        DataError: the task's data are missing or damaged.
    """
    compared = distinct(activations)
    found = tasks.get(task)
    length, setting = length_of(found, epochs, budget, setting)
    _check("seeds", seeds, 1)
    _check("first_seed", first_seed, 0)
    found.prepare()
    chosen = range(first_seed, first_seed + seeds)
    contenders = [(activation, setting) for activation in compared]
    check_rates(found, contenders, rates)
    progress = progress or SilentProgress()
    with make_executor(executor, workers, gpus) as at_work:
        train = functools.partial(train_arms, task=task, epochs=length, executor=at_work, progress=progress)
        if rates:
            contenders = tuned(train, contenders, rates, after=chosen)
        results = train(contenders, chosen)
    arms = tuple(Arm.of(a, results[i], own) for i, (a, own) in enumerate(contenders))
    name = found.name if task in tasks.names() else task
    return Comparison(
        name,
        length,
        tuple(chosen),
        arms,
        setting,
        tuple(float(rate) for rate in rates),
        environment(setting.device, executor),
        tuned_on(chosen, rates),
    )


def train_arms(
    arms: Sequence[Contender],
    seeds: range,
    *,
    task: str,
    epochs: int,
    executor: Executor,
    progress: Progress,
) -> Found:
    """Train each arm with each seed: seed by seed, so that an interrupted look at the bar's best compares arms of equal counts."""
    size = arms[0][1].stacked
    stacks = [seeds[start : start + size] for start in range(0, len(seeds), size)]
    jobs = [
        Job(i, a, task, first, epochs, own, tuple(rest))
        for first, *rest in stacks
        for i, (a, own) in enumerate(arms)
    ]
    return run_jobs(jobs, executor, progress, [a.name for a, _ in arms])


def check_rates(task: tasks.Task, arms: Sequence[Contender], rates: Sequence[float]) -> None:
    """Refuse learning rates among which none can be chosen.

    Raises:
        InputError: one is no positive number or given twice; a setting fixes another; the task takes no setting.
    """
    for rate in rates:
        tasks.check(task, replace(arms[0][1], rate=rate))
    if len(set(rates)) != len(rates):
        raise InputError("rates must be given once each", ", ".join(f"{rate:g}" for rate in rates))
    fixed = next((own.rate for _, own in arms if own.rate != 1), None)
    if rates and fixed is not None:
        raise InputError("a rate is fixed or chosen among rates, not both", fixed, "leave one out")


def tuned(
    train: Callable[[list[Contender], range], Found],
    arms: Sequence[Contender],
    rates: Sequence[float],
    *,
    after: range,
) -> list[Contender]:
    """Each arm at the learning rate that has the highest mean over seeds on which nothing else is decided: by successive halving.

    Every rate has four seeds, the better half of them four more, the better half of these eight more, until one is left: a few
    seeds tell rates that lie close apart by chance alone. The interval of a score does not tell that another rate might have been chosen.

    Args:
        train: trains arms with seeds.
        arms: activations, and how each is trained.
        rates: among which is chosen, in times the recipe's; of equals the nearest to 1.
        after: the seeds are those that follow these.
    """
    left = [[(a, replace(own, rate=rate)) for rate in rates] for a, own in arms]
    results: dict[tuple[int, float], dict[int, Outcome | EafoError]] = {}

    def standing(arm: int, contender: Contender) -> tuple[float, float]:
        rate = contender[1].rate
        return _mean(results[arm, rate]), -abs(math.log(rate))

    start = after.stop
    for count in _halvings(len(rates)):
        places = [(arm, contender) for arm, own in enumerate(left) for contender in own]
        found = train([contender for _, contender in places], range(start, after.stop + count))
        for place, (arm, (_, own)) in enumerate(places):
            results[arm, own.rate] = results.get((arm, own.rate), {}) | found[place]
        for arm, contenders in enumerate(left):
            ranked = sorted(contenders, key=functools.partial(standing, arm), reverse=True)
            left[arm] = ranked[: -(-len(contenders) // 2)]
        start = after.stop + count
    return [contender for (contender,) in left]


def _halvings(count: int) -> list[int]:
    """How many seeds each of those that are left has when they are halved.

    >>> _halvings(1), _halvings(2), _halvings(6)
    ([], [4], [4, 8, 16])
    """
    found: list[int] = []
    while count > 1:
        found.append(_TUNING_SEEDS << len(found))
        count = -(-count // 2)
    return found


def tuned_on(seeds: range, rates: Sequence[float]) -> tuple[int, ...]:
    """The seeds by which rates are chosen: those that follow the compared ones."""
    return tuple(range(seeds.stop, seeds.stop + max(_halvings(len(rates)), default=0)))


def _mean(results: Mapping[int, Outcome | EafoError]) -> float:
    """The mean score; minus infinity where a seed failed."""
    scores = [r.score for r in results.values() if isinstance(r, Outcome)]
    return sum(scores) / len(scores) if len(scores) == len(results) else -math.inf


def distinct(
    activations: Iterable[ActivationLike], settings: Sequence[tasks.Setting] = ()
) -> tuple[Activation, ...]:
    """The activations of a list.

    Args:
        activations: in any form that `eafo.get` reads.
        settings: how each is trained, where they are not all trained alike.

    Raises:
        InputError: it is empty or no list, a name is unknown, or two of it are the same function, trained alike.
    """
    if isinstance(activations, str):
        raise InputError("activations must be a list", activations, f"write [{activations!r}]")
    compared = tuple(catalog.get(a) for a in activations)
    if not compared:
        raise InputError("a comparison needs at least one activation", "none")
    trained = settings or [tasks.Setting()] * len(compared)
    functions = [(_function(a), own) for a, own in zip(compared, trained, strict=True)]
    for i, activation in enumerate(compared):
        if functions[i] in functions[:i]:
            raise InputError(
                "the activations of a comparison must differ", activation.name, "give each one once"
            )
    return compared


def _function(activation: Activation) -> tuple[object, ...]:
    return activation.expression, activation.parameters


def _check(what: str, value: object, least: int) -> None:
    most = _MOST_SEEDS if what == "seeds" else 1_000_000
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InputError(f"{what} must be a whole number from {least} to {most}", value)


#: An activation, and how it is trained.
Contender = tuple["Activation", tasks.Setting]
#: By arm and seed, what became of it.
Found = dict[int, dict[int, "Outcome | EafoError"]]


def length_of(
    task: tasks.Task, epochs: int | None, budget: str, setting: tasks.Setting | None
) -> tuple[int, tasks.Setting]:
    """The epochs of a training and the setting, with the budget's number of examples where no epochs are given.

    Raises:
        InputError: a wrong number, no such budget, a setting that the task does not take.
    """
    setting = setting or tasks.Setting()
    if epochs is None:
        epochs, examples = tasks.length(task, budget)
        setting = setting.with_examples(examples)
    _check("epochs", epochs, 1)
    tasks.check(task, setting)
    return epochs, setting


def run_jobs(jobs: list[Job], executor: Executor, progress: Progress, names: list[str]) -> Found:
    """Run jobs, and gather what became of each arm's seeds."""
    found: Found = {job.owner: {} for job in jobs}
    for job in jobs:
        executor.submit(job)
    progress.started(sum(1 + len(job.further) for job in jobs), 0)
    try:
        for _ in jobs:
            result = executor.next()
            found[result.job.owner] |= _by_seed(result)
            progress.advanced(1 + len(result.job.further), _best(found, names))
    finally:
        progress.finished()
    return found


def _by_seed(result: Result) -> dict[int, Outcome | EafoError]:
    first = result.outcome or result.error
    assert first is not None  # noqa: S101 - a result is one of the two
    return dict(zip((result.job.seed, *result.job.further), (first, *result.further), strict=True))


def _best(found: Found, names: list[str]) -> str:
    means: dict[int, float] = {}
    for owner, results in found.items():
        scores = [r.score for r in results.values() if isinstance(r, Outcome)]
        if scores:
            means[owner] = sum(scores) / len(scores)
    if not means:
        return ""
    best = max(means, key=lambda owner: means[owner])
    return f"best {means[best]:.2f} {names[best]}"
