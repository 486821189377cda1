"""The shape of an activation: its branches as numbers, where they turn, how steep they are, how they end.

Turning points are bracketed on a grid that is uniform to ±100, geometric to ±10⁴, and finer where the function is steep, and
refined; where SymPy finds the same points in closed form within its time, the values there are exact as well. A branch with a
sine is searched within ±100 alone, or 10 periods where they are longer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt
import scipy.optimize
import sympy

from eafo.activation import VARIABLE, Activation
from eafo.branching import Piece, branch_at, derivative, seams
from eafo.limits import within
from eafo.theory.quadrature import numeric

__all__ = [
    "CLOSE",
    "SECONDS",
    "Branch",
    "agree",
    "branches",
    "cut",
    "exact_form",
    "one_sided",
    "roots",
    "value_at",
]

#: What one symbolic question may take on which a property rests, and one that only gives a number its closed form.
SECONDS, _SECONDS_FOR_A_FORM = 5.0, 1.0
#: Two numbers of the size of one that agree to this are the same.
CLOSE = 1e-12
_ROUNDING = 1e-14
_WINDOW = 100.0
_WIDEST = 1e4
#: A rise between two points of the grid that differs by this share from what the slopes at both say is looked at closer, unless it
#: is this small; so often may the points be halved, and so many be added.
_UNTOLD, _SMALL, _HALVINGS, _MOST_ADDED = 0.1, 1e-9, 40, 100_000
#: Where the derivative is asked whether it still changes its sign.
_FAR = (1e3, 1e4, 1e5)
#: What SymPy writes by exponentials to solve an equation.
_EXPONENTIAL = (sympy.exp, sympy.tanh, sympy.sinh, sympy.cosh, sympy.sin, sympy.cos, sympy.tan)
#: The highest power of an exponential in an equation that SymPy is asked to solve.
_HIGHEST_DEGREE = 100
#: So near to a point where the formula has no value, but a limit, it is computed with so many digits.
_NEAR, _DIGITS = 0.05, 50

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Branch:
    """A branch of an activation at its default parameters: ``expression`` holds between two exact ends.

    Args:
        expression: free of all symbols but x.
        left: the lower end, −oo where it has none.
        right: the upper end, oo where it has none.
        at_right: the activation's value at the upper end; `nan` where it has none.
    """

    expression: sympy.Expr
    left: sympy.Expr
    right: sympy.Expr
    at_right: sympy.Expr = sympy.nan

    @cached_property
    def lower(self) -> float:
        """The lower end in double precision."""
        return float(self.left)

    @cached_property
    def upper(self) -> float:
        """The upper end in double precision."""
        return float(self.right)

    @cached_property
    def value(self) -> Callable[[Any], Any]:
        """The function, for NumPy arrays."""
        return self._numeric(self.expression, 0)

    @cached_property
    def slope(self) -> Callable[[Any], Any]:
        """Its derivative, for NumPy arrays."""
        return self._numeric(derivative(self.expression), 1)

    def _numeric(self, expression: sympy.Expr, order: int) -> Callable[[Any], Any]:
        """A derivative of this order for NumPy arrays, whole next to where a formula such as sin(x)/x has no value."""
        # The cosine of a number with thousands of digits takes minutes to compute exactly.
        quick = numeric(expression, exact=not self.oscillating)
        if not self.singular:
            return quick
        slow = sympy.lambdify(VARIABLE, expression, "mpmath")
        there = {float(p): self.limits(p, order) for p, _ in self.singular}

        def precise(x: float) -> float:
            if x in there:
                return there[x][0] if agree(*there[x]) else math.nan
            with mpmath.workdps(_DIGITS):
                try:
                    return float(slow(mpmath.mpf(x)))
                except (ArithmeticError, TypeError, ValueError):
                    return math.nan

        def function(x: Any) -> Any:
            points = np.asarray(x, np.float64)
            values = np.array(quick(points))
            near = np.any([np.abs(points - p) < _NEAR for p in there], axis=0)
            values[near] = [precise(float(v)) for v in points[near]]
            return values[()]

        return function

    @cached_property
    def flat(self) -> bool:
        """Whether it is a constant."""
        return bool(sympy.diff(self.expression, VARIABLE) == 0)

    @cached_property
    def oscillating(self) -> bool:
        """Whether sine, cosine or tangent of x occur; of eafo's functions only they can oscillate without end."""
        return any(e.has(VARIABLE) for e in self.expression.atoms(sympy.sin, sympy.cos, sympy.tan))

    @cached_property
    def period(self) -> float:
        """The period of f′; `nan` where it has none that SymPy finds."""
        if not self.oscillating:
            return math.nan
        slope = sympy.diff(self.expression, VARIABLE)
        found = within(SECONDS, lambda: sympy.periodicity(slope, VARIABLE), None)
        if found is None or not found.is_number or not 0 < float(found) < _WIDEST:
            return math.nan
        # SymPy's word is not taken for it.
        x = np.linspace(0.1, 1.1, 64) * float(found)
        before, after = self.slope(x), self.slope(x + float(found))
        return float(found) if np.allclose(before, after, rtol=1e-9, atol=1e-9) else math.nan

    @cached_property
    def repeats(self) -> bool:
        """Whether f itself has that period."""
        if math.isnan(self.period):
            return False
        rise = float(self.value(1.0 + self.period) - self.value(1.0))
        return abs(rise) < 1e-9 * max(1.0, abs(float(self.value(1.0))))

    def endless(self, sign: int) -> bool:
        """Whether f turns again and again towards −∞ (sign −1) or +∞ (sign 1)."""
        if not self.oscillating or math.isfinite(self.lower if sign < 0 else self.upper):
            return False
        spans = [(0.0, 2 * self.period)] if not math.isnan(self.period) else [(f, 50.0) for f in _FAR]
        changes = []
        for start, width in spans:
            slopes = self.slope(sign * (start + np.linspace(0.0, width, 5001)))
            # A slope beyond double precision has its sign still.
            size = np.abs(slopes)
            clear = np.sign(slopes[size > 1e-9 * np.max(size[np.isfinite(size)], initial=0.0)])
            changes.append(bool(np.any(clear[:-1] != clear[1:])))
        return all(changes)

    @cached_property
    def reach(self) -> float:
        """How far from 0 single features are told: 10⁴, or 100 and at least 10 periods where a sine occurs."""
        if not self.oscillating:
            return _WIDEST
        if math.isnan(self.period) or 0.5 <= self.period <= _WINDOW / 10:
            return _WINDOW
        return 16 * self.period

    @cached_property
    def grid(self) -> FloatArray:
        """Points strictly inside the interval, to ±reach."""
        reach = self.reach
        if reach == _WIDEST:
            outward = np.geomspace(_WINDOW, _WIDEST, 460)
            inner = np.concatenate([np.linspace(-12, 12, 4801), np.linspace(-_WINDOW, _WINDOW, 4001)])
            whole = np.concatenate([-outward, inner, outward])
        else:
            # 128 points a period where it is known.
            width = 0.02 if math.isnan(self.period) else self.period / 128
            whole = np.linspace(-reach, reach, 2 * math.ceil(reach / width) + 1)
        low, high = max(self.lower, -reach), min(self.upper, reach)
        if not low < high:
            # All of it lies further out.
            low, high = (self.lower, 2 * self.lower) if self.lower > 0 else (2 * self.upper, self.upper)
        inside = whole[(whole > low) & (whole < high)]
        edges = np.array([low, high]) + (high - low) * 1e-9 * np.array([1, -1])
        return self._refined(np.unique(np.concatenate([inside, edges, np.linspace(low, high, 102)[1:-1]])))

    def _refined(self, x: FloatArray) -> FloatArray:
        """The points, and others between two of them where f rises otherwise than its slopes at both say."""
        values, slopes = self.value(x), self.slope(x)
        most = x.size + _MOST_ADDED
        for _ in range(_HALVINGS):
            with np.errstate(invalid="ignore", over="ignore"):
                rises, widths = np.diff(values), np.diff(x)
                told = widths * (slopes[1:] + slopes[:-1]) / 2
                size = np.maximum(np.abs(rises), widths * np.maximum(np.abs(slopes[1:]), np.abs(slopes[:-1])))
                untold = np.abs(rises - told) > _UNTOLD * size
                untold &= size > _SMALL * np.maximum(1.0, np.abs(values[1:]))
            between = (x[:-1] + x[1:])[untold] / 2
            if not between.size or x.size + between.size > most:
                break
            x = np.concatenate([x, between])
            values = np.concatenate([values, self.value(between)])
            slopes = np.concatenate([slopes, self.slope(between)])
            order = np.argsort(x, kind="stable")
            x, values, slopes = x[order], values[order], slopes[order]
        return np.unique(x)

    @cached_property
    def singular(self) -> tuple[tuple[sympy.Expr, tuple[float, float]], ...]:
        """Where inside or at the ends the formula has no value, as far as SymPy tells, and the limits from both sides."""
        found = within(SECONDS, lambda: sympy.singularities(self.expression, VARIABLE), sympy.S.EmptySet)
        if not found.is_FiniteSet:
            return ()
        return tuple((p, self.limits(p)) for p in found if p.is_real and self.lower <= float(p) <= self.upper)

    @cached_property
    def endless_at(self) -> sympy.Expr | None:
        """A point, inside or at an end, next to which a sine turns without end; None where SymPy finds none."""
        for wave in self.expression.atoms(sympy.sin, sympy.cos):
            for point, (before, after) in Branch(wave.args[0], self.left, self.right).singular:
                sides = [before] * (point != self.left) + [after] * (point != self.right)
                if any(map(math.isinf, sides)):
                    return point
        return None

    def limits(self, at: sympy.Expr, order: int = 0) -> tuple[float, float]:
        """The limits of a derivative of the formula from the left and from the right; `nan` where there is none."""
        sides = Branch(self.expression, -sympy.oo, at), Branch(self.expression, at, sympy.oo)
        left, right = (_number(one_sided(side, at, order)) for side in sides)
        return left, right

    @cached_property
    def turning_points(self) -> tuple[float, ...]:
        """Where f′ changes its sign."""
        return () if self.flat else roots(self.slope, self.grid)

    @cached_property
    def lost_turn(self) -> float:
        """The point next to 0 where f′ of an oscillating branch changes its sign within rounding of zero; `nan` where there is none.

        Such a turn is in no list: of other branches it would be rounding.
        """
        if not self.oscillating:
            return math.nan
        x, slopes = self.grid, self.slope(self.grid)
        told = np.isfinite(slopes) & (slopes != 0)
        x, slopes = x[told], slopes[told]
        changes = np.nonzero(np.sign(slopes[:-1]) != np.sign(slopes[1:]))[0]
        sizes = np.maximum(np.abs(slopes[changes]), np.abs(slopes[changes + 1]))
        lost = x[changes][sizes <= _ROUNDING * np.maximum(1.0, np.abs(x[changes]))]
        if changes.size <= len(self.turning_points) or not lost.size:
            return math.nan
        return float(lost[np.argmin(np.abs(lost))])

    @cached_property
    def steepest_points(self) -> tuple[float, ...]:
        """Where f″ changes its sign."""
        second = sympy.diff(self.expression, VARIABLE, 2)
        return roots(self._numeric(second, 2), self.grid) if second.has(VARIABLE) else ()

    def exact_points(self, order: int) -> tuple[sympy.Expr, ...]:
        """The roots of the derivative of this order that SymPy finds in its time, inside the interval."""
        target = sympy.diff(self.expression, VARIABLE, order)
        unit = _unit(target)
        if not target.has(VARIABLE) or unit is None:
            return ()
        scaled = target.subs(VARIABLE, VARIABLE / unit)
        solutions: list[Any] = within(_SECONDS_FOR_A_FORM, lambda: sympy.solve(scaled, VARIABLE), [])
        found = (s / unit for s in solutions if isinstance(s, sympy.Expr))
        real = (r for r in found if r.is_number and r.is_real)
        return tuple(r for r in real if self.lower < float(r) < self.upper)


def _unit(expression: sympy.Expr) -> sympy.Rational | None:
    """The common divisor of what multiplies x in exponentials, 1 where there is none; None where SymPy should not solve it.

    With a unit u SymPy solves polynomials in exp(u x), in C code that no time limit ends: their degree must be small.
    """
    factors: dict[sympy.Expr, list[sympy.Rational]] = {}
    powers = [p.exp for p in expression.atoms(sympy.Pow) if p.base.is_number]
    for argument in [*powers, *(f.args[0] for f in expression.atoms(*_EXPONENTIAL))]:
        for term in sympy.Add.make_args(argument):
            factor, rest = term.as_coeff_Mul()
            factors.setdefault(rest, []).append(abs(factor))
    units = {rest: sympy.gcd_list(of_rest) for rest, of_rest in factors.items() if rest != 1}
    for rest, of_rest in factors.items():
        if max(of_rest) > _HIGHEST_DEGREE * units.get(rest, 1):
            return None
    return units.get(VARIABLE, sympy.S.One)


def branches(activation: Activation) -> tuple[Branch, ...]:
    """The branches of an activation at its default parameters, from left to right, as `cut` gives them."""
    at_default = _at_default(activation)
    parts = (
        Branch(*(sympy.sympify(e).xreplace(at_default) for e in (piece.expression, piece.lower, piece.upper)))
        for piece in cut(activation)
    )
    return tuple(replace(part, at_right=value_at(activation, part.right)) for part in parts)


def cut(activation: Activation) -> tuple[Piece, ...]:
    """The pieces of an activation, cut too where a single point has a value of its own."""
    at_default = _at_default(activation)
    result = list(activation.pieces())
    for seam in seams(activation.expression, at_default):
        at = seam.xreplace(at_default)
        for place, piece in enumerate(result):
            expression, low, high = (
                sympy.sympify(e).xreplace(at_default) for e in (piece.expression, piece.lower, piece.upper)
            )
            if float(low) < float(at) < float(high):
                value, branch = value_at(activation, at), Branch(expression, low, high)
                whole = agree(float(value), *branch.limits(at)) and agree(*branch.limits(at, 1))
                if value is not sympy.nan and not whole:
                    result[place : place + 1] = [replace(piece, upper=seam), replace(piece, lower=seam)]
                break
    return tuple(result)


def _at_default(activation: Activation) -> dict[sympy.Symbol, sympy.Rational]:
    return {p.symbol: sympy.Rational(repr(p.default)) for p in activation.parameters}


def value_at(activation: Activation, at: sympy.Expr) -> sympy.Expr:
    """The exact value at a point; `nan` where there is none that SymPy can tell."""
    if not at.is_finite:
        return sympy.nan
    try:
        value = branch_at(activation.concrete, at).subs(VARIABLE, at)
    except (TypeError, ValueError):
        return sympy.nan
    return value if value.evalf().is_Float or value.is_Rational else sympy.nan


def _number(expression: sympy.Expr) -> float:
    value = expression.evalf()
    known = value.is_Float or value.is_Rational or value in (sympy.oo, -sympy.oo)
    return float(value) if known else math.nan


def agree(*values: float) -> bool:
    """Whether finite numbers are the same but for rounding."""
    return all(map(math.isfinite, values)) and max(values) - min(values) <= CLOSE * max(
        1.0, *map(abs, values)
    )


def one_sided(branch: Branch, at: sympy.Expr, order: int) -> sympy.Expr:
    """The derivative of a branch at one of its ends; a limit where the formula has a removable singularity there."""
    expression = sympy.diff(branch.expression, VARIABLE, order)
    value = expression.subs(VARIABLE, at)
    if value.is_finite is True:
        return value
    side = "+" if at == branch.left else "-"
    return within(SECONDS, lambda: sympy.limit(expression, VARIABLE, at, side), sympy.nan)


def roots(function: Callable[[Any], Any], x: FloatArray) -> tuple[float, ...]:
    """Where a function changes its sign; values within rounding of zero have none."""
    values = function(x)
    clear = np.abs(values) > _ROUNDING * np.maximum(1.0, np.abs(x))
    x, signs = x[clear], np.sign(values[clear])
    changes = np.nonzero(signs[:-1] * signs[1:] < 0)[0]
    found = (
        # At a multiple root the method needs many more steps than its 100.
        scipy.optimize.brentq(
            lambda t: float(function(t)), x[i], x[i + 1], xtol=1e-14, rtol=1e-14, maxiter=10_000
        )
        for i in changes
    )
    return tuple(0.0 if abs(root) < CLOSE else float(root) for root in found)


def exact_form(number: float, candidates: Iterable[sympy.Expr]) -> sympy.Expr | None:
    """The first expression whose value is the number; None where there is none.

    >>> exact_form(-0.375, [sympy.Integer(1), sympy.Rational(-3, 8)])
    -3/8
    """
    if math.isinf(number):
        return sympy.oo if number > 0 else -sympy.oo
    for candidate in candidates:
        if not candidate.is_number or not candidate.is_extended_real or not candidate.is_finite:
            continue
        if candidate.has(sympy.Float):
            continue
        if abs(float(candidate) - number) <= CLOSE * max(1.0, abs(number)):
            return candidate
    return None
