"""Branch and bound: a proved extreme of an objective that encloses itself over boxes.

The interval is covered by boxes. On each the objective tells intervals that contain its values and its slopes; the
tightest of three forms counts (see `eafo.theory.enclosures`). The box of largest bound is halved until that bound exceeds a
value certainly attained at some point by no more than the tolerance. As every box's bound is proved, so is their
maximum. An unbounded box [R, ∞) is cut at 2 R, and counts as a whole once its objective is bounded there provably; so
nothing is truncated.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import sympy

from eafo.errors import InputError, RefusedError

if TYPE_CHECKING:
    from eafo.theory.enclosures import Jet
    from eafo.theory.intervals import Interval

__all__ = ["Bound", "End", "Kind", "Objective", "as_number", "search"]

#: An end of an interval: a number, ±math.inf, or text such as "oo", "-oo" and "0.5".
End: TypeAlias = float | str | sympy.Expr
#: From a box to enclosures of values and slopes, branches chosen by a box around it where one is given; raises
#: UndefinedError where it has no value.
Objective: TypeAlias = "Callable[[Interval, Interval | None], Jet]"
Kind: TypeAlias = Literal["modulus", "maximum", "minimum"]

_BITS = 96
_MOST_BOXES = 20_000
#: As many boxes without any finite bound mean that none will be found.
_MOST_ENDLESS = 1000
_FARTHEST = 2.0**24
_NARROWEST = 2.0**-60


@dataclass(frozen=True)
class Bound:
    """A proved upper bound of a supremum, and how tight it is.

    Args:
        what: the quantity bounded.
        upper: no value in the interval exceeds this; proved.
        lower: a value not below this is attained at `point`; proved as well.
        point: a point of the interval.
        interval: the ends of the interval, ±inf where it has none.
        boxes: how many boxes the proof uses.
        bits: the precision of the ball arithmetic.
        epsilon: the size of the correction, where there is one.
    """

    what: str
    upper: float
    lower: float
    point: float
    interval: tuple[float, float]
    boxes: int
    bits: int
    epsilon: float | None = None

    def __str__(self) -> str:
        at = "" if self.epsilon is None else f" at ε = {self.epsilon:g}"
        low, high = (f"{e:g}".replace("inf", "∞") for e in self.interval)
        return (
            f"{self.what} ≤ {_up(self.upper)}{at} on ({low}, {high}), proved by ball arithmetic on {self.boxes} boxes; "
            f"at x = {self.point:.6g} it is at least {_down(self.lower)}"
        )


def _up(value: float) -> str:
    """Six digits, rounded up: a printed bound is a bound."""
    text = f"{value:.6g}"
    return text if float(text) >= value else f"{value + abs(value) * 1e-5:.6g}"


def _down(value: float) -> str:
    text = f"{value:.6g}"
    return text if float(text) <= value else f"{value - abs(value) * 1e-5:.6g}"


class _Search:
    """Branch and bound for one extreme of an objective."""

    def __init__(self, objective: Objective, kind: Kind) -> None:
        self.objective, self.kind = objective, kind
        self.heap: list[tuple[float, int, Interval]] = []
        self.count = itertools.count()
        self.best, self.point, self.endless = -math.inf, math.nan, 0

    def score(self, value: Interval) -> tuple[float, float]:
        """Proved bounds of what is maximised."""
        if self.kind == "modulus":
            value = abs(value)
        low, high = (-value if self.kind == "minimum" else value).floats()
        return low, high

    def add(self, box: Interval) -> None:
        """Bound the objective on a box and keep it."""
        from eafo.theory.intervals import UndefinedError  # noqa: PLC0415 - FLINT is loaded where it is needed

        middle = _middle(box)
        if self.try_point(middle) is None and box.lo < middle < box.hi:
            raise _undefined(middle)
        try:
            upper = self.score(self.enclose(box))[1]
        except UndefinedError:
            upper = math.inf
        count = next(self.count)
        # Of unbounded boxes the newest comes first, so that a pole is found after few halvings.
        heapq.heappush(self.heap, (-upper, count if math.isfinite(upper) else -count, box))

    def try_point(self, point: Any) -> Interval | None:
        """The objective at a point, remembered where it is the best yet; None where it has no value."""
        from eafo.theory.intervals import Interval, UndefinedError  # noqa: PLC0415 - as above

        try:
            value = self.objective(Interval(point, point), None).value
        except UndefinedError:
            return None
        low = self.score(value)[0]
        if low > self.best:
            self.best, self.point = low, float(point)
        return value

    def enclose(self, box: Interval) -> Interval:
        """The tightest of the three forms."""
        from eafo.theory.intervals import Interval, UndefinedError, hull  # noqa: PLC0415 - as above

        jet = self.objective(box, None)
        value, slope = jet.value, jet.slope
        if not box.bounded:
            return value
        middle = _middle(box)
        if (at := self.try_point(middle)) is not None:
            value = value.meet(at + slope * (box - Interval(middle, middle)))
        if slope.lo >= 0 or slope.hi <= 0:
            # The limits from inside, which a seam through an end separates from the values there.
            with contextlib.suppress(UndefinedError):
                ends = [self.objective(Interval(e, e), box).value for e in (box.lo, box.hi)]
                value = value.meet(hull(*ends))
        return value

    def run(self, relative: float, absolute: float) -> float:
        """Halve the worst box until its bound is near enough to the best value; returns the bound."""
        while True:
            upper = -self.heap[0][0]
            if upper - self.best <= max(relative * abs(self.best), absolute) and math.isfinite(upper):
                return upper
            box = heapq.heappop(self.heap)[2]
            made = next(self.count)
            self.endless += math.isinf(upper)
            if self.endless > _MOST_ENDLESS:
                raise _undefined(_middle(box))
            if made > _MOST_BOXES:
                raise RefusedError(
                    f"the bound cannot be proved with {_MOST_BOXES} boxes: it lies between {self.best:.6g} and {upper:.6g}"
                )
            for half in _halves(box):
                self.add(half)


def _undefined(point: Any) -> RefusedError:
    return RefusedError(
        "a bound can be proved where the expression is finite and real", f"x near {float(point):.6g}"
    )


def _middle(box: Interval) -> Any:
    """A point inside the box, its midpoint where there is one."""
    from flint import arb  # noqa: PLC0415 - FLINT is loaded where it is needed

    if box.bounded:
        return ((box.lo + box.hi) / 2).mid()
    if box.lo.is_finite():
        return max(2 * box.lo, arb(1))
    return min(2 * box.hi, arb(-1)) if box.hi.is_finite() else arb(0)


def _halves(box: Interval) -> tuple[Interval, Interval]:
    from eafo.theory.intervals import Interval  # noqa: PLC0415 - FLINT is loaded where it is needed

    cut = _middle(box)
    if box.bounded and not box.hi - box.lo > _NARROWEST * (1 + abs(cut)):
        raise _undefined(cut)
    if abs(cut) > _FARTHEST:
        raise RefusedError(
            "a bound on an unbounded interval can be proved where the expression decays at infinity",
            f"no proof beyond |x| = {_FARTHEST:.3g}",
            "choose a bounded interval",
        )
    return Interval(box.lo, cut), Interval(cut, box.hi)


def _end(value: End, side: Literal["lower", "upper"]) -> Any:
    """An end of the interval as an exact number, rounded outwards."""
    from flint import arb  # noqa: PLC0415 - FLINT is loaded where it is needed

    from eafo.theory.enclosures import Evaluation  # noqa: PLC0415 - as above
    from eafo.theory.intervals import Interval  # noqa: PLC0415 - as above

    if isinstance(value, sympy.Expr) and value.is_finite and value.is_real and not value.free_symbols:
        found = Evaluation(Interval.exact(0)).of(value).value
        return found.lo if side == "lower" else found.hi
    number = as_number(value)
    if math.isinf(number):
        return arb.pos_inf() if number > 0 else arb.neg_inf()
    return arb(number)


def as_number(value: End) -> float:
    """An end of an interval as a double.

    Raises:
        InputError: it is no number.

    >>> as_number("-oo"), as_number(sympy.pi)
    (-inf, 3.141592653589793)
    """
    named = {"oo": math.inf, "+oo": math.inf, "-oo": -math.inf}
    try:
        number = named[value] if isinstance(value, str) and value in named else float(value)
    except (TypeError, ValueError) as error:
        raise InputError("an end of an interval must be a number, 'oo' or '-oo'", value) from error
    if math.isnan(number):
        raise InputError("an end of an interval must be a number, 'oo' or '-oo'", number)
    return number


def search(
    objective: Objective,
    lower: End,
    upper: End,
    *,
    what: str = "the objective",
    cuts: tuple[sympy.Rational, ...] = (sympy.S.Zero,),
    kind: Kind = "modulus",
    relative: float = 0.01,
    absolute: float = 0.0,
) -> Bound:
    """A proved extreme of an objective that encloses itself over boxes; see `supremum` for expressions.

    Args:
        objective: from a box to enclosures of values and slopes.
        lower: the lower end of the interval.
        upper: its upper end.
        what: the quantity's name.
        cuts: points where boxes must end.
        kind: sup |e|, sup e, or −inf e.
        relative: how far the bound may exceed a value attained, relative to it.
        absolute: the same in absolute terms; the larger one counts.

    Raises:
        InputError: the interval is empty, or the tolerance not positive.
        RefusedError: the bound cannot be proved: infinite, undefined, or too many boxes.
    """
    import flint  # noqa: PLC0415 - loaded where it is needed

    from eafo.theory.intervals import Interval  # noqa: PLC0415 - as above

    if not (relative > 0 or absolute > 0):
        raise InputError("the tolerance of a bound must be positive", relative)
    with flint.ctx.workprec(_BITS):
        low, high = _end(lower, "lower"), _end(upper, "upper")
        if not low < high:
            raise InputError("the interval's lower end must lie below its upper end", f"({lower}, {upper})")
        inside = [(flint.arb(int(c.p)) / flint.arb(int(c.q))).mid() for c in cuts]
        ends = [low, *(c for c in inside if low < c < high), high]
        run = _Search(objective, kind)
        for pair in itertools.pairwise(ends):
            run.add(Interval(*pair))
        for cut in ends[1:-1]:
            # A function may have a value of its own on a seam, which the boxes beside it do not own.
            if run.try_point(cut) is not None:
                run.add(Interval(cut, cut))
        bound = run.run(relative, absolute)
        interval = (float(low), float(high))
    return Bound(what, bound, run.best, run.point, interval, len(run.heap), _BITS)
