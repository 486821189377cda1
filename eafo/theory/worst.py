"""WAFBC, the worst activation function under boundary conditions: derived, not looked up.

The first integral of the entropy functional is p(y) y′ = C (Sun et al. 2024, eq. 3). With y = f⁻¹ it reads
p(x)/f′(x) = C, so f = A + B·F with F the law's distribution function; the bounds fix A and B:

    f(x) = a + (b − a) F(x)                                        (eqs. 4, 5)

The output is then uniform on (a, b), the law of greatest entropy there: log(b − a).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import sympy

from eafo.activation import VARIABLE
from eafo.branching import branch_at
from eafo.errors import InputError
from eafo.laws import Law
from eafo.theory import variation

__all__ = ["Worst", "under_range"]


@dataclass(frozen=True)
class Worst:
    """The worst activation of a law under a range, with the steps that gave it.

    Args:
        expression: f(x).
        differential: p(x)/f′(x) = C, the first integral in terms of f.
        general_solution: A + B·F(x).
        constants: the values of A and B.
        error: the largest |f − (a + (b − a) F)| against SciPy's distribution function, on 2001 points.
    """

    expression: sympy.Expr
    differential: sympy.Eq
    general_solution: sympy.Expr
    constants: dict[sympy.Symbol, sympy.Expr]
    error: float


def under_range(law: Law, lower: float, upper: float) -> Worst:
    """The worst activation with f → `lower` on the left and f → `upper` on the right.

    Raises:
        InputError: the bounds are not finite, or not in order.

    >>> from eafo import laws
    >>> under_range(laws.get("logistic"), 0, 1).expression
    1/(1 + exp(-x))
    >>> under_range(laws.get("normal"), -1, 1).expression
    erf(sqrt(2)*x/2)
    """
    sized = all(math.isfinite(v) and (v == 0 or 1e-100 < abs(v) < 1e100) for v in (lower, upper))
    if not sized or not lower < upper:
        raise InputError(
            "the bounds must be two numbers, the lower one first, each 0 or between 1e-100 and 1e100 in size",
            f"{lower:g} {upper:g}",
            "try --bounds 0 1",
        )
    f = sympy.Function("f")(VARIABLE)
    C = sympy.Symbol("C", positive=True)
    # y′(f(x)) = 1/f′(x) turns the first integral p(y) y′ = C into an equation for f.
    inverse_slope = {variation.U: VARIABLE, variation.V: 1 / sympy.diff(f, VARIABLE)}
    left = variation.general().first_integral.subs(inverse_slope, simultaneous=True)
    A, B = sympy.symbols("A B", real=True)
    a, b = (sympy.Rational(repr(float(v))) for v in (lower, upper))
    ends = {end: sympy.limit(_near(law.cdf, end), VARIABLE, end) for end in (law.lower, law.upper)}
    constants = sympy.solve([A + B * ends[law.lower] - a, A + B * ends[law.upper] - b], [A, B], dict=True)[0]
    expression = sympy.expand((A + B * law.cdf_everywhere()).subs(constants))
    expression = _clipped(law, a, b) if expression.has(sympy.Max) else sympy.piecewise_fold(expression)
    return Worst(
        expression=expression,
        differential=sympy.Eq(left, C),
        general_solution=A + B * sympy.Function("F")(VARIABLE),
        constants=constants,
        error=_against_scipy(law, expression, lower, upper),
    )


def _near(expression: sympy.Expr, end: sympy.Expr) -> sympy.Expr:
    """The branch that holds next to an end of the line, for limits."""
    return branch_at(expression, sympy.Integer(10) ** 9 * sympy.sign(end)) if end.is_infinite else expression


def _clipped(law: Law, a: sympy.Rational, b: sympy.Rational) -> sympy.Expr:
    """The line a + (b − a) F with F clipped to [0, 1], the factor taken inside so that a line reads as a clipped line."""
    inside = sympy.Max(a, sympy.expand(a + (b - a) * law.cdf))
    return inside if law.upper.is_infinite else sympy.Min(b, inside)


def _against_scipy(law: Law, expression: sympy.Expr, lower: float, upper: float) -> float:
    frozen = law.frozen()
    x = np.concatenate([frozen.ppf(np.linspace(1e-9, 1 - 1e-9, 1001)), np.linspace(-50.0, 50.0, 1000)])
    with np.errstate(all="ignore"):
        ours = sympy.lambdify(VARIABLE, expression, modules=["scipy", "numpy"])(x)
    return float(np.max(np.abs(ours - (lower + (upper - lower) * frozen.cdf(x)))))
