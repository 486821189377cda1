"""The inverse y = f⁻¹ of an increasing branch, in closed form where SymPy finds one."""

from __future__ import annotations

import sympy

from eafo.activation import VARIABLE
from eafo.limits import within
from eafo.theory.variation import Z

__all__ = ["closed_form"]

_SECONDS = 2.0


def closed_form(function: sympy.Expr, point: float) -> sympy.Expr | None:
    """y(z) with f(y(z)) = z, the root that passes through x = `point`; None where none is found in two seconds.

    >>> closed_form(sympy.log(1 + sympy.exp(VARIABLE)), 1.0)
    log(exp(z) - 1)
    """
    if function.has(sympy.Piecewise, sympy.Abs):
        return None
    roots: list[sympy.Expr] = within(_SECONDS, lambda: sympy.solve(function - Z, VARIABLE), [])
    value = function.subs(VARIABLE, point)
    for root in roots:
        try:
            if abs(complex(root.subs(Z, value).evalf()) - point) < 1e-9:
                return sympy.simplify(root)
        except TypeError:
            continue
    return None
