"""Sheets: the intervals of x on which an activation is monotone, and their inverses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from eafo.theory.function import Numeric, Part
from eafo.theory.quadrature import QuadratureError

__all__ = ["Sheet", "clipped", "critical_points", "sheet_of"]

FloatArray = npt.NDArray[np.float64]

#: Below this part of its usual size |f′| has a zero at its least value.
_TOUCHES = 1e-9
#: A step back of this size, relative where f is large, is no rounding.
_BACK = 1e-6
_MOST_STEPS = 120
#: The part of the way to the next point that is not looked at beside an end.
_SHORT = 1e-4
#: The part of a chord's slope below which the slope at its end is none.
_TURNS = 1e-6


@dataclass(frozen=True)
class Sheet:
    """An interval of x on which f is monotone.

    Args:
        part: f there.
        lower: the lower end of x; finite, or where the law ends for all practical purposes.
        upper: the upper end of x.
        below: f at the lower end, from inside.
        above: f at the upper end, from inside.
        x: increasing points from end to end.
        z: f at these points, monotone.
    """

    part: Part
    lower: float
    upper: float
    below: float
    above: float
    x: FloatArray
    z: FloatArray

    @property
    def rising(self) -> bool:
        """Whether f increases."""
        return self.above > self.below

    @property
    def least(self) -> float:
        """The infimum of f on the sheet."""
        return min(self.below, self.above)

    @property
    def greatest(self) -> float:
        """The supremum of f on the sheet."""
        return max(self.below, self.above)

    def middle(self, a: float, b: float) -> float:
        """A value of f well inside its range between two points of the sheet."""
        at = self.part.value(np.array([a, b]))
        first = self.below if a <= self.lower else float(at[0])
        last = self.above if b >= self.upper else float(at[1])
        return 0.5 * first + 0.5 * last

    @cached_property
    def _turns(self) -> tuple[bool, bool]:
        """Whether f′ is 0 where f has its least and its greatest value."""
        ends = []
        for end, beside in ((0, 1), (-1, -2)):
            with np.errstate(all="ignore"):
                straight = self.part.slope(self.x[end]) * (self.x[beside] - self.x[end])
                ends.append(bool(np.abs(straight) < _TURNS * np.abs(self.z[beside] - self.z[end])))
        return (ends[0], ends[1]) if self.rising else (ends[1], ends[0])

    def root(self, z: FloatArray) -> FloatArray:
        """X with f(x) = z, by Newton's iteration within a bracket; z outside the sheet's range goes to its end."""
        z = np.asarray(z, np.float64)
        x, table = (self.x, self.z) if self.rising else (self.x[::-1], self.z[::-1])
        index = np.clip(np.searchsorted(table, z), 1, table.size - 1)
        low, high = np.array(x[index - 1]), np.array(x[index])
        at_low, at_high = table[index - 1], table[index]
        with np.errstate(all="ignore"):
            share = np.clip((z - at_low) / (at_high - at_low), 0.0, 1.0)
        # Beside a critical point f is a parabola.
        least, greatest = self._turns
        if least:
            share = np.where(index == 1, np.sqrt(share), share)
        if greatest:
            share = np.where(index == table.size - 1, 1 - np.sqrt(1 - share), share)
        guess = np.array(low + np.where(np.isfinite(share), share, 0.5) * (high - low))
        return _solved((self.part.value, self.part.slope), z, guess, low, high)


def clipped(z: FloatArray) -> FloatArray:
    """Values that overflow far out, as the largest doubles."""
    return np.where(np.isinf(z), np.copysign(np.finfo(np.float64).max, z), z)


def critical_points(part: Part, lower: float, upper: float, grid: FloatArray) -> list[float]:
    """Where f′ is 0 inside an interval: where it changes its sign, and where it touches 0."""
    x = grid[(grid > lower) & (grid < upper)]
    ends = np.array([max(lower, grid[0]), min(upper, grid[-1])])
    x = np.union1d(x, np.linspace(ends[0], ends[1], 64)[1:-1])
    # Nearly to the ends: at one itself f need not be smooth.
    x = np.union1d(x, ends + _SHORT * (x[[0, -1]] - ends))
    slope = part.slope(x)
    crossings = _crossings((part.slope, part.curvature), x, slope)
    turns = _crossings((part.curvature, np.zeros_like), x, part.curvature(x))
    usual = float(np.median(np.abs(slope)))
    flat = [t for t in turns if _touches(part, t, x, np.abs(slope), usual)]
    apart = [t for t in flat if all(abs(t - c) > 1e-6 * max(1.0, abs(c)) for c in crossings)]
    return sorted([*crossings, *apart])


def _touches(part: Part, turn: float, x: FloatArray, steep: FloatArray, usual: float) -> bool:
    """Whether |f′| dips to 0 at a zero of f″, and is no saturated tail where both are next to nothing."""
    least = abs(float(part.slope(np.array(turn))))
    apart = 1e-6 * max(1.0, abs(turn))
    left = max(int(np.searchsorted(x, turn - apart)) - 1, 0)
    right = min(int(np.searchsorted(x, turn + apart)), x.size - 1)
    return least < _TOUCHES * usual and min(steep[left], steep[right]) > 1e3 * least


def _crossings(functions: tuple[Numeric, Numeric], x: FloatArray, values: FloatArray) -> list[float]:
    """The roots of the first function, the second its slope, between points where its values change their sign."""
    clear = np.isfinite(values) & (values != 0)
    x, signs = x[clear], np.sign(values[clear])
    changes = np.nonzero(signs[:-1] * signs[1:] < 0)[0]
    if not changes.size:
        return []
    # From where it is negative to where it is positive.
    low = np.where(signs[changes] < 0, x[changes], x[changes + 1])
    high = np.where(signs[changes] < 0, x[changes + 1], x[changes])
    return [float(r) for r in _solved(functions, np.zeros(low.size), 0.5 * (low + high), low, high)]


def _solved(
    functions: tuple[Numeric, Numeric],
    target: FloatArray,
    guess: FloatArray,
    low: FloatArray,
    high: FloatArray,
) -> FloatArray:
    """X with f(x) = target, elementwise, by Newton's iteration with f and f′; f − target ≤ 0 at `low` and ≥ 0 at `high`.

    Safeguarded: a step that leaves the bracket, or is more than half of the one before, is replaced by bisection.
    """
    value, slope = functions
    shape, open_ = guess.shape, np.arange(guess.size)
    x, target, low, high = (a.ravel() for a in (guess, target, low, high))
    found, before = x.copy(), np.abs(high - low)
    with np.errstate(all="ignore"):
        for _ in range(_MOST_STEPS):
            missed = value(x) - target
            low, high = np.where(missed < 0, x, low), np.where(missed < 0, high, x)
            step = missed / slope(x)
            newton = ((x - step - low) * (x - step - high) <= 0) & (np.abs(step) <= 0.5 * before)
            moved = np.where(newton, x - step, 0.5 * low + 0.5 * high)
            # Rounding of f itself: a step that no longer shrinks goes nowhere.
            settled = np.abs(missed) <= np.where(newton, 1, 4) * 2.3e-16 * np.abs(target)
            done = settled | (np.abs(moved - x) <= 4e-16 * np.abs(x))
            found[open_[done]] = np.where(settled, x, moved)[done]
            left = ~done
            before, x, target = np.abs(moved - x)[left], moved[left], target[left]
            open_, low, high = open_[left], low[left], high[left]
            if not open_.size:
                break
    found[open_] = x
    return found.reshape(shape)


def sheet_of(part: Part, lower: float, upper: float, x: FloatArray, seen: tuple[float, float]) -> Sheet:
    """The sheet between two points, on which f is monotone; x in between, and where critical points were looked for.

    Raises:
        QuadratureError: f is not real there, or its values tell that it is not monotone: it has a pole, or turns more often
            than was seen.
    """
    z = clipped(part.value(x))
    if np.isnan(z[1:-1]).any():
        raise QuadratureError(
            "f must be real where the law has its mass", f"NaN at x = {x[1:-1][np.isnan(z[1:-1])][0]:.6g}"
        )
    for end, neighbour in ((0, 1), (-1, -2)):
        if not np.isfinite(z[end]):
            # A removable singularity of the formula, or an overflow far out.
            with np.errstate(all="ignore"):
                z[end] = part.value(x[end : end + 1] + 1e-9 * (x[neighbour] - x[end]))[0]
    rising = z[-1] > z[0]
    back = np.diff(z) if not rising else -np.diff(z)
    within = (x[:-1] >= seen[0]) & (x[1:] <= seen[1])
    wrong = within & (back > _BACK * np.maximum(1.0, np.abs(z[1:])))
    if wrong.any():
        raise QuadratureError(
            "f must be monotone between its critical points: it has a pole, or turns too often",
            f"x near {x[1:][wrong][0]:.6g}",
        )
    z = np.maximum.accumulate(z) if rising else np.minimum.accumulate(z)
    return Sheet(part, lower, upper, float(z[0]), float(z[-1]), x, z)
