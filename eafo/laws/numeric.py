"""A law in double precision: density, score, distribution function and quantile, vectorised and right in far tails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "Function", "Numbers"]

Array = npt.NDArray[np.float64]
#: From an array of points to the values there, of the same shape.
Function = Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class Numbers:
    """A law in double precision; every method takes an array of any shape and returns one of the same shape.

    Of a density without bound next to an end other than 0, the mass between that end and its neighbouring double is not seen:
    for SciPy's arcsine law next to 1 that is 7e-9.

    Args:
        log_density: log p on the support; so that a density below the least double still has its logarithm and its score.
        slope: (log p)′ on the support.
        below: F(x), accurate where it is small.
        above: 1 − F(x), accurate where it is small.
        from_below: F⁻¹(u) for 0 < u < 1, accurate for small u.
        from_above: the point above which the mass u lies, accurate for small u.
        lower: the support's lower end, may be -inf.
        upper: the support's upper end, may be inf.
        kinks: the points inside the support where the density or its slope jumps.
        entropy_with_error: gives the differential entropy in nats and a bound or an estimate of its absolute error.

    >>> from eafo import laws
    >>> numbers = laws.get("normal").numeric
    >>> print(numbers.score(60.0), numbers.pdf(60.0), numbers.isf(1e-300).round(6))
    -60.0 0.0 37.047096
    """

    log_density: Function
    slope: Function
    below: Function
    above: Function
    from_below: Function
    from_above: Function
    entropy_with_error: Callable[[], tuple[float, float]]
    lower: float = -np.inf
    upper: float = np.inf
    kinks: tuple[float, ...] = field(default=())

    def logpdf(self, points: npt.ArrayLike) -> Array:
        """Log p; -inf outside the support."""
        return self._inside(self.log_density, points, -np.inf, -np.inf)

    def pdf(self, points: npt.ArrayLike) -> Array:
        """P; 0 outside the support."""
        return np.exp(self.logpdf(points))

    def score(self, points: npt.ArrayLike) -> Array:
        """p′/p = (log p)′ inside the support; 0 outside, where nothing weighs it."""
        return self._inside(self.slope, points, 0.0, 0.0)

    def cdf(self, points: npt.ArrayLike) -> Array:
        """F, accurate to rounding relative to its value on the left."""
        return self._inside(self.below, points, 0.0, 1.0)

    def sf(self, points: npt.ArrayLike) -> Array:
        """1 − F, accurate to rounding relative to its value on the right."""
        return self._inside(self.above, points, 1.0, 0.0)

    def ppf(self, levels: npt.ArrayLike) -> Array:
        """F⁻¹; the support's ends at 0 and 1, NaN outside [0, 1]."""
        return self._at_levels(self.from_below, levels, self.lower, self.upper)

    def isf(self, levels: npt.ArrayLike) -> Array:
        """(1 − F)⁻¹; the support's ends at 1 and 0, NaN outside [0, 1]."""
        return self._at_levels(self.from_above, levels, self.upper, self.lower)

    @property
    def entropy(self) -> float:
        """The differential entropy in nats."""
        return self._entropy[0]

    @property
    def entropy_error(self) -> float:
        """A bound, or where there is none an estimate, of the entropy's absolute error."""
        return self._entropy[1]

    @cached_property
    def _entropy(self) -> tuple[float, float]:
        return self.entropy_with_error()

    def _inside(self, function: Function, points: npt.ArrayLike, low: float, high: float) -> Array:
        x = np.asarray(points, np.float64)
        with np.errstate(all="ignore"):
            values = np.broadcast_to(function(x), x.shape)
            if self.lower > -np.inf:
                values = np.where(x < self.lower, low, values)
            if self.upper < np.inf:
                values = np.where(x > self.upper, high, values)
            if not np.isfinite(x).all():
                # An infinity lies outside every support, whatever a formula makes of it.
                values = np.where(x == -np.inf, low, np.where(x == np.inf, high, values))
                values = np.where(np.isnan(x), np.nan, values)
        return values[()]

    def _at_levels(self, function: Function, levels: npt.ArrayLike, at_zero: float, at_one: float) -> Array:
        u = np.asarray(levels, np.float64)
        inner = np.clip(u, 5e-324, 1 - 2**-53)
        with np.errstate(all="ignore"):
            values = np.broadcast_to(function(inner), u.shape)
        values = np.where(u == 0, at_zero, np.where(u == 1, at_one, values))
        return np.where((u >= 0) & (u <= 1), values, np.nan)[()]

    def affine(self, scale: float, location: float) -> Numbers:
        """The numbers of scale·X + location, for a scale that is not 0.

        >>> from eafo import laws
        >>> laws.get("exponential").numeric.affine(-2.0, 1.0).upper
        1.0
        """

        def standard(function: Function, factor: float = 1.0, shift: float = 0.0) -> Function:
            return lambda x: factor * function((x - location) / scale) + shift

        def located(function: Function) -> Function:
            return lambda u: scale * function(u) + location

        def entropy() -> tuple[float, float]:
            return self.entropy + float(np.log(abs(scale))), self.entropy_error + 4e-16

        rising = scale > 0
        first, last = (self.below, self.above) if rising else (self.above, self.below)
        low, high = (self.from_below, self.from_above) if rising else (self.from_above, self.from_below)
        ends = sorted((scale * self.lower + location, scale * self.upper + location))
        return Numbers(
            log_density=standard(self.log_density, shift=-float(np.log(abs(scale)))),
            slope=standard(self.slope, factor=1 / scale),
            below=standard(first),
            above=standard(last),
            from_below=located(low),
            from_above=located(high),
            entropy_with_error=entropy,
            lower=ends[0],
            upper=ends[1],
            kinks=tuple(sorted(scale * k + location for k in self.kinks)),
        )
