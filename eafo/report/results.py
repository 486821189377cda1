"""The sections that a comparison and a study share: curves, results, training, learned parameters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eafo.activation import Activation
from eafo.report import curves, result_figures
from eafo.report.album import Album
from eafo.report.page import Section, Table
from eafo.report.rows import Row, cells, counted, of_comparison
from eafo.search import Comparison
from eafo.search.contrasts import contrasts_of

__all__ = [
    "Part",
    "contrasts_section",
    "curve_section",
    "learned_section",
    "metrics_section",
    "results_section",
]

_COLUMNS = ("", "formula", "mean", "95 % interval", "deviation", "seeds", "s/training", "note")
_NUMBERS = frozenset(
    (
        "mean",
        "95 % interval",
        "deviation",
        "seeds",
        "s/training",
        "start",
        "end, mean",
        "end, lowest",
        "end, highest",
    )
)
_LEVEL = 0.05
_INTERVAL = (
    "The interval is Student's 95 % interval of the mean over seeds; with a single seed there is none. "
    "The deviation is that from seed to seed."
)


def curve_section(
    album: Album, rows: Sequence[Row], corrections: Sequence[tuple[Row, tuple[Activation, Activation]]] = ()
) -> Section:
    """The curves of the rows' activations, their derivatives, and the densities of their outputs, at the parameters they started with.

    Args:
        album: takes the figures.
        rows: what is drawn.
        corrections: rows with a correction, each with its activation and its base: what is added is drawn too.
    """
    drawn = sorted(rows, key=lambda row: row.index)
    told = f" for {', '.join(row.label for row in drawn)}."
    drawings = []
    for order, name, title, symbol in (
        (0, "curves", "Activations", "f(x)"),
        (1, "derivatives", "Derivatives", "f′(x)"),
    ):
        caption = f"{symbol} at the parameters' start values"
        drawings.append(album.add(curves.draw(drawn, order), name, title, f"{caption}.", caption + told))
    if corrections:
        caption = "What the correction adds to the base, at the parameters' start values."
        made = curves.draw_corrections([row for row, _ in corrections], [pair for _, pair in corrections])
        drawings.append(album.add(made, "corrections", "Corrections", caption))
    if any(row.activation is not None for row in drawn):
        made, missing = curves.draw_densities(drawn)
        caption = "The density of f(X) for X ~ N(0, 1); atoms, where f is flat, are stems as high as their probability."
        without = f" No density can be computed for {', '.join(missing)}." if missing else ""
        drawings.append(album.add(made, "densities", "Densities of the outputs", caption + without))
    return Section("curves", "The activations, their derivatives and their outputs", drawings=tuple(drawings))


@dataclass(frozen=True)
class Part:
    """Which results a section shows.

    Args:
        title: its heading.
        first: the heading of the table's first column.
        score: the score with its unit.
        prefix: tells its figures' names from those of another part of the same page.
        lead: a paragraph of its own.
    """

    title: str
    first: str
    score: str
    prefix: str = ""
    lead: str = ""


def results_section(album: Album, part: Part, rows: Sequence[Row], shown: Sequence[Row]) -> Section:
    """The table of all rows, and the intervals and training curves of those shown."""
    drawings = []
    if shown:
        caption = f"Mean {part.score} with its 95 % interval; the small dots are single seeds."
        told = "; ".join(f"{r.label} {r.estimate}" for r in shown)
        drawn = result_figures.intervals(shown, part.score)
        name, title = f"{part.prefix}intervals", "Scores with intervals"
        drawings.append(album.add(drawn, name, title, caption, f"{caption} {told}."))
    if trained := [r for r in shown if r.outcomes and all(o.curve for o in r.outcomes)]:
        caption = "The score after each epoch: the mean over seeds, and the band from the lowest to the highest seed."
        drawn = result_figures.training(trained, part.score)
        drawings.append(album.add(drawn, f"{part.prefix}training", "Training curves", caption))
    columns = (part.first, *_COLUMNS[1:])
    table = _without_empty(Table(f"Score: {part.score}", columns, tuple(map(_cells, rows)), _NUMBERS))
    paragraphs = tuple(filter(None, (part.lead, _INTERVAL)))
    return Section(f"{part.prefix}results", part.title, paragraphs, drawings=tuple(drawings), tables=(table,))


def _cells(row: Row) -> tuple[str, ...]:
    formula = "—" if row.activation is None else str(row.activation)
    seconds = "—" if row.seconds is None else f"{row.seconds:.1f}"
    return (row.label, formula, *cells(row.estimate), seconds, row.note)


def _without_empty(table: Table) -> Table:
    """The same table without a column that says nothing."""
    kept = [i for i, _ in enumerate(table.columns) if any(row[i] for row in table.rows)]
    columns = tuple(table.columns[i] for i in kept)
    return Table(
        table.caption, columns, tuple(tuple(row[i] for i in kept) for row in table.rows), table.numbers
    )


def learned_section(rows: Sequence[Row]) -> Section | None:
    """Where training took the learnable parameters; None where there were none."""
    lines = [line for row in rows for line in _learned(row)]
    if not lines:
        return None
    columns = ("activation", "layer and parameter", "start", "end, mean", "end, lowest", "end, highest")
    return Section(
        "learned",
        "What training did to the parameters",
        (
            "Each layer has parameters of its own; the mean, the lowest and the highest end value are over the seeds.",
        ),
        tables=(Table("Learnable parameters", columns, tuple(lines), _NUMBERS),),
    )


def _learned(row: Row) -> list[tuple[str, ...]]:
    ends: dict[tuple[str, float], list[float]] = defaultdict(list)
    for outcome in row.outcomes:
        for learned in outcome.learned:
            ends[learned.parameter, learned.start].append(learned.end)
    return [
        (
            row.label,
            name,
            f"{start:.4g}",
            *(f"{v:.4g}" for v in (sum(found) / len(found), min(found), max(found))),
        )
        for (name, start), found in ends.items()
    ]


def metrics_section(rows: Sequence[Row]) -> Section | None:
    """The further numbers of a task, their means over the seeds; None where it has none."""
    found = [(row, sorted({n for o in row.outcomes for n in o.metrics})) for row in rows if row.outcomes]
    names = list(dict.fromkeys(name for _, own in found for name in own))
    if not names:
        return None
    lines = tuple(
        (row.label, *(_mean(o.metrics[name] for o in row.outcomes if name in o.metrics) for name in names))
        for row, _ in found
    )
    table = Table("Means over the seeds", ("activation", *names), lines, frozenset(names))
    return Section("metrics", "What the task tells beside the score", tables=(table,))


def _mean(values: Iterable[float]) -> str:
    found = list(values)
    return f"{sum(found) / len(found):.4g}" if found else "—"


def contrasts_section(comparison: Comparison) -> Section | None:
    """Which arms are told apart; None where there are not two to compare."""
    found = contrasts_of(comparison)
    if not found:
        return None
    labels = {row.index: row.label for row in of_comparison(comparison)}
    shown = [c for c in found if c.p_value < _LEVEL]
    how = "Student's paired test" if found[0].difference.paired else "Welch's test"
    why = (
        "a seed moves all arms alike"
        if found[0].difference.paired
        else "no effect of the seed on all arms is measured"
    )
    lead = (
        f"By {how}, since {why}, and corrected for the {counted(len(found), 'pair')} by Holm, at 5 %: "
        f"{len(shown) or 'none'} of them {'is' if len(shown) == 1 else 'are'} told apart."
    )
    columns = ("ahead", "behind", "by", "95 % interval", "p, corrected")
    lines = tuple(
        (
            labels[c.ahead],
            labels[c.behind],
            f"{c.difference.mean:.2f}",
            f"{c.difference.low:.2f} … {c.difference.high:.2f}",
            f"{c.p_value:.2g}",
        )
        for c in shown
    )
    tables = (Table("Differences that are shown", columns, lines, frozenset(columns[2:])),) if lines else ()
    return Section("differences", "Who is ahead of whom", (lead,), tables=tables)
