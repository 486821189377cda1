"""What each layer's activation saw and learned, over the epochs: figures, and the table of the laws at the end."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from eafo.report.album import Album
from eafo.report.page import Section, Table
from eafo.report.rows import Row
from eafo.report.style import figure, styled, wrapped
from eafo.tasks import QUANTILES, Layer

__all__ = ["draw", "layers_section"]

_COLUMNS = ("activation", "layer", "mean", "deviation", "2.5 %", "50 %", "97.5 %")


def layers_section(album: Album, rows: Sequence[Row]) -> Section | None:
    """The pre-activations and the learned parameters by layer and epoch; None where they were not recorded."""
    recorded = [row for row in rows if row.outcomes and all(o.layers for o in row.outcomes)]
    if not recorded:
        return None
    caption = "The deviation of each layer's pre-activations after each epoch, the mean over the seeds; layers from dark to light."
    drawn = draw(recorded, "deviation", lambda layer: layer.deviation)
    drawings = [album.add(drawn, "layers", "Pre-activations by layer", caption)]
    for number, name in enumerate(sorted({n for r in recorded for e in _of(r)[0] for n in e.parameters})):
        caption = f"The parameter {name} of each layer after each epoch, the mean over the seeds; layers from dark to light."
        having = [row for row in recorded if any(name in layer.parameters for layer in _of(row)[0])]
        drawn = draw(having, name, functools.partial(_parameter, name))
        drawings.append(album.add(drawn, f"layer-parameter-{number}", f"{name} by layer", caption))
    lines = tuple(line for row in recorded for line in _laws(row))
    table = Table(
        "The laws of the pre-activations after the last epoch", _COLUMNS, lines, frozenset(_COLUMNS[2:])
    )
    lead = (
        "Over the last batch of each epoch. The file result.json keeps 129 quantiles of each law; Layer.law() makes an input law "
        "of them, from which an activation can be derived."
    )
    return Section("layers", "What the layers saw", (lead,), drawings=tuple(drawings), tables=(table,))


def _of(row: Row) -> list[tuple[Layer, ...]]:
    """The layers of every seed."""
    return [outcome.layers for outcome in row.outcomes]


def _parameter(name: str, layer: Layer) -> Sequence[float]:
    return layer.parameters.get(name, ())


def _laws(row: Row) -> list[tuple[str, ...]]:
    """A line a layer: moments and quantiles, their means over the seeds."""
    lines = []
    for layer in zip(*_of(row), strict=True):
        quantiles = np.mean([one.quantiles for one in layer], axis=0)
        values = (
            np.mean([one.mean[-1] for one in layer]),
            np.mean([one.deviation[-1] for one in layer]),
            *np.interp((0.025, 0.5, 0.975), QUANTILES, quantiles),
        )
        lines.append((row.label, layer[0].name, *(f"{value:.3g}" for value in values)))
    return lines


def draw(rows: Sequence[Row], label: str, curve: Callable[[Layer], Sequence[float]]) -> Figure:
    """A panel a row: a line a layer, coloured by its depth."""
    with styled():
        columns = min(2, len(rows))
        lines = -(-len(rows) // columns)
        made = figure(height=1.0 + 2.2 * lines)
        panels = made.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for row, axes in zip(rows, panels, strict=False):
            _panel(axes, row, curve)
        for axes in panels[len(rows) :]:
            axes.set_visible(False)
        made.supxlabel("epoch")
        made.supylabel(label)
        return made


def _panel(axes: Axes, row: Row, curve: Callable[[Layer], Sequence[float]]) -> None:
    by_layer = [[curve(one) for one in layer] for layer in zip(*_of(row), strict=True)]
    kept = [np.mean(values, axis=0) for values in by_layer if len(values[0])]
    # The ends of the map vanish on a light and on a dark page.
    colours = mpl.colormaps["viridis"](np.linspace(0.1, 0.8, len(kept)))
    for values, colour in zip(kept, colours, strict=True):
        marker = "o" if len(values) < 12 else None
        axes.plot(np.arange(1, len(values) + 1), values, color=colour, marker=marker, markersize=3)
    axes.set_title(wrapped(row.label, 30), fontsize="small")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
