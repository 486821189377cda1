"""The law of greatest entropy under a constraint, from its Lagrangian.

Among densities q on a support, with E[g(Z)] prescribed, the entropy −∫ q log q is stationary where

    ∂/∂q [ −q log q + λ₀ q + Σ λᵢ gᵢ(z) q ] = −log q − 1 + λ₀ + Σ λᵢ gᵢ(z) = 0,    q = exp(λ₀ − 1 + Σ λᵢ gᵢ(z)),

and the multipliers follow from the mass and the prescribed moments. ∂²/∂q² = −1/q < 0: the one stationary point is the
maximum (Jaynes, Information theory and statistical mechanics, Physical Review 106, 1957).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import sympy

from eafo.theory.variation import Z

__all__ = ["LEVEL", "MaximumEntropy", "under_mean", "under_range", "under_variance"]

#: The probability at which the quantile is taken.
LEVEL = sympy.Symbol("u", positive=True)
_Q = sympy.Symbol("q", positive=True)
#: λ₀, and how fast q falls off: −λ of the constraint's own term, positive lest q have no mass.
_L0, _FALL = sympy.Symbol("lambda_0", real=True), sympy.Symbol("kappa", positive=True)
_L1 = sympy.Symbol("lambda_1", real=True)
_T, _S = sympy.Symbol("t", real=True), sympy.Symbol("s", positive=True)


@dataclass(frozen=True)
class MaximumEntropy:
    """The law of greatest entropy under one constraint.

    Args:
        stationarity: ∂L/∂q = 0, with the multipliers.
        multipliers: their values.
        density: q(z) on the support.
        cdf: Q(z).
        quantile: Q*⁻¹(u), in `LEVEL`.
        curvature: ∂²L/∂q², negative: a maximum.
    """

    stationarity: sympy.Eq
    multipliers: dict[sympy.Symbol, sympy.Expr]
    density: sympy.Expr
    cdf: sympy.Expr
    quantile: sympy.Expr
    curvature: sympy.Expr


def _stationary(terms: sympy.Expr) -> tuple[sympy.Eq, sympy.Expr, sympy.Expr]:
    """∂L/∂q = 0, its solution q(z), and ∂²L/∂q² of L = −q log q + λ₀ q + terms·q."""
    lagrangian = -_Q * sympy.log(_Q) + _L0 * _Q + terms * _Q
    first = sympy.expand(sympy.diff(lagrangian, _Q))
    (solution,) = sympy.solve(first, _Q)
    return sympy.Eq(first, 0), solution, sympy.diff(lagrangian, _Q, 2)


def _solved(
    terms: sympy.Expr,
    support: tuple[sympy.Expr, sympy.Expr],
    moments: dict[sympy.Expr, sympy.Expr],
    unknown: tuple[sympy.Symbol, ...],
) -> MaximumEntropy:
    """Fix the multipliers by the mass and the moments, then integrate and invert."""
    equation, general, curvature = _stationary(terms)
    lower, upper = support
    shape = general / sympy.exp(_L0 - 1)
    total = sympy.simplify(sympy.integrate(shape, (Z, lower, upper)))
    # The mass fixes λ₀; each moment is then a ratio of integrals without it.
    ratios = [
        sympy.simplify(sympy.integrate(g * shape, (Z, lower, upper)) / total) - value
        for g, value in moments.items()
    ]
    (found,) = sympy.solve(ratios, unknown, dict=True) if unknown else ({},)
    mass = total.subs(found)
    density = sympy.simplify(shape.subs(found) / mass)
    cdf = sympy.simplify(sympy.integrate(density.subs(Z, _T), (_T, lower, Z)))
    cdf = sympy.expand(cdf.replace(sympy.erfc, lambda u: 1 - sympy.erf(u)))
    (quantile,) = sympy.solve(cdf - LEVEL, Z)
    # By the survival 1 − u, which is positive, a logarithm of a fraction is a multiple of one logarithm.
    quantile = sympy.expand_log(sympy.simplify(quantile.subs(LEVEL, 1 - _S))).subs(_S, 1 - LEVEL)
    multipliers = {_L0: sympy.simplify(1 - sympy.log(mass)), **{s: sympy.simplify(found[s]) for s in unknown}}
    return MaximumEntropy(equation, multipliers, density, cdf, quantile, curvature)


@functools.cache
def _range() -> MaximumEntropy:
    a = sympy.Symbol("a", real=True)
    b = a + sympy.Symbol("w", positive=True)
    return _solved(sympy.S.Zero, (a, b), {}, ())


@functools.cache
def _mean() -> MaximumEntropy:
    m = sympy.Symbol("m", positive=True)
    return _solved(-_FALL * Z, (sympy.S.Zero, sympy.oo), {Z: m}, (_FALL,))


@functools.cache
def _variance() -> MaximumEntropy:
    v = sympy.Symbol("v", positive=True)
    return _solved(_L1 * Z - _FALL * Z**2, (-sympy.oo, sympy.oo), {Z: sympy.S.Zero, Z**2: v}, (_L1, _FALL))


def under_range(lower: sympy.Expr, upper: sympy.Expr) -> MaximumEntropy:
    """On (lower, upper), no other constraint: the uniform law.

    >>> under_range(sympy.Integer(-1), sympy.Integer(3)).density
    1/4
    """
    return _filled(_range(), {"a": lower, "w": upper - lower})


def under_mean(mean: sympy.Expr) -> MaximumEntropy:
    """On z > 0 with a mean: the exponential law.

    >>> found = under_mean(sympy.Integer(2))
    >>> found.density, found.quantile
    (exp(-z/2)/2, -2*log(1 - u))
    """
    return _filled(_mean(), {"m": mean})


def under_variance(variance: sympy.Expr) -> MaximumEntropy:
    """On the whole line with a variance and the mean 0: the normal law.

    >>> under_variance(sympy.Integer(1)).quantile
    sqrt(2)*erfinv(2*u - 1)
    """
    return _filled(_variance(), {"v": variance})


def _filled(law: MaximumEntropy, values: dict[str, Any]) -> MaximumEntropy:
    def fill(e: Any) -> Any:
        by_name = {s: values[s.name] for s in e.free_symbols if s.name in values}
        return sympy.simplify(e.subs(by_name))

    return MaximumEntropy(
        law.stationarity,
        {s: fill(value) for s, value in law.multipliers.items()},
        fill(law.density),
        fill(law.cdf),
        fill(law.quantile),
        law.curvature,
    )
