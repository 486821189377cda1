"""Quantiles of a law from its tail functions: Newton's iteration on the logarithm of a tail, kept inside a bracket.

In the logarithm a normal tail is a parabola and a power tail nearly a line, so Newton's step is good from afar in both,
and the error that remains is relative to the tail's own mass, however small that is.
"""

from __future__ import annotations

import numpy as np

from eafo.laws.numeric import Array, Function

__all__ = ["polished", "solve_tail"]

_MOST_STEPS = 400


def polished(start: Array, level: Array, below: Function, log_density: Function) -> Array:
    """One Newton step on log F(x) = log `level` from a `start` that is already close."""
    mass = below(start)
    step = (np.log(mass) - np.log(level)) * mass / np.exp(log_density(start))
    return np.where(np.isfinite(step) & (np.abs(step) < 0.01 * np.abs(start) + 1e-9), start - step, start)


def solve_tail(
    level: Array, tail: Function, log_density: Function, low: Array, high: Array, *, rising: bool
) -> Array:
    """The points where a tail function has the value `level`, to rounding.

    Args:
        level: the tail's mass there, in (0, 1).
        tail: F where `rising`, 1 − F otherwise.
        log_density: log p.
        low: a point at or below each solution.
        high: a point at or above it.
        rising: whether the tail grows with x.

    Safeguarded: a step that leaves the bracket, or does not shrink it, is replaced by bisection.
    """
    low, high = np.array(low, np.float64), np.array(high, np.float64)
    at, target = _middle(low, high), np.log(level)
    open_ = np.arange(level.size)
    sign = 1.0 if rising else -1.0
    before = np.full(level.size, np.inf)
    close = 4.5e-16 * np.maximum(1.0, np.abs(target))
    with np.errstate(all="ignore"):
        for _ in range(_MOST_STEPS):
            if not open_.size:
                break
            x = at[open_]
            log_mass = np.log(tail(x))
            miss = log_mass - target[open_]
            beyond = sign * miss > 0
            high[open_] = np.where(beyond, x, high[open_])
            low[open_] = np.where(beyond, low[open_], x)
            new = x - sign * miss * np.exp(log_mass - log_density(x))
            a, b = low[open_], high[open_]
            poor = ~((new >= a) & (new <= b)) | (np.abs(miss) > 0.6 * before[open_])
            new = np.where(poor, _middle(a, b), new)
            before[open_] = np.where(poor, np.inf, np.abs(miss))
            # At rounding's own size a step is poor, and x better than the middle.
            settled = np.abs(miss) <= close[open_]
            at[open_] = np.where(settled, x, new)
            tight = 4e-16 * np.maximum(np.abs(x), np.abs(new))
            done = settled | (np.abs(new - x) <= tight) | (b - a <= tight)
            open_ = open_[~done]
    return at


def _middle(low: Array, high: Array) -> Array:
    """Halfway: in the logarithm where both ends have one sign and lie far apart."""
    far = (low * high > 0) & (np.maximum(np.abs(low / high), np.abs(high / low)) > 16)
    with np.errstate(all="ignore"):
        return np.where(
            far, np.sign(low) * np.exp((np.log(np.abs(low)) + np.log(np.abs(high))) / 2), low / 2 + high / 2
        )
