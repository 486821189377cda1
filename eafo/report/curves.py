"""The curves f and f′ of a few activations, broken where they jump."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from eafo.activation import Activation
from eafo.report.rows import Row
from eafo.report.style import figure, legend, look, styled

__all__ = ["draw", "sampled"]

FloatArray = npt.NDArray[np.float64]

_POINTS = 801
_BISECTIONS = 30
_SMALLEST_JUMP = 1e-6


def draw(rows: Sequence[Row], order: int = 0, reach: float = 4.0) -> Figure:
    """Draw f (order 0) or f′ (order 1) of the rows' activations on [−reach, reach]."""
    with styled():
        made = figure()
        axes = made.add_subplot()
        for row in rows:
            if row.activation is not None:
                x, y = sampled(row.activation.diff() if order else row.activation, reach)
                chosen = look(row.index)
                axes.plot(x, y, color=chosen.colour, linestyle=chosen.line, label=row.label)
        axes.set(xlabel="x", ylabel="f′(x)" if order else "f(x)", xlim=(-reach, reach))
        low, high = axes.get_ylim()
        # A square or an exponential would flatten all the others.
        axes.set_ylim(max(low, -1.2 * reach), min(high, 1.2 * reach if order == 0 else reach))
        legend(made, axes)
        return made


def sampled(activation: Activation, reach: float) -> tuple[FloatArray, FloatArray]:
    """Points of the curve, with a NaN between the two sides of each jump.

    >>> from eafo import catalog
    >>> x, y = sampled(catalog.get("relu").diff(), 1.0)
    >>> int(np.isnan(y).sum())
    1
    """
    # An even number of steps would put a point on 0, where most seams are; a jump is then seen twice.
    x = np.linspace(-reach, reach, _POINTS + 1)
    y = activation(x)
    positions = np.nonzero(_jumps(activation, x[:-1], x[1:]))[0] + 1
    middles = (x[positions - 1] + x[positions]) / 2
    return np.insert(x, positions, middles), np.insert(y, positions, np.nan)


def _jumps(activation: Activation, low: FloatArray, high: FloatArray) -> npt.NDArray[np.bool_]:
    """Whether the difference between an interval's ends stays when the interval shrinks, each to its own jump."""
    left, right = activation(low), activation(high)
    whole = np.abs(right - left)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        value = activation(middle)
        in_left = np.abs(value - left) > np.abs(right - value)
        low, left = np.where(in_left, low, middle), np.where(in_left, left, value)
        high, right = np.where(in_left, middle, high), np.where(in_left, value, right)
    return (whole > _SMALLEST_JUMP) & (np.abs(right - left) > whole / 2)
