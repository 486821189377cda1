"""`derive`: from a base activation and an input law to a new activation."""

from __future__ import annotations

import math
from dataclasses import replace

from eafo import catalog, laws, rendering
from eafo.activation import Activation, Parameter, Provenance
from eafo.catalog import ActivationLike
from eafo.derivation import checks, steps
from eafo.derivation.record import PAPER, Derivation, Ending, EntropyAt
from eafo.errors import RefusedError
from eafo.laws import Law, LawLike
from eafo.theory import correction as corrections
from eafo.theory import inverse
from eafo.theory.closed_form import Metric
from eafo.theory.correction import START, Correction
from eafo.theory.projection import ODD_ORDERS
from eafo.theory.quadrature import QuadratureError

__all__ = ["derive"]

_STEPS_OF_EPSILON = (-0.1, -0.01, 0.0, 0.01, 0.1)


def derive(
    base: ActivationLike,
    law: LawLike = "normal",
    *,
    metric: Metric = "output",
    scale_free: bool = False,
    orders: tuple[int, ...] = ODD_ORDERS,
) -> Derivation:
    """Correct an activation for an input law by the EAFO method, keeping every step.

    Args:
        base: any form of an activation; with or without an inverse.
        law: any form of a law, measured ones included.
        metric: the metric of steepest descent: ``"output"``, L²(dz), the paper's; ``"input"``, L²(dx); ``"probability"``,
            L²(p).
        scale_free: lower H − log σ of the output, which no rescaling changes, in place of H.
        orders: the odd orders of the Hermite functions that stand in where there is no closed form.

    Raises:
        InputError: no such activation, law, metric or order.
        RefusedError: the method does not apply; the message says why.

    >>> derive("relu", law="normal").activation.expression
    epsilon*x*exp(-x**2/2) + Max(0, x)
    """
    activation, input_law = catalog.get(base), laws.get(law)
    try:
        found = corrections.correct(
            activation, input_law, metric=metric, scale_free=scale_free, orders=tuple(orders)
        )
        return _told(activation, input_law, found)
    except QuadratureError as error:
        raise RefusedError(
            f"the correction of {activation.name} for the law {input_law} did not pass its checks: {error}"
        ) from error
    except (ArithmeticError, NotImplementedError, TypeError) as error:
        raise RefusedError(
            f"the correction of {activation.name} for the law {input_law} is beyond what SymPy finds ({error})"
        ) from error


def _told(base: Activation, law: Law, found: Correction) -> Derivation:
    y = None if found.closed is None else inverse.closed_form(found.closed.function, *checks.inside(found))
    result = _corrected(base, law, found)
    slope = corrections.descent_slope(found)
    entropies = tuple(_entropy_at(found, e) for e in _STEPS_OF_EPSILON)
    return Derivation(
        base=base,
        law=law,
        steps=(
            *steps.setting(base, law, found),
            *steps.calculus(found),
            *steps.directions(found, y),
            *steps.result(result, found, slope),
        ),
        correction=found.shape,
        constant=found.constant,
        activation=result,
        slope=slope,
        entropies=entropies,
        findings=steps.findings(found, slope, entropies),
        ended=_ended(found),
        why=found.why,
        measure=str(found.measure),
        metric=found.metric,
        resolution=found.measure.resolution,
        residual=found.residual,
    )


def _ended(found: Correction) -> Ending:
    if found.projection is None:
        return "closed form"
    return "maximum" if found.projection.second_order else "projection"


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
    limits = corrections.monotone_range(found)
    if limits is not None and not limits[0] <= epsilon <= limits[1]:
        return EntropyAt(epsilon, None, None)
    output = found.at(epsilon)
    values = []
    for scale_free in (False, True):
        try:
            value = replace(found.measure, scale_free=scale_free).of(output)
        except QuadratureError:
            value = math.nan
        values.append(value if math.isfinite(value) else None)
    return EntropyAt(epsilon, *values)
