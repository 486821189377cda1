"""`derive`: from a base activation and an input law to a new activation."""

from __future__ import annotations

from dataclasses import replace

from eafo import catalog, laws, rendering
from eafo.activation import Activation, Parameter, Provenance
from eafo.catalog import ActivationLike
from eafo.derivation import checks, steps
from eafo.derivation.checks import START
from eafo.derivation.record import PAPER, Derivation, EntropyAt
from eafo.errors import RefusedError
from eafo.laws import Law, LawLike
from eafo.theory import correction as corrections
from eafo.theory import inverse
from eafo.theory.correction import Correction
from eafo.theory.quadrature import QuadratureError

__all__ = ["derive"]

_STEPS_OF_EPSILON = (-0.1, -0.01, 0.0, 0.01, 0.1)


def derive(base: ActivationLike, law: LawLike = "normal") -> Derivation:
    """Correct an activation for an input law by the EAFO method, keeping every step.

    Args:
        base: any form of an activation; continuous, increasing on one interval and flat elsewhere.
        law: any form of a law.

    Raises:
        InputError: no such activation or law.
        RefusedError: the method does not apply; the message says why.

    >>> derive("relu", law="normal").activation.expression
    epsilon*x*exp(-x**2/2) + Max(0, x)
    """
    activation, input_law = catalog.get(base), laws.get(law)
    try:
        found = corrections.correct(activation, input_law)
    except (ArithmeticError, NotImplementedError, TypeError) as error:
        raise RefusedError(
            f"the correction of {activation.name} for the law {input_law} is beyond what SymPy finds ({error})"
        ) from error
    y = inverse.closed_form(found.branch.function, checks.middle(found))
    result = _corrected(activation, input_law, found)
    slope = corrections.descent_slope(found)
    entropies = tuple(_entropy_at(found, e) for e in _STEPS_OF_EPSILON)
    told = (
        *steps.setting(activation, input_law, found),
        *steps.calculus(found, y),
        *steps.direction(found, y),
        *steps.result(result, found, slope),
    )
    return Derivation(
        base=activation,
        law=input_law,
        steps=told,
        correction=found.shape,
        constant=found.constant,
        activation=result,
        slope=slope,
        entropies=entropies,
        findings=steps.findings(found, slope, entropies),
    )


def _corrected(base: Activation, law: Law, found: Correction) -> Activation:
    taken = base.defaults
    name = (
        "epsilon"
        if "epsilon" not in taken
        else next(f"epsilon_{i}" for i in range(1, 99) if f"epsilon_{i}" not in taken)
    )
    epsilon = Parameter(name, START, learnable=True)
    expression = base.expression + epsilon.symbol * found.shape
    provenance = Provenance(
        source=f"derived by eafo from {base.name} and the law {law}, by the method of {PAPER}",
        steps=(f"base {base}", f"law {law}", f"correction {rendering.text(found.shape)}"),
    )
    made = Activation(f"{base.name} × {law}"[:80], expression, (*base.parameters, epsilon), provenance)
    known = catalog.get("crrelu")
    return replace(known, provenance=provenance) if made.expression == known.expression else made


def _entropy_at(found: Correction, epsilon: float) -> EntropyAt:
    try:
        entropy = found.branch.entropy(found.shape, epsilon)
    except QuadratureError:
        return EntropyAt(epsilon, None, None)
    try:
        return EntropyAt(epsilon, entropy, found.branch.entropy_shape(found.shape, epsilon))
    except QuadratureError:
        return EntropyAt(epsilon, entropy, None)
