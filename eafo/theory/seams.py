"""Where two branches of an activation meet: jumps, kinks and the smoothness class, from one-sided derivatives."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import sympy

from eafo.activation import VARIABLE, Activation
from eafo.limits import within
from eafo.theory.shape import CLOSE, SECONDS, Branch, one_sided

__all__ = ["Jump", "Kink", "meetings"]

_HIGHEST_ORDER = 8


@dataclass(frozen=True)
class Jump:
    """A point where the function is not continuous.

    Args:
        x: where.
        left: the limit from the left.
        right: the limit from the right.
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
            if all(map(math.isfinite, ends)) and abs(ends[1] - ends[0]) <= CLOSE * max(1.0, *map(abs, ends)):
                continue
            smoothness = min(smoothness, order - 1)
            if order == 0:
                jumps.append(Jump(at, *ends, _size(activation, place)))
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


def _size(activation: Activation, place: int) -> sympy.Expr | None:
    """The jump after the branch at this place, in the activation's parameters; None where a value there is not finite."""
    left, right = activation.pieces()[place : place + 2]
    size = right.expression.subs(VARIABLE, left.upper) - left.expression.subs(VARIABLE, left.upper)
    return within(SECONDS, lambda: sympy.simplify(size), size) if size.is_finite is not False else None
