"""`wafbc`: from an input law and bounds to the worst activation."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import sympy

from eafo import catalog, laws, rendering
from eafo.activation import Activation, Provenance
from eafo.derivation.checks import SECONDS
from eafo.derivation.record import PAPER
from eafo.errors import InputError
from eafo.laws import LawLike
from eafo.limits import within
from eafo.theory import worst
from eafo.theory.quadrature import numeric

__all__ = ["wafbc"]


def wafbc(law: LawLike, bounds: tuple[float, float] = (0.0, 1.0)) -> Activation:
    """The worst activation function under boundary conditions: a + (b − a) F(x), F the law's distribution function.

    Args:
        law: any form of a law.
        bounds: (a, b), the limits of the activation on the left and on the right.

    Returns:
        The activation, under its catalog name where it is a known one. Its provenance lists the steps.

    Raises:
        InputError: no such law; bounds not finite or not in order.

    >>> wafbc("logistic").name, str(wafbc("normal", bounds=(-1, 1)))
    ('sigmoid', 'erf(sqrt(2)*x/2)')
    """
    input_law = laws.get(law)
    lower, upper = _bounds(bounds)
    found = worst.under_range(input_law, lower, upper)
    constants = ", ".join(f"{k} = {rendering.text(v)}" for k, v in found.constants.items())
    steps: tuple[str, ...] = (
        f"first integral p(y) y′ = C, with y = f⁻¹: {rendering.text(found.differential)}",
        f"integrated: f(x) = {rendering.text(found.general_solution)}, F the distribution function of {input_law}",
        f"bounds {lower:g} and {upper:g}: {constants}",
        f"f(x) = {rendering.text(found.expression)}",
        f"equals {lower:g} + {upper - lower:g} F(x) with SciPy's F to {found.error:.0e} on 2001 points",
    )
    known = _recognised(found.expression)
    name = known.name if known else f"wafbc {input_law} [{lower:g}, {upper:g}]"
    if known:
        steps = (*steps, f"the same function as {known.name}, by SymPy")
    provenance = Provenance(
        f"worst activation of the law {input_law} on ({lower:g}, {upper:g}), {PAPER}, eq. 5", "", steps
    )
    return Activation(name, known.expression if known else found.expression, (), provenance)


def _bounds(bounds: Any) -> tuple[float, float]:
    try:
        lower, upper = (float(b) for b in bounds)
    except (TypeError, ValueError) as error:
        raise InputError("the bounds must be two numbers", bounds, "for example bounds=(0, 1)") from error
    return lower, upper


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
        if within(SECONDS, functools.partial(_vanishes, difference), False):
            return candidate
    return None
