"""The numbers beside the steps: each by a route that did not produce the step."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt
import sympy

from eafo.activation import VARIABLE
from eafo.branching import derivative
from eafo.laws import Law
from eafo.limits import within
from eafo.theory import correction as corrections
from eafo.theory import spacing, variation
from eafo.theory.closed_form import ClosedForm
from eafo.theory.correction import START, Correction
from eafo.theory.function import direction
from eafo.theory.quadrature import QuadratureError, integral, numeric

__all__ = [
    "SECONDS",
    "both_entropies",
    "central_difference",
    "closed_slope",
    "density_of_law",
    "inside",
    "inverse_returns",
    "largest_at_ends",
    "score_form_of",
    "second_order",
]

FloatArray = npt.NDArray[np.float64]

#: What a symbolic step may take.
SECONDS = 2.0
_AGREEMENT = 1e-5
#: Probability that may be missing in z before the two routes cannot be compared.
_LOST = 1e-7
_SAMPLE = 100_000
#: How far c may be off the score form, relative where c is large.
_CLOSE = 1e-6


def inside(found: Correction) -> npt.NDArray[np.float64]:
    """Five quantiles of the law, given D; none of them the centre of symmetry, where an inverse may be removably singular."""
    law = found.output.law
    low, high = float(law.cdf(found.lower)), float(law.cdf(found.upper))
    return np.asarray(law.ppf(low + (high - low) * np.array([0.1, 0.3, 0.45, 0.7, 0.9])))


def points(found: Correction) -> npt.NDArray[np.float64]:
    """Points of D, wherever the law has its mass."""
    return np.sort(np.concatenate([c.nodes.x for c in found.output.cells]))


def density_of_law(law: Law, mass: float) -> str:
    """The law's density in closed form against its numbers; without one, what its numbers integrate to."""
    x = law.numeric.ppf(np.linspace(0.001, 0.999, 999))
    text = f"P(X ∈ D) = {mass:.12g} by quadrature"
    if law.density is None:
        total = float(np.trapezoid(law.numeric.pdf(x), x))
        return f"{text}; no density in closed form, ∫ p dx over the central 99.8 % = {total:.4f}"
    error = float(np.max(np.abs(numeric(law.density)(x) - law.numeric.pdf(x))))
    if not error < 1e-8 * float(np.max(law.numeric.pdf(x))) + 1e-12:
        raise QuadratureError("the density in closed form and in numbers must agree", error)
    return f"{text}; p equals its numerical form on 999 quantiles"


def largest_at_ends(found: Correction) -> str:
    """|c| at the finite ends of D, and at the infinite ones |q c| with q = p/f′, the boundary term itself, at ±10⁶."""
    phi, law = direction(found.constant * found.shape), found.output.law
    values = [0.0]
    for end, sheet in ((found.lower, found.output.sheets[0]), (found.upper, found.output.sheets[-1])):
        at = np.array([end if math.isfinite(end) else math.copysign(1e6, end)])
        size = np.abs(phi.value(at))
        if not math.isfinite(end):
            with np.errstate(all="ignore"):
                size = size * np.exp(law.logpdf(at) - sheet.part.log_slope(at))
        values.append(float(size[0]))
    if not max(values) < 1e-5:
        raise QuadratureError("the boundary term must vanish at the ends of D", max(values))
    return f"the boundary term is at most {max(values):.1e} there"


def both_entropies(found: Correction) -> str:
    """The base's entropy by the branch identity in x, and by the functional in z."""
    output = found.output
    if found.measure.resolution is not None:
        return f"E[log |f′(X)|] = {output.log_slope.value:g}, so H = −∞; {found.measure} = {found.measure.of(output):.6f}"
    mass = output.mass
    own = output.log_slope.value - output.branch_entropy.value
    inside = sum(cell.nodes.mean(np.asarray(output.law.logpdf(cell.nodes.x))).value for cell in output.cells)
    identity = (own - inside) / mass + math.log(mass)
    text = (
        f"{'given that the output is no atom' if output.atoms else 'on the whole line'}: E[−log p + log |f′|]"
    )
    text += "" if found.increasing else " less the branch entropy"
    try:
        functional, mass_in_z = _functional(found)
    except QuadratureError:
        functional, mass_in_z = math.nan, math.nan
    if not abs(mass_in_z - 1) < _LOST:
        # Near a limit or a fold of f, doubles z are too coarse for the functional.
        return f"{text} = {identity:.9f}; {_by_spacings(found, identity)}"
    if abs(functional - identity) > _AGREEMENT * max(1.0, abs(identity)):
        raise QuadratureError("both routes to the entropy must agree", f"{identity} and {functional}")
    return f"{text} = {identity:.9f}; −∫ q log q dz = {functional:.6f}"


def _by_spacings(found: Correction, identity: float) -> str:
    """The entropy of a seeded sample of the output by m-spacings, which must agree within its error."""
    x = found.output.law.ppf(np.random.default_rng(0).uniform(size=_SAMPLE))
    free = numeric(derivative(found.function), exact=False)(x) != 0
    z = numeric(found.function)(x[free])
    if np.unique(z).size < z.size:
        return "no second route: values of f that differ are one double near its limit"
    sample = spacing.entropy(z)
    if abs(sample.continuous - identity) > 0.02 + 6 * sample.error:
        raise QuadratureError("both routes to the entropy must agree", f"{identity} and {sample.continuous}")
    return f"{sample.continuous:.3f} ± {sample.error:.3f} by the spacings of {_SAMPLE:,} values"


def _functional(found: Correction) -> tuple[float, float]:
    """−∫ q log q dz of the conditional density, by adaptive quadrature in z, and ∫ q dz."""
    output = found.output
    # Knots need no precision: the weights' own sums are a rough distribution function.
    z, weight = output.values
    rough = np.searchsorted(np.cumsum(weight), (1e-6, 1e-3, 0.1, 0.5, 0.9, 0.999, 1 - 1e-6))
    knots = z[np.clip(rough, 0, z.size - 1)]
    inner = [k for k in knots if output.special[0] < k < output.special[-1]]
    ends = [float(e) for e in np.unique([*output.special, *inner])]

    def density(z: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        q = output.density(z) / output.mass
        return np.where(np.isfinite(q), q, 0.0)

    def integrand(z: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        q = density(z)
        return -q * np.log(np.where(q > 0, q, 1.0))

    return integral(integrand, ends, accuracy=1e-6), integral(density, ends, accuracy=1e-6)


def central_difference(found: Correction) -> str:
    """The first variation by a route that knows nothing of η: differences of the entropy itself."""
    now = found.measure.of(found.output)
    if found.projection is not None and found.projection.second_order:
        both = [found.measure.of(found.at(sign * START)) - now for sign in (1, -1)]
        if not max(both) < 0:
            raise QuadratureError("at a worst activation the entropy must fall both ways", both)
        return f"{found.measure} changes by {both[0]:.3e} at ε = {START}, by {both[1]:.3e} at ε = −{START}"
    if found.projection is not None and found.projection.differenced:
        change = found.measure.of(found.at(-START)) - now
        if not change < 0:
            raise QuadratureError("against the correction the entropy must fall", change)
        return f"{found.measure} changes by {change:.3e} at ε = −{START}"
    limits = corrections.monotone_range(found)
    low, high = limits if limits is not None else (-1.0, 1.0)
    step = 1e-3 * min(1.0, -low, high)
    difference = (found.measure.of(found.at(step)) - found.measure.of(found.at(-step))) / (2 * step)
    slope = corrections.descent_slope(found)
    if not slope > 0:
        raise QuadratureError("the entropy must rise along the correction", slope)
    if not abs(difference - slope) <= 1e-2 * abs(slope):
        raise QuadratureError(
            "the first variation and differences of H must agree", f"{slope} and {difference}"
        )
    return f"dH/dε = {slope:.6g} along c/constant; by differences of H it is the same to {abs(difference / slope - 1):.0e}"


def score_form_of(found: Correction, closed: ClosedForm) -> str:
    """C against −w s(f) from the output's own score, found sheet by sheet in numbers."""
    output, law = found.output, found.output.law
    for cell in output.cells:
        x, part = cell.nodes.x, output.sheets[cell.sheet].part
        bulk = np.exp(law.logpdf(x)) > 1e-9
        x = x[bulk][::7]
        slope = part.slope(x)
        # Beyond the range of doubles f′ is 0, and s has no value.
        x, slope = x[slope != 0], slope[slope != 0]
        with np.errstate(all="ignore"):
            bend = part.curvature(x) / slope
            off = _off(numeric(closed.direction)(x), _score_form(found, x, slope, bend))
        for at in x[~(off < _CLOSE)]:
            # Beside a zero of f′, or where it leaves the doubles, the quotient f″/f′ is all rounding.
            exact = _off_exactly(found, closed, np.array([at]))
            if not exact < _CLOSE:
                raise QuadratureError("c must equal the score form in numbers", exact)
    return "equals −w s(f) from the output's score in numbers, s = (p′/p − f″/f′)/f′, to 1e-6"


def _score_form(found: Correction, x: FloatArray, slope: FloatArray, bend: FloatArray) -> FloatArray:
    """−w s(f) from f′ and f″/f′; s f′ first, since the paper's w holds f′, which may overflow s alone."""
    output, density = found.output, found.output.law.pdf(x)
    bent = output.law.score(x) - bend
    if found.measure.scale_free:
        mean = output.moment(1, atoms=False)
        bent = bent + slope * (numeric(found.function)(x) - mean) / output.moment(2, mean, atoms=False)
    weight = {"output": density, "input": density / slope, "probability": 1 / slope}[found.metric]
    return np.asarray(-weight * bent, np.float64)


def _off(c: FloatArray, score_form: FloatArray) -> FloatArray:
    return np.asarray(np.abs(c - score_form) / (1 + np.abs(c)), np.float64)


def _off_exactly(found: Correction, closed: ClosedForm, x: FloatArray) -> float:
    """How far c is off at a point, with f′, f″/f′ and c itself to 60 digits; infinite where it is no number.

    Where both sides are the same infinity, beyond the range of doubles, there is nothing to tell apart.
    """
    first = derivative(found.function)
    slope, bend, c = (_exactly(e)(x) for e in (first, derivative(first) / first, closed.direction))
    with np.errstate(all="ignore"):
        score_form = _score_form(found, x, slope, bend)
        off = 0.0 if np.isinf(c[0]) and c[0] == score_form[0] else float(_off(c, score_form)[0])
    return off if math.isfinite(off) else math.inf


def _exactly(*chain: sympy.Expr) -> Callable[[FloatArray], FloatArray]:
    """The last of some expressions in x, taken at the one before, and so on; 60 digits all the way, NaN where it is not real."""
    functions = [_precise(e) for e in chain]

    def value(x: float) -> float:
        try:
            at = functools.reduce(lambda v, function: mpmath.mpmathify(function(v)), functions, mpmath.mpf(x))
            return math.nan if abs(mpmath.im(at)) > 1e-20 else float(mpmath.re(at))
        except (ZeroDivisionError, ValueError, OverflowError):
            return math.nan

    def values(x: FloatArray) -> FloatArray:
        with mpmath.workdps(60):
            return np.array([value(float(v)) for v in x])

    return values


@functools.lru_cache(maxsize=64)
def _precise(expression: sympy.Expr) -> Callable[[Any], Any]:
    return sympy.lambdify(VARIABLE, expression, modules="mpmath")


def inverse_returns(found: Correction, y: sympy.Expr) -> str:
    """y(f(x)) = x, with digits enough where f is within a rounding of its limit."""
    x = inside(found)
    returned = _exactly(found.function, y.subs(variation.Z, VARIABLE))(x)
    error = float(np.max(np.abs(returned - x)))
    if not error < 1e-6:
        raise QuadratureError("y(f(x)) must be x", error)
    return f"y(f(x)) = x to {max(error, 1e-15):.0e} at five points"


def through_inverse(found: Correction, closed: ClosedForm, eta: sympy.Expr) -> str:
    """η(f(x)) f′(x) = c(x), with digits enough where f is within a rounding of its limit."""
    x = inside(found)
    there = _exactly(found.function, eta.subs(variation.Z, VARIABLE))(x) * _exactly(
        derivative(found.function)
    )(x)
    error = float(np.max(np.abs(there - numeric(closed.direction)(x))))
    if not error < 1e-6:
        raise QuadratureError("η(f(x)) f′(x) must equal the score form", error)
    return f"η(f(x)) f′(x) equals the score form to {max(error, 1e-15):.0e} at five points"


def second_order(found: Correction) -> str:
    """The largest |g(f(x)) − x| at ε = 0.01, on points of D; of second order in ε."""
    x = np.union1d(points(found), np.linspace(max(found.lower, -12.0), min(found.upper, 12.0), 4801))
    c = direction(found.shape).value
    outputs = x - START * c(x)
    miss = float(np.nanmax(np.abs(outputs + START * c(outputs) - x)))
    return f"|g(f(x)) − x| ≤ {miss:.4e} at ε = {START} on points of D: of order ε²; `error_bound` proves one"


def closed_slope(found: Correction) -> sympy.Expr | None:
    """E[c′/f′ | D] by SymPy, where it finds it in time and agrees with quadrature."""
    closed = found.closed
    if closed is None or found.why or found.measure.scale_free:
        return None
    if closed.density.has(sympy.Piecewise) or closed.function.has(sympy.Piecewise):
        return None
    ends = (VARIABLE, closed.lower, closed.upper)
    integrand = closed.density * derivative(found.shape) / derivative(closed.function)
    value = within(
        SECONDS,
        lambda: sympy.simplify(sympy.integrate(integrand, ends) / sympy.integrate(closed.density, ends)),
        None,
    )
    if value is None or value.has(sympy.Integral) or not value.is_finite:
        return None
    return value if abs(float(value) - corrections.descent_slope(found)) < 1e-9 else None
