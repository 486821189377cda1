"""An activation in numbers: the smooth parts between its seams, and what a step along a direction makes of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import sympy

from eafo.activation import VARIABLE
from eafo.branching import derivative, pieces
from eafo.limits import within
from eafo.theory.quadrature import numeric

__all__ = ["Direction", "Part", "direction", "parts"]

FloatArray = npt.NDArray[np.float64]
Numeric: TypeAlias = Callable[[FloatArray], FloatArray]
_SECONDS = 1.0


@dataclass(frozen=True)
class Direction:
    """A change φ of an activation, smooth on each side of every seam, with φ′ and φ″."""

    value: Numeric
    slope: Numeric
    curvature: Numeric


@dataclass(frozen=True)
class Part:
    """An activation f on an interval where it is smooth.

    Args:
        lower: the interval's lower end, may be -inf.
        upper: its upper end, may be inf.
        value: f.
        slope: f′.
        curvature: f″.
        log_slope: log |f′|, right where f′ itself underflows.
        flat: whether f is constant.
        period: the period of f where it has one.
    """

    lower: float
    upper: float
    value: Numeric
    slope: Numeric
    curvature: Numeric
    log_slope: Numeric
    flat: bool
    period: float | None = None

    def moved(self, phi: Direction, step: float) -> Part:
        """F + step·φ on the same interval; a flat part stays as it is, an atom of the output."""
        if self.flat or step == 0.0:
            return self

        def slope(x: FloatArray) -> FloatArray:
            return self.slope(x) + step * phi.slope(x)

        def log_slope(x: FloatArray) -> FloatArray:
            with np.errstate(all="ignore"):
                whole = np.log(np.abs(slope(x)))
            # Where f′ underflows or overflows.
            return np.where(np.isfinite(whole), whole, self.log_slope(x))

        return Part(
            self.lower,
            self.upper,
            lambda x: self.value(x) + step * phi.value(x),
            slope,
            lambda x: self.curvature(x) + step * phi.curvature(x),
            log_slope,
            flat=False,
            # A direction is gone where tails are folded.
            period=self.period,
        )


@functools.lru_cache(maxsize=512)
def direction(expression: sympy.Expr) -> Direction:
    """A change of an activation from its expression in x.

    >>> float(direction(VARIABLE**2).slope(np.array(3.0)))
    6.0
    """
    first = derivative(expression)
    return Direction(numeric(expression), numeric(first), numeric(derivative(first)))


@functools.lru_cache(maxsize=256)
def parts(expression: sympy.Expr) -> tuple[Part, ...]:
    """The smooth parts of an expression in x alone, from left to right.

    Raises:
        InputError: the seams cannot be found, or are infinitely many.

    >>> [(p.lower, p.upper, p.flat) for p in parts(sympy.Max(0, VARIABLE))]
    [(-inf, 0.0, True), (0.0, inf, False)]
    """
    found = []
    for piece in pieces(expression, {}):
        f = piece.expression
        first = sympy.diff(f, VARIABLE)
        found.append(
            Part(
                float(piece.lower),
                float(piece.upper),
                numeric(f),
                numeric(first),
                numeric(sympy.diff(first, VARIABLE)),
                numeric(sympy.log(sympy.Abs(first)) if first != 0 else first),
                flat=first == 0,
                period=_period(f),
            )
        )
    return tuple(found)


def _period(expression: sympy.Expr) -> float | None:
    """The period of an oscillating function; None where it has none that SymPy finds in time."""
    if not expression.has(sympy.sin, sympy.cos):
        return None
    found = within(_SECONDS, lambda: sympy.calculus.util.periodicity(expression, VARIABLE), None)
    return float(found) if found else None
