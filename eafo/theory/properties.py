"""Properties of an activation at its default parameters: symbolic at the seams and the ends, numeric in between.

What is symbolic is exact: jumps, kinks and the smoothness class come from one-sided derivatives at the seams, limits
from SymPy. What is numeric (extremes, monotone pieces, fixed points) is found on a dense grid that is uniform near 0
and geometric to ±10⁴, and refined by bracketing; features finer than the grid can be missed, and those beyond ±100 are not
told apart (the pieces of a sine end there).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.optimize
import sympy

from eafo import catalog, laws
from eafo.activation import VARIABLE, Activation
from eafo.branching import derivative
from eafo.catalog import ActivationLike
from eafo.errors import RefusedError
from eafo.laws import Law, LawLike
from eafo.theory.limits import within
from eafo.theory.quadrature import numeric

__all__ = ["Jump", "Kink", "MonotonePiece", "Properties", "of"]

_HIGHEST_ORDER = 5
_CLOSE = 1e-12
_ROUNDING = 1e-14
#: Beyond it monotone pieces and extremes are not told apart.
_WIDEST = 100.0
_SECONDS = 5.0
#: How far out a limit is checked.
_FAR = (1e3, 1e6)


@dataclass(frozen=True)
class Jump:
    """A point where the function is not continuous."""

    x: float
    left: float
    right: float


@dataclass(frozen=True)
class Kink:
    """A point where the function is continuous but has no derivative."""

    x: float
    left_slope: float
    right_slope: float


@dataclass(frozen=True)
class MonotonePiece:
    """An interval on which the function is ``"increasing"``, ``"decreasing"`` or ``"flat"``."""

    lower: float
    upper: float
    kind: str


@dataclass(frozen=True)
class Properties:
    """What an activation is like; see the module's docstring for what is exact.

    Args:
        name: the activation.
        continuous: whether it has no jump.
        jumps: where it jumps.
        kinks: where it has no derivative though it is continuous.
        smoothness: k of the class Cᵏ; −1 where it jumps, `inf` where all derivatives exist.
        pieces: the monotone pieces, from left to right.
        range: infimum and supremum; `nan` where a limit is not known.
        lipschitz: the least Lipschitz constant, sup |f′|; `inf` where there is none.
        limits: at −∞ and at +∞; `nan` where there is none.
        growth: lim f(x)/x at −∞ and at +∞; `nan` where there is none.
        zero_at_zero: whether f(0) = 0.
        sparsity: P(f(X) = 0) under the law, from the pieces that are exactly zero.
        fixed_points: isolated solutions of f(x) = x within ±100, those where f − x changes its sign.
        identity: the intervals on which f(x) = x.
    """

    name: str
    continuous: bool
    jumps: tuple[Jump, ...]
    kinks: tuple[Kink, ...]
    smoothness: float
    pieces: tuple[MonotonePiece, ...]
    range: tuple[float, float]
    lipschitz: float
    limits: tuple[float, float]
    growth: tuple[float, float]
    zero_at_zero: bool
    sparsity: float
    fixed_points: tuple[float, ...]
    identity: tuple[tuple[float, float], ...]

    @property
    def monotone(self) -> bool:
        """Whether it nowhere decreases."""
        return all(j.left <= j.right for j in self.jumps) and all(p.kind != "decreasing" for p in self.pieces)


@dataclass(frozen=True)
class _Branch:
    """A branch at default parameters, with its derivative as NumPy functions."""

    expression: sympy.Expr
    lower: float
    upper: float
    value: Callable[[Any], Any]
    slope: Callable[[Any], Any]


def of(activation: ActivationLike, law: LawLike = "normal") -> Properties:
    """The properties of an activation at its default parameters.

    Args:
        activation: any form of an activation.
        law: any form of a law, for the sparsity.

    Raises:
        InputError: no such activation or law.
        RefusedError: the function has a pole, is not real everywhere, or has seams that SymPy does not find.

    >>> of("sinerelu").jumps
    (Jump(x=0.0, left=-0.0025, right=0.0),)
    >>> of("srelu").smoothness
    1
    """
    act, input_law = catalog.get(activation), laws.get(law)
    try:
        return _examine(act, input_law)
    except (ArithmeticError, NotImplementedError, TypeError) as error:
        raise RefusedError(f"the properties of {act.name} are beyond what SymPy finds ({error})") from error


def _examine(act: Activation, law: Law) -> Properties:
    branches = _branches(act)
    jumps, kinks, smoothness = _seams(branches)
    for branch in branches:
        _require_regular(act, branch)
    limits = _end(branches[0], lambda e: e, -1), _end(branches[-1], lambda e: e, 1)
    growth = _end(branches[0], lambda e: e / VARIABLE, -1), _end(branches[-1], lambda e: e / VARIABLE, 1)
    pieces, extremes = _monotone(branches)
    values = [*(v for v in extremes if not math.isnan(v)), *_reached(branches)]
    # A limit that is not known leaves the range unknown.
    span = (math.nan, math.nan) if any(map(math.isnan, values)) else (min(values), max(values))
    identity = tuple((b.lower, b.upper) for b in branches if b.expression == VARIABLE)
    zero = tuple(b for b in branches if b.expression == 0)
    cdf = law.frozen().cdf
    return Properties(
        name=act.name,
        continuous=not jumps,
        jumps=jumps,
        kinks=kinks,
        smoothness=smoothness,
        pieces=pieces,
        range=span,
        lipschitz=math.inf if jumps else _lipschitz(branches),
        limits=limits,
        growth=growth,
        zero_at_zero=float(act(0.0)) == 0.0,
        sparsity=float(sum(cdf(b.upper) - cdf(b.lower) for b in zero)),
        fixed_points=_fixed_points(branches),
        identity=identity,
    )


def _branches(activation: Activation) -> list[_Branch]:
    at_default = {p.symbol: sympy.Rational(repr(p.default)) for p in activation.parameters}
    result = []
    for piece in activation.pieces():
        expression, lower, upper = (
            sympy.sympify(e).xreplace(at_default) for e in (piece.expression, piece.lower, piece.upper)
        )
        result.append(
            _Branch(
                expression, float(lower), float(upper), numeric(expression), numeric(derivative(expression))
            )
        )
    return result


def _require_regular(act: Activation, branch: _Branch) -> None:
    """Refuse a branch that is not real and finite inside its interval."""
    values = branch.value(_grid(branch.lower, branch.upper))
    poles = within(_SECONDS, lambda: sympy.singularities(branch.expression, VARIABLE), sympy.S.EmptySet)
    inside = [p for p in poles if p.is_real and branch.lower < p < branch.upper] if poles.is_FiniteSet else []
    inside = [p for p in inside if sympy.limit(branch.expression, VARIABLE, p).is_finite is not True]
    if np.isnan(values).any() or inside:
        where = f"a pole at x = {inside[0]}" if inside else "values that are not real"
        raise RefusedError(f"the properties of {act.name} need a function that is real and finite", where)


def _reached(branches: list[_Branch]) -> list[float]:
    """What the ends at ±∞ come close to; both bounds where the function oscillates there."""
    values: list[float] = []
    for branch, sign in ((branches[0], -1), (branches[-1], 1)):
        end = _limit(branch.expression, sign)
        values += (
            [float(end.min), float(end.max)]
            if isinstance(end, sympy.AccumBounds)
            else [_end(branch, lambda e: e, sign)]
        )
    return values


def _limit(expression: sympy.Expr, sign: int) -> sympy.Expr:
    return within(_SECONDS, lambda: sympy.limit(expression, VARIABLE, sign * sympy.oo), sympy.nan)


def _one_sided(branch: _Branch, point: float, order: int) -> float:
    """The derivative of a branch at one of its ends; a limit where the formula has a removable singularity there."""
    expression = sympy.diff(branch.expression, VARIABLE, order)
    at = sympy.nsimplify(point)
    value = expression.subs(VARIABLE, at)
    if value.is_finite is not True:
        side = "+" if point == branch.lower else "-"
        value = within(_SECONDS, lambda: sympy.limit(expression, VARIABLE, at, side), sympy.nan)
    return float(value.evalf())


def _seams(branches: list[_Branch]) -> tuple[tuple[Jump, ...], tuple[Kink, ...], float]:
    jumps, kinks, smoothness = [], [], math.inf
    for left, right in itertools.pairwise(branches):
        at = left.upper
        for order in range(_HIGHEST_ORDER + 1):
            ends = _one_sided(left, at, order), _one_sided(right, at, order)
            if all(map(math.isfinite, ends)) and abs(ends[1] - ends[0]) <= _CLOSE * max(1.0, *map(abs, ends)):
                continue
            smoothness = min(smoothness, order - 1)
            if order == 0:
                jumps.append(Jump(at, *ends))
            elif order == 1:
                kinks.append(Kink(at, *ends))
            break
    return tuple(jumps), tuple(kinks), smoothness


def _end(branch: _Branch, of_branch: Callable[[sympy.Expr], sympy.Expr], sign: int) -> float:
    """A limit at ±∞: SymPy's where values far out bear it out, or those values where they settle; NaN where neither."""
    expression = of_branch(branch.expression)
    found = _limit(expression, sign)
    near, far = (float(numeric(expression)(sign * distance)) for distance in _FAR)
    if isinstance(found, sympy.AccumBounds):
        return math.nan
    if found is not sympy.nan and found.is_number and found.is_extended_real:
        limit = float(found)
        grows = limit * far > 0 and abs(far) >= abs(near)
        borne_out = grows if math.isinf(limit) else abs(far - limit) <= 0.05 * max(1.0, abs(limit))
        return limit if borne_out else math.nan
    return far if abs(far - near) <= 1e-4 * max(1.0, abs(far)) else math.nan


def _grid(lower: float, upper: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Points strictly inside an interval."""
    outward = np.geomspace(12.0, 1e4, 400)
    whole = np.concatenate([-outward[::-1], np.linspace(-12, 12, 4801), outward])
    inside = whole[(whole > lower) & (whole < upper)]
    low, high = max(lower, -1e4), min(upper, 1e4)
    width = high - low
    edges = [e + s * width * 1e-9 for e, s in ((low, 1), (high, -1))]
    return np.unique(np.concatenate([inside, edges, np.linspace(low, high, 102)[1:-1]]))


def _roots(function: Callable[[Any], Any], x: np.ndarray[Any, np.dtype[np.float64]]) -> list[float]:
    """Where a function changes its sign; values within rounding of zero have none."""
    values = function(x)
    clear = np.abs(values) > _ROUNDING * np.maximum(1.0, np.abs(x))
    x, signs = x[clear], np.sign(values[clear])
    changes = np.nonzero(signs[:-1] * signs[1:] < 0)[0]
    found = (
        scipy.optimize.brentq(lambda t: float(function(t)), x[i], x[i + 1], xtol=1e-14, rtol=1e-14)
        for i in changes
    )
    return [0.0 if abs(root) < _CLOSE else float(root) for root in found]


def _monotone(branches: list[_Branch]) -> tuple[tuple[MonotonePiece, ...], list[float]]:
    """The monotone pieces, and the values at all their ends."""
    pieces: list[MonotonePiece] = []
    extremes: list[float] = []
    for b in branches:
        if sympy.diff(b.expression, VARIABLE) == 0:
            found = [MonotonePiece(b.lower, b.upper, "flat")]
            extremes.append(float(b.expression))
        else:
            x = _grid(b.lower, b.upper)
            inner = [r for r in _roots(b.slope, x) if abs(r) < _WIDEST]
            cuts = [b.lower, *inner, b.upper]
            found = []
            for low, high in itertools.pairwise(cuts):
                slopes = b.slope(x[(x > low) & (x < high)])
                # The steepest point decides: where f is flat to rounding the sign says nothing.
                rising = slopes.size == 0 or float(slopes[np.argmax(np.abs(slopes))]) >= 0
                found.append(MonotonePiece(low, high, "increasing" if rising else "decreasing"))
            extremes += [float(b.value(r)) for r in inner]
            extremes += [_one_sided(b, e, 0) for e in (b.lower, b.upper) if math.isfinite(e)]
        for piece in found:
            if pieces and pieces[-1].kind == piece.kind:
                pieces[-1] = MonotonePiece(pieces[-1].lower, piece.upper, piece.kind)
            else:
                pieces.append(piece)
    return tuple(pieces), extremes


def _lipschitz(branches: list[_Branch]) -> float:
    """The least upper bound of |f′|: at the branches' ends, where f″ changes its sign, and towards ±∞."""
    slopes: list[float] = []
    for i, b in enumerate(branches):
        first = sympy.diff(b.expression, VARIABLE)
        second = numeric(sympy.diff(first, VARIABLE))
        slopes += [_one_sided(b, e, 1) for e in (b.lower, b.upper) if math.isfinite(e)]
        slopes += [float(b.slope(r)) for r in _roots(second, _grid(b.lower, b.upper)) if abs(r) < _WIDEST]
        for sign in ((-1,) if i == 0 else ()) + ((1,) if i == len(branches) - 1 else ()):
            end = _end(b, lambda e: sympy.diff(e, VARIABLE), sign)
            slopes.append(
                end if not math.isnan(end) else float(np.nanmax(np.abs(b.slope(_grid(b.lower, b.upper)))))
            )
    return max(map(abs, slopes))


def _fixed_points(branches: list[_Branch]) -> tuple[float, ...]:
    points: list[float] = []
    for b in branches:
        if b.expression == VARIABLE:
            continue
        points += _roots(numeric(b.expression - VARIABLE), _grid(b.lower, b.upper))
        points += [
            e for e in (b.lower, b.upper) if math.isfinite(e) and abs(_one_sided(b, e, 0) - e) < _CLOSE
        ]
    inside = [(b.lower, b.upper) for b in branches if b.expression == VARIABLE]
    free = [p for p in sorted(points) if not any(low <= p <= high for low, high in inside)]
    apart = (p for i, p in enumerate(free) if i == 0 or p - free[i - 1] > 1e-9)
    return tuple(p for p in apart if abs(p) < _WIDEST)
