"""A prediction against measured scores, a point an activation, with the interval of each mean."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from eafo.report.style import INK, figure, look, styled
from eafo.search import Arm

__all__ = ["draw"]


def draw(arms: Sequence[Arm], predictions: dict[str, Sequence[float]], score: str) -> Figure:
    """Draw a panel for each prediction; where it is infinite an activation is left out of that panel.

    Args:
        arms: the measured activations.
        predictions: by their axis label, a number for each arm.
        score: the label of the scores' axis.
    """
    with styled():
        made = figure(width=4.4 * len(predictions), height=4.6)
        panels = made.subplots(1, len(predictions), sharey=True, squeeze=False)[0]
        for index, (axes, (label, values)) in enumerate(zip(panels, predictions.items(), strict=True)):
            chosen = look(index)
            for arm, value in zip(arms, values, strict=True):
                estimate = arm.estimate
                if estimate is None or not math.isfinite(value):
                    continue
                if estimate.low is not None and estimate.high is not None:
                    ends = [estimate.low, estimate.high]
                    axes.plot([value, value], ends, color=chosen.colour, linewidth=1, alpha=0.5)
                axes.plot([value], [estimate.mean], chosen.marker, color=chosen.colour)
                axes.annotate(
                    arm.activation.name,
                    (value, estimate.mean),
                    (4, 3),
                    textcoords="offset points",
                    fontsize=7,
                    color=INK,
                )
            axes.set(xlabel=label)
            axes.margins(x=0.12)
        panels[0].set_ylabel(score)
        return made
