"""What was known early of a study's candidates, and how well it orders them as their trainings do."""

from __future__ import annotations

from collections.abc import Sequence

from eafo.report.page import Section, Table
from eafo.report.rows import counted
from eafo.search import Study, TrialResult
from eafo.search.agreement import Agreement, kendalls

__all__ = ["evidence_section"]

#: As `kendalls` needs.
_FEWEST = 4
_RESAMPLES = 2000


def evidence_section(study: Study) -> Section | None:
    """Kendall's τ with the final score, and its interval, of every rung of the ladder and every feature.

    Taken over the complete trials; None where there is neither a ladder nor a feature, or too little to compare.
    """
    complete = [t for t in study.trials if t.state == "complete" and t.outcomes]
    tables = tuple(filter(None, (_rungs(study, complete), _features(complete))))
    if not tables:
        return None
    lead = [
        f"Kendall's τ with the mean after {counted(study.plan.epochs, 'epoch')}, over the candidates that were trained that long. They are those "
        "that did well early, or were expected to, which makes τ smaller than over all."
    ]
    lines = sum(len(table.rows) for table in tables)
    if lines > 1:
        lead.append(
            f"Of {lines} intervals one in twenty leaves out 0 by chance: the best of them is to be confirmed on candidates that it was not chosen by."
        )
    return Section("evidence", "What is known early", tuple(lead), tables=tables)


def _rungs(study: Study, complete: Sequence[TrialResult]) -> Table | None:
    ladder = study.plan.ladder
    whole = [t for t in complete if len(t.rungs) == len(ladder)]
    columns = {str(epochs): [t.rungs[rung][1] for t in whole] for rung, epochs in enumerate(ladder)}
    return _table("Shorter trainings", "epochs", _found(columns, whole))


def _features(complete: Sequence[TrialResult]) -> Table | None:
    """The strongest first; and what the surrogate expected of those that it chose."""
    seen = [t for t in complete if t.features]
    by_trial = [dict(t.features) for t in seen]
    names = [n for n in (by_trial[0] if by_trial else ()) if all(n in values for values in by_trial)]
    found = _found({name: [values[name] for values in by_trial] for name in names}, seen)
    chosen = [t for t in seen if t.predicted is not None]
    expected = {"the surrogate's prediction": [t.predicted for t in chosen if t.predicted is not None]}
    found.sort(key=lambda line: -abs(line[1].tau))
    return _table("One batch before any training", "feature", [*_found(expected, chosen), *found])


def _found(columns: dict[str, list[float]], trials: Sequence[TrialResult]) -> list[tuple[str, Agreement]]:
    """τ of each column that has something to tell."""
    scores = [[o.score for o in t.outcomes] for t in trials]
    told = {name: values for name, values in columns.items() if len(set(values)) > 1}
    if len(trials) < _FEWEST or len({sum(own) / len(own) for own in scores}) < 2:
        return []
    return list(zip(told, kendalls(list(told.values()), scores, resamples=_RESAMPLES), strict=True))


def _table(title: str, what: str, found: Sequence[tuple[str, Agreement]]) -> Table | None:
    columns = (what, "τ", "95 % interval", "candidates")
    rows = tuple((name, f"{f.tau:+.2f}", f"{f.low:+.2f} … {f.high:+.2f}", str(f.count)) for name, f in found)
    return Table(title, columns, rows, frozenset(columns[1:])) if rows else None
