"""Figures of results: intervals, training curves, a study's history and its parameters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from eafo.report.rows import Row
from eafo.report.style import INK, figure, legend, look, styled, wrapped
from eafo.search import Study
from eafo.search.results import TrialResult

__all__ = ["history", "intervals", "parameters", "training"]


def intervals(rows: Sequence[Row], score: str) -> Figure:
    """One line a row: its seeds as small dots, its mean, its 95 % interval."""
    with styled():
        made = figure(height=1.1 + 0.46 * len(rows))
        axes = made.add_subplot()
        for place, row in enumerate(rows):
            chosen = look(row.index)
            estimate = row.estimate
            if estimate is None:
                continue
            axes.plot(
                row.scores,
                [place + 0.22] * len(row.scores),
                ".",
                color=chosen.colour,
                markersize=4,
                alpha=0.7,
            )
            if estimate.low is not None and estimate.high is not None:
                axes.plot([estimate.low, estimate.high], [place, place], color=chosen.colour, linewidth=2.4)
            axes.plot([estimate.mean], [place], marker=chosen.marker, color=chosen.colour, markersize=7)
        axes.set_yticks(range(len(rows)), [wrapped(row.label, 26) for row in rows])
        axes.set(xlabel=score, ylim=(len(rows) - 0.5, -0.6))
        axes.grid(axis="y", visible=False)
        return made


def training(rows: Sequence[Row], score: str) -> Figure:
    """Test accuracy after each epoch: the mean over the seeds, and the band from the lowest to the highest seed."""
    with styled():
        made = figure()
        axes = made.add_subplot()
        for row in rows:
            chosen = look(row.index)
            curves = np.asarray([outcome.curve for outcome in row.outcomes])
            epochs = np.arange(1, curves.shape[1] + 1)
            marker = chosen.marker if len(epochs) < 12 else None
            axes.plot(
                epochs,
                curves.mean(axis=0),
                color=chosen.colour,
                linestyle=chosen.line,
                marker=marker,
                label=row.label,
            )
            axes.fill_between(
                epochs, curves.min(axis=0), curves.max(axis=0), color=chosen.colour, alpha=0.12, linewidth=0
            )
        axes.set(xlabel="epoch", ylabel=score)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        legend(made, axes)
        return made


def history(study: Study, score: str) -> Figure:
    """Every trial in its order, and the best mean so far."""
    with styled():
        made = figure()
        axes = made.add_subplot()
        complete = [t for t in study.trials if t.state == "complete" and t.estimate is not None]
        pruned = [t for t in study.trials if t.state == "pruned" and t.estimate is not None]
        failed = [t for t in study.trials if t.estimate is None]
        _marks(axes, complete, 0, "complete", filled=True)
        _marks(axes, pruned, 1, "pruned (mean of the seeds it had)", filled=False)
        if complete:
            best = np.maximum.accumulate([t.estimate.mean for t in complete if t.estimate is not None])
            axes.step(
                [t.number for t in complete],
                best,
                where="post",
                color=INK,
                linewidth=1.2,
                label="best so far",
            )
        if failed:
            low = axes.get_ylim()[0]
            axes.plot(
                [t.number for t in failed], [low] * len(failed), "x", color=INK, label="without a score"
            )
        axes.set(xlabel="trial", ylabel=f"mean {score}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        legend(made, axes)
        return made


def parameters(study: Study, name: str, score: str) -> Figure:
    """A searched parameter against the score, one look for each base and law."""
    with styled():
        made = figure()
        axes = made.add_subplot()
        found = [t for t in study.trials if name in dict(t.parameters) and t.estimate is not None]
        groups = sorted({(t.base, t.law) for t in found})
        for index, (base, law) in enumerate(groups):
            for state, filled in (("complete", True), ("pruned", False)):
                members = [t for t in found if (t.base, t.law) == (base, law) and t.state == state]
                label = base if law == "none" else f"{base} × {law}"
                _marks(axes, members, index, label if filled else f"{label}, pruned", filled=filled, by=name)
        axes.set(xlabel=name, ylabel=f"mean {score}")
        legend(made, axes)
        return made


def _marks(
    axes: Axes, trials: Sequence[TrialResult], index: int, label: str, *, filled: bool, by: str | None = None
) -> None:
    """Trials as marks with their intervals, at their number or at a parameter's value."""
    chosen = look(index)
    for first, trial in zip([True, *[False] * len(trials)], trials, strict=False):
        estimate = trial.estimate
        if estimate is None:
            continue
        at = trial.number if by is None else dict(trial.parameters)[by]
        if estimate.low is not None and estimate.high is not None:
            axes.plot([at, at], [estimate.low, estimate.high], color=chosen.colour, linewidth=1, alpha=0.4)
        axes.plot(
            [at],
            [estimate.mean],
            chosen.marker,
            color=chosen.colour,
            markerfacecolor=chosen.colour if filled else "none",
            label=label if first else None,
        )
