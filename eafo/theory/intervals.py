"""Intervals with ends computed by ball arithmetic (FLINT's arb), so that an enclosure is a proof.

An ``Interval`` is the set of real numbers from `lo` to `hi`; either end may be infinite, and the numbers in between are
finite, so that 0·∞ = 0 in the ends of a product. Ends are exact binary numbers: each operation computes its ends as balls
and takes the lower end of the one and the upper end of the other, which rounds outwards. Elementary functions are
evaluated at the ends alone where they are monotone, so that a wide interval costs no tightness.

Where a function is not defined on the whole interval, `UndefinedError` is raised: nothing is enclosed silently.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import sympy
from flint import arb

__all__ = ["Interval", "UndefinedError", "hull"]

_NEGATIVE, _POSITIVE = arb.neg_inf(), arb.pos_inf()
_ZERO, _ONE = arb(0), arb(1)


class UndefinedError(ArithmeticError):
    """A function meets arguments where it has no real value, or may meet them."""


def _down(value: Any) -> Any:
    return _NEGATIVE if value.is_nan() else value.lower()


def _up(value: Any) -> Any:
    return _POSITIVE if value.is_nan() else value.upper()


def _times(a: Any, b: Any) -> Any:
    return _ZERO if a.is_zero() or b.is_zero() else a * b


class Interval:
    """The real numbers from `lo` to `hi`, both exact.

    >>> Interval.exact(2) * Interval(arb(-1), arb(3))
    [-2, 6]
    """

    __slots__ = ("hi", "lo")

    def __init__(self, lo: Any, hi: Any) -> None:
        self.lo, self.hi = lo, hi

    @classmethod
    def exact(cls, value: int | float) -> Interval:
        """One double or integer."""
        return cls(arb(value), arb(value))

    @classmethod
    def ball(cls, value: Any) -> Interval:
        """The smallest interval around a ball."""
        return cls(_down(value), _up(value))

    @classmethod
    def whole(cls) -> Interval:
        """All real numbers."""
        return cls(_NEGATIVE, _POSITIVE)

    def __repr__(self) -> str:
        return f"[{float(self.lo):.10g}, {float(self.hi):.10g}]"

    # -- sets ----------------------------------------------------------------------------------------------------

    @property
    def bounded(self) -> bool:
        """Whether both ends are finite."""
        return bool(self.lo.is_finite() and self.hi.is_finite())

    @property
    def degenerate(self) -> bool:
        """Whether it is a single number."""
        return bool(self.lo == self.hi)

    def contains_zero(self) -> bool:
        """Whether 0 lies inside or on an end."""
        return bool(self.lo <= 0 and self.hi >= 0)

    def meet(self, other: Interval) -> Interval:
        """The intersection of two enclosures of the same number."""
        return Interval(max(self.lo, other.lo), min(self.hi, other.hi))

    def magnitude(self) -> Any:
        """The largest modulus."""
        return max(-self.lo, self.hi)

    def mignitude(self) -> Any:
        """The smallest modulus."""
        return _ZERO if self.contains_zero() else min(abs(self.lo), abs(self.hi))

    # -- arithmetic ------------------------------------------------------------------------------------------------

    def __neg__(self) -> Interval:
        return Interval(-self.hi, -self.lo)

    def __add__(self, other: Interval) -> Interval:
        return Interval(_down(self.lo + other.lo), _up(self.hi + other.hi))

    def __sub__(self, other: Interval) -> Interval:
        return Interval(_down(self.lo - other.hi), _up(self.hi - other.lo))

    def __mul__(self, other: Interval) -> Interval:
        a, b, c, d = self.lo, self.hi, other.lo, other.hi
        if a >= 0 and c >= 0:
            return Interval(_down(_times(a, c)), _up(_times(b, d)))
        ends = [_times(a, c), _times(a, d), _times(b, c), _times(b, d)]
        return Interval(min(map(_down, ends)), max(map(_up, ends)))

    def reciprocal(self) -> Interval:
        """1/u; 0 may be an end, but not inside."""
        if (self.lo < 0 and self.hi > 0) or (self.lo.is_zero() and self.hi.is_zero()):
            raise UndefinedError("a division by zero")
        low = _NEGATIVE if self.hi.is_zero() else _down(_over_one(self.hi))
        high = _POSITIVE if self.lo.is_zero() else _up(_over_one(self.lo))
        return Interval(low, high)

    def power(self, exponent: sympy.Rational) -> Interval:
        """The rational power of u; a broken one needs u ≥ 0."""
        if exponent < 0:
            return self.power(-exponent).reciprocal()
        if exponent.q == 1:
            return self._integer_power(int(exponent))
        if self.lo < 0:
            raise UndefinedError("a root of a negative number")
        root = arb(int(exponent.p)) / arb(int(exponent.q))
        return self._increasing(lambda u: _ZERO if u.is_zero() else u**root, _ZERO, _POSITIVE)

    def _integer_power(self, n: int) -> Interval:
        if n % 2 == 1 or self.lo >= 0:
            return self._increasing(lambda u: u**n, _NEGATIVE, _POSITIVE)
        if self.hi <= 0:
            return (-self)._integer_power(n)
        return Interval(_ZERO, Interval(_ZERO, self.magnitude())._integer_power(n).hi)

    # -- elementary functions --------------------------------------------------------------------------------------

    def _increasing(self, function: Callable[[Any], Any], left: Any, right: Any) -> Interval:
        """The range of an increasing function with these limits at −∞ and ∞."""
        low = _limit(self.lo, function, left, right)
        high = _limit(self.hi, function, left, right)
        return Interval(_down(low), _up(high))

    def exp(self) -> Interval:
        """The exponential."""
        return self._increasing(lambda u: u.exp(), _ZERO, _POSITIVE)

    def log(self) -> Interval:
        """The natural logarithm; −∞ at 0."""
        if self.lo < 0 or self.hi <= 0:
            raise UndefinedError("a logarithm of a number that is not positive")
        return self._increasing(lambda u: _NEGATIVE if u.is_zero() else u.log(), _NEGATIVE, _POSITIVE)

    def erf(self) -> Interval:
        """The error function."""
        return self._increasing(lambda u: u.erf(), -_ONE, _ONE)

    def erfc(self) -> Interval:
        """The complementary error function."""
        return -self._increasing(lambda u: -u.erfc(), arb(-2), _ZERO)

    def tanh(self) -> Interval:
        """The hyperbolic tangent."""
        return self._increasing(lambda u: u.tanh(), -_ONE, _ONE)

    def sinh(self) -> Interval:
        """The hyperbolic sine."""
        return self._increasing(lambda u: u.sinh(), _NEGATIVE, _POSITIVE)

    def asinh(self) -> Interval:
        """Its inverse."""
        return self._increasing(lambda u: u.asinh(), _NEGATIVE, _POSITIVE)

    def atan(self) -> Interval:
        """The inverse tangent."""
        quarter = arb.pi() / 2
        return self._increasing(lambda u: u.atan(), -quarter, quarter)

    def cosh(self) -> Interval:
        """The hyperbolic cosine."""
        return Interval(self.mignitude(), self.magnitude())._increasing(
            lambda u: u.cosh(), _POSITIVE, _POSITIVE
        )

    def sin(self) -> Interval:
        """The sine."""
        return self._wave(lambda u: u.sin())

    def cos(self) -> Interval:
        """The cosine."""
        return self._wave(lambda u: u.cos())

    def _wave(self, function: Callable[[Any], Any]) -> Interval:
        if not self.bounded:
            return Interval(-_ONE, _ONE)
        return Interval.ball(function(self.lo.union(self.hi))).meet(Interval(-_ONE, _ONE))

    def tan(self) -> Interval:
        """The tangent, away from its poles."""
        if not self.bounded or not (value := self.lo.union(self.hi).tan()).is_finite():
            raise UndefinedError("a tangent at a pole")
        return Interval.ball(value)

    def __abs__(self) -> Interval:
        return Interval(self.mignitude(), self.magnitude())

    def floats(self) -> tuple[float, float]:
        """The ends as doubles, rounded outwards."""
        low, high = float(self.lo), float(self.hi)
        low = math.nextafter(low, -math.inf) if arb(low) > self.lo else low
        return low, (math.nextafter(high, math.inf) if arb(high) < self.hi else high)


def hull(*intervals: Interval) -> Interval:
    """The smallest interval around all of them."""
    return Interval(min(i.lo for i in intervals), max(i.hi for i in intervals))


def _over_one(value: Any) -> Any:
    return _ONE / value if value.is_finite() else _ZERO


def _limit(value: Any, function: Callable[[Any], Any], left: Any, right: Any) -> Any:
    if value.is_finite():
        return function(value)
    return right if value > 0 else left
