"""The standard laws in double precision, location 0 and scale 1: each tail by the form that does not cancel there."""

from __future__ import annotations

import math
from collections.abc import Callable

import mpmath
import numpy as np
from scipy import special

from eafo.laws.inversion import polished
from eafo.laws.numeric import Array, Numbers

__all__ = ["STANDARD", "located"]

_ROUNDING = 1e-15


def _exactly(entropy: float) -> Callable[[], tuple[float, float]]:
    return lambda: (entropy, _ROUNDING * max(1.0, abs(entropy)))


def _normal() -> Numbers:
    constant = math.log(2 * math.pi) / 2
    return Numbers(
        log_density=lambda z: -z * z / 2 - constant,
        slope=lambda z: -z,
        below=special.ndtr,
        above=lambda z: special.ndtr(-z),
        from_below=special.ndtri,
        from_above=lambda u: -special.ndtri(u),
        entropy_with_error=_exactly(constant + 0.5),
    )


def _logistic() -> Numbers:
    def log_density(z: Array) -> Array:
        size = np.abs(z)
        return -size - 2 * np.log1p(np.exp(-size))

    return Numbers(
        log_density=log_density,
        slope=lambda z: -np.tanh(z / 2),
        below=special.expit,
        above=lambda z: special.expit(-z),
        from_below=lambda u: np.log(u) - np.log1p(-u),
        from_above=lambda u: np.log1p(-u) - np.log(u),
        entropy_with_error=_exactly(2.0),
    )


def _laplace() -> Numbers:
    def below(z: Array) -> Array:
        half = np.exp(-np.abs(z)) / 2
        return np.where(z > 0, 1 - half, half)

    def quantile(u: Array) -> Array:
        # 1 − u is exact for u ≥ 1/2.
        return np.where(u > 0.5, -np.log(2 * (1 - u)), np.log(2 * u))

    return Numbers(
        log_density=lambda z: -np.abs(z) - math.log(2),
        slope=lambda z: -np.sign(z),
        below=below,
        above=lambda z: below(-z),
        from_below=quantile,
        from_above=lambda u: -quantile(u),
        entropy_with_error=_exactly(math.log(2) + 1),
        kinks=(0.0,),
    )


def _cauchy() -> Numbers:
    def quantile(u: Array) -> Array:
        return np.where(u < 0.25, -1 / np.tan(np.pi * u), np.tan(np.pi * (u - 0.5)))

    return Numbers(
        log_density=lambda z: -2 * np.log(np.hypot(1, z)) - math.log(math.pi),
        slope=_cauchy_score,
        below=lambda z: np.arctan2(1, -z) / np.pi,
        above=lambda z: np.arctan2(1, z) / np.pi,
        from_below=quantile,
        from_above=lambda u: -quantile(u),
        entropy_with_error=_exactly(math.log(4 * math.pi)),
    )


def _cauchy_score(z: Array) -> Array:
    # Far out z² leaves double precision; 1/z does not.
    return np.where(np.abs(z) > 1, -2 / (z + 1 / z), -2 * z / (1 + z * z))


def _gumbel() -> Numbers:
    return Numbers(
        log_density=lambda z: -z - np.exp(-z),
        slope=lambda z: np.expm1(-z),
        below=lambda z: np.exp(-np.exp(-z)),
        above=lambda z: -np.expm1(-np.exp(-z)),
        from_below=lambda u: -np.log(-np.log(u)),
        from_above=lambda u: -np.log(-np.log1p(-u)),
        entropy_with_error=_exactly(float(np.euler_gamma) + 1),
    )


def _uniform() -> Numbers:
    return Numbers(
        log_density=np.zeros_like,
        slope=np.zeros_like,
        below=lambda z: z,
        above=lambda z: 1 - z,
        from_below=lambda u: u,
        from_above=lambda u: 1 - u,
        entropy_with_error=_exactly(0.0),
        lower=0.0,
        upper=1.0,
    )


def _exponential() -> Numbers:
    return Numbers(
        log_density=lambda z: -z,
        slope=lambda z: -np.ones_like(z),
        below=lambda z: -np.expm1(-z),
        above=lambda z: np.exp(-z),
        from_below=lambda u: -np.log1p(-u),
        from_above=lambda u: -np.log(u),
        entropy_with_error=_exactly(1.0),
        lower=0.0,
    )


def _half_normal() -> Numbers:
    root, constant = math.sqrt(2), math.log(math.pi / 2) / 2
    return Numbers(
        log_density=lambda z: -z * z / 2 - constant,
        slope=lambda z: -z,
        below=lambda z: special.erf(z / root),
        above=lambda z: special.erfc(z / root),
        from_below=lambda u: root * special.erfinv(u),
        from_above=lambda u: -special.ndtri(u / 2),
        entropy_with_error=_exactly(constant + 0.5),
        lower=0.0,
    )


def _student_t(freedom: float) -> Numbers:
    n = freedom
    constant, entropy = _constants_of_t(n)

    def log_density(z: Array) -> Array:
        # n + z² would leave double precision before its logarithm does.
        size = np.abs(z) / math.sqrt(n)
        growth = np.where(size > 1, 2 * np.log(size) + np.log1p(1 / size**2), np.log1p(size**2))
        return -(n + 1) / 2 * growth - constant

    # Far out the tail is a power, F = c |z|^-n.
    far, log_c = 1e8 * math.sqrt(n), (n + 1) / 2 * math.log(n) - constant - math.log(n)

    def below(z: Array) -> Array:
        size = np.abs(z)
        # The incomplete beta function keeps its relative accuracy in the tail, and its complement where z² is small beside n.
        square = np.minimum(size, far) ** 2
        near = np.where(
            square < n,
            special.betaincc(0.5, n / 2, square / (n + square)),
            special.betainc(n / 2, 0.5, n / (n + square)),
        )
        near = near / 2
        tail = np.where(size > far, np.exp(log_c - n * np.log(size)), near)
        return np.where(z > 0, 1 - tail, tail)

    def quantile(u: Array) -> Array:
        tail = np.minimum(u, 1 - u)
        power = np.exp((log_c - np.log(tail)) / n)
        start = np.where(power > far, -power, -np.abs(special.stdtrit(n, np.maximum(tail, 1e-150))))
        at = polished(start, tail, below, log_density)
        return np.where(u > 0.5, -at, at)

    return Numbers(
        log_density=log_density,
        slope=lambda z: -(n + 1) * np.where(np.abs(z) > 1, 1 / (n / z + z), z / (n + z * z)),
        below=below,
        above=lambda z: below(-z),
        from_below=quantile,
        from_above=lambda u: -quantile(u),
        entropy_with_error=_exactly(entropy),
    )


def _constants_of_t(freedom: float) -> tuple[float, float]:
    """Minus the logarithm of the density's front, and the entropy: differences of large numbers, taken with digits to spare."""
    with mpmath.workdps(40 + 3 * max(1, math.frexp(freedom)[1])):
        n = mpmath.mpf(freedom)
        constant = mpmath.log(n * mpmath.pi) / 2 + mpmath.loggamma(n / 2) - mpmath.loggamma((n + 1) / 2)
        spread = mpmath.digamma((n + 1) / 2) - mpmath.digamma(n / 2)
        return float(constant), float((n + 1) / 2 * spread + constant)


#: The standard form of each family, by its name; Student's t takes its degrees of freedom.
STANDARD: dict[str, Callable[..., Numbers]] = {
    "cauchy": _cauchy,
    "exponential": _exponential,
    "gumbel": _gumbel,
    "half_normal": _half_normal,
    "laplace": _laplace,
    "logistic": _logistic,
    "normal": _normal,
    "student_t": _student_t,
    "uniform": _uniform,
}


def located(family: str, location: float, scale: float, *shape: float) -> Numbers:
    """The numbers of location + scale·X, with X of the standard form of a family.

    >>> located("laplace", 1.0, 2.0).kinks
    (1.0,)
    """
    standard = STANDARD[family](*shape)
    return standard if (location, scale) == (0, 1) else standard.affine(scale, location)
