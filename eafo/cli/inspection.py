"""``eafo properties``, ``eafo entropy`` and ``eafo rank``: what an activation is like, and how the known ones compare."""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eafo.cli.options import Json
from eafo.cli.output import entries, heading, note, paragraph, say, say_json, table

if TYPE_CHECKING:
    import sympy

    from eafo.activation import Activation
    from eafo.theory.entropy import Entropy
    from eafo.theory.properties import MonotonePiece, Properties
    from eafo.theory.ranking import Ranking

__all__ = ["entropy", "properties", "rank"]

_MOST_PIECES = 6
_LONGEST_FORM = 40

Law = Annotated[str, typer.Option("--law", help="The input law, for example normal or normal(0,2).")]


def properties(
    activation: Annotated[str, typer.Argument(help="A catalog name, or formula text in x.")],
    law: Law = "normal",
    as_json: Json = False,
) -> None:
    """Tell what an activation is like: continuity, smoothness, pieces, range, slopes, ends, fixed points."""
    from eafo import catalog  # noqa: PLC0415 - SymPy takes 0.4 s
    from eafo.theory import properties as known  # noqa: PLC0415 - as above

    found = catalog.get(activation)
    told = known.of(found, law)
    if as_json:
        say_json({"formula": str(found)} | told.to_dict())
    else:
        show_properties(found, told)


def show_properties(activation: Activation, told: Properties) -> None:
    """Print a page: a line for each property."""
    parameters = ", ".join(f"{p.name} = {p.default:g}" for p in activation.parameters)
    heading(activation.name)
    say(f"{activation}{f'    with {parameters}' if parameters else ''}\n")
    lines = [*_continuity(told), *_shape(told), *_size(told), *_ends(told), *_points(told)]
    entries(lines)
    for text in told.notes:
        paragraph(f"• {text}", style="yellow", above=int(text == told.notes[0]))


def _continuity(told: Properties) -> list[tuple[str, str]]:
    from eafo import rendering  # noqa: PLC0415 - SymPy takes 0.4 s

    lines = [("continuity", "continuous" if told.continuous else "not continuous")]
    for jump in told.jumps:
        by = abs(jump.right - jump.left)
        exact = "" if jump.size is None or jump.size.is_number else f"{rendering.text(jump.size)} = "
        lines.append(
            (
                "",
                f"jumps by {exact}{_number(by)} at x = {_number(jump.x)}, from {_number(jump.left)} to {_number(jump.right)}",
            )
        )
    smooth = {-1: "none: it jumps", 0: "C⁰: continuous, not everywhere differentiable", math.inf: "C^∞"}
    lines.append(("smoothness", smooth.get(told.smoothness) or f"C{_superscript(told.smoothness)}"))
    lines += [
        ("", f"kink at x = {_number(k.x)}: slopes {_number(k.left_slope)} and {_number(k.right_slope)}")
        for k in told.kinks
    ]
    return lines


def _superscript(order: float) -> str:
    return str(int(order)).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _shape(told: Properties) -> list[tuple[str, str]]:
    lines = [("monotonicity", _monotonicity(told))]
    shown = told.pieces
    if len(shown) > _MOST_PIECES:
        nearest = sorted(shown, key=_distance)[:_MOST_PIECES]
        shown = tuple(sorted(nearest, key=lambda p: p.lower))
        lines.append(("", f"{len(told.pieces)} pieces found, of which those next to 0:"))
    lines += [("", f"{p.kind} on ({_number(p.lower)}, {_number(p.upper)})") for p in shown]
    if told.parity:
        lines.append(("parity", told.parity))
    return lines


def _monotonicity(told: Properties) -> str:
    if told.monotone:
        return "nowhere decreasing"
    rises = any(p.kind == "increasing" for p in told.pieces) or any(j.left < j.right for j in told.jumps)
    return "not monotone" if rises or any(told.endless) else "nowhere increasing"


def _distance(piece: MonotonePiece) -> float:
    return 0.0 if piece.lower <= 0 <= piece.upper else min(abs(piece.lower), abs(piece.upper))


def _size(told: Properties) -> list[tuple[str, str]]:
    low, high = (_with_form(*pair) for pair in zip(told.range, told.exact_range, strict=True))
    known = not math.isnan(told.range[0])
    constant = _with_form(told.lipschitz, told.exact_lipschitz)
    steep = {True: "none", False: constant}[math.isinf(told.lipschitz)]
    return [
        ("range", f"from {low} to {high}" if known else "not known"),
        ("Lipschitz constant", "not known" if math.isnan(told.lipschitz) else steep),
    ]


def _ends(told: Properties) -> list[tuple[str, str]]:
    lines = []
    for place, limit, growth in zip(("−∞", "+∞"), told.limits, told.growth, strict=True):
        value = "no limit" if math.isnan(limit) else f"limit {_number(limit)}"
        rate = "" if math.isnan(growth) else f", f(x)/x → {_number(growth)}"
        lines.append((f"at {place}", value + rate))
    return lines


def _points(told: Properties) -> list[tuple[str, str]]:
    where = [_number(p) for p in sorted(told.fixed_points, key=abs)[:5]]
    more = len(told.fixed_points) - len(where)
    fixed = ", ".join(where) + (f" and {more} more" if more else "")
    intervals = [f"all of ({_number(low)}, {_number(high)})" for low, high in told.identity]
    return [
        ("f(0) = 0", "yes" if told.zero_at_zero else "no"),
        ("fixed points", ", ".join(itertools.chain([fixed] if fixed else [], intervals)) or "none"),
        ("sparsity", f"P(f(X) = 0) = {told.sparsity:.4g} under {told.law}"),
        ("saturation", f"P(f′(X) = 0) = {told.saturation:.4g} under {told.law}"),
    ]


def _number(value: float) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.6g}".replace("-", "−")


def _with_form(value: float, form: sympy.Expr | None) -> str:
    """A number, after its closed form where that says more."""
    from eafo import rendering  # noqa: PLC0415 - SymPy takes 0.4 s

    number = _number(value)
    if form is None or not math.isfinite(value):
        return number
    text = rendering.text(form).replace("-", "−")
    return number if len(text) > _LONGEST_FORM or text == number else f"{text} = {number}"


def entropy(
    activation: Annotated[str, typer.Argument(help="A catalog name, or formula text in x.")],
    law: Law = "normal",
    resolution: Annotated[
        str | None,
        typer.Option(
            "--resolution",
            metavar="STEP",
            help="The step to which the output is read, or bf16, fp16, fp8.",
            show_default="exact",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compute the entropy of an activation's output, with or without an inverse."""
    from eafo import catalog, laws  # noqa: PLC0415 - SymPy takes 0.4 s
    from eafo.theory import entropy as entropies  # noqa: PLC0415 - as above

    found, input_law = catalog.get(activation), laws.get(law)
    value = entropies.of(found, input_law, None if resolution is None else _resolution(resolution))
    if as_json:
        named = {"activation": found.name, "formula": str(found), "law": str(input_law)}
        say_json(named | asdict(value) | {"atoms": [asdict(a) for a in value.atoms]})
    else:
        heading(f"{found.name} × {input_law}")
        say(f"{found}\n")
        show_entropy(value)


def show_entropy(found: Entropy) -> None:
    """Print the value, its kind, and what it must be read with."""
    kinds = {
        "differential": "differential: −∫ q log q dz",
        "mixed": "mixed: −Σ P log P over the atoms, − ∫ q log q dz beside them",
        "at a resolution": "of the output read to the nearest multiple of δ, plus log δ",
    }
    name = "H" if found.resolution is None else "H_δ"
    lines = [(name, f"{_digits(found.value)}, {kinds[found.kind]}")]
    if found.resolution is not None:
        lines.append(("δ", f"{_number(found.resolution)}"))
    lines += [(f"{name} − log scale", _digits(found.scale_free)), ("scale", _number(found.scale))]
    if math.isfinite(found.error):
        lines.append(("error", f"about {found.error:.0e}"))
    for atom in sorted(found.atoms, key=lambda a: -a.probability)[:_MOST_PIECES]:
        lines.append(("atom", f"{_number(atom.value + 0.0)}, of probability {_number(atom.probability)}"))
    if found.atoms:
        lines.append(("H given no atom", _digits(found.conditional)))
    entries(lines)


def _digits(value: float) -> str:
    """An entropy to nine decimals."""
    if math.isfinite(value):
        return f"{value:.9f} nats".replace("-", "−")
    return "not known" if math.isnan(value) else _number(value)


def rank(
    activations: Annotated[
        list[str] | None, typer.Argument(show_default="the whole catalog", help="Names or formulas.")
    ] = None,
    law: Law = "normal",
    resolution: Annotated[
        str,
        typer.Option(
            "--resolution", metavar="STEP", help="The step to which outputs are read, or bf16, fp16, fp8."
        ),
    ] = "bf16",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Draw it, too: a file's name in svg, png or pdf.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Rank activations by the entropy of their output at a resolution, the lowest first."""
    from eafo.theory import ranking as rankings  # noqa: PLC0415 - SymPy takes 0.4 s

    ranking = rankings.rank(law, _resolution(resolution), activations)
    path = None
    if output is not None:
        from eafo.report import ranking_figure  # noqa: PLC0415 - loads matplotlib

        path = ranking_figure.save(ranking, output)
    if as_json:
        say_json(ranking.to_dict() | {"figure": None if path is None else str(path)})
        return
    show_ranking(ranking)
    if path is not None:
        note(f"wrote {path}")


def _resolution(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


def show_ranking(ranking: Ranking) -> None:
    """Print the rows, lowest entropy first, with the place by the scale-free measure beside it."""
    from eafo.theory.entropy import RESOLUTIONS  # noqa: PLC0415 - SymPy takes 0.4 s

    step = ranking.resolution
    at = f"δ = {step:g}" if isinstance(step, float) else f"{step}, δ = scale/{1 / RESOLUTIONS[step]:g}"
    heading(f"entropy of f(X) in nats, X {ranking.law}, read at {at}")
    columns = ("place", "activation", "H_δ", "scale-free place", "H_δ − log scale", "atoms")
    rows = [
        (
            "—" if row.place is None else str(row.place),
            row.activation.name,
            f"{row.entropy.value:.4f}",
            "—" if row.scale_free_place is None else str(row.scale_free_place),
            f"{row.entropy.scale_free:.4f}",
            row.note,
        )
        for row in ranking.rows
    ]
    table(columns, rows, numbers=("place", *columns[2:5]))
