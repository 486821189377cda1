"""A monotone piecewise rational function of few pieces: what stands for a function that has no formula.

On each piece, with t running from −1 to 1,

    R(t) = H(t) + (1 − t²)² N(t)/Q(t)

where H is the cubic Hermite interpolant of values and slopes at the ends. Neighbouring pieces share both there, so that R is
continuously differentiable by construction and not by rounding. The poles come from the AAA algorithm (Nakatsukasa, Sète,
Trefethen, SIAM J. Sci. Comput. 40, 2018; scipy.interpolate.AAA), N from least squares once Q is fixed (Costa, Trefethen,
AAA-least squares rational approximation, 2021). All coefficients are finite decimals; so what is proved of R, that Q has no
root and that R′ is positive on the piece (Sturm's theorem), is proved of the formula itself.

A piece on one side of 0 is written by u, the distance from its end nearer to 0: rounding u then tells no more than rounding x
does, while t near ±1 would lose an x far smaller than the piece. So a piece keeps about 1e-6 in single precision.
"""

from __future__ import annotations

import decimal
import itertools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import scipy.interpolate
import scipy.optimize
import sympy

from eafo.activation import VARIABLE
from eafo.errors import RefusedError

__all__ = ["Continuation", "Rational", "RationalPiece", "approximate"]

FloatArray = npt.NDArray[np.float64]
Function = Callable[[FloatArray], FloatArray]

#: A tangent; a + b log x, which goes with a power tail where the output is exponential; a root of it, where it is normal.
Continuation = Literal["tangent", "logarithm", "root"]

_T = sympy.Symbol("t", real=True)
_TERMS = range(2, 9)
_POINTS = 400


@dataclass(frozen=True)
class RationalPiece:
    """One piece of a `Rational`, all of it in exact decimals.

    Args:
        lower: its left end.
        upper: its right end.
        hermite: the cubic H in t, coefficients from the constant one up.
        numerator: N in t.
        denominator: Q in t, without a root in [−1, 1]; Q(0) = 1.
    """

    lower: sympy.Rational
    upper: sympy.Rational
    hermite: tuple[sympy.Rational, ...]
    numerator: tuple[sympy.Rational, ...]
    denominator: tuple[sympy.Rational, ...]

    @property
    def expression(self) -> sympy.Expr:
        """R as an expression of x, nested as Horner's rule evaluates it: in t, or in the distance from the end nearer to 0."""
        half = (self.upper - self.lower) / 2
        if self.lower < 0 < self.upper:
            return self.at((VARIABLE - (self.lower + self.upper) / 2) / half)
        end = -1 if self.lower >= 0 else 1
        u = (VARIABLE - self.lower) / half if end < 0 else (self.upper - VARIABLE) / half
        h, n, q = (_horner(_from_end(c, end), u) for c in (self.hermite, self.numerator, self.denominator))
        return h + (u * (2 - u)) ** 2 * n / q

    def at(self, t: Any) -> sympy.Expr:
        """R as an expression of t."""
        bubble = (1 - t**2) ** 2 * _horner(self.numerator, t) / _horner(self.denominator, t)
        return _horner(self.hermite, t) + bubble

    @cached_property
    def increasing(self) -> bool:
        """Whether R′ > 0 inside the piece and Q has no root on it: proved by counting roots in exact arithmetic."""
        h, n, q = (
            sympy.Poly(_plain(c), _T, domain="QQ") for c in (self.hermite, self.numerator, self.denominator)
        )
        if q.count_roots(-1, 1):
            return False
        bubble = sympy.Poly((1 - _T**2) ** 2, _T, domain="QQ") * n
        slope = h.diff(_T) * q**2 + bubble.diff(_T) * q - bubble * q.diff(_T)
        inside = slope.count_roots(-1, 1) - sum(slope.eval(end) == 0 for end in (-1, 1))
        return bool(inside == 0 and slope.eval(0) > 0)


@dataclass(frozen=True)
class Rational:
    """An increasing piecewise rational function, continued beyond its ends with their values and slopes.

    Args:
        pieces: from left to right, each beginning where the one before ends.
        slopes: the slopes of the continuations on the left and on the right, where they begin.
        error: the largest |R − f| found on 2000 points a piece.
        smooth: whether R′ is continuous too.
        beyond: what the continuations are, on the left and on the right.
        centre: the point between the ends from which logarithms and roots measure x.
        level: the value from which roots measure R; R − level has the sign of x − centre at the ends.
    """

    pieces: tuple[RationalPiece, ...]
    slopes: tuple[sympy.Rational, sympy.Rational]
    error: float
    smooth: bool
    beyond: tuple[Continuation, Continuation] = ("tangent", "tangent")
    centre: sympy.Rational = sympy.S.Zero
    level: sympy.Rational = sympy.S.Zero

    @property
    def ends(self) -> tuple[sympy.Rational, sympy.Rational]:
        """Where the pieces begin and end; beyond, the tangents hold."""
        return self.pieces[0].lower, self.pieces[-1].upper

    @property
    def values(self) -> tuple[sympy.Rational, sympy.Rational]:
        """R at its ends."""
        return self.pieces[0].at(sympy.S.NegativeOne), self.pieces[-1].at(sympy.S.One)

    @property
    def expression(self) -> sympy.Expr:
        """The function as branches, from the left continuation to the right one."""
        cases = [(self._continued(0), self.ends[0] > VARIABLE)]
        cases += [(piece.expression, piece.upper > VARIABLE) for piece in self.pieces]
        return sympy.Piecewise(*cases, (self._continued(1), True))

    def _continued(self, side: int) -> sympy.Expr:
        """The continuation beyond an end: tangent there to R, whatever it is."""
        kind, end, value, slope = (both[side] for both in (self.beyond, self.ends, self.values, self.slopes))
        if kind == "tangent":
            return sympy.expand(value + slope * (VARIABLE - end))
        away, rise = end - self.centre, value - self.level
        logarithm = sympy.log((VARIABLE - self.centre) / away)
        if kind == "logarithm":
            return value + slope * away * logarithm
        return self.level + rise * sympy.sqrt(1 + 2 * slope * away / rise * logarithm)


def _horner(coefficients: Sequence[sympy.Rational], t: Any) -> sympy.Expr:
    result: sympy.Expr = sympy.S.Zero
    for c in reversed(coefficients):
        result = c + t * result
    return result


def _from_end(coefficients: Sequence[sympy.Rational], end: int) -> list[sympy.Rational]:
    """The coefficients by u, with t = u − 1 from the left end or t = 1 − u from the right one."""
    by_t = sympy.Poly(_plain(coefficients), _T, domain="QQ")
    return by_t.compose(sympy.Poly(end * (1 - _T), _T, domain="QQ")).all_coeffs()[::-1]


def _plain(coefficients: Sequence[sympy.Rational]) -> sympy.Expr:
    return sum((c * _T**k for k, c in enumerate(coefficients)), sympy.S.Zero)


def approximate(
    function: Function,
    slope: Function,
    knots: Sequence[float],
    tolerance: float,
    pieces: int = 8,
) -> Rational:
    """Approximate an increasing function between the first and the last knot.

    Args:
        function: the function, vectorised, increasing.
        slope: its derivative, positive; one-sided at the inner knots.
        knots: the ends, and between them the points where the function is not smooth; increasing.
        tolerance: the largest error allowed, absolute.
        pieces: the most pieces allowed.

    Raises:
        RefusedError: no such function within the tolerance has so few pieces.

    >>> found = approximate(np.arctan, lambda x: 1/(1 + x**2), [-3.0, 3.0], 1e-6)
    >>> len(found.pieces), found.error < 1e-6, found.pieces[0].increasing
    (2, True, True)
    """
    rise = _rise(function, knots)
    ends = [_brief(function, knots[0], -1, 0.02 * rise), _brief(function, knots[-1], 1, 0.02 * rise)]
    ends[1:1] = [sympy.Rational(repr(float(k))) for k in knots[1:-1]]
    waiting = list(itertools.pairwise(ends))[::-1]
    done: list[tuple[RationalPiece, float]] = []
    while waiting:
        if len(done) + len(waiting) > pieces:
            raise RefusedError(
                f"an approximation to {tolerance:.1g} must have at most {pieces} pieces",
                f"more between {float(ends[0]):g} and {float(ends[-1]):g}",
                "allow a larger error",
            )
        lower, upper = waiting.pop()
        found = _fit(function, slope, lower, upper, tolerance)
        if found is not None:
            done.append(found)
            continue
        middle = _middle(function, float(lower), float(upper))
        waiting += [(middle, upper), (lower, middle)]
    parts = tuple(piece for piece, _ in done)
    joints = [(_end_slope(left, 1), _end_slope(right, -1)) for left, right in itertools.pairwise(parts)]
    tangents = _end_slope(parts[0], -1), _end_slope(parts[-1], 1)
    return Rational(parts, tangents, max(error for _, error in done), all(a == b for a, b in joints))


def _end_slope(piece: RationalPiece, end: int) -> sympy.Rational:
    """R′ at an end, by x: the slope of H, since the other term has a double root there."""
    slope = sum(k * c * end ** (k - 1) for k, c in enumerate(piece.hermite) if k)
    return 2 * slope / (piece.upper - piece.lower)


def _rise(function: Function, knots: Sequence[float]) -> float:
    low, high = function(np.array([knots[0], knots[-1]]))
    return float(high - low)


def _brief(function: Function, end: float, outward: int, within: float) -> sympy.Rational:
    """The shortest decimal outside an end at which the function is hardly another; so it stays inside the domain."""
    value = function(np.array([end]))[0]
    for digits in range(2, 17):
        context = decimal.Context(digits, decimal.ROUND_CEILING if outward > 0 else decimal.ROUND_FLOOR)
        short = context.create_decimal(repr(float(end)))
        if abs(function(np.array([float(short)]))[0] - value) <= within:
            return sympy.Rational(str(short))
    return sympy.Rational(repr(float(end)))


def _short(number: float, scale: float, digits: int = 5) -> sympy.Rational:
    """A decimal near a number, with so many digits of the scale."""
    places = digits - int(np.floor(np.log10(abs(scale)))) - 1
    return sympy.Rational(f"{round(number, places):.{max(places, 0)}f}")


def _middle(function: Function, lower: float, upper: float) -> sympy.Rational:
    """Where the function is halfway between its values at the ends."""
    low, high = function(np.array([lower, upper]))
    half = scipy.optimize.brentq(
        lambda x: float(function(np.array([x]))[0]) - (low + high) / 2,
        lower,
        upper,
        # Over twenty decades SciPy's own 100 steps do not reach its tolerance.
        maxiter=10_000,
    )
    # A range of decades is cut where the variable's logarithm is halfway, lest one side keep nearly all of it.
    inside = min(max(half, lower + 0.02 * (upper - lower)), upper - 0.02 * (upper - lower))
    return _short(inside, upper - lower, 3)


def _fit(
    function: Function, slope: Function, lower: sympy.Rational, upper: sympy.Rational, tolerance: float
) -> tuple[RationalPiece, float] | None:
    """The piece of lowest degree within the tolerance that is proved increasing; None where there is none."""
    centre, half = (float(upper) + float(lower)) / 2, (float(upper) - float(lower)) / 2
    t = np.cos(np.pi * (np.arange(_POINTS) + 0.5) / _POINTS)
    dense = np.concatenate([np.cos(np.linspace(0, np.pi, 1500)), np.linspace(-1, 1, 500)])
    values, target = function(centre + half * t), function(centre + half * dense)
    hermite = _hermite(function, slope, lower, upper, tolerance)
    for terms in _TERMS:
        denominator = _denominator(t, values, terms)
        if denominator is None:
            continue
        numerator = _numerator((t, values), hermite, denominator, terms + 1, tolerance / 100)
        piece = RationalPiece(lower, upper, hermite, numerator, denominator)
        error = float(np.max(np.abs(_value(piece, dense) - target)))
        if error <= tolerance and piece.increasing:
            return piece, error
    return None


def _value(piece: RationalPiece, t: FloatArray) -> FloatArray:
    h, n, q = (
        np.polynomial.polynomial.polyval(t, np.array(c, np.float64))
        for c in (piece.hermite, piece.numerator, piece.denominator)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(h + (1 - t**2) ** 2 * n / q, np.float64)


def _rounded(number: float, step: float) -> sympy.Rational:
    """The number to so many decimals that the rounding is below `step`."""
    return sympy.Rational(f"{number:.{max(0, int(np.ceil(-np.log10(step))))}f}")


def _hermite(
    function: Function, slope: Function, lower: sympy.Rational, upper: sympy.Rational, tolerance: float
) -> tuple[sympy.Rational, ...]:
    """The cubic with the function's values and slopes at both ends, of decimals, by t."""
    ends = np.array([float(lower), float(upper)])
    half = (upper - lower) / 2
    low, high = (_rounded(v, tolerance / 10) for v in function(ends))
    left, right = half * _slope_beside(slope, ends[0], 1), half * _slope_beside(slope, ends[1], -1)
    a, b = (high + low) / 2, (high - low) / 2
    c, d = (right - left) / 4, (right + left) / 2 - b
    return a - c, b - d / 2, c, d / 2


def _slope_beside(slope: Function, point: float, side: int) -> sympy.Rational:
    """The slope beside a point; where both sides agree, the same decimal for both, so that the seam is smooth."""
    step = 1e-12 * max(abs(point), 1e-3)
    left, right = slope(np.array([point - step, point + step]))
    own = right if side > 0 else left
    with np.errstate(invalid="ignore"):
        agree = abs(left - right) <= 1e-6 * abs(own)
    return sympy.Rational(f"{(left + right) / 2 if agree else own:.5e}")


def _denominator(t: FloatArray, values: FloatArray, terms: int) -> tuple[sympy.Rational, ...] | None:
    """Q with the poles that AAA finds; None where one lies on the piece."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found = scipy.interpolate.AAA(t, values, max_terms=terms, clean_up=False)
        poles = found.poles()
    poles = poles[np.isfinite(poles) & (np.abs(poles) < 1e6)]
    if any(abs(p.imag) < 1e-12 and abs(p.real) <= 1 for p in poles):
        return None
    coefficients = np.array([1.0])
    for pole in poles:
        coefficients = np.convolve(coefficients, [1.0, -1.0 / pole])
    real = np.real(coefficients)
    return (sympy.S.One, *(_rounded(float(c), 1e-7) for c in real[1:]))


def _numerator(
    sample: tuple[FloatArray, FloatArray],
    hermite: Sequence[sympy.Rational],
    denominator: Sequence[sympy.Rational],
    count: int,
    step: float,
) -> tuple[sympy.Rational, ...]:
    """N of `count` coefficients, rounded to `step`, by least squares: H + (1 − t²)² N/Q against the sample."""
    t, values = sample
    polyval = np.polynomial.polynomial.polyval
    weight = (1 - t**2) ** 2 / polyval(t, np.array(denominator, np.float64))
    missing = values - polyval(t, np.array(hermite, np.float64))
    basis = np.polynomial.chebyshev.chebvander(t, count - 1) * weight[:, None]
    in_chebyshev = np.linalg.lstsq(basis, missing, rcond=None)[0]
    plain = np.polynomial.chebyshev.cheb2poly(in_chebyshev)
    return tuple(_rounded(float(c), step) for c in np.resize(plain, count))
