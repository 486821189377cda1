"""Branches of an expression: min, max and |x| as cases, the seams between them, and derivatives across them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import sympy

from eafo.errors import InputError
from eafo.formula import VARIABLE

__all__ = ["Piece", "branch_at", "branches", "derivative", "pieces", "seams"]

#: To so many digits roots are told apart, and up to this a root's imaginary part is rounding.
_DIGITS, _ROUNDING = 30, 1e-20
#: Strictly increasing, and 0 at 0 alone.
_THROUGH_ZERO = (sympy.tanh, sympy.sinh, sympy.asinh, sympy.atan, sympy.erf)


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
        try:
            return sympy.Piecewise(
                (first, first > other if kind is sympy.Max else first < other), (other, True)
            )
        except RecursionError:
            # SymPy turns some conditions between rational functions round and round; their difference has one form.
            gap = first - other
            return sympy.Piecewise((first, gap > 0 if kind is sympy.Max else gap < 0), (other, True))

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
    whole = _opened(expression)
    ends = [-sympy.oo, *_seams(whole, at_default), sympy.oo]
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


def seams(expression: sympy.Expr, at_default: Mapping[Any, Any]) -> tuple[sympy.Expr, ...]:
    """Where a condition may change, from left to right: between two branches, or at a single point inside one.

    Raises:
        InputError: as `pieces`.

    >>> seams(sympy.Piecewise((5, sympy.Eq(VARIABLE, 1)), (VARIABLE, True)), {})
    (1,)
    """
    return tuple(_seams(_opened(expression), at_default))


def _opened(expression: sympy.Expr) -> sympy.Expr:
    """The expression as cases, none inside another."""
    whole = sympy.piecewise_fold(branches(expression.rewrite(sympy.Abs, sympy.Piecewise)))
    return sympy.piecewise_fold(_open_signs(whole))


def _open_signs(expression: sympy.Expr) -> sympy.Expr:
    """Abs and sign as branches."""

    def sign(u: Any) -> Any:
        return sympy.Piecewise((1, u > 0), (-1, u < 0), (0, True))

    def absolute(u: Any) -> Any:
        return sympy.Piecewise((u, u > 0), (-u, True))

    return expression.replace(sympy.Abs, absolute).replace(sympy.sign, sign)


def _seams(expression: sympy.Expr, at_default: Mapping[Any, Any]) -> list[sympy.Expr]:
    """Where the branches meet, from left to right: where the conditions' boundaries vanish or have a pole."""
    found: dict[sympy.Expr, float] = {}
    for relation in expression.atoms(sympy.core.relational.Relational):
        boundary = relation.lhs - relation.rhs
        for root in _roots(boundary):
            value = sympy.N(root.xreplace(at_default), _DIGITS)
            real, imaginary = value.as_real_imag()
            if imaginary == 0 and real.is_number:
                found[root] = float(real)
            elif not abs(imaginary) >= _ROUNDING:
                # A real root by way of complex numbers, which SymPy cannot compare with a point.
                raise _not_found(boundary)
    return sorted(found, key=lambda seam: found[seam])


def _roots(boundary: sympy.Expr) -> list[sympy.Expr]:
    """The roots and poles of a condition's boundary, among them all real ones.

    Raises:
        InputError: there are infinitely many, or neither SymPy nor a polynomial's numeric roots find them.
    """
    if VARIABLE not in boundary.free_symbols or boundary.is_positive or boundary.is_negative:
        return []
    if any(VARIABLE in wave.free_symbols for wave in boundary.atoms(sympy.sin, sympy.cos, sympy.tan)):
        raise _not_found(boundary)
    if boundary.is_Mul:
        return list(dict.fromkeys(itertools.chain(*map(_roots, boundary.args))))
    if boundary.is_Pow and VARIABLE not in boundary.exp.free_symbols:
        return _roots(boundary.base)
    if isinstance(boundary, _THROUGH_ZERO):
        return _roots(boundary.args[0])
    if boundary.free_symbols == {VARIABLE} and boundary.is_rational_function(VARIABLE):
        return _polynomial_roots(sympy.Mul(*sympy.fraction(sympy.together(boundary))))
    try:
        return [r for r in sympy.solve(boundary, VARIABLE) if r.is_real is not False]
    except (NotImplementedError, TypeError, ValueError, ArithmeticError) as error:
        raise _not_found(boundary) from error


def _not_found(boundary: sympy.Expr) -> InputError:
    remedy = "write the parameters as numbers" if boundary.free_symbols - {VARIABLE} else ""
    return InputError(
        "the seams between the branches must be finitely many, and such that SymPy finds them",
        f"{boundary} = 0",
        remedy,
    )


def _polynomial_roots(polynomial: sympy.Expr) -> list[sympy.Expr]:
    """The real roots, exact where SymPy can tell them apart, else as numbers of many digits."""
    # Without multiple roots, which rounding would make complex.
    simple = sympy.Poly(polynomial, VARIABLE).sqf_part()
    if simple.degree() < 1:
        return []
    try:
        return list(simple.real_roots())
    except NotImplementedError:
        if simple.degree() <= 2:
            return list(sympy.solve(simple.as_expr(), VARIABLE))
        return [root for root in simple.nroots(n=_DIGITS, maxsteps=500) if root.is_real]


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
