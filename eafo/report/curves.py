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

_POINTS = 801
_BISECTIONS = 40


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


def sampled(activation: Activation, reach: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Points of the curve, with a NaN between the two sides of each jump.

    >>> from eafo import catalog
    >>> x, y = sampled(catalog.get("relu").diff(), 1.0)
    >>> int(np.isnan(y).sum())
    1
    """
    # An even number of steps would put a point on 0, where most seams are; a jump is then seen twice.
    x = np.linspace(-reach, reach, _POINTS + 1)
    y = activation(x)
    steps = np.abs(np.diff(y))
    suspects = np.nonzero(steps > 8 * np.nanmedian(steps) + 1e-6)[0]
    jumps = [i for i in suspects if _jumps(activation, x[i], x[i + 1])]
    positions = np.asarray(jumps, dtype=int) + 1
    middles = (x[positions - 1] + x[positions]) / 2
    return np.insert(x, positions, middles), np.insert(y, positions, np.nan)


def _jumps(activation: Activation, low: float, high: float) -> bool:
    """Whether the difference between the ends stays when the interval shrinks around it."""
    left, right = activation([low, high])
    whole = abs(right - left)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        value = float(activation([middle])[0])
        if abs(value - left) > abs(right - value):
            high, right = middle, value
        else:
            low, left = middle, value
    return bool(abs(right - left) > whole / 2)
