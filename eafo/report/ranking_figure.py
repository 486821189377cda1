"""The ranking as a figure: one line an activation, both measures of its entropy side by side."""

from __future__ import annotations

import math
from pathlib import Path

from matplotlib.figure import Figure

from eafo.report import files
from eafo.report.style import figure, look, styled, wrapped
from eafo.theory.ranking import Ranking

__all__ = ["draw", "save"]


def draw(ranking: Ranking) -> Figure:
    """Draw H_δ and H_δ − log of the scale of each row, lowest H_δ at the top; open marks have atoms."""
    with styled():
        made = figure(width=7.2, height=1.2 + 0.24 * len(ranking.rows))
        first, second = made.subplots(1, 2, sharey=True)
        at = ranking.resolution if isinstance(ranking.resolution, str) else f"δ = {ranking.resolution:g}"
        for index, (axes, label) in enumerate(
            ((first, f"entropy at {at} (nats)"), (second, "entropy − log scale (nats)"))
        ):
            for place, row in enumerate(ranking.rows):
                value = row.entropy.value if index == 0 else row.entropy.scale_free
                chosen = look(index)
                if not math.isfinite(value):
                    continue
                axes.plot(
                    [value],
                    [place],
                    chosen.marker,
                    color=chosen.colour,
                    markerfacecolor="none" if row.entropy.atoms else chosen.colour,
                )
            axes.set(xlabel=label)
            axes.margins(x=0.08)
        first.set_yticks(range(len(ranking.rows)), [wrapped(row.activation.name, 26) for row in ranking.rows])
        first.set_ylim(len(ranking.rows) - 0.5, -0.5)
        made.suptitle(f"output under the law {ranking.law}; open: with atoms", fontsize=11)
        return made


def save(ranking: Ranking, path: str | Path) -> Path:
    """Write the figure; the format is that of the name: svg, png or pdf.

    Raises:
        InputError: another format, or the file cannot be written.
    """
    files.check_name(path)
    return files.write(draw(ranking), path)
