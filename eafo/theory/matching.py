"""The input law for which a bounded increasing activation is the worst: p = f′/(b − a).

It is the first integral p(y) y′ = C (Sun et al. 2024, eq. 3) read from right to left: with f given and f running from a to b,
f = a + (b − a) F holds for the law of distribution function F = (f − a)/(b − a).
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.optimize
import sympy

from eafo import catalog, laws
from eafo.activation import VARIABLE, Activation
from eafo.branching import Piece, derivative, pieces
from eafo.catalog import ActivationLike
from eafo.errors import RefusedError
from eafo.laws import Law
from eafo.limits import within
from eafo.theory import properties
from eafo.theory.quadrature import numeric

__all__ = ["worst_law"]

_SECONDS = 2.0
#: The mass of a density that may be missing from the sum of its numbers.
_BEYOND = 1e-7
_LARGEST = 1e154
_PROBES = np.linspace(-50.0, 50.0, 401)
_LEVELS = np.array([0.25, 0.5, 0.75, 0.05, 0.9])


@dataclass(frozen=True)
class _Family:
    """A family of location and scale: its name, what it calls them, and its further parameters."""

    name: str
    location: str
    scale: str
    shape: tuple[tuple[str, int], ...] = ()


_FAMILIES = (
    _Family("logistic", "mean", "scale"),
    _Family("normal", "mean", "deviation"),
    _Family("cauchy", "location", "scale"),
    _Family("laplace", "mean", "scale"),
    _Family("gumbel", "location", "scale"),
    _Family("exponential", "location", "scale"),
    _Family("half_normal", "location", "deviation"),
    *(_Family("student_t", "location", "scale", (("freedom", n),)) for n in range(2, 6)),
)


def worst_law(activation: ActivationLike) -> Law:
    """The input law for which an activation is the worst: of density f′/(b − a), for f running from a up to b.

    Args:
        activation: any form of an activation, at its default parameters; bounded, continuous and nowhere decreasing.

    Returns:
        The known law where SymPy proves it the same; otherwise a law of its own, with its density and distribution function.

    Raises:
        InputError: no such activation.
        RefusedError: it jumps, decreases, or has no bound; the message says which.

    >>> worst_law("tanh").name, worst_law("2*arctan(x)/pi").name, worst_law("hardtanh").name
    ('logistic(0, 0.5)', 'cauchy', 'uniform')
    >>> print(worst_law("softsign").numeric.pdf(1.0).round(12))
    0.125
    """
    act = catalog.get(activation)
    parts = _increasing_pieces(act)
    lower, upper = parts[0].lower, parts[-1].upper
    a, b = _limit(parts[0].expression, lower, "+"), _limit(parts[-1].expression, upper, "-")
    _require_bounds(act, a, b)
    _require_doubles(act, a, b)
    concrete = _on_support(act.concrete, lower, upper)
    density = _tidy(derivative(concrete) / (b - a))
    known = _recognised(density, act, (a, b), (lower, upper))
    if known is not None:
        return known
    cdf = (concrete - a) / (b - a)
    return laws.from_density(density, lower, upper, name=f"law of {act.name}"[:80], cdf=cdf)


def _increasing_pieces(act: Activation) -> list[Piece]:
    """The pieces that are not flat, left to right.

    Raises:
        RefusedError: the function jumps or decreases, or is flat in between.
    """
    found = properties.of(act)
    if not found.continuous:
        jump = found.jumps[0]
        raise RefusedError(
            "an activation that is the worst for a law must be continuous",
            f"{act.name}, which jumps from {jump.left:g} to {jump.right:g} at x = {jump.x:g}",
        )
    if not found.monotone:
        falls = next(p for p in found.pieces if p.kind == "decreasing")
        raise RefusedError(
            "an activation that is the worst for a law must nowhere decrease",
            f"{act.name}, which decreases between {falls.lower:g} and {falls.upper:g}",
        )
    at_default = {p.symbol: sympy.Rational(repr(p.default)) for p in act.parameters}
    parts = [
        Piece(
            p.expression.xreplace(at_default),
            *(sympy.sympify(e).xreplace(at_default) for e in (p.lower, p.upper)),
        )
        for p in act.pieces()
    ]
    rising = [p for p in parts if VARIABLE in p.expression.free_symbols]
    if not rising:
        raise RefusedError("an activation that is the worst for a law must not be constant", act.name)
    if any(first.upper != second.lower for first, second in itertools.pairwise(rising)):
        raise RefusedError(
            "an activation that is the worst for a law must increase without a pause", act.name
        )
    return rising


def _limit(expression: sympy.Expr, end: sympy.Expr, side: str) -> sympy.Expr:
    value = within(_SECONDS, lambda: sympy.limit(expression, VARIABLE, end, side), sympy.nan)
    return sympy.simplify(value)


def _require_bounds(act: Activation, a: sympy.Expr, b: sympy.Expr) -> None:
    if a.is_finite and b.is_finite:
        return
    if a is sympy.nan or b is sympy.nan:
        raise RefusedError("an activation's limits must be such that SymPy finds them", act.name)
    raise RefusedError(
        "an activation that is the worst for a law must be bounded",
        f"{act.name}, which runs from {a} to {b}",
        "an unbounded one is the worst under a mean or a variance: see eafo.wafbc",
    )


def _require_doubles(act: Activation, a: sympy.Expr, b: sympy.Expr) -> None:
    """Refuse a law with a share of its mass where x² is no double, as f tells that is not yet at its limits there."""
    below, above = numeric(act.concrete)(np.array([-_LARGEST, _LARGEST]))
    beyond = 1 - (above - below) / float(b - a)
    if beyond > _BEYOND:
        raise RefusedError(
            f"a law must have all but {_BEYOND:g} of its mass within ±{_LARGEST:g}",
            f"that of {act.name}, which runs from {a} to {b} with {beyond:.3g} of it beyond",
        )


def _on_support(expression: sympy.Expr, lower: sympy.Expr, upper: sympy.Expr) -> sympy.Expr:
    """The expression without the clipping that only matters outside."""
    if lower.is_infinite and upper.is_infinite:
        return expression
    inside = [p for p in pieces(expression, {}) if p.lower >= lower and p.upper <= upper]
    return inside[0].expression if len(inside) == 1 else expression


def _tidy(density: sympy.Expr) -> sympy.Expr:
    short = density.replace(
        lambda e: isinstance(e, sympy.Mul) and sympy.sign(VARIABLE) in e.args and VARIABLE in e.args,
        lambda e: e / (VARIABLE * sympy.sign(VARIABLE)) * sympy.Abs(VARIABLE),
    )
    # factor alone: simplify would open |x| into branches.
    tidy = (
        sympy.factor(sympy.together(short))
        if short.has(sympy.Abs)
        else within(_SECONDS, lambda: sympy.simplify(short), short)
    )
    # With e^(−x²) before the bracket, e^(x²) stands inside it, and overflows.
    opened = sympy.expand(tidy)
    return opened if not _has_values(tidy) and _has_values(opened) else tidy


def _has_values(density: sympy.Expr) -> bool:
    return bool(np.all(np.isfinite(numeric(density, exact=False)(_PROBES))))


def _recognised(
    density: sympy.Expr,
    act: Activation,
    bounds: tuple[sympy.Expr, sympy.Expr],
    support: tuple[sympy.Expr, sympy.Expr],
) -> Law | None:
    """The known law with this density: guessed by quantiles, proved by SymPy."""
    if VARIABLE not in density.free_symbols:
        return laws.get("uniform", lower=support[0], upper=support[1])
    quantiles = _quantiles(act, *map(float, bounds))
    for family in _FAMILIES:
        standard = laws.get(family.name, **dict(family.shape)).numeric.ppf(_LEVELS)
        scale = (quantiles[2] - quantiles[0]) / (standard[2] - standard[0])
        location = quantiles[1] - scale * standard[1]
        if np.max(np.abs(location + scale * standard - quantiles)) > 1e-9 * scale:
            continue
        exact = {family.location: _exact(location, scale), family.scale: _exact(scale, scale)}
        law = laws.get(family.name, **dict(family.shape), **exact)
        if within(_SECONDS, functools.partial(_same, density, law), False):
            return law
    return None


def _quantiles(act: Activation, a: float, b: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    reach = 1.0
    while act([-reach])[0] > a + 0.04 * (b - a) or act([reach])[0] < a + 0.91 * (b - a):
        reach *= 2
    return np.array([
        scipy.optimize.brentq(lambda x, u=u: act([x])[0] - a - u * (b - a), -reach, reach, xtol=1e-14, rtol=1e-14)
        for u in _LEVELS
    ])  # fmt: skip


def _exact(number: float, scale: float) -> sympy.Expr:
    """The short exact number that a float stands for: a fraction, or one with √2, √3 or π; SymPy proves or refuses it."""
    if abs(number) < 1e-10 * scale:
        return sympy.S.Zero
    return sympy.nsimplify(number, [sympy.sqrt(2), sympy.sqrt(3), sympy.pi], tolerance=1e-10)


def _same(density: sympy.Expr, law: Law) -> bool:
    """Whether both densities are one function on the law's support, branch by branch."""
    if law.density is None:
        return False
    parts = [p for p in pieces(density - law.density, {}) if p.upper > law.lower and p.lower < law.upper]
    return all(sympy.simplify(sympy.powsimp(p.expression.rewrite(sympy.exp))) == 0 for p in parts)
