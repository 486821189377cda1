"""How every figure looks: one style sheet, colours that the colour-blind tell apart, line styles that survive a grey print."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = ["GRID", "INK", "Look", "figure", "legend", "look", "styled", "wrapped"]

#: Stand-ins for the page's text and rule colours; `eafo.report.svg` replaces them by CSS variables.
INK, GRID = "#1b1b1c", "#d4d4d5"

#: Okabe and Ito's palette without black and yellow, which vanish on a dark and on a light page.
#: https://jfly.uni-koeln.de/color/
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_LINES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (3, 1, 1, 1, 1, 1)), (0, (9, 3)))
_MARKERS = ("o", "s", "^", "D", "v", "P")


@dataclass(frozen=True)
class Look:
    """How one arm is drawn, in every figure of a page."""

    colour: str
    line: str | tuple[float, tuple[float, ...]]
    marker: str


def look(index: int) -> Look:
    """The look of the arm with this index; 36 differ.

    >>> look(0).colour, look(6).colour == look(0).colour, look(6) == look(0)
    ('#0072B2', True, False)
    """
    # After one round of colours the line styles shift against them.
    shift = index + index // len(_COLOURS)
    return Look(_COLOURS[index % len(_COLOURS)], _LINES[shift % len(_LINES)], _MARKERS[shift % len(_MARKERS)])


@contextmanager
def styled() -> Iterator[None]:
    """Draw with eafo's style sheet, whatever the user's own settings are; they come back afterwards."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(
            mpl.rc_params_from_file(Path(__file__).with_name("eafo.mplstyle"), use_default_template=False)
        )
        yield


def figure(width: float = 5.4, height: float = 3.6) -> Figure:
    """An empty figure on its own canvas, no global state; width and height in inches."""
    made = Figure(figsize=(width, height))
    FigureCanvasAgg(made)
    return made


def legend(made: Figure, axes: Axes) -> None:
    """Name the lines above the axes, where they hide none, in as many columns as the names allow."""
    handles, labels = axes.get_legend_handles_labels()
    if not labels:
        return
    labels = [wrapped(label, 60) for label in labels]
    longest = max(len(line) for label in labels for line in label.splitlines())
    columns = max(1, min(len(labels), int(made.get_figwidth() * 11 / (longest + 7))))
    lines = sum(label.count("\n") + 1 for label in labels)
    made.set_figheight(made.get_figheight() + 0.21 * -(-lines // columns))
    made.legend(handles, labels, loc="outside upper left", ncols=columns)


def wrapped(label: str, width: int) -> str:
    r"""A label in lines of at most this width, three at most: a formula may be long.

    >>> wrapped("one two three four five", 9)
    'one two\nthree\nfour five'
    """
    return "\n".join(textwrap.wrap(label, width, max_lines=3, placeholder=" …"))
