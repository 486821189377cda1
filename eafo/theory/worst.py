"""WAFBC, the worst activation function under a constraint on its output: derived, not looked up.

Among increasing functions of an input X with distribution function F, the output's entropy is greatest where the output has
the maximum-entropy law of the constraint, of distribution function Q: Q(f(x)) = F(x), so that

    f = Q*⁻¹ ∘ F.

Under a range (a, b) that law is uniform, and the first integral of the entropy functional, p(y) y′ = C (Sun et al. 2024,
eq. 3), says the same: with y = f⁻¹ it reads p(x)/f′(x) = C, so f = a + (b − a) F (eqs. 4, 5). On z ≥ 0 with the mean m it is
exponential, f = −m log(1 − F); on the whole line with the variance σ² it is normal, f = μ + σ Φ⁻¹(F).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt
import scipy.special
import sympy

from eafo import formula
from eafo.activation import VARIABLE
from eafo.branching import branch_at
from eafo.errors import InputError, RefusedError
from eafo.laws import Law, Numbers
from eafo.laws.law import increases
from eafo.theory import maximum_entropy, rational, variation
from eafo.theory.maximum_entropy import LEVEL, MaximumEntropy
from eafo.theory.rational import Rational

__all__ = ["Target", "Worst", "target", "under_mean", "under_range", "under_variance"]

FloatArray = npt.NDArray[np.float64]
Function = Callable[[FloatArray], FloatArray]

#: The largest error of a numeric activation inside the bulk, in units of its scale.
TOLERANCE = 1e-6
#: The tolerances tried in turn: a measured law of many features has no short formula to 1e-6, nor is it known so well.
_TOLERANCES = (TOLERANCE, 10 * TOLERANCE, 100 * TOLERANCE)
#: The mass left out of the bulk on each side, tried in turn until the formula is short enough.
_OUTSIDE = (1e-6, 1e-5, 1e-4, 1e-3)
_LONGEST = 3900
#: Half precision holds slopes up to 65504.
_STEEPEST = 60000
#: Within this mass of the right end a closed form that has a pole there, or sums tails, goes on along its tangent.
_EDGE = 1e-4


@dataclass(frozen=True)
class Target:
    """What the worst activation must be, in double precision.

    Args:
        value: f = Q*⁻¹ ∘ F, vectorised.
        slope: f′ = p/q(f).
        scale: the unit in which errors are measured: the range's width, the mean or the deviation.
    """

    value: Function
    slope: Function
    scale: float


@dataclass(frozen=True)
class Worst:
    """The worst activation of a law under a constraint, with what gave it.

    Args:
        expression: f(x).
        output: the maximum-entropy law of the constraint.
        differential: the equation that f solves.
        general_solution: its solution, before the constants are known.
        constants: the constants or multipliers.
        approximation: the piecewise rational function that stands for f where it has no closed form.
        outside: the mass on each side beyond which f goes on along its tangent, or is clipped; 0 where it does not.
        error: the largest difference from the law's own numbers in the bulk, in units of the scale.
    """

    expression: sympy.Expr
    output: MaximumEntropy
    differential: sympy.Eq
    general_solution: sympy.Expr
    constants: dict[sympy.Symbol, sympy.Expr]
    approximation: Rational | None
    outside: float
    error: float


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
    a, b = _exact(lower), _exact(upper)
    # F runs from 0 to 1.
    constants = sympy.solve([A - a, A + B - b], [A, B], dict=True)[0]
    wanted = target(_concrete(law).numeric, "range", low, high)
    closed = None
    if law.cdf is not None:
        closed = _range_in_closed_form(law, a, b, A + B * law.cdf_everywhere(), constants)
    equation = sympy.Eq(left, C), A + B * sympy.Function("F")(VARIABLE), constants
    return _assembled(law, closed, _Problem(wanted, maximum_entropy.under_range(a, b), equation, (a, b)))


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
    wanted = target(_concrete(law).numeric, "mean", float(m))
    return _assembled(law, closed, _Problem(wanted, output, _composed(output), (sympy.S.Zero, None)))


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
    shift = _exact(output_mean)
    output = maximum_entropy.under_variance(v)
    closed = None
    if law.cdf is not None and not law.cdf.has(sympy.Piecewise):
        composed = _expanded(output.quantile.subs(LEVEL, law.cdf))
        if not composed.has(sympy.erfinv, sympy.erfcinv) and (law.lower, law.upper) == (-sympy.oo, sympy.oo):
            closed = _expanded(shift + composed)
    wanted = target(_concrete(law).numeric, "variance", float(sympy.sqrt(v)), output_mean)
    return _assembled(law, closed, _Problem(wanted, output, _composed(output), (None, None)))


def target(law: Numbers, constraint: str, first: float, second: float = 0.0) -> Target:
    """The worst activation by the law's own numbers; each tail from the side where it keeps its digits.

    Args:
        law: the law in numbers.
        constraint: ``"range"``, ``"mean"`` or ``"variance"``.
        first: the lower end, the mean, or the deviation.
        second: the upper end, or the output's mean under a variance.
    """
    if constraint == "range":
        width = second - first
        return Target(lambda x: first + width * law.cdf(x), lambda x: width * law.pdf(x), width)
    if constraint == "mean":

        def exponential(x: FloatArray) -> FloatArray:
            below, above = law.cdf(x), law.sf(x)
            with np.errstate(divide="ignore"):
                return np.asarray(-first * np.where(below < 0.5, np.log1p(-below), np.log(above)))

        return Target(exponential, lambda x: first * np.exp(law.logpdf(x) - np.log(law.sf(x))), first)

    def standard(x: FloatArray) -> FloatArray:
        below, above = law.cdf(x), law.sf(x)
        return np.asarray(
            np.where(below < above, scipy.special.ndtri(below), -scipy.special.ndtri(above)), np.float64
        )

    def slope(x: FloatArray) -> FloatArray:
        z = standard(x)
        return np.asarray(first * np.exp(law.logpdf(x) + z * z / 2) * math.sqrt(2 * math.pi), np.float64)

    return Target(lambda x: second + first * standard(x), slope, first)


# -- closed forms --------------------------------------------------------------------------------------------------


def _range_in_closed_form(
    law: Law, a: sympy.Expr, b: sympy.Expr, general: sympy.Expr, constants: dict[sympy.Symbol, sympy.Expr]
) -> sympy.Expr:
    expression = _expanded(general.subs(constants))
    if not expression.has(sympy.Max, sympy.Min):
        folded = sympy.piecewise_fold(expression)
        return (
            folded.func(*((_expanded(value), when) for value, when in folded.args))
            if folded.is_Piecewise
            else folded
        )
    # The factor is taken inside, so that a line reads as a clipped line.
    inside = _expanded(a + (b - a) * law.cdf)
    inside = inside if law.lower.is_infinite else sympy.Max(a, inside)
    return inside if law.upper.is_infinite else sympy.Min(b, inside)


def _mean_in_closed_form(law: Law, m: sympy.Expr) -> sympy.Expr | None:
    """−m log(1 − F) branch by branch, the logarithm opened where its argument is a product."""

    def logarithm(survival: sympy.Expr) -> sympy.Expr:
        # The formula language has erf; the logarithm of its tail is one function of the kernels, and stays whole.
        tail = survival.replace(sympy.erfc, lambda u: 1 - sympy.erf(u))
        if tail.has(sympy.erf):
            return -m * sympy.log(_expanded(tail))
        return _expanded(-m * sympy.expand_log(sympy.log(sympy.factor_terms(survival)), force=True))

    survival = _uncancelled(law.survival)
    if isinstance(survival, sympy.Piecewise):
        expression = sympy.Piecewise(*((logarithm(value), when) for value, when in survival.args))
    else:
        expression = logarithm(survival)
    if law.lower.is_infinite:
        return expression
    # f(lower) = 0: where f increases beyond the support as well, clipping needs no condition.
    return sympy.Max(0, expression) if increases(expression) else _from(expression, law.lower)


def _expanded(expression: sympy.Expr) -> sympy.Expr:
    """The sum, with each exponential whole: e^(800 − x) as e^800 e^(−x) leaves every format."""
    return sympy.expand(expression, power_exp=False)


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


# -- numbers -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Problem:
    """What f solves, and the limits that it must not cross: None where there is none."""

    wanted: Target
    output: MaximumEntropy
    equation: tuple[sympy.Eq, sympy.Expr, dict[sympy.Symbol, sympy.Expr]]
    limits: tuple[sympy.Expr | None, sympy.Expr | None]


def _assembled(law: Law, closed: sympy.Expr | None, problem: _Problem) -> Worst:
    numbers = _concrete(law).numeric
    wanted, unbounded = problem.wanted, problem.limits[1] is None
    found, outside, tolerance = None, 0.0, TOLERANCE
    if closed is not None and not _in_the_language(closed):
        closed = None
    summed = closed is not None and unbounded and not law.free_symbols and _sums_tails(closed)
    if closed is not None and unbounded and (math.isfinite(numbers.upper) or summed):
        closed, outside = _with_tangent(closed, law), _EDGE
    if closed is not None and unbounded and not outside and _fragile(closed, law, wanted):
        closed = None
    if closed is not None and not _distance(law, numbers, closed, wanted, outside) <= TOLERANCE:
        # SymPy's form is not the law's: its numbers decide.
        closed = None
    if closed is None:
        _require_numbers(law)
        found, outside, tolerance = _approximated(law, wanted)
        closed = _clipped(found.expression, *problem.limits)
    error = _distance(law, numbers, closed, wanted, outside)
    if not error <= 2 * tolerance:
        raise RefusedError(
            f"the worst activation must agree with the law's own numbers to {2 * tolerance:.0e} of its scale",
            f"{law}: {error:.1e}",
        )
    return Worst(closed, problem.output, *problem.equation, found, outside, error)


def _require_numbers(law: Law) -> None:
    if law.free_symbols:
        raise RefusedError(
            "a worst activation without a closed form must have a law of numbers alone",
            f"{law} with {', '.join(sorted(s.name for s in law.free_symbols))}",
            "give the symbols their values, as in law.at(...)",
        )


def _approximated(law: Law, wanted: Target) -> tuple[Rational, float, float]:
    """The piecewise rational function to the least tolerance and on the widest bulk for which its formula is short enough."""
    numbers, refusal = _concrete(law).numeric, ""
    for tolerance, outside in itertools.product(_TOLERANCES, _OUTSIDE):
        ends = [float(numbers.ppf(outside)), *map(float, numbers.kinks), float(numbers.isf(outside))]
        knots = [ends[0], *(k for k in ends[1:-1] if ends[0] < k < ends[-1]), ends[-1]]
        try:
            found = rational.approximate(wanted.value, wanted.slope, knots, tolerance * wanted.scale)
        except RefusedError as error:
            refusal = str(error)
            continue
        length = len(formula.to_text(found.expression))
        refusal = f"a formula of {length} characters"
        if length <= _LONGEST and (max(found.slopes) < _STEEPEST or outside == _OUTSIDE[-1]):
            return found, outside, tolerance
    raise RefusedError(
        f"a worst activation without a closed form must have one of at most {_LONGEST} characters to "
        f"{_TOLERANCES[-1]:.0e} of its scale",
        f"{law}: {refusal}",
    )


def _clipped(expression: sympy.Expr, lower: sympy.Expr | None, upper: sympy.Expr | None) -> sympy.Expr:
    """The tangents cut off where they reach the bounds."""
    *cases, (last, _) = expression.args
    (first, when), *others = cases
    first = first if lower is None else sympy.Max(lower, first)
    last = last if upper is None else sympy.Min(upper, last)
    # Through text, so that what is written is what is read back.
    made = sympy.Piecewise((first, when), *others, (last, True))
    return formula.parse(formula.to_text(made))


def _with_tangent(closed: sympy.Expr, law: Law) -> sympy.Expr | None:
    """The closed form up to the last 1e-4 of the mass, then along its tangent: further out it loses its digits, or its limit."""
    if law.free_symbols:
        return None
    point = _exact(float(f"{float(law.numeric.isf(_EDGE)):.12g}"))
    inner = branch_at(closed.replace(sympy.Max, lambda *a: a[-1]), point)
    value, slope = (float(e.subs(VARIABLE, point).evalf(30)) for e in (inner, sympy.diff(inner, VARIABLE)))
    if not (math.isfinite(value) and math.isfinite(slope)):
        return None
    exact_value = inner.subs(VARIABLE, point)
    if exact_value.has(sympy.erf, sympy.exp):
        # Twenty digits: far below what a double shows of the seam.
        exact_value = sympy.Rational(str(exact_value.evalf(20)))
    tangent = exact_value + _exact(float(f"{slope:.12g}")) * (VARIABLE - point)
    return sympy.Piecewise((_expanded(tangent), sympy.Ge(VARIABLE, point)), (closed, True))


def _distance(law: Law, numbers: Numbers, expression: sympy.Expr, wanted: Target, outside: float) -> float:
    """The largest |f − Q*⁻¹(F)| in the bulk by the law's own numbers, in units of the scale."""
    edge = max(outside, 1e-9)
    levels = np.concatenate([np.geomspace(edge, 0.5, 150), [0.25, 0.75]])
    x = np.unique(np.concatenate([numbers.ppf(levels), numbers.isf(levels)]))
    found = _precisely(expression.xreplace(_defaults(law)), x)
    return float(np.max(np.abs(found - wanted.value(x)))) / wanted.scale


def _precisely(expression: sympy.Expr, x: FloatArray) -> FloatArray:
    """Values with 40 digits: the formula is checked, not the rounding of a plain evaluation."""
    function = sympy.lambdify(VARIABLE, expression, modules="mpmath")
    with mpmath.workdps(40):
        return np.array([float(mpmath.re(function(mpmath.mpf(float(v))))) for v in x])


def _in_the_language(closed: sympy.Expr) -> bool:
    try:
        formula.validate(closed)
    except InputError:
        return False
    return True


def _sums_tails(closed: sympy.Expr) -> bool:
    """Whether a logarithm is that of a sum of tails, as a mixture's: where all cancel or underflow it would be infinite."""
    tails = [e.args[0].as_coeff_Add()[1] for e in closed.atoms(sympy.log)]
    return any(t.is_Add and t.has(sympy.erf, sympy.exp) for t in tails)


def _fragile(closed: sympy.Expr, law: Law, wanted: Target) -> bool:
    """Whether a plain evaluation loses its digits in the tail, in no form that kernels repair."""
    if closed.has(sympy.erf) or any(e.args[0].has(sympy.exp) for e in closed.atoms(sympy.exp)):
        return False
    x = _concrete(law).numeric.isf(np.array([1e-4, 1e-8, 1e-12, 1e-16]))
    with np.errstate(all="ignore"):
        found = sympy.lambdify(VARIABLE, closed.xreplace(_defaults(law)), modules=["scipy", "numpy"])(x)
    return not bool(np.all(np.abs(found - wanted.value(x)) <= 1e-9 * np.abs(wanted.value(x))))


def _defaults(law: Law) -> dict[sympy.Symbol, sympy.Expr]:
    """Where a law's symbols stand for a check: 1 where positive, else 0."""
    return {s: sympy.S.One if s.is_positive else sympy.S.Zero for s in law.free_symbols}


def _concrete(law: Law) -> Law:
    return law.at(**{s.name: v for s, v in _defaults(law).items()}) if law.free_symbols else law


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
        raise InputError(f"the {name} must be positive and finite", number, f"for example {name}=1")
    return _exact(value)


def _exact(value: float | sympy.Expr) -> sympy.Expr:
    exact = isinstance(value, sympy.Expr) and not value.has(sympy.Float)
    return value if exact else sympy.Rational(repr(float(value)))
