r"""The inverse of an increasing branch: in closed form, as a Lagrange series, and exactly by iteration.

Series. For g(z) = z + ε h(z) Lagrange's theorem gives, to any order,

    g⁻¹(x) = x + Σ_{n≥1} (−ε)ⁿ/n! · dⁿ⁻¹/dxⁿ⁻¹ [ h(x)ⁿ ],

whose first two terms for CRReLU, h = x e^{−x²/2}, are −ε x e^{−x²/2} + ε² x (1 − x²) e^{−x²}.

For a base other than the identity, g(z) = y(z) + ε η(z) with y = f⁻¹ (Sun et al. 2024, eq. 8), write h = η∘f, so that
η = h∘y and

    g = y + ε h∘y = (id + ε h)∘y,     hence     g⁻¹ = f∘(id + ε h)⁻¹.

As c(x) = η(f(x)) f′(x), h is c/f′, and no inverse of f is needed. Lagrange's theorem for a function of the inverse
expands it at once:

    g⁻¹(x) = f(x) + Σ_{n≥1} (−ε)ⁿ/n! · dⁿ⁻¹/dxⁿ⁻¹ [ f′(x) h(x)ⁿ ].

The first order, f(x) − ε f′(x) h(x) = f(x) − ε c(x), is eq. 9; with f = id both series are one.

Iteration. `newton` solves f(x) = v for a whole array. A table of f brackets every value; a Newton step that leaves its
bracket, or does not halve the step before last, gives way to a bisection. So convergence is quadratic where the slope is
sound, and certain where it is flat.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import sympy

from eafo import catalog
from eafo.activation import VARIABLE
from eafo.catalog import ActivationLike
from eafo.errors import InputError, RefusedError
from eafo.limits import within
from eafo.theory import shape
from eafo.theory.monotonicity import monotone
from eafo.theory.variation import Z

__all__ = ["Inverse", "closed_form", "newton", "of", "series"]

FloatArray = npt.NDArray[np.float64]
_SECONDS = 2.0
_MOST_ORDERS = 30
#: As many bisections lead from the largest double to the least.
_MOST_STEPS = 2200
_BLOCK = 1 << 15
_KNOTS = 2048
_LARGEST = float(np.finfo(np.float64).max)
_ULP = float(np.finfo(np.float64).eps)
_EPSILON = sympy.Symbol("epsilon", real=True)


def closed_form(function: sympy.Expr, *points: float) -> sympy.Expr | None:
    """y(z) with f(y(z)) = z, the root that passes through all given x; None where none is found in two seconds.

    >>> closed_form(sympy.log(1 + sympy.exp(VARIABLE)), 1.0)
    log(exp(z) - 1)
    """
    if function.has(sympy.Piecewise, sympy.Abs):
        return None
    roots: list[sympy.Expr] = within(_SECONDS, lambda: sympy.solve(function - Z, VARIABLE), [])
    for root in roots:
        if all(_passes(root, function, point) for point in points):
            return within(_SECONDS, functools.partial(sympy.simplify, root), root)
    return None


def _passes(root: sympy.Expr, function: sympy.Expr, point: float) -> bool:
    """Whether y(f(x)) = x, with digits enough where f is near a limit."""
    value = function.subs(VARIABLE, sympy.Float(point, 50))
    try:
        return abs(complex(root.subs(Z, value).evalf(30)) - point) < 1e-9 * max(1.0, abs(point))
    except (TypeError, OverflowError):
        return False


def series(
    h: sympy.Expr,
    order: int,
    epsilon: sympy.Expr = _EPSILON,
    *,
    base: sympy.Expr = VARIABLE,
) -> sympy.Expr:
    """The inverse of g = (id + ε h)∘f⁻¹ as a series in ε, to a given order; for f = id that of z + ε h(z).

    Args:
        h: the direction, an expression of x, smooth where the series is used; c/f′ for a correction c of f.
        order: the last power of ε, 0 to 30.
        epsilon: a symbol or number that stands for ε.
        base: f.

    Raises:
        InputError: no such order; h or f with a seam, where no Taylor series exists.

    >>> series(VARIABLE * sympy.exp(-VARIABLE**2 / 2), 2)
    epsilon**2*x*(1 - x**2)*exp(-x**2) - epsilon*x*exp(-x**2/2) + x
    """
    if isinstance(order, bool) or not isinstance(order, int) or not 0 <= order <= _MOST_ORDERS:
        raise InputError(f"the order of a series must be a whole number from 0 to {_MOST_ORDERS}", order)
    for name, e in (("direction", h), ("base", base)):
        if e.has(sympy.Piecewise, sympy.Abs, sympy.Max, sympy.Min, sympy.sign):
            raise InputError(
                f"the {name} of a Lagrange series must be smooth", str(e), "take one branch of it"
            )
    slope = sympy.diff(base, VARIABLE)
    total = base
    for n in range(1, order + 1):
        term = sympy.diff(slope * h**n, VARIABLE, n - 1)
        total += (-epsilon) ** n / sympy.factorial(n) * _tidy(term)
    return total


def _tidy(term: sympy.Expr) -> sympy.Expr:
    """A polynomial times an exponential as one product; anything else as it is."""
    return sympy.factor_terms(sympy.powsimp(sympy.expand(term), deep=True))


def newton(
    function: Callable[[FloatArray], Any],
    slope: Callable[[FloatArray], Any],
    values: npt.ArrayLike,
    lower: float = -math.inf,
    upper: float = math.inf,
) -> FloatArray:
    """Solve f(x) = v for each value v, f continuous and monotone on [lower, upper].

    Args:
        function: f, vectorised; finite inside the interval.
        slope: f′, vectorised; it steers the iteration and may be zero, infinite or wrong.
        values: any shape.
        lower: the lower end; −inf where f has none.
        upper: the upper end.

    Returns:
        x of the shape of `values`, as exact as f itself: |f(x) − v| within an ulp or two of v, or x within 4 ulp of where the
        computed f crosses v. NaN where v lies outside f's range. Where the computed f takes the value v on a whole stretch, as
        tanh does 1, some point of it.

    Raises:
        InputError: the interval is empty, or f takes one value alone there.

    >>> newton(np.sinh, np.cosh, [0.0, 1.0, 1e6]) - np.arcsinh([0.0, 1.0, 1e6])
    array([0., 0., 0.])
    """
    targets = np.asarray(values, dtype=np.float64)
    if not lower < upper:
        raise InputError("the interval's lower end must lie below its upper end", f"({lower}, {upper})")
    flat = targets.ravel()
    known = flat[np.isfinite(flat)]
    result = np.full(flat.shape, np.nan)
    with np.errstate(all="ignore"):
        if not known.size:
            return result.reshape(targets.shape)
        table = _Table.of(function, known, lower, upper)
        for start in range(0, flat.size, _BLOCK):
            block = slice(start, start + _BLOCK)
            result[block] = _solve(function, slope, flat[block], table)
    return result.reshape(targets.shape)


@dataclass(frozen=True)
class _Table:
    """Knots, and f there times `sign`, so that it never decreases."""

    x: FloatArray
    f: FloatArray
    sign: float

    @classmethod
    def of(
        cls, function: Callable[[FloatArray], Any], values: FloatArray, lower: float, upper: float
    ) -> _Table:
        """A table that reaches from the least value to the greatest, as far as f does."""
        ends, sign = _reach(function, (float(values.min()), float(values.max())), lower, upper)
        count = int(np.clip(values.size, 32, _KNOTS))
        x = np.sinh(np.linspace(math.asinh(ends[0]), math.asinh(ends[1]), count))
        x = np.unique(np.clip(np.r_[ends, x, 0.0], *ends))
        f = sign * np.asarray(function(x), np.float64)
        sound = np.isfinite(f)
        x, f = x[sound], np.maximum.accumulate(f[sound])
        if not f.size or f[0] == f[-1]:
            raise InputError(
                "a function to be inverted must take more than one value",
                f"f = {sign * f[0] if f.size else 'nan'}",
            )
        return cls(x, f, sign)


def _reach(
    function: Callable[[FloatArray], Any], values: tuple[float, float], lower: float, upper: float
) -> tuple[tuple[float, float], float]:
    """Finite ends between which f takes the values, if it takes them at all; and whether it rises or falls."""

    def at(x: float) -> float:
        return float(np.asarray(function(np.array([x])), np.float64)[0])

    anchor = lower if math.isfinite(lower) else upper if math.isfinite(upper) else 0.0
    ends = [lower if math.isfinite(lower) else anchor - 1.0, upper if math.isfinite(upper) else anchor + 1.0]
    moving = [not math.isfinite(lower), not math.isfinite(upper)]
    for k in range(1, 1025):
        left, right = map(at, ends)
        reached = min(left, right) <= values[0] and max(left, right) >= values[1]
        if reached or not any(moving):
            break
        for i, direction in enumerate((-1.0, 1.0)):
            if moving[i]:
                further = anchor + direction * 2.0**k if k < 1024 else direction * _LARGEST
                moving[i] = math.isfinite(at(further))
                ends[i] = further if moving[i] else _last_finite(at, ends[i], further)
    low, high = ends
    return (low, high), -1.0 if at(high) < at(low) else 1.0


def _last_finite(at: Callable[[float], float], sound: float, beyond: float) -> float:
    """The farthest point, as far as bisection tells, where a function has not yet overflown."""
    for _ in range(64):
        middle = 0.5 * sound + 0.5 * beyond
        sound, beyond = (middle, beyond) if math.isfinite(at(middle)) else (sound, middle)
    return sound


@dataclass
class _Front:
    """The values that have not yet converged: where they stand in the result, their iterates and brackets.

    `before` and `last` are the lengths of the last two steps, on which the choice of bisection rests.
    """

    where: npt.NDArray[np.intp]
    v: FloatArray
    x: FloatArray
    low: FloatArray
    high: FloatArray
    before: FloatArray
    last: FloatArray

    @classmethod
    def of(cls, targets: FloatArray, table: _Table) -> _Front:
        """Brackets from the table, and a first iterate by linear interpolation in them."""
        where = np.flatnonzero((targets >= table.f[0]) & (targets <= table.f[-1]))
        v = targets[where]
        cell = np.clip(np.searchsorted(table.f, v, side="right"), 1, table.x.size - 1)
        low, high, f_low, f_high = table.x[cell - 1], table.x[cell], table.f[cell - 1], table.f[cell]
        share = np.clip(np.nan_to_num((v - f_low) / (f_high - f_low), nan=0.5), 0.0, 1.0)
        return cls(where, v, low + share * (high - low), low, high, high - low, high - low)

    def advance(self, miss: FloatArray, slope: FloatArray) -> npt.NDArray[np.bool_]:
        """One step of each, by Newton or by bisection; tells which have converged."""
        self.low, self.high = np.where(miss < 0, self.x, self.low), np.where(miss < 0, self.high, self.x)
        step = miss / slope
        moved = self.x - step
        poor = ~((moved >= self.low) & (moved <= self.high)) | (np.abs(step) > 0.5 * np.abs(self.before))
        moved = np.where(poor, 0.5 * self.low + 0.5 * self.high, moved)
        moved = np.where(miss == 0, self.x, moved)
        done = (miss == 0) | (~poor & (np.abs(step) <= 2 * _ULP * np.abs(self.x))) | (moved == self.x)
        done |= poor & ((moved == self.low) | (moved == self.high))
        self.before, self.last, self.x = self.last, moved - self.x, moved
        return done

    def keep(self, left: npt.NDArray[np.bool_]) -> _Front:
        """Those that go on."""
        kept = (self.where, self.v, self.x, self.low, self.high, self.before, self.last)
        return _Front(*(array[left] for array in kept))  # type: ignore[arg-type]


def _solve(
    function: Callable[[FloatArray], Any],
    slope: Callable[[FloatArray], Any],
    values: FloatArray,
    table: _Table,
) -> FloatArray:
    """Newton's iteration inside brackets."""
    result = np.full(values.shape, np.nan)
    front = _Front.of(table.sign * values, table)
    for _ in range(_MOST_STEPS):
        miss = table.sign * np.asarray(function(front.x), np.float64) - front.v
        done = front.advance(miss, table.sign * np.asarray(slope(front.x), np.float64))
        result[front.where] = front.x
        if done.all():
            break
        front = front.keep(~done)
    return result


@dataclass(frozen=True)
class Inverse:
    """The exact inverse of an activation on one monotone stretch, in numbers; call it with output values.

    Args:
        name: the activation's name.
        lower: the stretch's lower end.
        upper: its upper end.
        parts: the activation's branches on the stretch, ends in x.
    """

    name: str
    lower: float
    upper: float
    parts: tuple[shape.Branch, ...]

    def __call__(self, values: npt.ArrayLike) -> FloatArray:
        """The x with f(x) = v in double precision, elementwise; NaN where the stretch has none."""
        return newton(
            lambda x: self._along(x, "value"),
            lambda x: self._along(x, "slope"),
            values,
            self.lower,
            self.upper,
        )

    def _along(self, x: FloatArray, what: str) -> FloatArray:
        if len(self.parts) == 1:
            return np.asarray(getattr(self.parts[0], what)(x), np.float64)
        result = np.empty_like(x)
        owner = np.searchsorted([p.upper for p in self.parts[:-1]], x, side="right")
        for i, part in enumerate(self.parts):
            mine = owner == i
            if mine.any():
                result[mine] = getattr(part, what)(x[mine])
        return result


def of(activation: ActivationLike, near: float = 1.0) -> Inverse:
    """The inverse of an activation on its monotone stretch around a point; a stretch ends at a jump.

    Args:
        activation: any form of an activation; its parameters count at their defaults.
        near: a point of the stretch.

    Raises:
        InputError: no such activation; `near` is not finite.
        RefusedError: the activation is flat around the point.

    >>> of("softplus")([math.log(2), 1.0])
    array([0.        , 0.54132485])
    """
    found = catalog.get(activation)
    if not math.isfinite(near):
        raise InputError("a stretch is chosen by a finite point inside it", near)
    parts = shape.branches(found)
    stretch = next((p for p in monotone(parts) if p.lower <= near < p.upper), None)
    if stretch is None or stretch.kind == "flat":
        raise RefusedError(
            f"{found.name} has no inverse around x = {near:g}, where it is flat",
            remedy="choose another point",
        )
    mine = tuple(p for p in parts if p.upper > stretch.lower and p.lower < stretch.upper)
    return Inverse(found.name, stretch.lower, stretch.upper, mine)
