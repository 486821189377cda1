"""Entropy from a sample alone: the Monte Carlo route, which knows neither the function nor the law.

The m-spacing estimator: with the sample in order, X₍₁₎ ≤ … ≤ X₍ₙ₎, and around each place i the m-spacing from a(i) =
max(1, i − m/2) to b(i) = min(n, i + m/2), shorter at the two ends,

    h = ψ(n + 1) + 1/n · Σᵢ [ log(X₍b₎ − X₍a₎) − ψ(b − a) ],        i = 1 … n.

It is the estimator of Vasicek (J. R. Stat. Soc. B 38, 1976) with the constants of van Es (Scand. J. Stat. 19, 1992): for a
uniform law an m-spacing of n values is a Beta(m, n + 1 − m) variable whose logarithm has the mean ψ(m) − ψ(n + 1), so that
the estimate is unbiased there at every n, which a nearest-neighbour ball (Kozachenko–Leonenko) that crosses the end of the support
is not. Van Es leaves the m outermost places out, which costs tails of the order m/n · log n; the shorter spacings there keep
them. With m = 8 the bias measured on normal, Laplace, exponential and Cauchy samples of 100 000 is below 3e-4, a tenth of
the standard deviation, to whose square the spacings' own scatter adds only 0.042/n.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.special

from eafo.errors import InputError

__all__ = ["Atom", "SampleEntropy", "at_resolution", "entropy"]

_ORDER = 8
_REPLICATIONS = 16
_FEWEST = 200

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Atom:
    """A value that the variable takes with a positive probability.

    Args:
        value: where.
        share: how much of the sample lies there, above 0 and at most 1.
    """

    value: float
    share: float


@dataclass(frozen=True)
class SampleEntropy:
    """An estimate of entropy, in nats.

    Args:
        value: the entropy; with atoms that of Lebesgue plus counting measure, −Σ πₖ log πₖ − π log π + π h with π the share
            that is spread out and h its `continuous` entropy.
        error: its standard error, from independent replications, with the estimated bias.
        scale_free: value − log of the standard deviation; `nan` where the sample has none.
        scale_free_error: its standard error.
        continuous: the differential entropy of what is not at an atom; `nan` where that is nothing.
        atoms: the values that repeat more often than ties by rounding would, in ascending order.
        size: the number of values.
    """

    value: float
    error: float
    scale_free: float
    scale_free_error: float
    continuous: float
    atoms: tuple[Atom, ...]
    size: int


def entropy(values: npt.ArrayLike) -> SampleEntropy:
    """The entropy of the law that a sample was drawn from.

    Args:
        values: independent draws, an array of any shape with at least 200 finite values; a value that occurs more than
            four times is an atom, and 200 values must lie at none, or all at one.

    Raises:
        InputError: too few values, or values that are not finite numbers.

    Source: B. van Es, Estimating functionals related to a density by a class of statistics based on spacings, 1992.

    >>> found = entropy(np.random.default_rng(0).uniform(0, 2, 10_000))
    >>> abs(found.value - math.log(2)) < 4 * found.error < 0.02
    True
    """
    sample = _checked(values)
    # The order given may be one of size; dealt at random, every part is a replication.
    parts = np.array_split(np.random.default_rng(0).permutation(sample), _REPLICATIONS)
    sample = np.sort(sample)
    atoms = _atoms(sample)
    whole = _measured(sample, atoms)
    replicated = np.array([_measured(np.sort(part), atoms) for part in parts])
    errors = np.std(replicated, axis=0, ddof=1) / math.sqrt(_REPLICATIONS)
    # A bias of the order 1/n is that many times larger in a part.
    bias = (np.mean(replicated, axis=0) - whole) / (_REPLICATIONS - 1)
    error, scale_free_error, _ = np.hypot(errors, bias).tolist()
    value, scale_free, continuous = whole.tolist()
    return SampleEntropy(value, error, scale_free, scale_free_error, continuous, atoms, sample.size)


def at_resolution(values: npt.ArrayLike, step: float) -> float:
    """H_δ: the entropy of the sample read to the nearest multiple of δ, plus log δ, in nats.

    The plug-in estimate with the correction of Miller (1955), (number of occupied cells − 1)/2n; it is good to about that
    correction, so δ must not be so small that most cells are empty or hold a single value.

    Args:
        values: as for `entropy`.
        step: δ > 0.

    Raises:
        InputError: as for `entropy`, or δ is not positive, or the cells are more than a tenth of the values.

    >>> sample = np.random.default_rng(0).uniform(-0.5, 7.5, 10_000)
    >>> abs(at_resolution(sample, 1.0) - math.log(8)) < 0.001
    True
    """
    sample = _checked(values)
    if not (math.isfinite(step) and step > 0):
        raise InputError("a resolution must be a positive number", step)
    counts = np.unique(np.rint(sample / step), return_counts=True)[1]
    if counts.size > 1 + sample.size // 10:
        raise InputError(
            "a sample must hold ten values for each cell that it occupies",
            f"{sample.size} values in {counts.size} cells",
            "draw more of them, or take a coarser resolution",
        )
    share = counts / sample.size
    return float(-np.sum(share * np.log(share))) + (counts.size - 1) / (2 * sample.size) + math.log(step)


def _checked(values: npt.ArrayLike) -> FloatArray:
    try:
        sample = np.asarray(values)
        # A complex number would lose its imaginary part, a text become a number.
        if sample.dtype.kind not in "fiu":
            raise TypeError
        sample = sample.astype(np.float64).ravel()
    except (TypeError, ValueError) as error:
        raise InputError("a sample must be an array of real numbers", type(values).__name__) from error
    if sample.size < _FEWEST:
        raise InputError(f"a sample must hold at least {_FEWEST} values", sample.size)
    bad = sample.size - int(np.isfinite(sample).sum())
    if bad:
        raise InputError("the values of a sample must be finite", f"{bad} of {sample.size} that are not")
    return sample


def _atoms(ordered: FloatArray) -> tuple[Atom, ...]:
    """The values that occur so often that a spacing could be zero.

    Raises:
        InputError: what remains is too little for an estimate.
    """
    values, counts = np.unique(ordered, return_counts=True)
    often = counts > _ORDER // 2
    left = int(counts[~often].sum())
    if 0 < left < _FEWEST:
        raise InputError(
            f"a sample must hold at least {_FEWEST} values that do not repeat, or none",
            left,
            "draw more of them",
        )
    shares = counts[often] / ordered.size
    return tuple(Atom(float(v), float(s)) for v, s in zip(values[often], shares, strict=True))


def _measured(ordered: FloatArray, atoms: tuple[Atom, ...]) -> FloatArray:
    """Value, scale-free value and continuous part for a sample in ascending order."""
    places = np.array([a.value for a in atoms])
    spread = ordered[~np.isin(ordered, places)] if atoms else ordered
    shares = (np.searchsorted(ordered, places, "right") - np.searchsorted(ordered, places)) / ordered.size
    part = spread.size / ordered.size
    continuous = _spacings(spread)
    value = float(scipy.special.entr([*shares, part]).sum())
    if spread.size:
        value += part * continuous
    with np.errstate(over="ignore", invalid="ignore"):
        deviation = float(np.std(ordered))
    constant = ordered[0] == ordered[-1] or not math.isfinite(deviation)
    return np.array([value, math.nan if constant else value - math.log(deviation), continuous])


def _spacings(ordered: FloatArray) -> float:
    """The estimator itself; `nan` where there is no spacing."""
    n = ordered.size
    if n <= _ORDER // 2:
        return math.nan
    place = np.arange(n)
    low, high = np.maximum(place - _ORDER // 2, 0), np.minimum(place + _ORDER // 2, n - 1)
    logs = np.log(ordered[high] - ordered[low]) - scipy.special.digamma(high - low)
    return float(np.mean(logs) + scipy.special.digamma(n + 1))
