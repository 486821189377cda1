"""``eafo search``, ``eafo compare`` and ``eafo report``: trials, and the page that shows them."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from eafo import tasks
from eafo.cli.options import Executor, Gpus, Json, Workers
from eafo.cli.output import heading, interruptible, make_directory, note, say, say_json, table
from eafo.errors import EafoError, InputError
from eafo.tasks import Setting

if TYPE_CHECKING:
    from collections.abc import Iterable

    from eafo.search import Comparison, Confirmation, Plan, Study

__all__ = ["compare", "report", "search", "show_comparison", "show_confirmation", "show_null", "show_study"]

_STUDIES = Path("studies")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class _Place(TypedDict):
    """Where trainings run."""

    workers: int | None
    executor: str
    gpus: float


Storage = Annotated[
    str | None,
    typer.Option(
        "--storage", show_default="sqlite:///studies/NAME.db", help="An Optuna storage URL, or a file."
    ),
]


def search(  # noqa: PLR0917 - each is an option of the command
    plan: Annotated[Path, typer.Argument(help="The plan, a TOML file.")],
    trials: Annotated[
        int | None, typer.Option("--trials", help="The study's total, instead of the plan's.")
    ] = None,
    storage: Storage = None,
    batch: Annotated[
        int | None,
        typer.Option(
            "--batch", metavar="N", help="Ask N candidates at once: the same study on any number of workers."
        ),
    ] = None,
    confirm: Annotated[
        int | None,
        typer.Option(
            "--confirm",
            metavar="SEEDS",
            min=8,
            help="Hold the best three against ReLU, GELU and SiLU on fresh seeds, 8 at least.",
        ),
    ] = None,
    null: Annotated[
        int | None,
        typer.Option(
            "--null",
            metavar="STUDIES",
            help="Instead, search among copies of the first base: how often is one named better?",
        ),
    ] = None,
    workers: Workers = None,
    executor: Executor = "local",
    gpus: Gpus = 0.0,
    as_json: Json = False,
) -> None:
    """Search bases, input laws and parameters for the best activation; the same command resumes."""
    from eafo import search as searches  # noqa: PLC0415 - loads Optuna
    from eafo.search.progress import RichProgress  # noqa: PLC0415

    place: _Place = {"workers": workers, "executor": executor, "gpus": gpus}
    if null is not None:
        if confirm is not None:
            raise InputError("--null and --confirm exclude each other", "both")
        show_null(searches.Plan.from_toml(plan), null, place, as_json)
        return
    with interruptible("what was finished is kept, and the same command goes on from there"):
        study = searches.run(
            plan, trials=trials, storage=storage, batch=batch, progress=RichProgress(), **place
        )
    if not as_json:
        show_study(study)
    document = study.to_dict()
    if confirm is not None:
        with interruptible("the study is kept; a confirmation starts again"):
            confirmed = _confirmed(study, confirm, place, as_json)
            document["confirmation"] = None if confirmed is None else confirmed.to_dict()
    if as_json:
        say_json(document)
    else:
        there = "" if storage is None else f" --storage {shlex.quote(storage)}"
        note(f"`eafo report {study.name}{there}` writes a page")
    if not any(t.outcomes for t in study.trials):
        raise _nothing_learned(t.reason for t in study.trials)


def _nothing_learned(reasons: Iterable[str]) -> EafoError:
    """What a command ends with where no training came to a score, with the first reason."""
    return EafoError("a training must come to a score", next(filter(None, reasons), "none at all"))


def _confirmed(study: Study, seeds: int, place: _Place, as_json: bool) -> Confirmation | None:
    """The best three of a study that are no baselines against those; None where there is none to confirm."""
    from eafo import search as searches  # noqa: PLC0415 - loads Optuna
    from eafo.catalog import get  # noqa: PLC0415 - loads SymPy
    from eafo.search.confirmation import BASELINES  # noqa: PLC0415
    from eafo.search.progress import RichProgress  # noqa: PLC0415

    leaders, rates = study.leaders(3, [get(b) for b in BASELINES]), study.plan.space.rates
    candidates = [t.activation for t in leaders if t.activation is not None]
    if not candidates:
        note("there is nothing to confirm: no trial is complete but those of the baselines")
        return None
    path = _STUDIES / f"{study.name}-confirmation.json"
    make_directory(_STUDIES)
    held_out = str(getattr(tasks.get(study.plan.task), "held_out", ""))
    found = searches.confirm(
        candidates,
        held_out or study.plan.task,
        seeds=seeds,
        epochs=study.plan.epochs,
        setting=study.plan.setting,
        settings=[replace(t.setting, rate=1.0) if rates else t.setting for t in leaders],
        rates=rates,
        progress=RichProgress(),
        **place,
    )
    found.comparison.save(path)
    if not as_json:
        show_confirmation(found)
    note(f"saved {path}; `eafo report {path.stem}` writes a page")
    return found


def show_confirmation(confirmation: Confirmation) -> None:
    """Print what fresh seeds say of each candidate."""
    from eafo.report.rows import of_comparison  # noqa: PLC0415 - loads SymPy

    heading(
        f"{confirmation.comparison.task}, on fresh seeds, at {100 * confirmation.level:g} % for all candidates together"
    )
    rows = {row.index: row for row in of_comparison(confirmation.comparison)}
    labels = {index: row.label for index, row in rows.items()}
    held = tuple(f"over {arm.activation.name}" for arm in confirmation.baselines)
    body = [
        (
            labels[i],
            verdict.decision,
            f"{verdict.p_value:.2g}",
            str(verdict.seeds),
            *(str(d) for d in verdict.differences),
            *([""] * (len(held) - len(verdict.differences))),
        )
        for i, verdict in enumerate(confirmation.verdicts)
    ]
    table(("candidate", "decision", "p", "seeds", *held), body, numbers=("p", "seeds", *held))
    for row in rows.values():
        if row.note:
            say(f"{row.label}: {row.note}")


def show_null(plan: Plan, studies: int, place: _Place, as_json: bool) -> None:
    """Run the null test of a plan, trained and resampled, and print what came of it."""
    from eafo import search as searches  # noqa: PLC0415 - loads Optuna
    from eafo.search.progress import RichProgress  # noqa: PLC0415

    design = searches.NullDesign(trials=plan.trials, seeds=plan.seeds, finalists=min(3, plan.trials))
    with interruptible("a null test starts again"):
        trained, scores = searches.null_trained(
            plan.space.bases[0],
            plan.task,
            design,
            studies=studies,
            epochs=plan.epochs,
            setting=plan.setting,
            progress=RichProgress(),
            **place,
        )
    resampled = searches.null_resampled(scores, design)
    if as_json:
        found = {"trained": trained.to_dict(), "resampled": resampled.to_dict()}
        say_json({**found, "plan": plan.to_dict(), "scores": scores})
        return
    say(f"trained: {trained}")
    say(f"resampled from their {len(scores)} scores: {resampled}")


def compare(  # noqa: PLR0917 - each is an option of the command
    activations: Annotated[list[str], typer.Argument(help="Catalog names or formulas.")],
    task: Annotated[str, typer.Option("--task", help="See `eafo list tasks`.")] = "mnist1d",
    seeds: Annotated[int, typer.Option("--seeds", help="Runs of each activation.")] = 10,
    epochs: Annotated[
        int | None, typer.Option("--epochs", show_default="the budget's", help="Epochs a run.")
    ] = None,
    budget: Annotated[str, typer.Option("--budget", help="tiny, short or full.")] = "short",
    first_seed: Annotated[int, typer.Option("--first-seed", help="Seeds are counted from here.")] = 0,
    device: Annotated[str, typer.Option("--device", help="Where trainings run: cpu, cuda, cuda:1.")] = "cpu",
    precision: Annotated[
        str, typer.Option("--precision", help="Of matrix products: float32, bfloat16 or float16.")
    ] = "float32",
    compiled: Annotated[bool, typer.Option("--compile", help="Compile models by torch.compile.")] = False,
    examples: Annotated[
        int | None, typer.Option("--examples", show_default="the budget's", help="The first so many alone.")
    ] = None,
    record: Annotated[bool, typer.Option("--record", help="Keep what each layer saw and learned.")] = False,
    stacked: Annotated[
        int, typer.Option("--stacked", metavar="K", help="Train K seeds at once, as one stack.")
    ] = 1,
    checkpoints: Annotated[
        Path | None,
        typer.Option("--checkpoints", metavar="DIR", help="Keep trainings there, and go on from there."),
    ] = None,
    rate: Annotated[
        float, typer.Option("--rate", help="Train at so many times the recipe's learning rate.")
    ] = 1.0,
    rates: Annotated[
        str,
        typer.Option(
            "--rates", metavar="0.5,1,2", help="Choose each activation's among these, on seeds of its own."
        ),
    ] = "",
    per_channel: Annotated[
        bool, typer.Option("--per-channel", help="Learnable parameters have a value a channel.")
    ] = False,
    saved: Annotated[
        str, typer.Option("--saved", help="What is kept for backward: x, or code, f′ in four bits.")
    ] = "x",
    workers: Workers = None,
    executor: Executor = "local",
    gpus: Gpus = 0.0,
    save: Annotated[
        str | None,
        typer.Option("--save", metavar="NAME", show_default="compare-TASK", help="studies/NAME.json."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Score a fixed list of activations on a task, each with its interval."""
    from eafo import search as searches  # noqa: PLC0415 - loads Optuna
    from eafo.search.progress import RichProgress  # noqa: PLC0415

    path = _comparison_path(save, task)
    setting = Setting(
        device,
        precision,  # type: ignore[arg-type]  # checked there
        compiled,
        examples,
        record,
        stacked,
        None if checkpoints is None else str(checkpoints),
        rate,
        per_channel,
        saved,  # type: ignore[arg-type]  # likewise
    )
    with interruptible("a comparison is saved when it is complete: start it again"):
        comparison = searches.compare(
            activations,
            task=task,
            seeds=seeds,
            epochs=epochs,
            budget=budget,
            first_seed=first_seed,
            setting=setting,
            rates=_numbers(rates),
            workers=workers,
            executor=executor,
            gpus=gpus,
            progress=RichProgress(),
        )
    comparison.save(path)
    if as_json:
        say_json(comparison.to_dict() | {"path": str(path)})
    else:
        show_comparison(comparison)
    note(f"saved {path}; `eafo report {path.stem}` writes a page")
    if not any(arm.outcomes for arm in comparison.arms):
        raise _nothing_learned(f for arm in comparison.arms for f in arm.failures)


def _numbers(text: str) -> list[float]:
    """Numbers between commas."""
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise InputError(
            "rates must be numbers between commas", text, "for example --rates 0.5,1,2"
        ) from error


def _comparison_path(save: str | None, task: str) -> Path:
    """Where the comparison will lie; checked before hours are spent on it."""
    # A task of the user's own is called module:object.
    name = "compare-" + re.sub(r"[^A-Za-z0-9_.-]", "-", task)[:48] if save is None else save
    path = _STUDIES / f"{_checked(name)}.json"
    make_directory(_STUDIES)
    number = 2
    while save is None and path.exists():
        path = _STUDIES / f"{name}-{number}.json"
        number += 1
    return path


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InputError(
            "a name must be at most 64 letters, digits, - _ or ., the first a letter or digit", name
        )
    return name


def report(
    name: Annotated[
        str, typer.Argument(help="A study's or comparison's name in ./studies, or the path of its file.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", show_default="reports/NAME", help="The page's folder.")
    ] = None,
    storage: Storage = None,
    cost: Annotated[
        bool, typer.Option("--cost", help="Measure the kernels: score against time, the Pareto front.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a study or a comparison as one self-contained page, with its figures."""
    from eafo import report as reports  # noqa: PLC0415 - loads matplotlib

    result = _load(name, storage)
    folder = Path("reports") / Path(name).stem if output is None else output
    page = reports.write(result, folder, cost=cost)
    if as_json:
        figures = sorted(str(p) for p in page.parent.glob("*.png"))
        found = {"cost": json.loads((page.parent / "cost.json").read_text(encoding="utf-8"))} if cost else {}
        say_json({"page": str(page), "figures": figures, **found})
    else:
        say(str(page))


def _load(name: str, storage: str | None) -> Study | Comparison:
    from eafo import search as searches  # noqa: PLC0415 - loads Optuna

    path = Path(name) if Path(name).suffix in (".json", ".db") else _STUDIES / f"{name}.json"
    if path.suffix == ".db":
        return searches.load(path.stem, storage=storage or f"sqlite:///{path}")
    if storage is None and path.exists():
        return searches.Comparison.load(path)
    if storage is None and path.suffix == ".json" and path != _STUDIES / f"{name}.json":
        raise InputError("a comparison's file must exist", name)
    if storage is None and not (_STUDIES / f"{name}.db").exists():
        known = sorted({p.stem for p in _STUDIES.glob("*") if p.suffix in (".json", ".db")})
        raise InputError(
            "a report needs the name of a study or comparison in ./studies, or the path of its file",
            name,
            f"known here: {', '.join(known)}"
            if known
            else "there is none here; `eafo compare` or `eafo search` makes one",
        )
    return searches.load(name, storage=storage)


def show_comparison(comparison: Comparison) -> None:
    """Print the arms, best first."""
    from eafo.report.rows import cells, counted, of_comparison, score_label  # noqa: PLC0415 - loads SymPy
    from eafo.search import contrasts_of  # noqa: PLC0415 - loads SciPy

    heading(f"{comparison.task}, {counted(comparison.epochs, 'epoch')}: {score_label(comparison.task)}")
    rows = of_comparison(comparison)
    columns = ("activation", "mean", "95 % interval", "deviation", "seeds", "seconds/training")
    body = [(r.label, *cells(r.estimate), "—" if r.seconds is None else f"{r.seconds:.1f}") for r in rows]
    table(columns, body, numbers=columns[1:])
    for row in rows:
        if row.note:
            say(f"{row.label}: {row.note}")
    labels = {row.index: row.label for row in rows}
    found = contrasts_of(comparison)
    shown = [c for c in found if c.p_value < 0.05]
    if found:
        how = "paired by seed" if found[0].difference.paired else "unpaired"
        say(
            f"{len(shown)} of {counted(len(found), 'pair')} told apart ({how}, Holm, 5 %)"
            + (":" if shown else "")
        )
    for c in shown:
        say(f"  {labels[c.ahead]} ahead of {labels[c.behind]} by {c.difference}, p = {c.p_value:.2g}")


def show_study(study: Study) -> None:
    """Print the finished trials: complete ones first, best first."""
    from eafo.report.rows import candidate, cells, counted, standing  # noqa: PLC0415 - loads SymPy

    heading(f"{study.name}: {counted(len(study.trials), 'trial')} on {study.plan.task}")
    costs = study.plan.objectives[1:]
    columns = ("trial", "state", "candidate", "mean", "95 % interval", "deviation", "seeds", *costs)
    ranked = standing(study)
    body = [
        (
            str(t.number),
            t.state,
            candidate(t),
            *cells(t.estimate),
            *(f"{dict(t.costs)[name]:.3g}" if t.costs else "" for name in costs),
        )
        for t in ranked
        if t.estimate
    ]
    table(columns, body, numbers=("trial", *columns[3:]))
    if costs and study.front:
        say(f"on the Pareto front: {', '.join(str(t.number) for t in study.front)}")
    for trial in ranked:
        if trial.state == "failed":
            say(f"trial {trial.number} failed: {trial.reason}")
