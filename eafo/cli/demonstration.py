"""``eafo demo``: the whole way once, in under three minutes on two processors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eafo.cli.mathematics import show_derivation
from eafo.cli.options import Json, Workers
from eafo.cli.output import heading, interruptible, make_directory, note, say, say_json, write_text
from eafo.cli.trials import show_comparison, show_study
from eafo.errors import BuildError

if TYPE_CHECKING:
    from eafo.derivation import Derivation
    from eafo.kernels import Verification
    from eafo.search import Comparison, Study

__all__ = ["demo"]

_PLAN = """\
# What `eafo demo` searches: where should the correction of ReLU start, and for which input law?
name = "demo"
task = "mnist1d"
epochs = 10
trials = 6
seeds = 3

[space]
bases = ["relu"]
laws = ["normal", "logistic"]

[space.parameters.epsilon]
low = -0.5
high = 1.0
"""
_COMPARED = ("relu", "gelu", "crrelu")
_EPOCHS, _SEEDS, _FIRST_FRESH_SEED = 10, 3, 100


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder of all that is written.")] = Path(
        "demo"
    ),
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Walk the whole way once: derive CRReLU, compile it, search around it, compare it, write the page."""
    from eafo import report as reports  # noqa: PLC0415 - loads matplotlib
    from eafo.derivation import derive  # noqa: PLC0415 - loads SymPy

    make_directory(output)
    tell = _Teller(silent=as_json)
    derivation = derive("relu", "normal")
    tell("1. Derive CRReLU from ReLU and a normal input law", show_derivation, derivation)
    source, verification = _compile(output)
    tell("2. Compile it, and check the code against mpmath", _show_code, source, verification)
    study = _search(output, workers)
    tell("3. Search for the law and for the start of ε", show_study, study)
    comparison = _compare(study, workers)
    tell("4. Compare the winner with others, with fresh seeds", show_comparison, comparison)
    page = reports.write(study, output, (derivation,), comparison)
    if as_json:
        say_json(_document(derivation, verification, study, comparison, page))
    else:
        heading("5. The page")
        say(str(page))


class _Teller:
    """Shows a step's heading and result; silent where standard output belongs to JSON."""

    def __init__(self, silent: bool) -> None:
        self.silent = silent

    def __call__(self, title: str, show: Callable[..., None], *results: Any) -> None:
        if not self.silent:
            heading(title)
            show(*results)
            say("")


def _compile(output: Path) -> tuple[Path, Verification]:
    from eafo import catalog, kernels  # noqa: PLC0415 - loads torch

    activation = catalog.get("crrelu")
    source = output / "crrelu.cu"
    write_text(source, kernels.emit(activation, "cuda"))
    try:
        verification = kernels.verify(activation, backend="cpp")
    except BuildError as error:
        note(f"no C++ kernel here, plain torch operations instead: {error}")
        verification = kernels.verify(activation, backend="aten")
    if not verification.ok:
        raise BuildError("the generated code must agree with mpmath", repr(verification))
    return source, verification


def _show_code(source: Path, verification: Verification) -> None:
    say(str(verification))
    say(f"CUDA source: {source}")


def _search(output: Path, workers: int | None) -> Study:
    from eafo import search as searches  # noqa: PLC0415 - loads Optuna
    from eafo.search.progress import RichProgress  # noqa: PLC0415

    plan = output / "demo.toml"
    write_text(plan, _PLAN)
    database = output / "demo.db"
    if database.exists():
        note(f"starting afresh: {database} of an earlier demo is replaced")
        database.unlink()
    with interruptible("start the demo again"):
        return searches.run(plan, storage=f"sqlite:///{database}", workers=workers, progress=RichProgress())


def _compare(study: Study, workers: int | None) -> Comparison:
    from eafo import search as searches  # noqa: PLC0415 - as above
    from eafo.search.progress import RichProgress  # noqa: PLC0415

    winner = study.best.activation
    with interruptible("start the demo again"):
        return searches.compare(
            [*_COMPARED, *([] if winner is None else [winner])],
            task="mnist1d",
            seeds=_SEEDS,
            epochs=_EPOCHS,
            first_seed=_FIRST_FRESH_SEED,
            workers=workers,
            progress=RichProgress(),
        )


def _document(
    derivation: Derivation, verification: Verification, study: Study, comparison: Comparison, page: Path
) -> dict[str, Any]:
    return {
        "derivation": derivation.to_dict(),
        "verification": asdict(verification) | {"ok": verification.ok},
        "study": study.to_dict(),
        "comparison": comparison.to_dict(),
        "page": str(page),
    }
