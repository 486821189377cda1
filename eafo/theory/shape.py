"""The shape of an activation: its branches as numbers, where they turn, how steep they are, how they end.

Turning points are bracketed on a grid that is uniform to ±100, geometric to ±10⁹, finer where the function is steep and around
the points and at the scales that its own numbers name, and refined; where SymPy finds the same points in closed form within its
time, the values there are exact as well. A branch with a sine is searched within ±100 alone, or 16 periods where they are longer.
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
    "size_at",
    "value_at",
]

#: What one symbolic question may take on which a property rests, and one that only gives a number its closed form.
SECONDS, _SECONDS_FOR_A_FORM = 5.0, 1.0
#: Two numbers of the size of one that agree to this are the same.
CLOSE = 1e-12
_ROUNDING, _TINY = 1e-14, 5e-324
#: Values and closed forms that agree to this are the same.
_SAME = 1e-14
#: A sign that double precision cannot tell is one that so many digits tell alike; so many of them are asked for.
_TOLD_BY, _MOST_ASKED = (60, 90), 4000
_WINDOW = 100.0
_WIDE, _WIDEST = 1e4, 1e9
#: How far from the points and in what units of their widths a formula's own numbers are followed, and to what distance from 0.
_FAN = np.geomspace(1e-3, 1e3, 121)
_FARTHEST, _HIGHEST_NAMED = 1e15, 20
#: Where the size of a function is seen next to a point.
_BESIDE = np.geomspace(1e-3, 1.0, 13)
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
        if found is None or not found.is_number or not 0 < float(found) < _FARTHEST:
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
        unit = max(1.0, self._wave)
        spans = (
            [(0.0, 2 * self.period)]
            if not math.isnan(self.period)
            else [(f * unit, 50.0 * unit) for f in _FAR]
        )
        changes = []
        for start, width in spans:
            slopes = self.slope(sign * (start + np.linspace(0.0, width, 5001)))
            # A slope beyond double precision has its sign still.
            size = np.abs(slopes)
            clear = np.sign(slopes[size > 1e-9 * np.max(size[np.isfinite(size)], initial=0.0)])
            changes.append(bool(np.any(clear[:-1] != clear[1:])))
        return all(changes)

    @cached_property
    def marks(self) -> tuple[tuple[float, float], ...]:
        """The points that the formula's own numbers name, and the widths on which it changes there."""
        return tuple((at, width) for at, width in _marks(self.expression) if abs(at) + width <= _FARTHEST)

    @cached_property
    def beyond(self) -> bool:
        """Whether the formula's numbers name points or widths further out than it is searched."""
        return any(abs(at) + width > self.reach for at, width in _marks(self.expression))

    @cached_property
    def _wave(self) -> float:
        """The least width on which the argument of a sine changes by one; 0 where it is no polynomial."""
        waves = self.expression.atoms(sympy.sin, sympy.cos, sympy.tan)
        return min((width for wave in waves for _, width in _marks(wave.args[0])), default=0.0)

    @cached_property
    def _tower(self) -> bool:
        """Whether an exponential stands in an exponent: far out its digits alone fill the memory."""
        return any(_exponents(power.exp) for power in _exponents(self.expression))

    @cached_property
    def reach(self) -> float:
        """How far from 0 single features are told.

        10⁹ and more where the formula's numbers say so, 10⁴ where exponentials stand in exponents, and 100 where a sine occurs, or 16
        of its periods where they are longer.
        """
        if not self.oscillating:
            far = max((abs(at) + _FAN[-1] * width for at, width in self.marks), default=0.0)
            return _WIDE if self._tower else max(_WIDEST, far)
        if math.isnan(self.period):
            return _WINDOW * min(max(1.0, self._wave), _FARTHEST)
        return _WINDOW if 0.5 <= self.period <= _WINDOW / 10 else 16 * self.period

    @cached_property
    def grid(self) -> FloatArray:
        """Points strictly inside the interval, to ±reach."""
        reach = self.reach
        if not self.oscillating:
            outward = np.concatenate(
                [np.geomspace(_WINDOW, _WIDE, 460), np.geomspace(_WIDE, max(reach, 2 * _WIDE), 300)]
            )
            inner = np.concatenate([np.linspace(-12, 12, 4801), np.linspace(-_WINDOW, _WINDOW, 4001)])
            whole = np.concatenate([-outward, inner, outward, self.named])
        else:
            # 128 points a period where it is known.
            width = reach / 5000 if math.isnan(self.period) else self.period / 128
            whole = np.linspace(-reach, reach, 2 * math.ceil(reach / width) + 1)
        low, high = max(self.lower, -reach), min(self.upper, reach)
        if not low < high:
            # All of it lies further out.
            low, high = (self.lower, 2 * self.lower) if self.lower > 0 else (2 * self.upper, self.upper)
        inside = whole[(whole > low) & (whole < high)]
        edges = np.array([low, high]) + min(high - low, 2 * _WIDE) * 1e-9 * np.array([1, -1])
        spread = [np.linspace(low, high, 102)[1:-1]]
        if (near := max(low, -_WIDE)) < (end := min(high, _WIDE)):
            spread.append(np.linspace(near, end, 102)[1:-1])
        return self._refined(np.unique(np.concatenate([inside, edges, *spread])))

    @cached_property
    def named(self) -> FloatArray:
        """Points around those that the formula's numbers name, in geometric steps."""
        steps = np.concatenate([-_FAN, [0.0], _FAN])
        return np.concatenate([np.empty(0), *(at + width * steps for at, width in self.marks)])

    def size(self, order: int) -> float:
        """The size of f or f′ where it turns and between, at most 1: what rounding is measured against."""
        points = self.steepest_points if order else self.turning_points
        seams = [e for e in (self.lower, self.upper) if math.isfinite(e)]
        far = 2 * max(map(abs, [*points, *seams]), default=0.0)
        x = self.grid[np.abs(self.grid) <= far]
        return _size((self.slope if order else self.value)(x))

    def _refined(self, x: FloatArray) -> FloatArray:
        """The points, and others between two of them where f rises otherwise than its slopes at both say."""
        values, slopes = self.value(x), self.slope(x)
        most, unit = x.size + _MOST_ADDED, _size(values)
        for _ in range(_HALVINGS):
            with np.errstate(invalid="ignore", over="ignore"):
                rises, widths = np.diff(values), np.diff(x)
                told = widths * (slopes[1:] + slopes[:-1]) / 2
                size = np.maximum(np.abs(rises), widths * np.maximum(np.abs(slopes[1:]), np.abs(slopes[:-1])))
                untold = np.abs(rises - told) > _UNTOLD * size
                # Far out the terms of f, of the size of x, lose digits.
                least = unit * np.maximum(1.0, np.abs(x[1:]) / _WIDE)
                untold &= size > _SMALL * np.maximum(least, np.abs(values[1:]))
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
        return () if self.flat else roots(self.slope, self.grid, self._teller(1))

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
        lost = x[changes][sizes <= _ROUNDING * _size(slopes) * np.maximum(1.0, np.abs(x[changes]))]
        if changes.size <= len(self.turning_points) or not lost.size:
            return math.nan
        return float(lost[np.argmin(np.abs(lost))])

    @cached_property
    def steepest_points(self) -> tuple[float, ...]:
        """Where f″ changes its sign."""
        second = sympy.diff(self.expression, VARIABLE, 2)
        return roots(self._numeric(second, 2), self.grid, self._teller(2)) if second.has(VARIABLE) else ()

    def _teller(self, order: int) -> Callable[[float], float] | None:
        """A derivative at one point with many digits, 0 where they do not tell it; None where they would take too long."""
        if self.oscillating or self.singular:
            return None
        slow = sympy.lambdify(VARIABLE, sympy.diff(self.expression, VARIABLE, order), "mpmath")

        def value(x: float, digits: int) -> Any:
            with mpmath.workdps(digits):
                return mpmath.mpf(slow(mpmath.mpf(x)))

        def told(x: float) -> float:
            try:
                rough, fine = (value(x, digits) for digits in _TOLD_BY)
            except (ArithmeticError, TypeError, ValueError):
                return 0.0
            # A value below double precision has its sign still.
            same = abs(fine - rough) <= _SMALL * abs(fine)
            return (float(fine) or float(mpmath.sign(fine)) * _TINY) if same else 0.0

        return told

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


def agree(*values: float, size: float = 1.0) -> bool:
    """Whether finite numbers are the same but for rounding of terms of this size."""
    return all(map(math.isfinite, values)) and max(values) - min(values) <= CLOSE * max(
        size, *map(abs, values)
    )


def size_at(at: float, *parts: Branch, order: int = 0) -> float:
    """The size of f, or of f′ for any other order, within one of a point where branches meet, at most 1."""
    around = at + np.concatenate([-_BESIDE, _BESIDE]) * max(1.0, abs(at))
    found = [0.0]
    for part in parts:
        x = around[(around > part.lower) & (around < part.upper)]
        found.append(_size(np.asarray((part.slope if order else part.value)(x))))
    return max(found)


def one_sided(branch: Branch, at: sympy.Expr, order: int) -> sympy.Expr:
    """The derivative of a branch at one of its ends; a limit where the formula has a removable singularity there."""
    expression = sympy.diff(branch.expression, VARIABLE, order)
    value = expression.subs(VARIABLE, at)
    if value.is_finite is True:
        return value
    side = "+" if at == branch.left else "-"
    return within(SECONDS, lambda: sympy.limit(expression, VARIABLE, at, side), sympy.nan)


def roots(
    function: Callable[[Any], Any], x: FloatArray, teller: Callable[[float], float] | None = None
) -> tuple[float, ...]:
    """Where a function changes its sign.

    Args:
        function: for NumPy arrays.
        x: increasing.
        teller: the function with many digits, 0 where they do not tell it: asked where values are within rounding of zero, which
            have no sign without it.
    """
    values = function(x)
    size = np.abs(values)
    told = size > _ROUNDING * np.maximum(1.0, np.abs(x)) * (1.0 if teller else _size(values))
    signs = np.sign(np.where(np.isnan(values), 0.0, values))
    if teller is None:
        signs[~told] = 0
    else:
        _ask(teller, x, signs, told)
    x, told, signs = x[signs != 0], told[signs != 0], signs[signs != 0]
    changes = np.nonzero(signs[:-1] * signs[1:] < 0)[0]
    found = []
    for i, clear in zip(changes, told[changes] & told[changes + 1], strict=True):
        precise = teller if teller and not clear else lambda t: float(function(t))
        if precise(float(x[i])) * np.sign(precise(float(x[i + 1]))) > 0:
            continue
        # At a multiple root the method needs many more steps than its 100.
        found.append(scipy.optimize.brentq(precise, x[i], x[i + 1], xtol=1e-14, rtol=1e-14, maxiter=10_000))
    return tuple(0.0 if abs(root) < CLOSE else float(root) for root in found)


def _ask(
    teller: Callable[[float], float], x: FloatArray, signs: FloatArray, told: npt.NDArray[np.bool_]
) -> None:
    """Put right the signs next to changes that are within rounding; where there are too many, they have none."""
    open_, asked = ~told, 0
    while True:
        some = np.nonzero(signs)[0]
        changes = np.nonzero(signs[some[:-1]] != signs[some[1:]])[0]
        ends = np.unique(np.concatenate([some[changes], some[changes + 1]]))
        ends = ends[open_[ends]]
        if not ends.size:
            return
        asked += ends.size
        if asked > _MOST_ASKED:
            signs[open_] = 0
            return
        signs[ends] = [math.copysign(1, v) if (v := teller(float(x[i]))) else 0 for i in ends]
        open_[ends] = False


def _size(values: FloatArray) -> float:
    """The largest finite value, at most 1."""
    finite = np.abs(values[np.isfinite(values)])
    return min(1.0, float(np.max(finite, initial=0.0)))


def _exponents(expression: sympy.Expr) -> list[Any]:
    """The powers whose exponents have x."""
    powers = expression.atoms(sympy.Pow, sympy.exp)
    return [power for power in powers if power.exp.has(VARIABLE)]


def _marks(expression: sympy.Expr) -> list[tuple[float, float]]:
    """Where the polynomials in a formula vanish or turn, and the widths on which they change by one there."""
    found: dict[tuple[float, float], None] = {}
    rest = [expression]
    while rest:
        part = rest.pop()
        if not part.has(VARIABLE):
            continue
        if not part.is_polynomial(VARIABLE):
            rest += part.args
            continue
        try:
            numbers = [float(c) for c in sympy.Poly(part, VARIABLE).all_coeffs()]
        except (OverflowError, TypeError, sympy.PolynomialError):
            continue
        if 1 <= len(numbers) - 1 <= _HIGHEST_NAMED:
            found |= dict.fromkeys(_marks_of(np.poly1d(numbers)))
    return list(found)


def _marks_of(polynomial: np.poly1d) -> list[tuple[float, float]]:
    found = []
    for root in np.concatenate([polynomial.roots, polynomial.deriv().roots]):
        at = float(root.real)
        orders = range(1, polynomial.order + 1)
        rates = [abs(float(polynomial.deriv(k)(at))) / math.factorial(k) for k in orders]
        widths = [rate ** (-1 / k) for k, rate in zip(orders, rates, strict=True) if rate > 0]
        if widths and math.isfinite(at) and 0 < min(widths) < math.inf:
            found.append((at, min(widths)))
    return found


def exact_form(number: float, candidates: Iterable[sympy.Expr], size: float = 1.0) -> sympy.Expr | None:
    """The first expression whose value is the number, but for rounding of terms of this size; None where there is none.

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
        if abs(float(candidate) - number) <= _SAME * max(size, abs(number)):
            return candidate
    return None
