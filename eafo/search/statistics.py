"""Means over seeds, with their intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from eafo.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Estimate"]

_LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """The mean of a score over seeds and its 95 % interval.

    The interval is Student's, mean ± t(0.975, n − 1) · s/√n. From a single seed there is none: `low`, `high` and
    `deviation` are None, for one number says nothing about its spread.

    Args:
        mean: the mean over seeds.
        low: lower end of the interval, None for a single seed.
        high: upper end of the interval, None for a single seed.
        deviation: the standard deviation from seed to seed (n − 1 in the denominator), None for a single seed.
        count: the number of seeds.
    """

    mean: float
    low: float | None
    high: float | None
    deviation: float | None
    count: int

    @classmethod
    def of(cls, scores: Iterable[float]) -> Estimate:
        """The estimate from one score a seed.

        Raises:
            InputError: no score, or one that is not finite.

        >>> e = Estimate.of([1.0, 2.0, 3.0])
        >>> e.mean, round(e.low, 4), round(e.high, 4), e.deviation
        (2.0, -0.4841, 4.4841, 1.0)
        >>> Estimate.of([7.0]).low is None
        True
        """
        values = np.asarray(list(scores), dtype=np.float64)
        if values.size == 0:
            raise InputError("an estimate needs at least one score", 0)
        if not np.isfinite(values).all():
            raise InputError("every score must be finite", values.tolist())
        mean = float(values.mean())
        if values.size == 1:
            return cls(mean, None, None, None, 1)
        deviation = float(values.std(ddof=1))
        half = float(stats.t.ppf((1 + _LEVEL) / 2, values.size - 1)) * deviation / math.sqrt(values.size)
        return cls(mean, mean - half, mean + half, deviation, int(values.size))

    def __str__(self) -> str:
        """``mean ± half-width (seeds)``, or the mean alone.

        >>> str(Estimate.of([90.0, 92.0])), str(Estimate.of([90.0]))
        ('91.00 ± 12.71 (2 seeds)', '90.00 (1 seed)')
        """
        if self.high is None:
            return f"{self.mean:.2f} (1 seed)"
        return f"{self.mean:.2f} ± {self.high - self.mean:.2f} ({self.count} seeds)"
