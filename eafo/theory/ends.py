"""How a branch ends at ±∞: limits that values bear out, and what an endless oscillation comes close to."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import sympy

from eafo.activation import VARIABLE
from eafo.limits import within
from eafo.theory.quadrature import numeric
from eafo.theory.shape import SECONDS, Branch

__all__ = ["End", "at_infinity"]

#: How far out a limit is checked.
_FAR = (1e3, 1e6)
#: Values grow by this between the two where the function grows like a root of x, or faster.
_GROWS = 31.0


@dataclass(frozen=True)
class End:
    """A limit at −∞ or +∞.

    Args:
        limit: the limit, may be infinite; `nan` where there is none or it is not known.
        exact: the limit as SymPy gives it; None where the number comes from values alone.
        bounds: what an oscillation stays between at the end, as far as it is known; both the limit where there is one.
        seen: whether SymPy gave no answer, and the limit is what values at 10³ and 10⁶ tell.
    """

    limit: float
    exact: sympy.Expr | None
    bounds: tuple[float, float]
    seen: bool = False


def at_infinity(branch: Branch, sign: int, order: int = 0, *, over_x: bool = False) -> End:
    """The limit of f, of f(x)/x, or of a derivative of f, towards −∞ (sign −1) or +∞ (sign 1).

    SymPy's answer counts where values far out bear it out; without an answer those values count where they settle, or
    grow at least like √x.
    """
    expression = sympy.diff(branch.expression, VARIABLE, order)
    if over_x:
        expression /= VARIABLE
    try:
        found = within(SECONDS, lambda: sympy.limit(expression, VARIABLE, sign * sympy.oo), sympy.nan)
    except (TypeError, ValueError):
        # SymPy stumbles over a sine beside exponentials.
        found = sympy.nan
    if found.has(sympy.AccumBounds):
        # SymPy leaves oo·sign(AccumBounds(−1, 1)) as it is.
        whole = sympy.AccumBounds(-sympy.oo, sympy.oo)
        found = found if isinstance(found, sympy.AccumBounds) else whole
        return End(math.nan, None, _oscillation(expression, found, sign))
    number = numeric(expression, exact=not branch.oscillating)
    near, far = (float(number(sign * distance)) for distance in _FAR)
    if found is not sympy.nan and found.is_number and found.is_extended_real:
        limit = float(found)
        grows = limit * far > 0 and abs(far) >= abs(near)
        borne_out = grows if math.isinf(limit) else abs(far - limit) <= 0.05 * max(1.0, abs(limit))
        return End(limit, found, (limit, limit)) if borne_out else _unknown()
    if abs(far - near) <= 1e-4 * max(1.0, abs(far)):
        return End(far, None, (far, far), seen=True)
    if far * near > 0 and abs(far) > _GROWS * abs(near):
        limit = math.copysign(math.inf, far)
        return End(limit, None, (limit, limit), seen=True)
    return _unknown()


def _unknown() -> End:
    return End(math.nan, None, (math.nan, math.nan))


def _oscillation(expression: sympy.Expr, found: sympy.AccumBounds, sign: int) -> tuple[float, float]:
    """Bounds that are reached: those of one sine; those of several, taken one by one, are too wide."""
    if any(end.has(sympy.AccumBounds) for end in found.args):
        # SymPy leaves those of several sines one inside the other.
        return math.nan, math.nan
    low, high = float(found.min), float(found.max)
    waves = expression.atoms(sympy.sin, sympy.cos, sympy.tan)
    far = numeric(expression, exact=False)(sign * (_FAR[1] + np.linspace(0.0, 100.0, 10_001)))
    wide = np.min(far) < -_FAR[0] if math.isinf(low) else True
    wide = wide and (np.max(far) > _FAR[0] if math.isinf(high) else True)
    known = len(waves) == 1 or (math.isinf(low) and math.isinf(high))
    return (low, high) if known and wide else (math.nan, math.nan)
