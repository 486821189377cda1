"""The monotone pieces of an activation."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import sympy

from eafo.theory.shape import Branch, agree, one_sided, size_at

__all__ = ["MonotonePiece", "monotone"]


@dataclass(frozen=True)
class MonotonePiece:
    """An interval on which the function is ``"increasing"``, ``"decreasing"`` or ``"flat"``."""

    lower: float
    upper: float
    kind: str


def monotone(parts: Iterable[Branch]) -> tuple[MonotonePiece, ...]:
    """The monotone pieces from left to right, cut at jumps; where they follow one another without end, those inside the reach."""
    found: list[MonotonePiece] = []
    before: Branch | None = None
    for branch in parts:
        joined = before is not None and _meet(before, branch)
        for piece in _pieces(branch):
            if joined and found[-1].kind == piece.kind:
                found[-1] = MonotonePiece(found[-1].lower, piece.upper, piece.kind)
            else:
                found.append(piece)
            joined = True
        before = branch
    return tuple(found)


def _meet(left: Branch, right: Branch) -> bool:
    """Whether two neighbouring branches have one value at their seam, and the activation the same."""
    ends = float(one_sided(left, left.right, 0)), float(one_sided(right, left.right, 0))
    value = [] if left.at_right is sympy.nan else [float(left.at_right)]
    return agree(*ends, *value, size=size_at(left.upper, left, right))


def _pieces(branch: Branch) -> list[MonotonePiece]:
    if branch.flat:
        return [MonotonePiece(branch.lower, branch.upper, "flat")]
    inner = branch.turning_points
    left = [] if branch.endless(-1) else [branch.lower]
    right = [] if branch.endless(1) else [branch.upper]
    result: list[MonotonePiece] = []
    for low, high in itertools.pairwise([*left, *inner, *right]):
        slopes = branch.slope(branch.grid[(branch.grid > low) & (branch.grid < high)])
        # The steepest point decides: where f is flat to rounding the sign says nothing.
        rising = slopes.size == 0 or float(slopes[np.argmax(np.abs(slopes))]) >= 0
        result.append(MonotonePiece(low, high, "increasing" if rising else "decreasing"))
    return result
