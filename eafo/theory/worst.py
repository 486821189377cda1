"""WAFBC, the worst activation function under a constraint on its output: derived, not looked up.

Among increasing functions of an input X with distribution function F, the output's entropy is greatest where the output has
the maximum-entropy law of the constraint, of distribution function Q: Q(f(x)) = F(x), so that

    f = Q*⁻¹ ∘ F.

Under a range (a, b) that law is uniform, and the first integral of the entropy functional, p(y) y′ = C (Sun et al. 2024,
eq. 3), says the same: with y = f⁻¹ it reads p(x)/f′(x) = C, so f = a + (b − a) F (eqs. 4, 5). On z ≥ 0 with the mean m it is
exponential, f = −m log(1 − F); on the whole line with the variance σ² it is normal, f = μ + σ Φ⁻¹(F).
"""

from __future__ import annotations

import math
from typing import Any

import sympy

from eafo.activation import VARIABLE
from eafo.errors import InputError
from eafo.laws import Law
from eafo.laws.law import increases
from eafo.theory import maximum_entropy, variation
from eafo.theory.maximum_entropy import LEVEL, MaximumEntropy
from eafo.theory.worst_numeric import Problem, Worst, assembled, concrete, exact, expanded, target

__all__ = ["Worst", "under_mean", "under_range", "under_variance"]


def under_range(law: Law, lower: float | sympy.Expr, upper: float | sympy.Expr) -> Worst:
    """The worst activation with f → `lower` on the left and f → `upper` on the right; SymPy's numbers stay exact.

    Raises:
        InputError: the bounds are not finite, or not in order.

    >>> from eafo import laws
    >>> under_range(laws.get("logistic"), 0, 1).expression
    1/(1 + exp(-x))
    >>> under_range(laws.get("normal"), -1, 1).expression
    erf(sqrt(2)*x/2)
    >>> under_range(laws.get("cauchy"), -sympy.pi / 2, sympy.pi / 2).expression
    atan(x)
    """
    low, high = float(lower), float(upper)
    sized = all(math.isfinite(v) and (v == 0 or 1e-100 < abs(v) < 1e100) for v in (low, high))
    if not sized or not low < high:
        raise InputError(
            "the bounds must be two numbers, the lower one first, each 0 or between 1e-100 and 1e100 in size",
            f"{low:g} {high:g}",
            "try --bounds 0 1",
        )
    f = sympy.Function("f")(VARIABLE)
    C = sympy.Symbol("C", positive=True)
    # y′(f(x)) = 1/f′(x) turns the first integral p(y) y′ = C into an equation for f.
    inverse_slope = {variation.U: VARIABLE, variation.V: 1 / sympy.diff(f, VARIABLE)}
    left = variation.general().first_integral.subs(inverse_slope, simultaneous=True)
    A, B = sympy.symbols("A B", real=True)
    a, b = exact(lower), exact(upper)
    # F runs from 0 to 1.
    constants = sympy.solve([A - a, A + B - b], [A, B], dict=True)[0]
    wanted = target(concrete(law).numeric, "range", low, high)
    closed = None
    if law.cdf is not None:
        closed = _range_in_closed_form(law, a, b, A + B * law.cdf_everywhere(), constants)
    equation = sympy.Eq(left, C), A + B * sympy.Function("F")(VARIABLE), constants
    return assembled(law, closed, Problem(wanted, maximum_entropy.under_range(a, b), equation, (a, b)))


def under_mean(law: Law, mean: float | sympy.Expr) -> Worst:
    """The worst activation of non-negative output with a mean: −m log(1 − F); a number of SymPy's stays exact.

    Raises:
        InputError: the mean is not positive and finite.

    >>> from eafo import laws
    >>> under_mean(laws.get("logistic"), 1).expression
    log(exp(x) + 1)
    """
    m = _positive("mean", mean)
    output = maximum_entropy.under_mean(m)
    closed = _mean_in_closed_form(law, m) if law.survival is not None else None
    wanted = target(concrete(law).numeric, "mean", float(m))
    return assembled(law, closed, Problem(wanted, output, _composed(output), (sympy.S.Zero, None)))


def under_variance(law: Law, variance: float | sympy.Expr, output_mean: float = 0.0) -> Worst:
    """The worst activation of output on the whole line with a variance: μ + σ Φ⁻¹(F); a variance of SymPy's stays exact.

    Raises:
        InputError: the variance is not positive and finite, or the mean not finite.

    >>> from eafo import laws
    >>> under_variance(laws.get("normal(1, 2)"), 4.0, 3.0).expression
    x + 2
    """
    v = _positive("variance", variance)
    if not math.isfinite(output_mean) or abs(output_mean) > 1e100:
        raise InputError("the output's mean must be a finite number", output_mean)
    shift = exact(output_mean)
    output = maximum_entropy.under_variance(v)
    closed = None
    if law.cdf is not None and not law.cdf.has(sympy.Piecewise):
        composed = expanded(output.quantile.subs(LEVEL, law.cdf))
        if not composed.has(sympy.erfinv, sympy.erfcinv) and (law.lower, law.upper) == (-sympy.oo, sympy.oo):
            closed = expanded(shift + composed)
    wanted = target(concrete(law).numeric, "variance", float(sympy.sqrt(v)), output_mean)
    return assembled(law, closed, Problem(wanted, output, _composed(output), (None, None)))


def _range_in_closed_form(
    law: Law, a: sympy.Expr, b: sympy.Expr, general: sympy.Expr, constants: dict[sympy.Symbol, sympy.Expr]
) -> sympy.Expr:
    expression = expanded(general.subs(constants))
    if not expression.has(sympy.Max, sympy.Min):
        folded = sympy.piecewise_fold(expression)
        return (
            folded.func(*((expanded(value), when) for value, when in folded.args))
            if folded.is_Piecewise
            else folded
        )
    # The factor is taken inside, so that a line reads as a clipped line.
    inside = expanded(a + (b - a) * law.cdf)
    inside = inside if law.lower.is_infinite else sympy.Max(a, inside)
    return inside if law.upper.is_infinite else sympy.Min(b, inside)


def _mean_in_closed_form(law: Law, m: sympy.Expr) -> sympy.Expr | None:
    """−m log(1 − F) branch by branch, the logarithm opened where its argument is a product."""

    def logarithm(survival: sympy.Expr) -> sympy.Expr:
        # The formula language has erf; the logarithm of its tail is one function of the kernels, and stays whole.
        tail = survival.replace(sympy.erfc, lambda u: 1 - sympy.erf(u))
        if tail.has(sympy.erf):
            return -m * sympy.log(expanded(tail))
        return expanded(-m * sympy.expand_log(sympy.log(sympy.factor_terms(survival)), force=True))

    survival = _uncancelled(law.survival)
    if isinstance(survival, sympy.Piecewise):
        expression = sympy.Piecewise(*((logarithm(value), when) for value, when in survival.args))
    else:
        expression = logarithm(survival)
    if law.lower.is_infinite:
        return expression
    # f(lower) = 0: where f increases beyond the support as well, clipping needs no condition.
    return sympy.Max(0, expression) if increases(expression) else _from(expression, law.lower)


def _from(expression: sympy.Expr, lower: sympy.Expr) -> sympy.Expr:
    return sympy.Piecewise((expression, sympy.Gt(VARIABLE, lower)), (0, True))


def _uncancelled(survival: sympy.Expr) -> sympy.Expr:
    """1/2 − arctan(z)/π is arctan(1/z)/π for z > 0, with no difference to lose digits in."""
    w = sympy.Wild("w")
    found = survival.match(sympy.S.Half - sympy.atan(w) / sympy.pi)
    if found is None:
        return survival
    z = found[w]
    return sympy.Piecewise((sympy.atan(1 / z) / sympy.pi, z > 1), (survival, True))


def _composed(
    output: MaximumEntropy,
) -> tuple[sympy.Eq, sympy.Expr, dict[sympy.Symbol, sympy.Expr]]:
    f, F = sympy.Function("f")(VARIABLE), sympy.Function("F")(VARIABLE)
    equation = sympy.Eq(output.cdf.subs(variation.Z, f), F)
    return equation, output.quantile.subs(LEVEL, F), output.multipliers


def _positive(name: str, value: Any) -> sympy.Expr:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"the {name} must be a number", value) from error
    if not 1e-100 < number < 1e100:
        raise InputError(f"the {name} must be between 1e-100 and 1e100", number, f"for example {name}=1")
    return exact(value)
