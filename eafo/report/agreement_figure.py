"""A prediction against measured scores, a point an activation, with the interval of each mean."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from eafo.report.style import INK, figure, look, styled
from eafo.search import Arm

__all__ = ["draw"]

#: How far a name may be moved, in quarters of a line's height, the nearest first.
_STEPS = [0, *(sign * k for k in range(1, 30) for sign in (1, -1))]


def draw(arms: Sequence[Arm], predictions: dict[str, Sequence[float]], score: str) -> Figure:
    """Draw a panel for each prediction; where it is infinite an activation is left out of that panel.

    Args:
        arms: the measured activations.
        predictions: by their axis label, a number for each arm.
        score: the label of the scores' axis.
    """
    with styled():
        made = figure(width=5.2 * len(predictions), height=5.6)
        panels = made.subplots(1, len(predictions), sharey=True, squeeze=False)[0]
        for index, (axes, (label, values)) in enumerate(zip(panels, predictions.items(), strict=True)):
            chosen = look(index)
            named: list[tuple[str, float, float]] = []
            for arm, value in zip(arms, values, strict=True):
                estimate = arm.estimate
                if estimate is None or not math.isfinite(value):
                    continue
                if estimate.low is not None and estimate.high is not None:
                    ends = [estimate.low, estimate.high]
                    axes.plot([value, value], ends, color=chosen.colour, linewidth=1, alpha=0.5)
                axes.plot([value], [estimate.mean], chosen.marker, color=chosen.colour)
                named.append((arm.activation.name, value, estimate.mean))
            axes.set(xlabel=label)
            axes.margins(x=0.18)
            _label(made, axes, named)
        panels[0].set_ylabel(score)
        return made


def _label(made: Figure, axes: Axes, named: Sequence[tuple[str, float, float]]) -> None:
    """Write names beside their points, moved up or down until none hides another, a line leading back to the point."""
    made.draw_without_rendering()
    pixels = made.dpi / 72
    taken: list[Bbox] = []
    points = axes.transData.transform([(x, y) for _, x, y in named])
    # From the top, so that crowded names hang below each other.
    for place in sorted(range(len(named)), key=lambda i: -named[i][2]):
        name, x, y = named[place]
        width, height = 4.6 * len(name) * pixels, 8.5 * pixels
        offsets = [(side * 6.0, step * 4.0) for step in _STEPS for side in (1, -1)]

        def box(
            offset: tuple[float, float], at: int = place, wide: float = width, high: float = height
        ) -> Bbox:
            left = points[at][0] + offset[0] * pixels - (wide if offset[0] < 0 else 0.0)
            return Bbox.from_bounds(left, points[at][1] + (offset[1] - 4.0) * pixels, wide, high)

        chosen = min(
            offsets,
            key=lambda o: (
                sum(box(o).overlaps(other) for other in taken) + sum(box(o).contains(*p) for p in points),
                abs(o[1]),
            ),
        )
        taken.append(box(chosen))
        axes.annotate(
            name,
            (x, y),
            chosen,
            textcoords="offset points",
            ha="left" if chosen[0] > 0 else "right",
            va="center",
            fontsize=7.5,
            color=INK,
            arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 0.4} if abs(chosen[1]) > 8 else None,
        )
