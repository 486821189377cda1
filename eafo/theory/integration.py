"""Integrals of a gradient, piece by piece: the function whose derivative it is, continuous and 0 at 0.

As in Huang, Schlag, Deriving activation functions using integration, 2024 (arXiv 2411.13010): choose f′ for
its limits and its growth, and integrate. Each piece between two seams gets its own antiderivative from SymPy; the constants
follow from f(0) = 0 and from continuity at the seams.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import sympy

from eafo import formula
from eafo.activation import VARIABLE, Activation
from eafo.branching import Piece, branches
from eafo.errors import EafoError, RefusedError
from eafo.limits import within
from eafo.theory.quadrature import integral, numeric

__all__ = ["Antiderivative", "integrate"]

_SECONDS = 4.0
#: How far out the antiderivative is held against quadrature.
_REACH = 8.0
_AGREEMENT = 1e-9
#: Beyond it a value is taken for a pole.
_LARGEST = 1e6


@dataclass(frozen=True)
class Antiderivative:
    """The integral of a gradient, with what fixed its constants.

    Args:
        expression: f(x), with f(0) = 0, continuous.
        pieces: each piece's own antiderivative, before its constant.
        constants: what was added to each piece.
        error: the largest difference between f and quadrature of f′ from 0, relative to the largest |f|.
        points: how many points were compared.
        conditions: what the parameters must fulfil for f(0) = 0 and continuity to hold; none where they always do.
    """

    expression: sympy.Expr
    pieces: tuple[Piece, ...]
    constants: tuple[sympy.Expr, ...]
    error: float
    points: int
    conditions: tuple[str, ...] = ()


def integrate(gradient: Activation) -> Antiderivative:
    """Integrate a gradient from 0, in closed form.

    Args:
        gradient: f′, with its parameters.

    Raises:
        RefusedError: SymPy finds no elementary integral of a piece, or the gradient is not integrable.

    >>> from eafo import catalog
    >>> integrate(catalog.get("relu")).expression
    Piecewise((x**2/2, x > 0), (0, True))
    """
    at_default = {p.symbol: sympy.Rational(repr(p.default)) for p in gradient.parameters}
    _require_finite(gradient, at_default)
    parts = tuple(
        Piece(_antiderivative(gradient, part), part.lower, part.upper) for part in gradient.pieces()
    )
    constants = _constants(parts, at_default)
    made = [
        sympy.expand(p.expression + c) if c != 0 else p.expression
        for p, c in zip(parts, constants, strict=True)
    ]
    expression = _joined(made, parts, gradient)
    formula.validate(expression)
    error, points = _against_quadrature(gradient, expression, at_default)
    if not error <= _AGREEMENT:
        raise RefusedError(
            "the integral must agree with quadrature of the gradient",
            f"{gradient} gives {expression}, which is off by {error:.1e}",
            "write the gradient in another form",
        )
    return Antiderivative(
        expression, parts, constants, error, points, _conditions(expression, parts, at_default)
    )


def _conditions(
    expression: sympy.Expr, parts: tuple[Piece, ...], at_default: Mapping[sympy.Symbol, sympy.Expr]
) -> tuple[str, ...]:
    """Seams keep their order and their sides of 0, no denominator vanishes, and no power of 0 has a negative exponent."""
    ends = sorted([*(p.lower for p in parts[1:]), sympy.S.Zero], key=lambda e: float(e.xreplace(at_default)))
    order = [sympy.Le(a, b, evaluate=False) for a, b in itertools.pairwise(ends) if (b - a).free_symbols]
    bases = [p.base for p in expression.atoms(sympy.Pow) if p.exp.is_negative]
    poles = [
        sympy.Ne(b, 0, evaluate=False) for b in bases if b.free_symbols and VARIABLE not in b.free_symbols
    ]
    made = [p.expression for p in parts]
    risen = [p.exp for e in made for p in e.atoms(sympy.Pow) if p.exp.free_symbols and p.has(VARIABLE)]
    roots = [sympy.Gt(e, 0, evaluate=False) for e in risen if e.xreplace(at_default).is_positive]
    told = (formula.to_text(c) for c in (*order, *poles, *roots) if c not in (sympy.true, sympy.false))
    return tuple(sorted(set(told)))


def _require_finite(gradient: Activation, at_default: Mapping[sympy.Symbol, sympy.Expr]) -> None:
    """Refuse a gradient that is not a finite real number somewhere within the reach.

    Raises:
        RefusedError: it says where.
    """
    seams = [float(p.lower.xreplace(at_default)) for p in gradient.pieces()[1:]]
    x = np.concatenate(
        [np.linspace(-_REACH, _REACH, 4001), [s + d for s in seams for d in (-1e-12, 0.0, 1e-12)]]
    )
    values = gradient(x)
    bad = ~(np.abs(values) < _LARGEST)
    if bad.any():
        raise RefusedError(
            f"a gradient must be finite and real wherever it is integrated, and below {_LARGEST:g} in size there",
            f"{values[bad][0]:g} at x = {x[bad][0]:g} in {gradient}",
        )


def _edges(gradient: Activation, at_default: Mapping[sympy.Symbol, sympy.Expr]) -> list[float]:
    seams = [float(p.lower.xreplace(at_default)) for p in gradient.pieces()[1:]]
    return sorted({-_REACH, 0.0, _REACH, *(s for s in seams if abs(s) < _REACH)})


def _antiderivative(gradient: Activation, part: Piece) -> sympy.Expr:
    """SymPy's antiderivative of one piece.

    Raises:
        RefusedError: there is none in elementary functions, or none in time.
    """
    refusal = RefusedError(
        "a gradient must have an integral in elementary functions that SymPy finds",
        f"{formula.to_text(part.expression)} in {gradient}",
        "write it in another form, or choose a gradient with a known integral",
    )
    found = within(_SECONDS, lambda: sympy.integrate(part.expression, VARIABLE), None)
    if found is None or found.has(sympy.Integral):
        raise refusal
    found = _general_case(sympy.piecewise_fold(found))
    if isinstance(found, sympy.Piecewise):
        raise refusal
    found = min(_forms(_real(found, part, gradient)), key=sympy.count_ops)
    try:
        formula.validate(found)
    except EafoError as error:
        raise refusal from error
    return sympy.powsimp(found)


def _general_case(found: sympy.Expr) -> sympy.Expr:
    """The general case of an answer by cases in the parameters: the others hold for single values alone."""
    if isinstance(found, sympy.Piecewise):
        general = [value for value, when in found.args if not isinstance(when, sympy.Eq)]
        if len(general) == 1 or (general and isinstance(found.args[0][1], sympy.Ne)):
            return general[0]
    return found


def _real(found: sympy.Expr, part: Piece, gradient: Activation) -> sympy.Expr:
    """log(−u) for log(u) where u is negative on the piece: they differ by a constant."""
    at = {p.symbol: sympy.Rational(repr(p.default)) for p in gradient.parameters}
    low, high = (e.xreplace(at) for e in (part.lower, part.upper))
    inside = low + 1 if high.is_infinite else (high - 1 if low.is_infinite else (low + high) / 2)
    at[VARIABLE] = sympy.S.Zero if low.is_infinite and high.is_infinite else inside

    def open_sign(u: sympy.Expr) -> sympy.Expr:
        return sympy.log(sympy.expand(-u) if u.xreplace(at).is_negative else u)

    return found.replace(sympy.log, open_sign)


def _forms(found: sympy.Expr) -> list[sympy.Expr]:
    """The same function written with log(1 + exp(u)) for log(1 + exp(−u)), and with log cosh for log(1 + tanh)."""
    flips = {}
    for logarithm in found.atoms(sympy.log):
        rest = logarithm.args[0] - 1
        if isinstance(rest, sympy.exp):
            flips[logarithm] = sympy.log(1 + sympy.exp(-rest.args[0])) + rest.args[0]
    u = sympy.Wild("u")
    flipped = found.xreplace(flips)
    cosh = found.replace(sympy.log(1 + sympy.tanh(u)), u - sympy.log(sympy.cosh(u)))
    return [found, sympy.expand(flipped), sympy.expand(cosh)]


def _constants(
    parts: tuple[Piece, ...], at_default: Mapping[sympy.Symbol, sympy.Expr]
) -> tuple[sympy.Expr, ...]:
    """What is added to each piece: f(0) = 0 on the piece that holds 0, continuity from there outwards."""
    ends = [float(p.upper.xreplace(at_default)) for p in parts]
    home = next(i for i, end in enumerate(ends) if end >= 0)
    constants = [sympy.S.Zero] * len(parts)
    constants[home] = -_value(parts[home].expression, sympy.S.Zero, "-" if ends[home] == 0 else "+")
    for i in range(home + 1, len(parts)):
        constants[i] = _step(parts[i - 1], constants[i - 1], parts[i], parts[i].lower)
    for i in reversed(range(home)):
        at = parts[i].upper
        constants[i] = _short(
            _value(parts[i + 1].expression, at, "+") + constants[i + 1] - _value(parts[i].expression, at, "-")
        )
    return tuple(map(_short, constants))


def _short(constant: sympy.Expr) -> sympy.Expr:
    return within(_SECONDS, lambda: sympy.simplify(constant), constant)


def _step(before: Piece, constant: sympy.Expr, after: Piece, at: sympy.Expr) -> sympy.Expr:
    return _short(_value(before.expression, at, "-") + constant - _value(after.expression, at, "+"))


def _value(expression: sympy.Expr, at: sympy.Expr, side: str) -> sympy.Expr:
    """The value at a point, or the limit from one side where there is none."""
    value = expression.subs(VARIABLE, at)
    # A power that vanishes for the exponents at which it is integrable: 0**(a + 1) would have the slope log 0 by a.
    value = value.replace(lambda e: e.is_Pow and e.base == 0 and e.exp.free_symbols, lambda _: sympy.S.Zero)
    if value.is_finite is False or value is sympy.nan:
        value = within(_SECONDS, lambda: sympy.limit(expression, VARIABLE, at, side), sympy.nan)
    if value is sympy.nan or value.is_finite is False:
        raise RefusedError(
            "a gradient must be integrable at every seam", f"an integral {expression} at x = {at}"
        )
    return value


def _joined(made: list[sympy.Expr], parts: tuple[Piece, ...], gradient: Activation) -> sympy.Expr:
    """The pieces as branches, from the right one to the left one, as the catalog writes them."""
    if len(made) == 1:
        return made[0]
    cases = [(value, sympy.Gt(VARIABLE, part.lower)) for value, part in zip(made, parts, strict=True)]
    return branches(sympy.Piecewise(*reversed(cases[1:]), (made[0], True)))


def _against_quadrature(
    gradient: Activation, expression: sympy.Expr, at_default: Mapping[sympy.Symbol, sympy.Expr]
) -> tuple[float, int]:
    """|f − ∫₀ˣ f′| by a route that knows no antiderivative: quadrature that bears a root's infinite slope at a seam."""
    edges = _edges(gradient, at_default)
    grid = np.unique(np.concatenate([np.linspace(a, b, 101) for a, b in itertools.pairwise(edges)]))
    parts = [integral(gradient, ends) for ends in itertools.pairwise(grid)]
    total = np.concatenate([[0.0], np.cumsum(parts)])
    total -= total[int(np.argmin(np.abs(grid)))]
    found = numeric(expression.xreplace(at_default))(grid)
    size = max(1.0, float(np.max(np.abs(total))))
    worst = float(np.max(np.abs(found - total))) / size
    return (worst if math.isfinite(worst) else math.inf), grid.size
