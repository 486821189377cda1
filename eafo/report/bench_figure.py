"""The measurements of `eafo.kernels.bench` as a figure: how near to a plain copy each variant comes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from eafo.kernels.bench import VARIANTS, Measurement
from eafo.report.style import figure, look, styled

__all__ = ["draw"]


def draw(measurements: Sequence[Measurement], environment: str) -> Figure:
    """Draw one row a pass and type: the largest size by activation, and the geometric mean over activations by size.

    Args:
        measurements: of one call of `eafo.kernels.bench.bench`; where graphs were replayed too, their times are drawn.
        environment: the machine and the versions, for the title.
    """
    measurements = [m for m in measurements if m.replayed] or measurements
    rows = list(dict.fromkeys((m.direction, m.dtype) for m in measurements))
    names = list(dict.fromkeys(m.activation for m in measurements))
    drawn = [v for v in VARIANTS if v != "copy" and any(m.variant == v for m in measurements)]
    with styled():
        made = figure(width=8.4, height=1.0 + len(rows) * (1.3 + 0.22 * len(names)))
        axes = made.subplots(len(rows), 2, squeeze=False)
        for (direction, dtype), (left, right) in zip(rows, axes, strict=True):
            here = [m for m in measurements if (m.direction, m.dtype) == (direction, dtype)]
            _by_activation(left, here, names, drawn)
            _by_size(right, here, drawn)
            left.set_title(f"{direction}, {dtype}, {max(m.elements for m in here):,} elements", fontsize=9)
            right.set_title(f"{direction}, {dtype}, all activations", fontsize=9)
        handles, labels = axes[0][0].get_legend_handles_labels()
        made.legend(handles, labels, loc="outside upper left", ncols=len(labels))
        made.supxlabel(environment, fontsize=6)
        return made


def _by_activation(
    axes: Axes, here: Sequence[Measurement], names: Sequence[str], drawn: Sequence[str]
) -> None:
    largest = max(m.elements for m in here)
    for index, variant in enumerate(drawn):
        found = [m for m in here if m.variant == variant and m.elements == largest]
        if found:
            chosen = look(index)
            places = [names.index(m.activation) for m in found]
            axes.plot(
                [100 * m.share_of_copy for m in found],
                places,
                chosen.marker,
                color=chosen.colour,
                label=variant,
            )
    axes.axvline(100, linewidth=0.8, color="0.5")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set(xlabel="speed, % of a plain copy's", xscale="log")
    _label(axes.xaxis)


def _by_size(axes: Axes, here: Sequence[Measurement], drawn: Sequence[str]) -> None:
    sizes = sorted({m.elements for m in here})
    for index, variant in enumerate(drawn):
        chosen, shown = look(index), []
        for size in sizes:
            shares = [m.share_of_copy for m in here if m.variant == variant and m.elements == size]
            shown.append(100 * math.exp(sum(map(math.log, shares)) / len(shares)) if shares else math.nan)
        if not all(map(math.isnan, shown)):
            axes.plot(sizes, shown, marker=chosen.marker, linestyle=chosen.line, color=chosen.colour)
    axes.axhline(100, linewidth=0.8, color="0.5")
    axes.set(xlabel="elements", ylabel="% of a copy's speed", xscale="log", yscale="log")
    axes.set_xticks(sizes)
    _label(axes.xaxis, power_of_two=True)
    _label(axes.yaxis)


def _label(axis: Axis, *, power_of_two: bool = False) -> None:
    """Plain numbers at the marks of a logarithmic axis."""
    axis.set_major_formatter(lambda v, _: f"2^{math.log2(v):.0f}" if power_of_two else f"{v:g}")
    axis.set_minor_formatter(NullFormatter())
    if not power_of_two:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
