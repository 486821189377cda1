"""How well a quantity that needs no training orders activations as training does: Kendall's τ, with an interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.stats

from eafo.errors import InputError

__all__ = ["Agreement", "difference", "kendall"]

FloatArray = npt.NDArray[np.float64]


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
    ranks, measured = _checked(prediction, scores)
    values = _resampled([ranks], measured, resamples, seed)[0]
    return _summary(_whole(ranks, measured), values, ranks.size)


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
    drawn = rng.integers(0, len(measured), (resamples, len(measured)))
    # Drawn for every activation once a resample, so that its copies in it are ties, as they should be.
    means = np.stack([rng.choice(own, (resamples, own.size)).mean(axis=1) for own in measured], axis=1)
    scores = np.take_along_axis(means, drawn, axis=1)
    return [_tau(ranks[drawn], scores) for ranks in predictions]


def _whole(ranks: FloatArray, measured: Sequence[FloatArray]) -> float:
    return float(_tau(ranks[None], np.array([[own.mean() for own in measured]]))[0])


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


def _tau(x: FloatArray, y: FloatArray) -> FloatArray:
    """τ_b of each row; NaN where all of a row are tied."""
    first = np.sign(x[:, :, None] - x[:, None, :]).astype(np.float32)
    second = np.sign(y[:, :, None] - y[:, None, :]).astype(np.float32)
    agreeing = np.einsum("rij,rij->r", first, second, dtype=np.float64)
    untied = [np.einsum("rij,rij->r", s, s, dtype=np.float64) for s in (first, second)]
    with np.errstate(invalid="ignore"):
        return np.asarray(agreeing / np.sqrt(untied[0] * untied[1]))
