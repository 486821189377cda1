"""How well a quantity that needs no training orders activations as training does: Kendall's τ, with an interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.stats

from eafo.errors import InputError

__all__ = ["Agreement", "difference", "kendall", "kendalls"]

FloatArray = npt.NDArray[np.float64]

#: Pairs of activations that are held in memory at a time, over all resamples.
_MOST_PAIRS = 2**22


@dataclass(frozen=True)
class Agreement:
    """Kendall's τ between a prediction and measured scores, or the difference of two.

    Args:
        tau: τ_b, from −1, the opposite order, to 1, the same order; ties count for neither.
        low: lower end of the interval.
        high: upper end of the interval.
        count: how many activations.
    """

    tau: float
    low: float
    high: float
    count: int

    @property
    def predicts(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"τ = {self.tau:+.2f}, 95 % interval {self.low:+.2f} to {self.high:+.2f}, n = {self.count}"


def kendall(
    prediction: Sequence[float],
    scores: Sequence[Sequence[float]],
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> Agreement:
    """Kendall's τ_b of a prediction with mean scores, and its bootstrap interval.

    The interval holds the middle 95 % of τ over resamples that draw activations with replacement and, for each of
    them, its seeds with replacement. Activations that are near copies of each other make it too narrow.

    Args:
        prediction: a number for each activation; infinities are allowed and tie with each other.
        scores: for each activation its scores, a number for each seed.
        resamples: how many.
        seed: of the resampling.

    Raises:
        InputError: fewer than four activations, one without scores, or a number that is NaN.

    Source: M. G. Kendall, The treatment of ties in ranking problems, Biometrika 33, 1945.

    >>> print(kendall([1, 2, 3, 4, 5], [[10, 11], [20, 21], [30, 31], [40, 41], [50, 51]]))
    τ = +1.00, 95 % interval +1.00 to +1.00, n = 5
    """
    return kendalls([prediction], scores, resamples=resamples, seed=seed)[0]


def kendalls(
    predictions: Sequence[Sequence[float]],
    scores: Sequence[Sequence[float]],
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> tuple[Agreement, ...]:
    """As `kendall` for each of several predictions, over the same resamples, in little more time than for one.

    >>> scores = [[10], [20], [30], [40], [50]]
    >>> [found.tau for found in kendalls([[1, 2, 3, 4, 5], [5, 4, 3, 2, 1]], scores)]
    [1.0, -1.0]
    """
    checked = [_checked(prediction, scores) for prediction in predictions]
    if not checked:
        return ()
    ranks, measured = [r for r, _ in checked], checked[0][1]
    values = _resampled(ranks, measured, resamples, seed)
    return tuple(_summary(_whole(r, measured), own, r.size) for r, own in zip(ranks, values, strict=True))


def difference(
    first: Sequence[float],
    second: Sequence[float],
    scores: Sequence[Sequence[float]],
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> Agreement:
    """τ of one prediction minus τ of another, with the interval over the same resamples for both.

    Args:
        first: a number for each activation.
        second: a number for each activation.
        scores: as for `kendall`.
        resamples: how many.
        seed: of the resampling.

    Raises:
        InputError: as for `kendall`.

    >>> difference([1, 2, 3, 4, 5], [5, 4, 3, 2, 1], [[10], [20], [30], [40], [50]]).tau
    2.0
    """
    (one, measured), (other, _) = _checked(first, scores), _checked(second, scores)
    values = _resampled([one, other], measured, resamples, seed)
    whole = _whole(one, measured) - _whole(other, measured)
    return _summary(whole, values[0] - values[1], one.size)


def _resampled(
    predictions: Sequence[FloatArray], measured: Sequence[FloatArray], resamples: int, seed: int
) -> list[FloatArray]:
    """τ of each prediction in each resample."""
    rng = np.random.default_rng(seed)
    size = len(measured)
    drawn = rng.integers(0, size, (resamples, size))
    # Drawn for every activation once a resample, so that its copies in it are ties, as they should be.
    means = np.stack([rng.choice(own, (resamples, own.size)).mean(axis=1) for own in measured], axis=1)
    # How often each activation is in a resample says all, for copies of it are ties.
    counts = np.stack([(drawn == i).sum(axis=1) for i in range(size)], axis=1)
    parts = [
        _tau(predictions, means[part], counts[part])
        for part in np.array_split(np.arange(resamples), -(-resamples * size**2 // _MOST_PAIRS))
    ]
    return [np.concatenate(values) for values in zip(*parts, strict=True)]


def _whole(ranks: FloatArray, measured: Sequence[FloatArray]) -> float:
    means = np.array([[own.mean() for own in measured]])
    return float(_tau([ranks], means, np.ones_like(means))[0][0])


def _summary(tau: float, values: FloatArray, count: int) -> Agreement:
    low, high = np.nanquantile(values, [0.025, 0.975])
    return Agreement(tau, float(low), float(high), count)


def _checked(
    prediction: Sequence[float], scores: Sequence[Sequence[float]]
) -> tuple[FloatArray, list[FloatArray]]:
    measured = [np.asarray(own, np.float64) for own in scores]
    if len(measured) != len(prediction) or any(own.size == 0 for own in measured):
        raise InputError(
            "every activation needs a prediction and at least one score",
            f"{len(prediction)} predictions, scores {[own.size for own in measured]}",
        )
    if len(measured) < 4:
        raise InputError("an agreement needs at least four activations", len(measured))
    if len(set(prediction)) < 2 or len({float(own.mean()) for own in measured}) < 2:
        raise InputError("an agreement needs predictions and scores that are not all the same", prediction[0])
    if any(math.isnan(p) for p in prediction) or not all(np.isfinite(own).all() for own in measured):
        raise InputError("predictions must be numbers, and scores finite ones", "NaN or infinity")
    return np.asarray(scipy.stats.rankdata(prediction), np.float64), measured


def _tau(predictions: Sequence[FloatArray], scores: FloatArray, counts: npt.NDArray[Any]) -> list[FloatArray]:
    """τ_b of each prediction with each row of scores, activations counted as often as the row's counts say; NaN where all are tied."""
    # All are whole numbers below 2²⁴, so that single precision is exact.
    ordered = np.sign(scores[:, :, None] - scores[:, None, :]).astype(np.float32).reshape(len(scores), -1)
    pairs = (counts[:, :, None] * counts[:, None, :]).astype(np.float32).reshape(len(scores), -1)
    signs = np.stack([np.sign(x[:, None] - x[None, :]).ravel() for x in predictions], 1).astype(np.float32)
    agreeing = ((pairs * ordered) @ signs).astype(np.float64)
    untied = np.einsum("rk,rk->r", pairs, np.abs(ordered)).astype(np.float64)
    with np.errstate(invalid="ignore"):
        return list((agreeing / np.sqrt((pairs @ np.abs(signs)) * untied[:, None])).T)
