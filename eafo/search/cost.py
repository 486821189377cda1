"""What activations cost beside what they score: measured kernels, the Pareto front, and the score in equal time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from eafo import catalog
from eafo.errors import InputError
from eafo.search.filters import cost
from eafo.search.statistics import Estimate
from eafo.tasks.setting import Setting

if TYPE_CHECKING:
    from eafo.activation import Activation
    from eafo.tasks import Outcome

__all__ = ["OBJECTIVES", "Cost", "EqualTime", "equal_time", "front", "kernel_costs", "objective"]

#: What a search may make small beside the score.
OBJECTIVES = ("time", "cost", "memory")

_ELEMENTS, _ROUNDS = 2**18, 9


@dataclass(frozen=True)
class Cost:
    """What a call of a kernel takes, forward and backward.

    Args:
        nanoseconds: of an element, the median.
        of_copy: in multiples of a plain copy of as many bytes (x, y, then x, the gradient and dx), timed in turns with it: what else the
            machine does meets both.
        kept_bytes: of an element, what autograd keeps for backward.
    """

    nanoseconds: float
    of_copy: float
    kept_bytes: float


def kernel_costs(
    activations: Sequence[Activation], device: str = "cpu", *, saved: str = "x", per_channel: bool = False
) -> list[Cost]:
    """Measure the kernels of some activations: float32, 2¹⁸ elements, one thread, medians over nine rounds (`eafo.kernels.bench`).

    Learnable parameters get their gradients too. Compiling takes a second or two an activation the first time.

    Args:
        activations: what is measured.
        device: as torch calls it; of several GPUs torch's current one is measured.
        saved: what is kept for backward: ``"x"``, or ``"code"`` for activations without learnable parameters.
        per_channel: whether learnable parameters have a value a channel.

    Raises:
        InputError: there is no such device here.
        BuildError: a kernel cannot be compiled.
    """
    from eafo.kernels.bench import bench  # noqa: PLC0415 - loads torch

    variant = "eafo" if saved == "x" else "code"
    measured = bench(
        activations,
        sizes=[_ELEMENTS],
        dtypes=["float32"],
        passes=["forward+backward"],
        variants=[variant],
        parameters="none" if saved == "code" else "channel" if per_channel else "scalar",
        device=device.partition(":")[0],
        rounds=_ROUNDS,
    )
    own = [m for m in measured if m.variant == variant]
    if len(own) != len(activations):
        raise InputError("every kernel must run to be measured", f"{len(own)} of {len(activations)}")
    return [Cost(1e9 * m.seconds / m.elements, 1 / m.share_of_copy, m.kept_bytes / m.elements) for m in own]


def objective(name: str, activation: Activation, setting: Setting) -> float:
    """What an activation costs in a training, by one of `OBJECTIVES`.

    Args:
        name: ``"time"``: of its kernels, forward and backward, in multiples of a copy, measured here and now (`kernel_costs`), so a little
            different each time; ``"cost"``: the operations that the kernels' programs count, in multiples of GELU's, always the same;
            ``"memory"``: bytes an element that are kept for backward.
        activation: what is trained.
        setting: how: on the device the time is measured, by the precision and what is kept the memory counts.

    Raises:
        InputError: the device is not here.
        BuildError: a kernel cannot be compiled.

    >>> from eafo import catalog
    >>> objective("cost", catalog.get("gelu"), Setting()), objective("memory", catalog.get("relu"), Setting(saved="code"))
    (1.0, 0.5)
    """
    if name == "memory":
        return 0.5 if setting.saved == "code" else 4.0 if setting.precision == "float32" else 2.0
    if name == "cost":
        return cost(activation) / cost(catalog.get("gelu"))
    return _kernel_cost(activation, setting)


def _kernel_cost(activation: Activation, setting: Setting) -> float:
    own = bool(setting.per_channel and activation.learnable)
    (found,) = kernel_costs([activation], setting.device, saved=setting.saved, per_channel=own)
    return found.of_copy


def front(scores: Sequence[float], *costs: Sequence[float]) -> tuple[bool, ...]:
    """Which points no other one dominates: as high a score at as low costs, and better in one of them.

    Args:
        scores: higher is better.
        costs: of each kind, lower is better.

    >>> front([90.0, 92.0, 91.0], [1.0, 2.0, 3.0])
    (True, True, False)
    """
    points = [(-score, *own) for score, *own in zip(scores, *costs, strict=True)]
    return tuple(
        not any(other != point and all(a <= b for a, b in zip(other, point, strict=True)) for other in points)
        for point in points
    )


@dataclass(frozen=True)
class EqualTime:
    """The score of an arm when the quickest one has finished.

    Args:
        step: milliseconds of a step of training.
        epochs: how many epochs fit into the time in which the quickest arm trains all of its own.
        estimate: the score after so many; None where not even one fits.
    """

    step: float
    epochs: int
    estimate: Estimate | None


def equal_time(
    arms: Sequence[Sequence[Outcome]], share: float = 0.0, steps: Sequence[float] | None = None
) -> list[EqualTime] | None:
    """Read every arm's curve at the time in which the quickest arm has finished.

    So an activation that is better step by step and slower second by second is seen as such.

    Args:
        arms: the finished trainings of each arm, of equal length, each with its curve.
        share: the score is the mean over the last ⌈share · epochs⌉ epochs of those that fit, at least the last.
        steps: seconds of a step of each arm, as `eafo.tasks.pace.step_times` measures them; where not given, those of the trainings
            themselves, the median over an arm's seeds: what else the machine did meanwhile is in that.

    Returns:
        One an arm; None where there are fewer than two arms, or curves or times are missing.
    """
    outcomes = [o for arm in arms for o in arm]
    lengths = {len(o.curve) for o in outcomes}
    if (
        len(arms) < 2
        or not all(arms)
        or len(lengths) != 1
        or not all(o.curve for o in outcomes)
        or not (steps or all(o.steps and o.seconds for o in outcomes))
    ):
        return None
    steps = steps or [float(np.median([o.seconds / o.steps for o in arm])) for arm in arms]
    (epochs,) = lengths
    found = []
    for arm, step in zip(arms, steps, strict=True):
        # An arm a hair slower than the quickest has its last epoch within the rounding of a clock.
        fit = int(epochs * min(steps) / step + 1e-9)
        last = max(1, int(np.ceil(share * fit - 1e-9)))
        scores = [float(np.mean(o.curve[fit - last : fit])) for o in arm] if fit else []
        found.append(EqualTime(1e3 * step, fit, Estimate.of(scores) if scores else None))
    return found
