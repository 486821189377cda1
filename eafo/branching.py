"""Branches of an expression: min, max and |x| as cases, the seams between them, and derivatives across them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import sympy

from eafo.errors import InputError
from eafo.formula import VARIABLE

__all__ = ["Piece", "branch_at", "branches", "derivative", "pieces"]


@dataclass(frozen=True)
class Piece:
    """A branch of an activation on an interval: ``expression`` holds for ``lower < x < upper``."""

    expression: sympy.Expr
    lower: sympy.Expr
    upper: sympy.Expr


def branches(expression: sympy.Expr) -> sympy.Expr:
    """Write min and max as branches, so that derivatives follow PyTorch's convention at the seams.

    Constants stand in the last branch: relu′(0) = 0 and hardtanh′(±1) = 0, as in PyTorch. Abs stays; its derivative is
    the sign, 0 at 0.

    >>> branches(sympy.Max(0, VARIABLE))
    Piecewise((x, x > 0), (0, True))
    """

    def fold(kind: Any, args: list[Any]) -> Any:
        if len(args) == 1:
            return args[0]
        for i, arg in enumerate(args):
            folded = sympy.piecewise_fold(arg)
            if isinstance(folded, sympy.Piecewise):
                others = args[:i], args[i + 1 :]
                return sympy.Piecewise(
                    *((branches(kind(*others[0], value, *others[1])), when) for value, when in folded.args)
                )
        first, *rest = sorted(args, key=lambda a: (a.is_number, sympy.default_sort_key(a)))
        if len(rest) > 1:
            return fold(kind, [first, fold(kind, rest)])
        (other,) = rest
        return sympy.Piecewise((first, first > other if kind is sympy.Max else first < other), (other, True))

    return expression.replace(
        lambda e: isinstance(e, (sympy.Max, sympy.Min)), lambda e: fold(type(e), list(e.args))
    )


def derivative(expression: sympy.Expr, symbol: sympy.Symbol = VARIABLE) -> sympy.Expr:
    """Differentiate branch by branch; a jump contributes nothing, as in automatic differentiation.

    >>> derivative(sympy.Max(0, VARIABLE) ** 2)
    Piecewise((2*x, x > 0), (0, True))
    """
    result = branches(expression).diff(symbol)
    return result.replace(sympy.DiracDelta, lambda *_: sympy.S.Zero)


def pieces(expression: sympy.Expr, at_default: Mapping[Any, Any]) -> tuple[Piece, ...]:
    """The branches of an expression from left to right, seams symbolic, in the order they have at `at_default`.

    Raises:
        InputError: the seams cannot be found, or are infinitely many.

    >>> pieces(sympy.Max(0, VARIABLE), {})
    (Piece(expression=0, lower=-oo, upper=0), Piece(expression=x, lower=0, upper=oo))
    """
    whole = sympy.piecewise_fold(branches(expression.rewrite(sympy.Abs, sympy.Piecewise)))
    whole = sympy.piecewise_fold(_open_signs(whole))
    ends_inside = sorted(_seams(whole), key=lambda s: float(s.xreplace(at_default)))
    ends = [-sympy.oo, *ends_inside, sympy.oo]
    result: list[Piece] = []
    for lower, upper in itertools.pairwise(ends):
        low, high = (sympy.sympify(e).xreplace(at_default) for e in (lower, upper))
        if low == high:
            continue
        value = branch_at(whole, _between(low, high), at_default)
        if result and result[-1].expression == value:
            result[-1] = replace(result[-1], upper=upper)
        else:
            result.append(Piece(value, lower, upper))
    return tuple(result)


def _open_signs(expression: sympy.Expr) -> sympy.Expr:
    """Abs and sign as branches."""

    def sign(u: Any) -> Any:
        return sympy.Piecewise((1, u > 0), (-1, u < 0), (0, True))

    def absolute(u: Any) -> Any:
        return sympy.Piecewise((u, u > 0), (-u, True))

    return expression.replace(sympy.Abs, absolute).replace(sympy.sign, sign)


def _seams(expression: sympy.Expr) -> set[sympy.Expr]:
    """Where the branches meet: the roots of the conditions' boundaries."""
    seams: set[sympy.Expr] = set()
    for relation in expression.atoms(sympy.core.relational.Relational):
        boundary = relation.lhs - relation.rhs
        if VARIABLE in boundary.free_symbols:
            seams.update(_roots(boundary))
    return seams


def _roots(boundary: sympy.Expr) -> list[sympy.Expr]:
    """The real roots of a condition's boundary.

    Raises:
        InputError: there are infinitely many, or SymPy does not find them.
    """
    rule = "the seams between the branches must be finitely many, and such that SymPy finds them"
    if boundary.has(sympy.sin, sympy.cos, sympy.tan):
        raise InputError(rule, f"{boundary} = 0")
    if boundary.is_polynomial(VARIABLE) and boundary.free_symbols == {VARIABLE}:
        return list(dict.fromkeys(sympy.real_roots(boundary)))
    try:
        return [r for r in sympy.solve(boundary, VARIABLE) if r.is_real is not False]
    except NotImplementedError as error:
        raise InputError(rule, f"{boundary} = 0") from error


def _between(low: sympy.Expr, high: sympy.Expr) -> sympy.Expr:
    if low.is_infinite and high.is_infinite:
        return sympy.S.Zero
    if low.is_infinite:
        return high - 1
    return low + 1 if high.is_infinite else (low + high) / 2


def branch_at(
    expression: sympy.Expr, point: sympy.Expr, at_default: Mapping[Any, Any] | None = None
) -> sympy.Expr:
    """The branch that holds at a point; conditions see the parameters at `at_default`, the result keeps them symbolic.

    >>> branch_at(sympy.Piecewise((VARIABLE, VARIABLE > 0), (0, True)), sympy.Integer(-1))
    0
    """
    seen = {VARIABLE: point, **(at_default or {})}

    def choose(node: Any) -> Any:
        for value, condition in node.args:
            if condition == sympy.true or condition.xreplace(seen) == sympy.true:
                return value
        return sympy.nan

    while expression.has(sympy.Piecewise):
        expression = expression.replace(lambda e: isinstance(e, sympy.Piecewise), choose)
    return expression
