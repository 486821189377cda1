"""The numbers beside the steps: each by a route that did not produce the step."""

from __future__ import annotations

import math

import numpy as np
import sympy

from eafo.activation import VARIABLE
from eafo.branching import derivative
from eafo.limits import within
from eafo.theory import correction as corrections
from eafo.theory import variation
from eafo.theory.correction import Correction
from eafo.theory.quadrature import QuadratureError, expectation, numeric

__all__ = [
    "both_entropies",
    "central_difference",
    "closed_slope",
    "largest_at_ends",
    "middle",
    "seam",
    "second_order",
]

#: What a symbolic step may take.
SECONDS = 2.0
#: Where ε starts, here and in the paper.
START = 0.01


def middle(found: Correction) -> float:
    """A point inside D at the law's own scale."""
    lower, upper = found.branch.ends[0], found.branch.ends[-1]
    if math.isfinite(lower) and math.isfinite(upper):
        return (lower + upper) / 2 or upper / 2
    return lower + 1.0 if math.isfinite(lower) else (upper - 1.0 if math.isfinite(upper) else 0.7)


def seam(found: Correction) -> sympy.Expr:
    """The finite end of D; infinity where there is none."""
    return next((e for e in (found.lower, found.upper) if e.is_finite), sympy.oo)


def largest_at_ends(found: Correction) -> float:
    """|c| at the ends of D, infinite ones at ±10⁶."""
    ends = [
        e if math.isfinite(e) else math.copysign(1e6, e)
        for e in (found.branch.ends[0], found.branch.ends[-1])
    ]
    return float(np.max(np.abs(numeric(found.direction)(np.array(ends)))))


def both_entropies(found: Correction, y: sympy.Expr | None) -> str:
    """The base's entropy on D by h + E[log f′], and by the functional itself where y has a closed form."""
    branch = found.branch
    text = f"on D, conditional: h(X) + E[log f′(X)] = {branch.entropy():.9f}"
    if y is None or branch.density.has(sympy.Piecewise):
        return text
    density = branch.density.subs(VARIABLE, y) * sympy.diff(y, variation.Z) / branch.mass
    ends = [float(sympy.limit(branch.function, VARIABLE, e)) for e in (found.lower, found.upper)]
    inner = numeric(branch.function)(np.array(branch.breaks[1:-1]))
    q = numeric(density.subs(variation.Z, VARIABLE))
    functional = -expectation(q, lambda z: np.log(q(z)), [float(e) for e in np.unique([*ends, *inner])])
    if abs(functional - branch.entropy()) > 1e-6:
        raise QuadratureError("both routes to the entropy must agree", f"{branch.entropy()} and {functional}")
    return f"{text}; −∫ q log q dz = {functional:.9f}"


def central_difference(found: Correction) -> str:
    """The first variation by a route that knows nothing of η: differences of the entropy itself."""
    low, high = corrections.monotone_range(found)
    step = 1e-4 * min(1.0, -low, high)
    difference = (found.branch.entropy(found.shape, step) - found.branch.entropy(found.shape, -step)) / (
        2 * step
    )
    slope = corrections.descent_slope(found)
    if not abs(difference - slope) <= 1e-3 * abs(slope):
        raise QuadratureError(
            "the first variation and differences of H must agree", f"{slope} and {difference}"
        )
    return f"dH/dε = {slope:.9g} along c/constant, by differences of H: {difference:.9g}"


def second_order(found: Correction) -> str:
    """The largest |g(f(x)) − x| at ε = 0.01, on a grid of D; of second order in ε."""
    x = found.branch.grid(1001)
    c = numeric(found.shape, exact=False)
    outputs = x - START * c(x)
    miss = float(np.nanmax(np.abs(outputs + START * c(outputs) - x)))
    return f"|g(f(x)) − x| ≤ {miss:.4e} at ε = {START} on {x.size} points of D: of order ε²"


def closed_slope(found: Correction) -> sympy.Expr | None:
    """E[c′/f′ | D] by SymPy, where it finds it in time and agrees with quadrature."""
    branch = found.branch
    if branch.density.has(sympy.Piecewise) or branch.function.has(sympy.Piecewise):
        return None
    ends = (VARIABLE, found.lower, found.upper)
    integrand = branch.density * derivative(found.shape) / derivative(branch.function)
    value = within(
        SECONDS,
        lambda: sympy.simplify(sympy.integrate(integrand, ends) / sympy.integrate(branch.density, ends)),
        None,
    )
    if value is None or value.has(sympy.Integral) or not value.is_finite:
        return None
    return value if abs(float(value) - corrections.descent_slope(found)) < 1e-9 else None
