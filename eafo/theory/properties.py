"""Properties of an activation at its default parameters: symbolic where SymPy finds them, each confirmed by numbers.

Jumps, kinks and the smoothness class come from one-sided derivatives at the seams, limits from SymPy's limits where values far
out bear them out. Turning points, steepest points and fixed points are found as numbers (`eafo.theory.shape`), and the range and
the Lipschitz constant are exact as well where SymPy finds the point. What rests on values alone, and what repeats without end, stands
in the notes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import sympy

from eafo import catalog, laws, rendering
from eafo.activation import VARIABLE, Activation
from eafo.catalog import ActivationLike
from eafo.errors import RefusedError
from eafo.laws import Law, LawLike
from eafo.limits import within
from eafo.theory.ends import End, at_infinity
from eafo.theory.extremes import span, steepness
from eafo.theory.monotonicity import MonotonePiece, monotone
from eafo.theory.quadrature import numeric
from eafo.theory.seams import Jump, Kink, meetings
from eafo.theory.shape import (
    CLOSE,
    SECONDS,
    Branch,
    agree,
    branches,
    one_sided,
    roots,
)

__all__ = ["Jump", "Kink", "MonotonePiece", "Properties", "of"]


@dataclass(frozen=True)
class Properties:
    """What an activation is like; see the module's docstring for what is exact.

    Args:
        name: the activation.
        law: the input law of `sparsity` and `saturation`.
        continuous: whether it has no jump.
        jumps: where it jumps.
        kinks: where it has no derivative though it is continuous.
        smoothness: k of the class Cᵏ; −1 where it jumps, `inf` where all derivatives exist; 8 stands for at least 8.
        parity: ``"odd"``, ``"even"`` or ``""``.
        pieces: the monotone pieces, from left to right; on a side where they are endless, those near 0.
        endless: whether monotone pieces follow one another without end towards −∞, towards +∞.
        periods: the period of f′ towards −∞ and +∞; `nan` where it has none.
        range: infimum and supremum; `nan` where a limit is not known.
        exact_range: the same in closed form; None where there is none.
        lipschitz: the least Lipschitz constant, sup |f′|; `inf` where there is none, `nan` where it is not known.
        exact_lipschitz: the same in closed form; None where there is none.
        limits: at −∞ and at +∞; `nan` where there is none.
        growth: lim f(x)/x at −∞ and at +∞; `nan` where there is none.
        zero_at_zero: whether f(0) = 0.
        sparsity: P(f(X) = 0) under the law, from the pieces that are exactly zero.
        saturation: P(f′(X) = 0) under the law, from the pieces that are exactly flat.
        fixed_points: isolated solutions of f(x) = x, those where f − x changes its sign.
        identity: the intervals on which f(x) = x.
        notes: what rests on values alone, and what is left out.
    """

    name: str
    law: str
    continuous: bool
    jumps: tuple[Jump, ...]
    kinks: tuple[Kink, ...]
    smoothness: float
    parity: str
    pieces: tuple[MonotonePiece, ...]
    endless: tuple[bool, bool]
    periods: tuple[float, float]
    range: tuple[float, float]
    exact_range: tuple[sympy.Expr | None, sympy.Expr | None]
    lipschitz: float
    exact_lipschitz: sympy.Expr | None
    limits: tuple[float, float]
    growth: tuple[float, float]
    zero_at_zero: bool
    sparsity: float
    saturation: float
    fixed_points: tuple[float, ...]
    identity: tuple[tuple[float, float], ...]
    notes: tuple[str, ...]

    @property
    def monotone(self) -> bool:
        """Whether it nowhere decreases."""
        falls = any(p.kind == "decreasing" for p in self.pieces)
        return not falls and not any(self.endless) and all(j.left <= j.right for j in self.jumps)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values, closed forms as text; infinities and `nan` stay."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: _plain(value) for name, value in values.items()} | {"monotone": self.monotone}


def _plain(value: Any) -> Any:
    if isinstance(value, sympy.Basic):
        return rendering.text(value)
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def of(activation: ActivationLike, law: LawLike = "normal") -> Properties:
    """The properties of an activation at its default parameters.

    Args:
        activation: any form of an activation.
        law: any form of a law, for the sparsity and the saturation.

    Raises:
        InputError: no such activation or law, or seams that are not found.
        RefusedError: the function has a pole, is not real everywhere, turns without end next to a point, or has values or slopes that
            cannot be computed.

    >>> of("sinerelu").jumps
    (Jump(x=0.0, left=-0.0025, right=0.0),)
    >>> of("srelu").smoothness, of("hardswish").exact_range
    (1, (-3/8, oo))
    """
    act, input_law = catalog.get(activation), laws.get(law)
    try:
        return _examine(act, input_law)
    except (ArithmeticError, NotImplementedError, TypeError) as error:
        raise RefusedError(f"the properties of {act.name} are beyond what SymPy finds ({error})") from error


def _examine(act: Activation, law: Law) -> Properties:
    parts = branches(act)
    for part in parts:
        _require_regular(act, part)
    jumps, kinks, smoothness, notes = meetings(act, parts)
    first, last = parts[0], parts[-1]
    limits = at_infinity(first, -1), at_infinity(last, 1)
    growth = at_infinity(first, -1, over_x=True), at_infinity(last, 1, over_x=True)
    endless = first.endless(-1), last.endless(1)
    bounds, exact_bounds = span(parts, limits)
    steepest, exact_steepest = (math.inf, sympy.oo) if jumps else steepness(parts)
    if any(part.beyond for part in parts):
        exact_bounds, exact_steepest = (None, None), None
    return Properties(
        name=act.name,
        law=str(law),
        continuous=not jumps,
        jumps=jumps,
        kinks=kinks,
        smoothness=smoothness,
        parity=_parity(act, parts),
        pieces=monotone(parts),
        endless=endless,
        periods=(first.period if endless[0] else math.nan, last.period if endless[1] else math.nan),
        range=bounds,
        exact_range=exact_bounds,
        lipschitz=steepest,
        exact_lipschitz=exact_steepest,
        limits=(limits[0].limit, limits[1].limit),
        growth=(growth[0].limit, growth[1].limit),
        zero_at_zero=float(act(0.0)) == 0.0,
        sparsity=_share(law, [b for b in parts if b.expression == 0]),
        saturation=_share(law, [b for b in parts if b.flat]),
        fixed_points=_fixed_points(parts),
        identity=tuple((b.lower, b.upper) for b in parts if b.expression == VARIABLE),
        notes=(*notes, *_notes(parts, limits, endless)),
    )


def _require_regular(act: Activation, branch: Branch) -> None:
    """Refuse a branch that is not real and finite inside its interval."""

    # A tower of powers has values whose digits alone fill the memory.
    def told(at: float) -> bool:
        return within(SECONDS / 5, lambda: branch.value(at), None) is not None

    known = told(max(branch.lower, -branch.reach)) and told(min(branch.upper, branch.reach))
    values = within(10 * SECONDS, lambda: branch.value(branch.grid), None) if known else None
    if values is None:
        raise RefusedError(f"the properties of {act.name} need values that can be computed", "huge numbers")
    if branch.endless_at is not None:
        raise RefusedError(
            f"the properties of {act.name} need a function that turns finitely often near each point",
            f"turns without end next to x = {branch.endless_at}",
            "give it another formula there, as where(abs(x) > 0.01, …, 0) does near 0",
        )
    singular = [(p, agree(*limits)) for p, limits in branch.singular if branch.lower < p < branch.upper]
    inside = [p for p, removable in singular if not removable]
    # A value of its own is a seam, unless it is the limit.
    holes = [float(p) for p, _ in singular if math.isnan(float(act(float(p))))]
    missing = np.append(branch.grid[np.isnan(values)], holes)
    if missing.size or inside or branch.expression.has(sympy.tan):
        where = "the poles of a tangent"
        if inside:
            where = f"a pole at x = {inside[0]}"
        elif missing.size and not branch.expression.has(sympy.tan):
            where = f"values that are not real, as at x = {missing[np.argmin(np.abs(missing))]:.6g}"
        raise RefusedError(f"the properties of {act.name} need a function that is real and finite", where)
    unknown = branch.grid[np.isnan(branch.slope(branch.grid))] if branch.oscillating else np.empty(0)
    if unknown.size:
        raise RefusedError(
            f"the properties of {act.name} need slopes that double precision can tell beside a sine",
            f"none at x = {unknown[np.argmin(np.abs(unknown))]:.6g}",
            "use exponentials of smaller multiples of x",
        )


def _parity(act: Activation, parts: Sequence[Branch]) -> str:
    """Odd or even: the seams mirror each other, and so do values at points of many sizes that are not all zero, to rounding."""
    ends = {part.lower for part in parts[1:]}
    if ends != {-end for end in ends} or any(part.beyond for part in parts):
        return ""
    named = np.concatenate([np.abs(part.named) for part in parts])
    x = np.concatenate([np.linspace(0.0, 12.0, 1201), np.geomspace(12.0, 1e4, 101), named])
    right, left = act(x), act(-x)
    known = np.abs(np.concatenate([right, left]))
    size = float(np.max(known[np.isfinite(known)], initial=0.0))
    if not size and not all(part.flat for part in parts):
        return ""
    close = CLOSE * np.maximum(min(1.0, size), np.abs(right))
    for parity, mirrored in (("odd", -left), ("even", left)):
        # An infinity equals itself, and its difference from itself is no number.
        with np.errstate(invalid="ignore"):
            if np.all((right == mirrored) | (np.abs(right - mirrored) <= close)):
                return parity
    return ""


def _share(law: Law, parts: Sequence[Branch]) -> float:
    cdf = law.numeric.cdf
    return float(sum(cdf(b.upper) - cdf(b.lower) for b in parts))


def _fixed_points(parts: Sequence[Branch]) -> tuple[float, ...]:
    points: list[float] = []
    for b in parts:
        if b.expression == VARIABLE:
            continue
        points += roots(numeric(b.expression - VARIABLE, exact=not b.oscillating), b.grid)
    # Where it jumps the value counts, and neither limit.
    seams = [(b.upper, float(b.at_right), float(one_sided(b, b.right, 0))) for b in parts[:-1]]
    points += [at for at, value, limit in seams if abs((limit if math.isnan(value) else value) - at) < CLOSE]
    inside = [(b.lower, b.upper) for b in parts if b.expression == VARIABLE]
    free = [p for p in sorted(points) if not any(low <= p <= high for low, high in inside)]
    return tuple(p for i, p in enumerate(free) if i == 0 or p - free[i - 1] > 1e-9)


def _meets_the_diagonal(part: Branch, sign: int) -> bool:
    """Whether f(x) − x changes its sign further out than an oscillating branch is searched."""
    if not part.oscillating or math.isfinite(part.lower if sign < 0 else part.upper):
        return False
    far = sign * part.reach * np.linspace(1.0, 11.0, 50_001)
    apart = part.value(far) - far
    clear = np.sign(apart[np.abs(apart) > 1e-13 * np.abs(far)])
    return bool(np.any(clear[:-1] * clear[1:] < 0))


def _notes(parts: Sequence[Branch], limits: tuple[End, End], endless: tuple[bool, bool]) -> list[str]:
    notes = [
        f"turns at which f′ is smaller than 10⁻¹⁴, as near x = {part.lost_turn:.3g}, are not listed"
        for part in parts
        if not math.isnan(part.lost_turn)
    ]
    notes += [
        f"the formula's numbers point beyond ±{part.reach:.6g}, where turns and slopes are not searched"
        for part in parts
        if part.beyond
    ]
    for part, end, without_end, where in zip(
        (parts[0], parts[-1]), limits, endless, ("−∞", "+∞"), strict=True
    ):
        if without_end:
            period = "" if math.isnan(part.period) else f" with the period {part.period:.6g} of f′"
            notes.append(
                f"turns without end towards {where}{period}: the pieces within ±{part.reach:.6g} are listed"
            )
        if _meets_the_diagonal(part, -1 if where == "−∞" else 1):
            notes.append(
                f"f(x) = x has solutions towards {where} beyond ±{part.reach:.6g}, which are not listed"
            )
        if end.seen:
            notes.append(f"the limit at {where} is what values at 10³ and 10⁶ tell")
        elif math.isnan(end.limit) and not without_end:
            notes.append(f"the limit at {where} is not known")
    return notes
