"""`wafbc`: from an input law and a constraint on the output to the worst activation; `worst_law`: the way back."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import sympy

from eafo import catalog, laws, rendering
from eafo.activation import Activation, Domain, Parameter, Provenance
from eafo.derivation.record import PAPER
from eafo.errors import InputError
from eafo.laws import Law, LawLike
from eafo.limits import within
from eafo.theory import worst
from eafo.theory.quadrature import numeric
from eafo.theory.rational import Rational
from eafo.theory.worst import Worst

__all__ = ["wafbc"]

_SECONDS = 2.0
_SINCE = "since along a tangent a power tail would break the constraint"
_LOGARITHM = f"a logarithm, {_SINCE}"


def wafbc(
    law: LawLike,
    bounds: tuple[float, float] | None = None,
    *,
    mean: float | None = None,
    variance: float | None = None,
    output_mean: float = 0.0,
) -> Activation:
    """The worst activation function under one constraint on its output: the one whose output has the most entropy.

    Under a range (a, b) it is a + (b − a) F, with F the law's distribution function (Sun et al. 2024, eq. 5); on z ≥ 0 with a
    mean m it is −m log(1 − F); on the whole line with a variance σ² and a mean μ it is μ + σ Φ⁻¹(F).

    Args:
        law: any form of a law. Its symbols become parameters: positive ones start at 1, others at 0.
        bounds: (a, b), the limits of the activation on the left and on the right; (0, 1) where no constraint is given. SymPy's
            numbers stay exact, here and below.
        mean: the mean of a non-negative output, positive.
        variance: the variance of the output, positive.
        output_mean: the mean that goes with the variance.

    Returns:
        The activation, under its catalog name where it is a known one: in closed form where there is one, else piecewise
        rational, with an error stated for double precision. Its provenance lists the steps.

    Raises:
        InputError: no such law; two constraints; bounds not finite or not in order; a mean or a variance not positive.
        RefusedError: there is no closed form, and the law has symbols.

    >>> wafbc("logistic").name, str(wafbc("normal", bounds=(-1, 1)))
    ('sigmoid', 'erf(sqrt(2)*x/2)')
    >>> wafbc("logistic", mean=1).name, wafbc("normal", variance=1).name, wafbc("exponential", mean=1).name
    ('softplus', 'identity', 'relu')
    """
    input_law = laws.get(law)
    _require_one(bounds, mean, variance, output_mean)
    if mean is not None:
        found = worst.under_mean(input_law, mean)
        setting = f"on z ≥ 0 with the mean {float(mean):g}"
        steps = _composition(input_law, found, setting)
        label = f"mean {float(mean):g}"
    elif variance is not None:
        found = worst.under_variance(input_law, variance, _number(output_mean))
        setting = f"with the mean {float(output_mean):g} and the variance {float(variance):g}"
        steps = _composition(input_law, found, setting)
        label = f"variance {float(variance):g}" + (f", mean {float(output_mean):g}" if output_mean else "")
    else:
        lower, upper = _bounds((0.0, 1.0) if bounds is None else bounds)
        found = worst.under_range(input_law, lower, upper)
        shown = f"{_shown(lower)}, {_shown(upper)}"
        setting, label = f"on ({shown})", f"[{shown}]"
        steps = _first_integral(input_law, found, lower, upper)
        setting = f"{setting}, {PAPER}, eq. 5"
    return _activation(input_law, found, (setting, label), steps)


def _require_one(bounds: Any, mean: Any, variance: Any, output_mean: Any) -> None:
    given = [n for n, v in (("bounds", bounds), ("mean", mean), ("variance", variance)) if v is not None]
    if len(given) > 1:
        raise InputError("the output must have exactly one constraint", " and ".join(given), "leave one out")
    if output_mean != 0.0 and variance is None:
        raise InputError("an output mean goes with a variance", output_mean, "for example variance=1")


def _activation(law: Law, found: Worst, told: tuple[str, str], steps: tuple[str, ...]) -> Activation:
    setting, label = told
    known = None if found.approximation or law.free_symbols else _recognised(found.expression)
    if known:
        steps = (*steps, f"the same function as {known.name}, by SymPy")
    name = known.name if known else f"wafbc {law} {label}"[:80]
    provenance = Provenance(f"worst activation of the law {law} {setting}", "", steps)
    expression = known.expression if known else found.expression
    return Activation(name, expression, _parameters(law, expression), provenance)


def _parameters(law: Law, expression: sympy.Expr) -> tuple[Parameter, ...]:
    """The law's symbols as parameters of the activation, in the order of their names."""
    symbols = sorted(law.free_symbols & expression.free_symbols, key=lambda s: s.name)
    return tuple(
        Parameter(s.name, 1.0, Domain(0.0), learnable=True)
        if s.is_positive
        else Parameter(s.name, 0.0, learnable=True)
        for s in symbols
    )


def _first_integral(law: Law, found: Worst, lower: Any, upper: Any) -> tuple[str, ...]:
    constants = ", ".join(f"{k} = {rendering.text(v)}" for k, v in found.constants.items())
    return (
        f"first integral p(y) y′ = C, with y = f⁻¹: {rendering.text(found.differential)}",
        f"integrated: f(x) = {rendering.text(found.general_solution)}, F the distribution function of {law}",
        f"bounds {_shown(lower)} and {_shown(upper)}: {constants}",
        *_result(law, found, f"{_shown(lower)} + {_shown(upper - lower)} F(x)"),
    )


def _composition(law: Law, found: Worst, setting: str) -> tuple[str, ...]:
    output = found.output
    multipliers = ", ".join(f"{k} = {rendering.text(v)}" for k, v in output.multipliers.items())
    return (
        f"the greatest entropy of an output of density q {setting}: stationary where {rendering.text(output.stationarity)}",
        f"mass and moments fix the multipliers: {multipliers}; ∂²/∂q² = {rendering.text(output.curvature)} < 0: a maximum",
        f"so q(z) = {rendering.text(output.density)}, with the distribution function Q(z) = {rendering.text(output.cdf)}",
        f"Q(f(x)) = F(x), F the distribution function of {law}: f(x) = {rendering.text(found.general_solution)}",
        *_result(law, found, "Q*⁻¹(F(x))"),
    )


def _result(law: Law, found: Worst, right: str) -> tuple[str, ...]:
    bulk = f"equals {right} with the law's own numbers to {found.error:.0e} of the scale"
    if found.approximation is None:
        edge = (
            f"; within the last {found.outside:g} of the mass it goes on along {_LOGARITHM if found.heavy else 'its tangent'}"
            if found.outside
            else ""
        )
        return (
            f"f(x) = {rendering.text(found.expression)}{edge}",
            f"{bulk}, at 304 quantiles",
            *(_kept(found) if found.heavy else ()),
        )
    lower, upper = (float(e) for e in found.approximation.ends)
    count = len(found.approximation.pieces)
    smooth = "continuously differentiable" if found.approximation.smooth else "continuous"
    return (
        f"no closed form: {count} rational piece{'s' * (count > 1)} on [{lower:g}, {upper:g}], {smooth}, increasing by Sturm's "
        f"theorem, {_beyond(found.approximation, found.outside)}",
        f"{bulk}, at 304 quantiles between {found.outside:g} and 1 − {found.outside:g}",
        *_kept(found),
    )


def _beyond(approximation: Rational, outside: float) -> str:
    """What the function is beyond its pieces, and why that is not always a tangent."""
    left, right = approximation.beyond
    names = {"tangent": "the tangent", "logarithm": "a logarithm", "root": "the root of a logarithm"}
    where = f"beyond, where a mass of {outside:g} lies on each side"
    if left == right == "tangent":
        return f"the tangents {where}"
    kinds = names[left] if left == right else f"{names[left]} on the left and {names[right]} on the right"
    return f"{kinds} {where}, {_SINCE}"


def _kept(found: Worst) -> tuple[str, ...]:
    """How well the whole function keeps its constraint, where that is a moment."""
    if found.missed is None:
        return ()
    return (
        f"the constraint's moment of the output is kept to {found.missed:.0e} of itself, by quadrature over all x",
    )


def _bounds(bounds: Any) -> tuple[Any, Any]:
    """Numbers, SymPy's as they are: π stays π."""
    try:
        low, high = (float(b) for b in bounds)
    except (TypeError, ValueError) as error:
        raise InputError("the bounds must be two numbers", bounds, "for example bounds=(0, 1)") from error
    lower, upper = (
        b if isinstance(b, sympy.Expr) else number for b, number in zip(bounds, (low, high), strict=True)
    )
    return lower, upper


def _shown(number: Any) -> str:
    return rendering.text(number) if isinstance(number, sympy.Expr) else f"{number:g}"


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise InputError("the output's mean must be a number", value) from error


def _vanishes(expression: sympy.Expr) -> bool:
    return bool(sympy.simplify(expression) == 0)


def _recognised(expression: sympy.Expr) -> Activation | None:
    """The catalog activation without parameters that is the same function, proved by SymPy."""
    points = np.linspace(-3.1, 3.3, 9)
    values = numeric(expression)(points)
    for name in catalog.names():
        candidate = catalog.get(name)
        if candidate.parameters or np.max(np.abs(candidate(points) - values)) > 1e-12:
            continue
        difference = (candidate.expression - expression).rewrite(sympy.exp)
        if within(_SECONDS, functools.partial(_vanishes, difference), False):
            return candidate
    return None
