"""Which formula stands for a worst activation: its closed form, where that agrees with the law's numbers, or rational pieces.

What f must be in double precision is f = Q*⁻¹ ∘ F by the law's own numbers, each tail from the side where it keeps its digits. A
closed form that loses its digits in the tail goes on along its tangent, or gives way to `eafo.theory.rational`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

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
from eafo.theory import rational
from eafo.theory.maximum_entropy import MaximumEntropy
from eafo.theory.nodes import between
from eafo.theory.quadrature import QuadratureError, numeric
from eafo.theory.rational import Continuation, Rational

__all__ = ["TOLERANCE", "Problem", "Target", "Worst", "assembled", "concrete", "exact", "expanded", "target"]

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
#: The levels at which a tail's power is taken.
_FAR, _FURTHER = 1e-12, 1e-100


@dataclass(frozen=True)
class Target:
    """What the worst activation must be, in double precision.

    Args:
        value: f = Q*⁻¹ ∘ F, vectorised.
        slope: f′ = p/q(f).
        scale: the unit in which errors are measured: the range's width, the mean or the deviation.
        moment: the power of (z − level)/scale whose expectation the constraint sets to 1; 0 where it sets none.
        level: the output's mean under a variance.
    """

    value: Function
    slope: Function
    scale: float
    moment: int = 0
    level: float = 0.0


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
        outside: the mass on each side beyond which f goes on along its tangent or as a heavy tail asks, or is clipped; 0 where
            it does not.
        error: the largest difference from the law's own numbers in the bulk, in units of the scale.
        missed: by how much the output misses the constraint's moment, relative, by quadrature; None where that is not known.
        heavy: whether a closed form goes on along a logarithm in place of its tangent.
    """

    expression: sympy.Expr
    output: MaximumEntropy
    differential: sympy.Eq
    general_solution: sympy.Expr
    constants: dict[sympy.Symbol, sympy.Expr]
    approximation: Rational | None
    outside: float
    error: float
    missed: float | None = None
    heavy: bool = False


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

        return Target(exponential, lambda x: first * np.exp(law.logpdf(x) - np.log(law.sf(x))), first, 1)

    def standard(x: FloatArray) -> FloatArray:
        below, above = law.cdf(x), law.sf(x)
        return np.asarray(
            np.where(below < above, scipy.special.ndtri(below), -scipy.special.ndtri(above)), np.float64
        )

    def slope(x: FloatArray) -> FloatArray:
        z = standard(x)
        return np.asarray(first * np.exp(law.logpdf(x) + z * z / 2) * math.sqrt(2 * math.pi), np.float64)

    return Target(lambda x: second + first * standard(x), slope, first, 2, second)


@dataclass(frozen=True)
class Problem:
    """What f solves, and the limits that it must not cross: None where there is none."""

    wanted: Target
    output: MaximumEntropy
    equation: tuple[sympy.Eq, sympy.Expr, dict[sympy.Symbol, sympy.Expr]]
    limits: tuple[sympy.Expr | None, sympy.Expr | None]


def assembled(law: Law, closed: sympy.Expr | None, problem: Problem) -> Worst:
    """The activation by its closed form where that stands the check, else by rational pieces.

    Raises:
        RefusedError: neither agrees with the law's own numbers, or the law has symbols and no closed form.
    """
    numbers = concrete(law).numeric
    wanted, unbounded = problem.wanted, problem.limits[1] is None
    found, outside, tolerance = None, 0.0, TOLERANCE
    if closed is not None and not _in_the_language(closed):
        closed = None
    summed = closed is not None and unbounded and not law.free_symbols and _sums_tails(closed)
    heavy = summed and _heavy(numbers, numbers.isf, wanted.moment)
    if heavy and wanted.moment != 1:
        closed = None
    if closed is not None and unbounded and (math.isfinite(numbers.upper) or summed):
        closed, outside = _with_tangent(closed, law, heavy), _EDGE
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
    missed = _missed(numbers, closed, wanted) if outside else None
    return Worst(closed, problem.output, *problem.equation, found, outside, error, missed, heavy)


def _require_numbers(law: Law) -> None:
    if law.free_symbols:
        raise RefusedError(
            "a worst activation without a closed form must have a law of numbers alone",
            f"{law} with {', '.join(sorted(s.name for s in law.free_symbols))}",
            "give the symbols their values, as in law.at(...)",
        )


def _approximated(law: Law, wanted: Target) -> tuple[Rational, float, float]:
    """The piecewise rational function to the least tolerance and on the widest bulk for which its formula is short enough."""
    numbers, refusal = concrete(law).numeric, ""
    for tolerance, outside in itertools.product(_TOLERANCES, _OUTSIDE):
        ends = [float(numbers.ppf(outside)), *map(float, numbers.kinks), float(numbers.isf(outside))]
        knots = [ends[0], *(k for k in ends[1:-1] if ends[0] < k < ends[-1]), ends[-1]]
        try:
            found = rational.approximate(wanted.value, wanted.slope, knots, tolerance * wanted.scale)
        except RefusedError as error:
            refusal = str(error)
            continue
        found = _continued(found, numbers, wanted)
        length = len(formula.to_text(found.expression))
        refusal = f"a formula of {length} characters"
        if length <= _LONGEST and (max(found.slopes) < _STEEPEST or outside == _OUTSIDE[-1]):
            return found, outside, tolerance
    raise RefusedError(
        f"a worst activation without a closed form must have one of at most {_LONGEST} characters to "
        f"{_TOLERANCES[-1]:.0e} of its scale",
        f"{law}: {refusal}",
    )


def _continued(found: Rational, numbers: Numbers, wanted: Target) -> Rational:
    """Beyond its ends as the law's tails ask: along a tangent the moment of a heavy tail would be infinite.

    A tail like x^−α has −log(1 − F) ~ α log x, and the square of the normal quantile goes like twice that.
    """
    if not wanted.moment:
        return found
    kind: Continuation = "logarithm" if wanted.moment == 1 else "root"
    # A non-negative output is bounded on the left.
    left = wanted.moment == 2 and _heavy(numbers, numbers.ppf, wanted.moment)
    right = _heavy(numbers, numbers.isf, wanted.moment)
    lower, upper = map(float, found.ends)
    return replace(
        found,
        beyond=(kind if left else "tangent", kind if right else "tangent"),
        centre=_centre(numbers, upper - lower),
        level=exact(wanted.level),
    )


def _centre(numbers: Numbers, size: float) -> sympy.Rational:
    """The law's median to three digits of a size."""
    places = 3 - math.floor(math.log10(abs(size)))
    return sympy.Rational(f"{round(float(numbers.ppf(0.5)), places):.{max(places, 0)}f}")


def _heavy(numbers: Numbers, quantile: Function, moment: int) -> bool:
    """Whether a tail is like a power x^−α with α near the moment or below, by two far quantiles."""
    near, far = (abs(float(x) - float(numbers.ppf(0.5))) for x in quantile(np.array([_FAR, _FURTHER])))
    if not math.isfinite(far):
        return True
    return far > near and math.log(_FAR / _FURTHER) / math.log(far / near) < moment + 1


def _missed(numbers: Numbers, expression: sympy.Expr, wanted: Target) -> float | None:
    """|E[((f(X) − level)/scale)^moment] − 1|."""
    if not wanted.moment:
        return None
    try:
        found = between(numbers, -math.inf, math.inf)
        z = numeric(expression, exact=False)(found.x)
        return abs(found.mean(((z - wanted.level) / wanted.scale) ** wanted.moment).value - 1)
    except QuadratureError:
        return None


def _clipped(expression: sympy.Expr, lower: sympy.Expr | None, upper: sympy.Expr | None) -> sympy.Expr:
    """The tangents cut off where they reach the bounds."""
    *cases, (last, _) = expression.args
    (first, when), *others = cases
    first = first if lower is None else sympy.Max(lower, first)
    last = last if upper is None else sympy.Min(upper, last)
    # Through text, so that what is written is what is read back.
    made = sympy.Piecewise((first, when), *others, (last, True))
    return formula.parse(formula.to_text(made))


def _with_tangent(closed: sympy.Expr, law: Law, heavy: bool) -> sympy.Expr | None:
    """The closed form up to the last 1e-4 of the mass, then along its tangent: further out it loses its digits, or its limit.

    Where the tail is heavy, along a logarithm with the same value and slope.
    """
    if law.free_symbols:
        return None
    point = exact(float(f"{float(law.numeric.isf(_EDGE)):.12g}"))
    inner = branch_at(closed.replace(sympy.Max, lambda *a: a[-1]), point)
    value, slope = (float(e.subs(VARIABLE, point).evalf(30)) for e in (inner, sympy.diff(inner, VARIABLE)))
    if not (math.isfinite(value) and math.isfinite(slope)):
        return None
    exact_value = inner.subs(VARIABLE, point)
    if exact_value.has(sympy.erf, sympy.exp):
        # Twenty digits: far below what a double shows of the seam.
        exact_value = sympy.Rational(str(exact_value.evalf(20)))
    away = VARIABLE - point
    if heavy:
        reach = point - _centre(law.numeric, float(point))
        away = reach * sympy.log((away + reach) / reach)
    tangent = exact_value + exact(float(f"{slope:.12g}")) * away
    return sympy.Piecewise((expanded(tangent), sympy.Ge(VARIABLE, point)), (closed, True))


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
    x = concrete(law).numeric.isf(np.array([1e-4, 1e-8, 1e-12, 1e-16]))
    with np.errstate(all="ignore"):
        found = sympy.lambdify(VARIABLE, closed.xreplace(_defaults(law)), modules=["scipy", "numpy"])(x)
    return not bool(np.all(np.abs(found - wanted.value(x)) <= 1e-9 * np.abs(wanted.value(x))))


def expanded(expression: sympy.Expr) -> sympy.Expr:
    """The sum, with each exponential whole: e^(800 − x) as e^800 e^(−x) leaves every format."""
    return sympy.expand(expression, power_exp=False)


def exact(value: float | sympy.Expr) -> sympy.Expr:
    """A number of SymPy's as it is, a double as the decimal that it shows."""
    symbolic = isinstance(value, sympy.Expr) and not value.has(sympy.Float)
    return value if symbolic else sympy.Rational(repr(float(value)))


def _defaults(law: Law) -> dict[sympy.Symbol, sympy.Expr]:
    """Where a law's symbols stand for a check: 1 where positive, else 0."""
    return {s: sympy.S.One if s.is_positive else sympy.S.Zero for s in law.free_symbols}


def concrete(law: Law) -> Law:
    """The law with numbers for its symbols, for a check."""
    return law.at(**{s.name: v for s, v in _defaults(law).items()}) if law.free_symbols else law
