"""``eafo derive``, ``eafo wafbc`` and ``eafo emit``: from a formula to an activation to code."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eafo.cli.options import Json
from eafo.cli.output import console, drawing, folded, note, paragraph, say, say_json, write_text
from eafo.errors import BuildError, InputError

if TYPE_CHECKING:
    from sympy import Expr

    from eafo.activation import Activation
    from eafo.derivation import Derivation
    from eafo.kernels import Verification

__all__ = ["Metric", "derive", "emit", "wafbc"]

Law = Annotated[str, typer.Option("--law", help="The input law, for example normal or normal(0,2).")]

_INDENT = 6
_NAMES = 12
#: A wider drawing is harder to read than its text.
_WIDEST = 104


class Metric(StrEnum):
    """The metrics of steepest descent: those of `eafo.derive`."""

    OUTPUT = "output"
    INPUT = "input"
    PROBABILITY = "probability"


def derive(
    base: Annotated[str, typer.Argument(help="A catalog name, or formula text in x.")],
    law: Law = "normal",
    metric: Annotated[
        Metric,
        typer.Option("--metric", help="Steepest descent in L²(dz), the paper's; in L²(dx); or in L²(p)."),
    ] = Metric.OUTPUT,
    scale_free: Annotated[
        bool,
        typer.Option("--scale-free", help="Lower H − log of the output's scale, which no rescaling changes."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Correct a base activation for an input law, and show each step of the derivation."""
    from eafo.derivation import derive as derive_correction  # noqa: PLC0415 - SymPy takes 0.4 s

    derivation = derive_correction(base, law, metric=metric.value, scale_free=scale_free)
    if as_json:
        say_json(derivation.to_dict())
    else:
        show_derivation(derivation)


def show_derivation(derivation: Derivation) -> None:
    """Print the steps, the result and the findings."""
    paragraph(f"{derivation.base.name} × {derivation.law}", style="bold")
    for number, step in enumerate(derivation.steps, 1):
        paragraph(f"{number}. {step.title}", style="bold cyan", above=1)
        paragraph(step.justification, indent=3)
        drawing(_formula(step.formula), indent=_INDENT)
        if step.verification:
            paragraph(f"✓ {step.verification}", style="green", indent=3)
    paragraph("Result", style="bold cyan", above=1)
    drawing("\n".join(_result(derivation)), indent=3)
    for finding in derivation.findings:
        paragraph(f"• {finding}", style="yellow", indent=3)


def _result(derivation: Derivation) -> list[str]:
    from eafo import rendering  # noqa: PLC0415 - as above

    lines = _named("correction", rendering.text(derivation.correction))
    lines += _named("constant", rendering.text(derivation.constant))
    lines += _named("activation", str(derivation.activation))
    for parameter in derivation.activation.parameters:
        kind = "learnable, starts at" if parameter.learnable else "fixed at"
        lines.append(f"{'':{_NAMES}}{parameter.name} {kind} {parameter.default:g}")
    return lines


def _named(name: str, text: str) -> list[str]:
    """A formula behind its name, its further lines set under the first."""
    first, *rest = folded(text, min(console().width - 3, _WIDEST) - _NAMES)
    return [f"{name:{_NAMES}}{first}", *(" " * _NAMES + line for line in rest)]


def _formula(expression: Any) -> str:
    """The formula in two dimensions where it fits, else as text in as many lines as it needs."""
    from eafo import rendering  # noqa: PLC0415 - as above

    width = min(console().width - _INDENT, _WIDEST)
    drawn = rendering.pretty(expression)
    if max(map(len, drawn.splitlines())) <= width:
        return drawn
    left, right = expression.args if getattr(expression, "is_Equality", False) else (None, expression)
    lead = "" if left is None else f"{rendering.text(left)} = "
    first, *rest = folded(lead + rendering.text(right), width - 4)
    return "\n".join([first, *("    " + line for line in rest)])


def wafbc(  # noqa: PLR0917 - the options of a command
    law: Annotated[str, typer.Argument(help="The input law, for example logistic or normal(0,2).")],
    bounds: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--bounds", metavar="LOW HIGH", help="The activation's limits at −∞ and ∞.", show_default="0 1"
        ),
    ] = None,
    mean: Annotated[
        str | None, typer.Option("--mean", metavar="M", help="The mean of an output that is not negative.")
    ] = None,
    variance: Annotated[
        str | None, typer.Option("--variance", metavar="V", help="The variance of an unbounded output.")
    ] = None,
    output_mean: Annotated[
        str, typer.Option("--output-mean", metavar="M", help="The mean that goes with the variance.")
    ] = "0",
    as_json: Json = False,
) -> None:
    """Compute the worst activation function under one constraint on its output: bounds, a mean or a variance."""
    from eafo import laws  # noqa: PLC0415 - as above
    from eafo.derivation import wafbc as worst  # noqa: PLC0415

    unconstrained = bounds is None and mean is None and variance is None
    low, high = ("0", "1") if unconstrained or bounds is None else bounds
    ends = (_number(low, "a bound"), _number(high, "a bound")) if unconstrained or bounds else None
    moments = {
        "mean": None if mean is None else _number(mean, "a mean", "--mean 1"),
        "variance": None if variance is None else _number(variance, "a variance", "--variance 1"),
    }
    centre = float(_number(output_mean, "an output's mean", "--variance 1 --output-mean 0"))
    found = worst(law, ends, **moments, output_mean=centre)
    if as_json:
        say_json(
            {
                "law": str(laws.get(law)),
                "bounds": None if ends is None else [float(end) for end in ends],
                **{name: None if value is None else float(value) for name, value in moments.items()},
                "output_mean": None if variance is None else centre,
                "formula": str(found),
                "latex": found.latex(),
                "activation": json.loads(found.to_json()),
            }
        )
    else:
        say(str(found))
        for step in _numerical(found.provenance.steps):
            note(step)


def _numerical(steps: Sequence[str]) -> list[str]:
    """The steps that tell what is numerical, and how far it is right."""
    return list(itertools.dropwhile(lambda step: not step.startswith("no closed form"), steps))


def _number(text: str, what: str, example: str = "--bounds -1 1") -> Expr:
    """The number as it is typed: π stays π."""
    from eafo import formula  # noqa: PLC0415 - as above

    try:
        number = formula.parse(text, {})
        float(number)
    except (InputError, TypeError) as error:
        raise InputError(f"{what} must be a finite number", text, f"for example {example}") from error
    return number


def emit(  # noqa: PLR0917 - typer reads each as an option
    activation: Annotated[str, typer.Argument(help="A catalog name, or formula text in x.")],
    target: Annotated[str, typer.Option("--target", help="What to write: see `eafo list targets`.")] = "cuda",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file instead of standard output.")
    ] = None,
    precision: Annotated[
        str, typer.Option("--precision", help="fast, or exact: float32 computed in double.")
    ] = "fast",
    verify: Annotated[bool, typer.Option("--verify", help="Run the code against mpmath first.")] = False,
    as_json: Json = False,
) -> None:
    """Write the source code of an activation and its derivatives."""
    from eafo import catalog, kernels  # noqa: PLC0415 - as above

    found = catalog.get(activation)
    source = kernels.emit(found, target, precision)
    verification = _verified(found, target) if verify else None
    if output is not None:
        write_text(output, source)
    if as_json:
        say_json(_emitted(found, target, source, output, verification))
    elif output is None:
        say(source.rstrip("\n"))
    else:
        note(f"wrote {output}")


def _verified(activation: Activation, target: str) -> Verification:
    """Code that is wrong is not written: its verification fails before."""
    from eafo import kernels  # noqa: PLC0415 - as above

    if target in ("cuda", "triton"):
        raise InputError(
            "--verify runs the code on the processor, so the target must be cpp or aten",
            target,
            "all targets are printed from one program: verify cpp",
        )
    verification = kernels.verify(activation, backend=target)
    if not verification.ok:
        raise BuildError("the generated code must agree with mpmath", repr(verification))
    note(str(verification))
    return verification


def _emitted(
    activation: Activation, target: str, source: str, output: Path | None, verification: Verification | None
) -> dict[str, Any]:
    written: dict[str, Any] = {"source": source} if output is None else {"path": str(output)}
    return {
        "activation": json.loads(activation.to_json()),
        "target": target,
        **written,
        "verification": None if verification is None else asdict(verification) | {"ok": verification.ok},
    }
