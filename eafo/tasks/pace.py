"""What a step of training takes, measured for several activations in turns."""

from __future__ import annotations

import itertools
import statistics
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from eafo.errors import InputError
from eafo.nn import Module
from eafo.tasks.loop import Run
from eafo.tasks.models import by_kind
from eafo.tasks.train import built, prepared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eafo.activation import Activation
    from eafo.tasks.protocol import Task
    from eafo.tasks.setting import Setting

__all__ = ["step_times"]

_BATCHES = 8
_FEWEST, _MOST = 5, 25


def step_times(
    task: Task, arms: Sequence[tuple[Activation, Setting]], *, seconds: float = 30.0
) -> list[float] | None:
    """Measure a step of training (forward, backward and optimiser) for each of some activations.

    A round takes the same eight batches through each network in turn, so that what else the machine does meets all; a first round, in
    which kernels are compiled, does not count. Scoring is not part of a step.

    Args:
        task: what is trained.
        arms: activations, and how each is trained; all on one device, the same in precision.
        seconds: no further round begins after so long; at least five count, at most 25.

    Returns:
        Seconds of a step, the median over the rounds, for each arm; None where the task does not tell its ``problem`` and its ``recipe``, or
        the device is not here.

    Raises:
        DataError: the task's data are missing or damaged.
        BuildError: a kernel cannot be compiled.
    """
    given: Any = task
    if not (hasattr(task, "problem") and hasattr(task, "recipe")):
        return None
    settings = [replace(s, record=False, checkpoints=None, stacked=1) for _, s in arms]
    problem, recipe = given.problem(settings[0]), given.recipe
    try:
        with prepared(settings[0]):
            runs = [_run(problem, recipe, a, s) for (a, _), s in zip(arms, settings, strict=True)]
            batches = list(itertools.islice(problem.batches(runs[0].order, 0), _BATCHES))
            _round(runs, batches)
            rounds: list[list[float]] = []
            start = time.perf_counter()
            while len(rounds) < _FEWEST or (len(rounds) < _MOST and time.perf_counter() - start < seconds):
                rounds.append(_round(runs, batches))
    except InputError:  # No such device.
        return None
    return [statistics.median(own) for own in zip(*rounds, strict=True)]


def _run(problem: Any, recipe: Any, activation: Activation, setting: Setting) -> Run:
    model = built(problem, lambda kind="": Module(by_kind(activation, kind), save=setting.saved), 0, setting)
    model.train()
    return Run(problem, model, recipe.make_optimiser(model), recipe, setting, seed=0, epochs=1)


def _round(runs: Sequence[Run], batches: Sequence[tuple[Any, Any]]) -> list[float]:
    """Seconds of a step of each."""
    found = []
    for run in runs:
        start = time.perf_counter()
        for inputs, targets in batches:
            loss = run.step(inputs, targets)
        float(loss)  # A device that runs behind is waited for.
        found.append((time.perf_counter() - start) / len(batches))
        # The schedule of a training is not what is measured.
        run.steps = 0
    return found
