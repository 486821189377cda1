"""The curves of a few activations: f and f′, broken where they jump, what a correction adds, and the density of the output."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from scipy.stats import norm

from eafo import laws
from eafo.activation import Activation
from eafo.errors import EafoError
from eafo.report.rows import Row
from eafo.report.style import figure, legend, look, styled
from eafo.theory import output

__all__ = ["draw", "draw_corrections", "draw_densities", "sampled"]

FloatArray = npt.NDArray[np.float64]

_POINTS = 801
_BISECTIONS = 30
_SMALLEST_JUMP = 1e-6
#: Densities are drawn up to here, and at outputs between these: at a critical point of f they have a pole.
_HIGHEST, _WIDEST = 2.0, 6.0
_TAIL = 0.005


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


def draw_corrections(rows: Sequence[Row], corrections: Sequence[tuple[Activation, Activation]]) -> Figure:
    """Draw what each row's correction adds to its base, on [−4, 4].

    Args:
        rows: their looks and labels.
        corrections: of each row the activation and its base.
    """
    with styled():
        made = figure()
        axes = made.add_subplot()
        x = np.linspace(-4.0, 4.0, _POINTS)
        for row, (activation, base) in zip(rows, corrections, strict=True):
            chosen = look(row.index)
            axes.plot(x, activation(x) - base(x), color=chosen.colour, linestyle=chosen.line, label=row.label)
        axes.set(xlabel="x", ylabel="correction", xlim=(-4.0, 4.0))
        legend(made, axes)
        return made


def draw_densities(rows: Sequence[Row]) -> tuple[Figure, tuple[str, ...]]:
    """Draw the density of f(X) for X ~ N(0, 1), and its atoms as stems of their probability.

    Returns:
        The figure, and the labels of the rows whose output has no density that can be computed.
    """
    missing = []
    with styled():
        made = figure()
        axes = made.add_subplot()
        law = laws.get("normal")
        ends = [_range(row.activation) for row in rows if row.activation is not None]
        z = np.linspace(min(low for low, _ in ends), max(high for _, high in ends), _POINTS + 1)
        for row in rows:
            if row.activation is None:
                continue
            chosen = look(row.index)
            try:
                found = output.of(row.activation.concrete, law.numeric)
                density, atoms = found.density(z), found.atoms
            except EafoError:
                missing.append(row.label)
                continue
            axes.plot(z, density, color=chosen.colour, linestyle=chosen.line, label=row.label)
            for atom in atoms:
                axes.plot([atom.value] * 2, [0, atom.probability], color=chosen.colour, linestyle=chosen.line)
                axes.plot([atom.value], [atom.probability], chosen.marker, color=chosen.colour)
        axes.set(xlabel="z = f(x)", ylabel="density", xlim=(z[0], z[-1]))
        axes.set_ylim(0, min(_HIGHEST, axes.get_ylim()[1]))
        legend(made, axes)
        return made, tuple(missing)


def _range(activation: Activation) -> tuple[float, float]:
    """Where nearly all of the output lies, X ~ N(0, 1)."""
    values = activation(norm.ppf(np.linspace(_TAIL, 1 - _TAIL, 801)))
    finite = np.clip(values[np.isfinite(values)], -_WIDEST, _WIDEST)
    if not finite.size:
        return -1.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    margin = 0.05 * max(high - low, 1.0)
    return low - margin, high + margin


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
