"""Writing a page: a comparison or a study in, a folder with ``index.html`` and PNG figures out."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from eafo.activation import Activation
from eafo.derivation import Derivation
from eafo.errors import InputError
from eafo.report import result_figures
from eafo.report.album import Album
from eafo.report.cost import cost_section, front_section
from eafo.report.evidence import evidence_section
from eafo.report.layers import layers_section
from eafo.report.page import Page, Section, Table, render
from eafo.report.provenance import (
    comparison_command,
    plan_toml,
    rate_facts,
    run_facts,
    setting_facts,
    task_description,
)
from eafo.report.results import (
    Part,
    contrasts_section,
    curve_section,
    learned_section,
    metrics_section,
    results_section,
)
from eafo.report.rows import Row, candidate, counted, leading, of_comparison, of_study, score_label
from eafo.search import Comparison, Study
from eafo.search.records import FEWEST_FOR_IMPORTANCE
from eafo.search.space import derived

__all__ = ["write"]

#: More curves than these in one figure cannot be told apart.
_MOST_DRAWN = 8


def write(
    result: Study | Comparison,
    directory: str | Path,
    derivations: Sequence[Derivation] = (),
    comparison: Comparison | None = None,
    *,
    cost: bool = False,
) -> Path:
    """Write a result as one self-contained HTML page, with its figures as PNG and its numbers as JSON beside it.

    Args:
        result: a study or a comparison.
        directory: the folder; made where it is missing. Files of the same names are replaced.
        derivations: shown step by step below the results; on a study's page that of its best candidate comes last.
        comparison: shown on a study's page below the search, for example its best candidates with fresh seeds.
        cost: measure the kernels here and now (the best eight of a study), for the Pareto front of score and time.

    Returns:
        The path of the page, ``index.html``.

    Raises:
        InputError: the folder cannot be written.
        BuildError: kernels are to be measured and cannot be compiled here.
    """
    album = Album()
    if isinstance(result, Study):
        made = _study_page(result, album, derivations, comparison, cost)
    else:
        made = _comparison_page(result, album, derivations, cost)
    files = {**album.files, "result.json": _numbers(result), "index.html": render(made).encode()}
    if cost:
        # Of fewer than two scores nothing is measured, and no older file must be taken for it.
        files.setdefault("cost.json", b"[]\n")
    if comparison is not None:
        files["comparison.json"] = _numbers(comparison)
    return _write_all(Path(directory), files) / "index.html"


def _numbers(result: Study | Comparison) -> bytes:
    return (json.dumps(result.to_dict(), indent=1, ensure_ascii=False) + "\n").encode()


def _comparison_page(
    comparison: Comparison, album: Album, derivations: Sequence[Derivation], cost: bool
) -> Page:
    rows = of_comparison(comparison)
    sections = [
        _comparison_section(comparison, album, "Results"),
        contrasts_section(comparison),
        cost_section(album, rows, score_label(comparison.task), comparison.task) if cost else None,
        metrics_section(rows),
        learned_section(rows),
        layers_section(album, rows[:_MOST_DRAWN]),
        curve_section(album, rows[:_MOST_DRAWN]),
        *_derivation_sections(derivations),
        _comparison_record(comparison),
    ]
    names = ", ".join(row.label for row in rows)
    return Page(f"Comparison on {comparison.task}", f"{_leader(rows)} Compared: {names}.", _kept(sections))


def _comparison_section(
    comparison: Comparison, album: Album, title: str, prefix: str = "", lead: str = ""
) -> Section:
    rows = of_comparison(comparison)
    part = Part(title, "activation", score_label(comparison.task), prefix, lead)
    return results_section(album, part, rows, [r for r in rows if r.estimate][:_MOST_DRAWN])


def _study_page(
    study: Study, album: Album, derivations: Sequence[Derivation], comparison: Comparison | None, cost: bool
) -> Page:
    rows = of_study(study)
    top = leading(rows, _MOST_DRAWN)
    score = score_label(study.plan.task)
    sections: list[Section | None] = [
        results_section(album, Part("Results", "trial", score), rows, top),
        _history_section(study, album, score),
        front_section(album, study, score),
        evidence_section(study),
        cost_section(album, top, score, study.plan.task) if cost else None,
    ]
    if comparison is not None:
        lead = _leader(of_comparison(comparison))
        sections.append(_comparison_section(comparison, album, "The comparison", "comparison-", lead))
    sections += [
        curve_section(album, top, _corrections(study, top)) if top else None,
        metrics_section(top),
        learned_section(top),
        layers_section(album, top),
        *_derivation_sections([*derivations, *_best_derivation(study)]),
        _study_record(study, comparison),
    ]
    return Page(f"Study {study.name}", _study_summary(study), _kept(sections))


def _kept(sections: Sequence[Section | None]) -> tuple[Section, ...]:
    return tuple(section for section in sections if section is not None)


def _leader(rows: Sequence[Row]) -> str:
    """Who leads, and whose interval meets the leader's; nothing is claimed beyond that."""
    scored = [row for row in rows if row.estimate is not None]
    if not scored:
        return "No activation finished all its seeds."
    best = scored[0]
    text = f"{best.label} has the highest mean, {best.estimate}."
    if best.estimate is None or best.estimate.low is None or len(scored) == 1:
        return text
    low = best.estimate.low
    close = [
        r.label for r in scored[1:] if r.estimate and r.estimate.high is not None and r.estimate.high >= low
    ]
    return f"{text} Intervals that overlap with it: {', '.join(close) if close else 'none'}."


def _study_summary(study: Study) -> str:
    states = [t.state for t in study.trials]
    count = f"{counted(len(states), 'trial')}: " + ", ".join(
        f"{states.count(s)} {s}" for s in ("complete", "pruned", "failed")
    )
    unfinished = f"; {study.unfinished} unfinished" if study.unfinished else ""
    if "complete" not in states:
        return f"{count}{unfinished}. No trial is complete yet."
    best = study.best
    if len(study.plan.objectives) > 1:
        return (
            f"{count}{unfinished}. On the Pareto front of {', '.join(study.plan.objectives)}: {counted(len(study.front), 'trial')}; the highest "
            f"score has trial {best.number}, {candidate(best)}, with {best.estimate}. The best of many is flattered by the choice: a claim needs fresh seeds."
        )
    return (
        f"{count}{unfinished}. The best is trial {best.number}, {candidate(best)}, with {best.estimate}. The best of many is "
        "flattered by the choice: a claim needs fresh seeds."
    )


def _history_section(study: Study, album: Album, score: str) -> Section:
    caption = f"The mean {score} of each trial in its order, with its interval; pruned trials hollow, the best so far as a line."
    drawings = [album.add(result_figures.history(study, score), "history", "History of the study", caption)]
    for number, name in enumerate(
        sorted({name for t in study.trials if t.estimate for name, _ in t.parameters})
    ):
        caption = (
            f"The searched value of {name} against the mean {score}, with its interval; pruned trials hollow."
        )
        drawn = result_figures.parameters(study, name, score)
        drawings.append(album.add(drawn, f"parameter-{number}", f"{name} and the score", caption))
    complete = sum(t.state == "complete" for t in study.trials)
    if not study.importance:
        few = f"The importance of choices is told from {FEWEST_FOR_IMPORTANCE} complete trials with different scores; there are {complete}."
        return Section("history", "The search, trial by trial", (few,), drawings=tuple(drawings))
    told = (
        "Importance: how much a choice tells the best tenth of the complete trials from the others (PED-ANOVA), in shares of all. A search proposes what "
        "it holds for good, so this is no experiment of its own."
    )
    rows = tuple((name, f"{value:.2f}") for name, value in study.importance)
    table = Table("Importance of choices", ("choice", "importance"), rows, frozenset(("importance",)))
    return Section(
        "history", "The search, trial by trial", (told,), drawings=tuple(drawings), tables=(table,)
    )


def _corrections(study: Study, top: Sequence[Row]) -> list[tuple[Row, tuple[Activation, Activation]]]:
    """Of those of the best that have a correction, the activation with it and without."""
    with_law = {(t.activation, t.setting): t for t in study.trials if t.law not in ("", "none")}
    found = []
    for row in top:
        trial = with_law.get((row.activation, row.setting))
        if trial is None or trial.activation is None:
            continue
        # A derivation adds the correction's size as its last parameter.
        size = trial.activation.parameters[-1]
        if size.domain.contains(0.0):
            found.append((row, (trial.activation, trial.activation.with_parameters(**{size.name: 0.0}))))
    return found


def _best_derivation(study: Study) -> tuple[Derivation, ...]:
    """The best candidate's base × law, derived anew; nothing where it is a base as it stands, or a composed formula."""
    if not any(t.state == "complete" for t in study.trials) or study.best.law in ("", "none"):
        return ()
    return (derived(study.best.base, study.best.law),)


def _derivation_sections(derivations: Sequence[Derivation]) -> list[Section]:
    sections: dict[str, Section] = {}
    for derivation in derivations:
        title = f"How {derivation.base.name} × {derivation.law} becomes {derivation.activation.name}"
        fragment = Markup(derivation.html())  # noqa: S704 - eafo's own MathML, its texts escaped
        sections.setdefault(title, Section(f"derivation-{len(sections)}", title, html=fragment))
    return list(sections.values())


def _comparison_record(comparison: Comparison) -> Section:
    seeds = ", ".join(map(str, comparison.seeds))
    facts = (
        ("Task", task_description(comparison.task)),
        ("Epochs", str(comparison.epochs)),
        ("Seeds", seeds),
        *setting_facts(comparison.setting),
        *rate_facts(comparison),
        *run_facts([comparison.run]),
    )
    command = comparison_command(comparison)
    kept = ("The file result.json, beside this page, holds every number.",)
    return Section("record", "What was run", kept, facts, "This command repeats it:", command)


def _study_record(study: Study, comparison: Comparison | None) -> Section:
    plan = study.plan
    facts = [
        ("Task", task_description(plan.task)),
        ("Epochs", str(plan.epochs)),
        ("Seeds", ", ".join(map(str, plan.all_seeds))),
        ("Bases", ", ".join(plan.space.bases)),
        ("Laws", ", ".join(plan.space.laws)),
    ]
    if comparison is not None:
        seeds = ", ".join(map(str, comparison.seeds))
        facts.append(
            ("Comparison", f"{comparison.task}, {counted(comparison.epochs, 'epoch')}, seeds {seeds}")
        )
    facts += (*setting_facts(plan.setting), *run_facts(study.runs))
    kept = ("The file result.json, beside this page, holds every number.",)
    title = f"The plan. In a file {plan.name}.toml, the command eafo search {plan.name}.toml runs it again:"
    return Section("record", "What was run", kept, tuple(facts), title, plan_toml(plan))


def _write_all(directory: Path, files: dict[str, bytes]) -> Path:
    """Write each file under another name first, the page last: whoever sees it sees it whole."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            temporary = directory / f".{name}.{os.getpid()}.tmp"
            try:
                temporary.write_bytes(content)
                temporary.replace(directory / name)
            finally:
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"the report's folder must be writable ({error.strerror})", str(directory)
        ) from error
    return directory
