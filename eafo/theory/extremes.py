"""The range of an activation and its least Lipschitz constant, as numbers and, where SymPy finds the point, in closed form."""

from __future__ import annotations

import math
from collections.abc import Sequence

import sympy

from eafo.activation import VARIABLE
from eafo.theory.ends import End, at_infinity
from eafo.theory.shape import Branch, exact_form, one_sided

__all__ = ["span", "steepness"]


def span(
    parts: Sequence[Branch], limits: tuple[End, End]
) -> tuple[tuple[float, float], tuple[sympy.Expr | None, sympy.Expr | None]]:
    """Infimum and supremum, and both in closed form where there is one.

    Args:
        parts: the branches.
        limits: at −∞ and at +∞.
    """
    values: list[float] = []
    exact: list[sympy.Expr] = []
    for part in parts:
        seams = [one_sided(part, e, 0) for e in (part.left, part.right) if e.is_finite]
        known = [part.expression] if part.flat else seams
        known += [part.at_right] if part.at_right is not sympy.nan else []
        exact += known
        values += map(float, known)
        values += [float(part.value(r)) for r in part.turning_points]
    for part, end in ((parts[0], limits[0]), (parts[-1], limits[1])):
        # The turning points of a whole period say all.
        if not (math.isnan(end.limit) and part.repeats):
            values += end.bounds
            exact += (
                [end.exact]
                if end.exact is not None
                else [sympy.nsimplify(b) for b in end.bounds if math.isfinite(b)]
            )
    if any(map(math.isnan, values)):
        return (math.nan, math.nan), (None, None)
    span = min(values), max(values)
    size = max(part.size(0) for part in parts)
    forms = exact_form(span[0], exact, size), exact_form(span[1], exact, size)
    if None in forms:
        turning = [p.expression.subs(VARIABLE, r) for p in parts for r in p.exact_points(1)]
        inner = exact_form(span[0], turning, size), exact_form(span[1], turning, size)
        forms = inner[0] if forms[0] is None else forms[0], inner[1] if forms[1] is None else forms[1]
    low, high = (end if form is None else float(form) for end, form in zip(span, forms, strict=True))
    return (low, high), forms


def steepness(parts: Sequence[Branch]) -> tuple[float, sympy.Expr | None]:
    """The least upper bound of |f′|: at the branches' ends, where f″ changes its sign, and towards ±∞."""
    slopes: list[float] = []
    exact: list[sympy.Expr] = []
    for part in parts:
        seams = [one_sided(part, e, 1) for e in (part.left, part.right) if e.is_finite]
        exact += seams
        slopes += [float(s.evalf()) for s in seams]
        slopes += [float(part.slope(r)) for r in part.steepest_points]
    for part, sign in ((parts[0], -1), (parts[-1], 1)):
        end = at_infinity(part, sign, 1)
        if not (math.isnan(end.limit) and not math.isnan(part.period)):
            slopes += end.bounds
            exact += [] if end.exact is None else [end.exact]
    steepest = max(map(abs, slopes)) if not any(map(math.isnan, slopes)) else math.nan
    if any(map(math.isinf, slopes)):
        return math.inf, sympy.oo
    size = max(part.size(1) for part in parts)
    form = exact_form(steepest, map(sympy.Abs, exact), size)
    if form is None:
        inside = [
            sympy.Abs(sympy.diff(p.expression, VARIABLE).subs(VARIABLE, r))
            for p in parts
            for r in p.exact_points(2)
        ]
        form = exact_form(steepest, inside, size)
    return steepest if form is None else float(form), form
