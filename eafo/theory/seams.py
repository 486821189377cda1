"""Where two branches of an activation meet: jumps, kinks and the smoothness class, from one-sided derivatives."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import sympy

from eafo.activation import VARIABLE, Activation
from eafo.branching import branch_at
from eafo.limits import within
from eafo.theory.shape import SECONDS, Branch, agree, cut, one_sided, size_at

__all__ = ["Jump", "Kink", "meetings"]

_HIGHEST_ORDER = 8


@dataclass(frozen=True)
class Jump:
    """A point where the function is not continuous.

    Where its value there lies beyond both limits there are two: from the left limit to the value, and on to the right limit.

    Args:
        x: where.
        left: the limit from the left, or the value at x.
        right: the limit from the right, or the value at x.
        size: right − left in the activation's parameters; None where it is not finite.
    """

    x: float
    left: float
    right: float
    size: sympy.Expr | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Kink:
    """A point where the function is continuous but has no derivative."""

    x: float
    left_slope: float
    right_slope: float


def meetings(
    activation: Activation, parts: Sequence[Branch]
) -> tuple[tuple[Jump, ...], tuple[Kink, ...], float, tuple[str, ...]]:
    """The jumps, the kinks, the smoothness class, and notes on what was not asked.

    Args:
        activation: the activation.
        parts: its branches.
    """
    jumps, kinks, smoothness, notes = [], [], math.inf, []
    for place, (left, right) in enumerate(itertools.pairwise(parts)):
        at = left.upper
        for order in range(_HIGHEST_ORDER + 1):
            ends = _at(left, left.right, order), _at(right, left.right, order)
            size = size_at(at, left, right, order=order)
            apart = order == 0 and _apart(left.at_right, *ends, size)
            if not apart and agree(*ends, size=size):
                continue
            smoothness = min(smoothness, order - 1)
            if order == 0:
                steps = (ends[0], float(left.at_right), ends[1]) if apart else ends
                jumps += [
                    Jump(at, *step, height)
                    for step, height in zip(
                        itertools.pairwise(steps), _sizes(activation, place, apart), strict=True
                    )
                ]
            elif order == 1:
                kinks.append(Kink(at, *ends))
            break
        else:
            smoothness = min(smoothness, _HIGHEST_ORDER)
            notes.append(
                f"at x = {at:g} the derivatives agree up to order {_HIGHEST_ORDER}; higher ones were not asked"
            )
    return tuple(jumps), tuple(kinks), smoothness, tuple(notes)


def _at(branch: Branch, at: sympy.Expr, order: int) -> float:
    return float(one_sided(branch, at, order).evalf())


def _apart(value: sympy.Expr, left: float, right: float, size: float) -> bool:
    """Whether the value at a seam lies beyond both limits."""
    if value is sympy.nan:
        return False
    number = float(value)
    outside = not min(left, right) <= number <= max(left, right)
    return outside and not any(agree(number, limit, size=size) for limit in (left, right))


def _sizes(activation: Activation, place: int, apart: bool) -> list[sympy.Expr | None]:
    """The jumps after the branch at this place, in the activation's parameters; None where a value there is not finite."""
    left, right = cut(activation)[place : place + 2]
    values = [piece.expression.subs(VARIABLE, left.upper) for piece in (left, right)]
    if apart:
        at_default = {p.symbol: sympy.Rational(repr(p.default)) for p in activation.parameters}
        here = branch_at(activation.expression, left.upper.xreplace(at_default), at_default)
        values.insert(1, here.subs(VARIABLE, left.upper))
    return [_simple(after - before) for before, after in itertools.pairwise(values)]


def _simple(size: sympy.Expr) -> sympy.Expr | None:
    unknown = size.is_finite is False or size.has(sympy.nan)
    return None if unknown else within(SECONDS, lambda: sympy.simplify(size), size)
