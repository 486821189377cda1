"""`from_derivative`: an activation designed by its gradient."""

from __future__ import annotations

from eafo import catalog, rendering
from eafo.activation import Activation, Provenance
from eafo.catalog import ActivationLike
from eafo.theory import integration

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
    told = tuple(
        f"for {rendering.text(part.lower)} < x < {rendering.text(part.upper)} the integral is "
        f"{rendering.text(part.expression)} + {rendering.text(constant)}"
        for part, constant in zip(found.pieces, found.constants, strict=True)
    )
    steps = (
        f"gradient f′(x) = {slope}",
        *told,
        "the constants follow from f(0) = 0 and from continuity at the seams"
        + (f", which hold while {', '.join(found.conditions)}" if found.conditions else ""),
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
