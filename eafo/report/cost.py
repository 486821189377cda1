"""Score and cost: the measured kernels, the Pareto front, and the scores in equal time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from matplotlib.figure import Figure

from eafo import tasks
from eafo.errors import InputError
from eafo.report.album import Album
from eafo.report.page import Section, Table
from eafo.report.rows import Row
from eafo.report.style import figure, legend, look, styled
from eafo.search.cost import Cost, equal_time, front, kernel_costs

__all__ = ["cost_section"]

_METHOD = (
    "Kernel: forward and backward in float32, 2¹⁸ elements, one thread of this machine, medians of nine rounds, in multiples of a plain copy of as "
    "many bytes that is timed in turns with it. On the front is what no other one beats in mean score and kernel time at once: the intervals of "
    "the scores are not part of that."
)
_TIME = (
    "In equal time: every curve is read where the quickest activation has finished, by the median time of a step while they trained. What else "
    "the machine did then is in it; trainings on a quiet machine, or one after the other, tell it best."
)


def cost_section(album: Album, rows: Sequence[Row], score: str, task: str) -> Section | None:
    """The table and the figure of what each row's activation costs; None where fewer than two have a score.

    Raises:
        InputError: the kernels cannot be measured here.
    """
    shown = [row for row in rows if row.activation is not None and row.estimate is not None]
    if len(shown) < 2:
        return None
    costs = kernel_costs([row.activation for row in shown if row.activation is not None])
    means = [row.estimate.mean for row in shown if row.estimate is not None]
    best = front(means, [cost.of_copy for cost in costs])
    drawn = _draw(shown, costs, best, score)
    caption = "Mean score with its 95 % interval against the time of the kernel; ringed: on the Pareto front."
    told = f"{caption} On the front: {', '.join(r.label for r, on in zip(shown, best, strict=True) if on)}."
    timed = equal_time([row.outcomes for row in shown], _share(task))
    columns = ["activation", "mean", "kernel, copies", "ns an element", "bytes kept", "front"]
    body = [
        [
            row.label,
            f"{mean:.2f}",
            f"{cost.of_copy:.2f}",
            f"{cost.nanoseconds:.3g}",
            f"{cost.kept_bytes:.3g}",
            "yes" if on else "",
        ]
        for row, mean, cost, on in zip(shown, means, costs, best, strict=True)
    ]
    numbers = [
        {"activation": row.label, "mean": mean, "kernel": asdict(cost), "front": on}
        for row, mean, cost, on in zip(shown, means, costs, best, strict=True)
    ]
    paragraphs = [_METHOD]
    if timed is not None:
        paragraphs.append(_TIME)
        columns[2:2] = ["in equal time", "epochs then", "ms/step"]
        for line, entry, at in zip(body, numbers, timed, strict=True):
            line[2:2] = ["—" if at.estimate is None else str(at.estimate), str(at.epochs), f"{at.step:.3g}"]
            entry["equal_time"] = asdict(at)
    paragraphs.append("The file cost.json, beside this page, holds these numbers.")
    album.files["cost.json"] = (json.dumps(numbers, indent=1, ensure_ascii=False) + "\n").encode()
    table = Table(f"Cost beside {score}", tuple(columns), tuple(map(tuple, body)), frozenset(columns[1:]))
    drawing = album.add(drawn, "cost", "Score and cost", caption, told)
    return Section("cost", "Score and cost", tuple(paragraphs), drawings=(drawing,), tables=(table,))


def _share(task: str) -> float:
    """Of a task's epochs, how many of the last count; a task of the user's own that is not here counts its last."""
    try:
        return float(getattr(tasks.get(task), "share", 0.0))
    except InputError:
        return 0.0


def _draw(rows: Sequence[Row], costs: Sequence[Cost], best: Sequence[bool], score: str) -> Figure:
    with styled():
        made = figure()
        axes = made.add_subplot()
        for row, cost, on in zip(rows, costs, best, strict=True):
            chosen, estimate = look(row.index), row.estimate
            if estimate is None:
                continue
            if estimate.low is not None and estimate.high is not None:
                axes.plot(
                    [cost.of_copy] * 2, [estimate.low, estimate.high], color=chosen.colour, linewidth=1.4
                )
            axes.plot(
                [cost.of_copy],
                [estimate.mean],
                chosen.marker,
                color=chosen.colour,
                markersize=7,
                label=row.label,
            )
            if on:
                axes.plot(
                    [cost.of_copy],
                    [estimate.mean],
                    "o",
                    color=chosen.colour,
                    markersize=13,
                    fillstyle="none",
                )
        axes.set(xlabel="kernel, forward and backward (times a copy)", ylabel=score)
        legend(made, axes)
        return made
