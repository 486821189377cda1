"""A law folded onto whole periods: what a function that is periodic far out sees of it.

Where f has the period T beyond a point, f(X) has the same law when the tail of X is folded onto the first period there,
with the density Σ_n p(x + nT). So a sine under a heavy tail has a few monotone pieces instead of infinitely many.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt
from scipy.interpolate import BSpline, make_interp_spline

from eafo.laws import Numbers
from eafo.laws.inversion import solve_tail
from eafo.theory.quadrature import QuadratureError

__all__ = ["folded"]

FloatArray = npt.NDArray[np.float64]

#: Periods that are summed one by one; the rest is an integral, of relative error of order 1/_TERMS⁴.
_TERMS = 64
#: Points of the spline on one period; a density that is not smooth on that scale is refused.
_POINTS = 513
_SMOOTH = 1e-9


@functools.lru_cache(maxsize=32)
def folded(law: Numbers, left: tuple[float, float] | None, right: tuple[float, float] | None) -> Numbers:
    """The law with its tails folded.

    Args:
        law: the law of X.
        left: (a, T): below a the tail is folded onto (a − T, a); None: it stays.
        right: (b, T): above b the tail is folded onto (b, b + T).

    Raises:
        QuadratureError: the law's tail has features much finer than a period.

    >>> from eafo import laws
    >>> cauchy = folded(laws.get("cauchy").numeric, (-3.0, 2.0), (3.0, 2.0))
    >>> cauchy.lower, cauchy.upper, round(float(cauchy.cdf(0.0)), 12)
    (-5.0, 5.0, 0.5)
    """
    if right is not None:
        law = _right(law, *right)
    if left is not None:
        law = _right(law.affine(-1.0, 0.0), -left[0], left[1]).affine(-1.0, 0.0)
    return law


def _right(law: Numbers, start: float, period: float) -> Numbers:
    end = start + period
    # In t = end − x: the mass above x is the integral from 0, which keeps its digits however small it is.
    density = _wrapped(law, start, period)
    whole, slope = density.antiderivative(), density.derivative()
    tail = float(whole(period))

    def back(x: FloatArray) -> FloatArray:
        return np.clip(end - x, 0.0, period)

    def log_density(x: FloatArray) -> FloatArray:
        inside = np.log(np.maximum(density(back(x)), 1e-300))
        return np.where(x > start, inside, law.logpdf(x))

    def score(x: FloatArray) -> FloatArray:
        return np.where(x > start, -slope(back(x)) / density(back(x)), law.score(x))

    def above(x: FloatArray) -> FloatArray:
        return np.where(x > start, np.maximum(whole(back(x)), 1e-300), law.sf(x))

    # Fine near the end, too, where next to no mass lies above.
    grid = np.union1d(np.linspace(0.0, period, 1001), np.geomspace(1e-17, 1.0, 400) * period)
    masses = whole(grid)

    def from_above(level: FloatArray) -> FloatArray:
        u = np.asarray(level, np.float64)
        found, inside = np.empty(u.shape), u < tail
        found[~inside] = law.isf(u[~inside])
        if inside.any():
            index = np.searchsorted(masses, u[inside])
            low = end - grid[np.minimum(index + 1, grid.size - 1)]
            high = end - grid[np.maximum(index - 2, 0)]
            found[inside] = solve_tail(u[inside], above, log_density, low, high, rising=False)
        return found

    def from_below(level: FloatArray) -> FloatArray:
        u = np.asarray(level, np.float64)
        found, beyond = np.empty(u.shape), u >= 1 - tail
        found[~beyond] = law.ppf(u[~beyond])
        found[beyond] = from_above(1 - u[beyond])
        return found

    def unknown() -> tuple[float, float]:
        return math.nan, math.inf

    return Numbers(
        log_density=log_density,
        slope=score,
        below=lambda x: np.where(x > start, 1 - above(x), law.cdf(x)),
        above=above,
        from_below=from_below,
        from_above=from_above,
        entropy_with_error=unknown,
        lower=law.lower,
        upper=end,
        kinks=tuple(k for k in (*law.kinks, start) if k < end),
    )


def _wrapped(law: Numbers, start: float, period: float) -> BSpline:
    """Σ_n p(x + nT) on the first period, as a function of the distance from the period's end."""
    shifts = period * np.arange(_TERMS)

    def density(x: FloatArray) -> FloatArray:
        # The rest of the sum by the midpoint rule, with its first correction (Euler–Maclaurin).
        far = x + period * (_TERMS - 0.5)
        rest = law.sf(far) / period + period / 24 * law.pdf(far) * law.score(far)
        return law.pdf(x[:, None] + shifts).sum(-1) + rest

    end, t = start + period, np.linspace(0.0, period, _POINTS)
    if not np.isfinite(density(end - t)).all():
        raise QuadratureError(
            "the density of a tail must be finite", f"an infinite one from x = {start:g} on"
        )
    found, middle = make_interp_spline(t, density(end - t), k=7), (t[1:] + t[:-1]) / 2
    missed = np.max(np.abs(found(middle) - density(end - middle)))
    if not missed <= _SMOOTH * max(float(np.max(found(t))), 1e-300):
        raise QuadratureError(
            "the tail of a law must be smooth on the scale of the function's period", period
        )
    return found
