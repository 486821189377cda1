"""Score and cost: measured kernels, Pareto fronts, and the scores in equal time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace

from matplotlib.figure import Figure

from eafo import tasks
from eafo.errors import EafoError, InputError
from eafo.report.album import Album
from eafo.report.page import Section, Table
from eafo.report.rows import Row, cells, counted, of_study
from eafo.report.style import figure, legend, look, styled
from eafo.search import Study
from eafo.search.cost import Cost, equal_time, front, kernel_costs

__all__ = ["cost_section", "front_section"]

_METHOD = (
    "Kernel: forward and backward in float32, 2¹⁸ elements, one thread of this machine, medians of nine rounds, in multiples of a plain copy of as "
    "many bytes that is timed in turns with it. On the front is what no other one beats in mean score and kernel time at once: the intervals of "
    "the scores are not part of that."
)
_TIME = (
    "In equal time: every curve is read where the quickest activation has finished, by the time of a step. "
)
_MEASURED = "That is measured here: forward, backward and optimiser, the same batches through each network in turns, medians of five rounds at least."
_CLOCKED = "That is the median while they trained, for the task does not tell what a step is, or its device is not here; what else the machine did then is in it."


def cost_section(album: Album, rows: Sequence[Row], score: str, task: str) -> Section | None:
    """The table and the figure of what each row's activation costs; None where fewer than two have a score.

    Raises:
        InputError: the kernels cannot be measured here.
    """
    shown = [row for row in rows if row.activation is not None and row.estimate is not None]
    if len(shown) < 2:
        return None
    costs = _costs(shown)
    means = [row.estimate.mean for row in shown if row.estimate is not None]
    best = front(means, [cost.of_copy for cost in costs])
    drawn = _draw(shown, [cost.of_copy for cost in costs], best, (_OBJECTIVES["time"], score))
    caption = "Mean score with its 95 % interval against the time of the kernel; ringed: on the Pareto front."
    told = f"{caption} On the front: {', '.join(r.label for r, on in zip(shown, best, strict=True) if on)}."
    steps = _steps(task, shown)
    timed = equal_time([row.outcomes for row in shown], _share(task), steps)
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
        paragraphs.append(_TIME + (_MEASURED if steps else _CLOCKED))
        columns[2:2] = ["in equal time", "epochs then", "ms/step"]
        for line, entry, at in zip(body, numbers, timed, strict=True):
            line[2:2] = ["—" if at.estimate is None else str(at.estimate), str(at.epochs), f"{at.step:.3g}"]
            entry["equal_time"] = asdict(at)
    paragraphs.append("The file cost.json, beside this page, holds these numbers.")
    album.files["cost.json"] = (json.dumps(numbers, indent=1, ensure_ascii=False) + "\n").encode()
    table = Table(f"Cost beside {score}", tuple(columns), tuple(map(tuple, body)), frozenset(columns[1:]))
    drawing = album.add(drawn, "cost", "Score and cost", caption, told)
    return Section("cost", "Score and cost", tuple(paragraphs), drawings=(drawing,), tables=(table,))


#: What a plan calls an objective, on axes and in tables.
_OBJECTIVES = {
    "time": "kernel, forward and backward (times a copy)",
    "cost": "counted operations (times GELU's)",
    "memory": "kept for backward / bytes an element",
}


def front_section(album: Album, study: Study, score: str) -> Section | None:
    """The Pareto front of a study of several objectives, and each further objective against the score; None for one objective."""
    names = study.plan.objectives[1:]
    rows = [row for row in of_study(study) if row.estimate is not None and row.note == ""]
    if not names or not rows:
        return None
    costs = {t.number: dict(t.costs) for t in study.trials}
    best = {(t.activation, t.setting) for t in study.front}
    on = {t.number for t in study.trials if (t.activation, t.setting) in best}
    # The front is drawn over the others.
    rows.sort(key=lambda row: row.index in on)
    drawings = []
    for name in names:
        caption = f"Mean {score} with its 95 % interval against: {_OBJECTIVES[name]}; ringed: on the front of all objectives."
        points = [(replace(row, index=0 if row.index in on else 1), costs[row.index][name]) for row in rows]
        drawn = _draw(
            [replace(row, label="on the front" if row.index == 0 else "not on it") for row, _ in points],
            [cost for _, cost in points],
            [row.index == 0 for row, _ in points],
            (_OBJECTIVES[name], score),
        )
        drawings.append(album.add(drawn, f"front-{name}", f"Score and {name}", caption))
    numbers = [t.number for t in study.front]
    told = sorted((row for row in rows if row.index in numbers), key=lambda row: numbers.index(row.index))
    columns = ("trial", "mean", "95 % interval", *(_OBJECTIVES[name] for name in names))
    lines = tuple(
        (row.label, *cells(row.estimate)[:2], *(f"{costs[row.index][name]:.3g}" for name in names))
        for row in told
    )
    lead = (
        f"{counted(len(told), 'candidate')} that no other one beats in every objective at once, by their means: the intervals of the scores "
        "are not part of that. A search of several objectives has no winner; which of these to take is the user's to say."
    )
    table = Table("The Pareto front", columns, lines, frozenset(columns[1:]))
    return Section("front", "The Pareto front", (lead,), drawings=tuple(drawings), tables=(table,))


def _costs(rows: Sequence[Row]) -> list[Cost]:
    """What each row's kernels cost, keeping for backward what they kept in training."""
    ways: dict[tuple[str, bool], list[int]] = {}
    for i, row in enumerate(rows):
        learns = row.activation is not None and bool(row.activation.learnable)
        ways.setdefault((row.setting.saved, row.setting.per_channel and learns), []).append(i)
    found: dict[int, Cost] = {}
    for (saved, per_channel), own in ways.items():
        activations = [a for i in own if (a := rows[i].activation) is not None]
        found |= zip(own, kernel_costs(activations, saved=saved, per_channel=per_channel), strict=True)
    return [found[i] for i in range(len(rows))]


def _steps(task: str, rows: Sequence[Row]) -> list[float] | None:
    """Seconds of a step for each row's activation, measured here; None where they cannot be."""
    from eafo.tasks.pace import step_times  # noqa: PLC0415 - loads torch

    try:
        return step_times(
            tasks.get(task), [(row.activation, row.setting) for row in rows if row.activation is not None]
        )
    except EafoError:  # A task of the user's own that is not here, data or a package that is missing.
        return None


def _share(task: str) -> float:
    """Of a task's epochs, how many of the last count; a task of the user's own that is not here counts its last."""
    try:
        return float(getattr(tasks.get(task), "share", 0.0))
    except InputError:
        return 0.0


def _draw(
    rows: Sequence[Row], costs: Sequence[float], best: Sequence[bool], labels: tuple[str, str]
) -> Figure:
    """Each row's score against its cost, those on the front ringed; a label that several rows have is told once."""
    with styled():
        made = figure()
        axes = made.add_subplot()
        told: set[str] = set()
        for row, cost, on in zip(rows, costs, best, strict=True):
            chosen, estimate = look(row.index), row.estimate
            if estimate is None:
                continue
            if estimate.low is not None and estimate.high is not None:
                axes.plot([cost] * 2, [estimate.low, estimate.high], color=chosen.colour, linewidth=1.4)
            axes.plot(
                [cost],
                [estimate.mean],
                chosen.marker,
                color=chosen.colour,
                markersize=7,
                label=None if row.label in told else row.label,
            )
            told.add(row.label)
            if on:
                axes.plot([cost], [estimate.mean], "o", color=chosen.colour, markersize=13, fillstyle="none")
        axes.set(xlabel=labels[0], ylabel=labels[1])
        legend(made, axes)
        return made
