"""`from_derivative`: an activation designed by its gradient."""

from __future__ import annotations

import sympy

from eafo import catalog, formula, rendering
from eafo.activation import VARIABLE, Activation, Provenance
from eafo.catalog import ActivationLike
from eafo.theory import integration
from eafo.theory.integration import Antiderivative

__all__ = ["from_derivative"]

SOURCE = (
    "designed by its gradient, after Huang, Schlag, Deriving activation functions using integration, 2024"
)


def from_derivative(gradient: ActivationLike, **parameters: float) -> Activation:
    """The activation with a given gradient: its integral, continuous, with f(0) = 0.

    Args:
        gradient: f′ as formula text with its parameters, ``"where(x > 0, 1, exp(beta*x)); beta=1"``, as a catalog name, an
            expression or an `Activation`.
        parameters: values that replace defaults.

    Returns:
        The activation, with the gradient's parameters. Its provenance lists the steps and the check against quadrature, and for
        which parameters f(0) = 0 and continuity hold where that is not for all: a seam must stay on its side of 0.

    Raises:
        InputError: no such activation or formula.
        RefusedError: the gradient has no elementary integral that SymPy finds, or is not finite everywhere.

    >>> print(from_derivative("relu"))
    where(x > 0, x**2/2, 0)
    >>> print(from_derivative("1/(1 + exp(-x))"))
    log(exp(x) + 1) - log(2)
    """
    slope = catalog.get(gradient, **parameters)
    found = integration.integrate(slope)
    conditions = _conditions(found, slope)
    told = tuple(
        f"for {rendering.text(part.lower)} < x < {rendering.text(part.upper)} the integral is "
        f"{rendering.text(part.expression)} + {rendering.text(constant)}"
        for part, constant in zip(found.pieces, found.constants, strict=True)
    )
    steps = (
        f"gradient f′(x) = {slope}",
        *told,
        "the constants follow from f(0) = 0 and from continuity at the seams"
        + (f", which hold while {', '.join(conditions)}" if conditions else ""),
        f"f(x) = {rendering.text(found.expression)}",
        f"equals the quadrature of f′ from 0 to {found.error:.0e} of its size, at {found.points} points between −8 and 8",
    )
    kept = tuple(p for p in slope.parameters if p.symbol in found.expression.free_symbols)
    return Activation(
        f"integral of {slope.name}"[:80],
        found.expression,
        kept,
        Provenance(SOURCE, "https://arxiv.org/abs/2411.13010", steps),
    )


def _conditions(found: Antiderivative, gradient: Activation) -> tuple[str, ...]:
    """What the parameters must fulfil: what the seams and poles ask, and that roots and logarithms of parameters are real."""
    at_default = {p.symbol: sympy.Rational(repr(p.default)) for p in gradient.parameters}
    powers = [p for p in found.expression.atoms(sympy.Pow) if p.exp.is_Rational and not p.exp.is_Integer]
    inverse = {p.base for p in found.expression.atoms(sympy.Pow) if p.exp.is_negative}
    inner = {p.base for p in powers} | {e.args[0] for e in found.expression.atoms(sympy.log)}
    logarithms = {e.args[0] for e in found.expression.atoms(sympy.log)}
    roots = [
        e
        for e in inner
        if e.free_symbols and VARIABLE not in e.free_symbols and e.xreplace(at_default).is_positive
    ]
    strict = {e for e in roots if e in inverse or e in logarithms}
    asked = {formula.to_text(e > 0 if e in strict else e >= 0) for e in roots}
    # A number that is positive is not 0.
    spared = {formula.to_text(sympy.Ne(e, 0, evaluate=False)) for e in strict}
    # What the parameters' domains already say reads True.
    return tuple(sorted((set(found.conditions) - spared | asked) - {"True"}))
