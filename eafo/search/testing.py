"""What differences between scores prove: paired and unpaired tests, correction for many, and testing more than once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from eafo.errors import InputError

__all__ = ["Difference", "difference", "holm", "pairing_helps", "spending"]

_LEVEL = 0.95


@dataclass(frozen=True)
class Difference:
    """The mean of one score minus that of another.

    Args:
        mean: the difference of the means.
        low: lower end of its 95 % interval.
        high: upper end.
        greater: the p-value of the hypothesis that the first mean is not the greater.
        two_sided: the p-value of the hypothesis that the means are equal.
        paired: whether seed by seed.
        count: seeds of the first.
    """

    mean: float
    low: float
    high: float
    greater: float
    two_sided: float
    paired: bool
    count: int

    def __str__(self) -> str:
        return f"{self.mean:+.2f} ({self.low:+.2f} to {self.high:+.2f})"


def difference(first: Sequence[float], second: Sequence[float], *, paired: bool) -> Difference:
    """Compare two scores over seeds by Student's t, paired, or by Welch's.

    Where all differences are the same there is no spread to judge by: p is then 0 or 1, by the sign, and the interval a point.

    Args:
        first: a number a seed.
        second: a number a seed; the same seeds in the same order, where paired.
        paired: whether seed by seed.

    Raises:
        InputError: fewer than two seeds, different numbers of them where paired, or a score that is not finite.

    >>> d = difference([1.0, 2.0, 3.0], [0.0, 1.5, 2.0], paired=True)
    >>> round(d.mean, 4), round(d.low, 4), round(d.greater, 4)
    (0.8333, 0.1162, 0.0189)
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if min(a.size, b.size) < 2 or (paired and a.size != b.size):
        raise InputError(
            "a difference needs two seeds of each, the same ones where they are paired",
            f"{a.size} and {b.size}",
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError("every score must be finite", [*first, *second])
    mean = float(a.mean() - b.mean())
    if paired:
        freedom, error = float(a.size - 1), float((a - b).std(ddof=1)) / math.sqrt(a.size)
    else:
        own = np.array([a.var(ddof=1) / a.size, b.var(ddof=1) / b.size])
        error = math.sqrt(float(own.sum()))
        squares = float((own**2 / (np.array([a.size, b.size]) - 1)).sum())
        freedom = float(own.sum() ** 2 / squares) if squares else 1.0
    # Differences that only rounding tells apart are the same.
    if error <= 1e-12 * max(1.0, abs(mean)):
        greater = 0.0 if mean > 0 else 1.0
        return Difference(mean, mean, mean, greater, float(mean == 0), paired, a.size)
    statistic, half = mean / error, float(stats.t.ppf((1 + _LEVEL) / 2, freedom)) * error
    greater, two_sided = float(stats.t.sf(statistic, freedom)), 2 * float(stats.t.sf(abs(statistic), freedom))
    return Difference(mean, mean - half, mean + half, greater, two_sided, paired, a.size)


def pairing_helps(scores: Sequence[Sequence[float]]) -> bool:
    """Whether a seed moves all arms alike, so that differences taken seed by seed spread less.

    Measured over all arms at once, by the analysis of variance of arms and seeds: the mean square of seeds is significantly above
    that of the rest, at 5 %. Where it is not, pairing gains nothing and costs half of the degrees of freedom.

    Args:
        scores: for each arm a number a seed, the same seeds in the same order; not NaN.

    >>> pairing_helps([[1, 5, 9, 2], [2, 6, 10, 3], [1, 5, 8, 2]]), pairing_helps([[1, 5, 9, 2], [9, 1, 2, 5], [4, 4, 1, 9]])
    (True, False)
    """
    table = np.asarray(scores, np.float64)
    if table.ndim != 2 or min(table.shape) < 2:
        return False
    arms, seeds = table.shape
    rest = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    of_rest = float((rest**2).sum()) / ((arms - 1) * (seeds - 1))
    of_seeds = arms * float(table.mean(0).var(ddof=1))
    if of_rest == 0:
        return of_seeds > 0
    return float(stats.f.sf(of_seeds / of_rest, seeds - 1, (arms - 1) * (seeds - 1))) < 1 - _LEVEL


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Corrected p-values: rejecting those below α errs once or more with a probability of at most α.

    Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979.

    >>> holm([0.01, 0.04, 0.03])
    (0.03, 0.06, 0.06)
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = highest
    return tuple(corrected)


def spending(level: float, fractions: Sequence[float]) -> tuple[float, ...]:
    """What each of several looks at growing data may spend of a level, little at first.

    α(t) = 2 − 2 Φ(z/√t) with Φ(z) = 1 − α/2, in the form of O'Brien and Fleming (Lan and DeMets, Discrete sequential boundaries for clinical
    trials, Biometrika 70, 1983). A look may reject where its own p-value is below its share: the shares sum to the level, so that the
    bound holds whatever the looks have to do with each other.

    Args:
        level: α, between 0 and 1.
        fractions: of the data at each look, rising, the last 1.

    >>> [round(share, 5) for share in spending(0.05, [0.25, 0.5, 1.0])]
    [9e-05, 0.00549, 0.04443]
    """
    rising = [0.0, *fractions]
    if (
        not 0 < level < 1
        or any(a >= b for a, b in zip(rising, fractions, strict=False))
        or fractions[-1] != 1
    ):
        raise InputError(
            "looks must lie at rising fractions, the last 1, for a level between 0 and 1", list(fractions)
        )
    z = float(stats.norm.isf(level / 2))
    spent = [2 * float(stats.norm.sf(z / math.sqrt(t))) for t in fractions]
    return tuple(b - a for a, b in zip([0.0, *spent], spent, strict=False))
