"""``eafo bench``: kernels beside what a user would take instead."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eafo.cli.options import Json
from eafo.cli.output import check_folder, interruptible, note, say, say_json, table, write_text
from eafo.errors import InputError

if TYPE_CHECKING:
    from eafo.kernels.bench import Measurement

__all__ = ["bench"]

_OTHERS = ("eager", "native", "compile", "compile-fast-math", "compile-max-autotune", "exact", "code")
_BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}


class Device(StrEnum):
    """Where kernels are measured."""

    CPU = "cpu"
    CUDA = "cuda"


class Form(StrEnum):
    """What is computed around the activation."""

    PLAIN = "plain"
    GATED = "gated"
    BIAS = "bias"


class Parameters(StrEnum):
    """How learnable parameters are given."""

    NONE = "none"
    SCALAR = "scalar"
    CHANNEL = "channel"


def bench(  # noqa: PLR0917 - an option each
    activations: Annotated[list[str], typer.Argument(help="Catalog names, or formula texts in x.")],
    sizes: Annotated[
        str, typer.Option("--sizes", help="Elements, with commas: multiples of 256 or powers as 2^20.")
    ] = "2^10,2^16,2^20,2^24",
    dtypes: Annotated[
        str, typer.Option("--dtypes", help="Of float64, float32, bfloat16, float16, with commas.")
    ] = "float32,bfloat16",
    passes: Annotated[
        str, typer.Option("--passes", help="forward, forward+backward, or both with a comma.")
    ] = "forward,forward+backward",
    parameters: Annotated[
        Parameters,
        typer.Option(
            "--parameters", help="Learnable ones as numbers, one tensor each, or a value a channel."
        ),
    ] = Parameters.SCALAR,
    form: Annotated[Form, typer.Option("--form", help="f(x), f(x) b or f(x + b).")] = Form.PLAIN,
    replay: Annotated[
        bool, typer.Option("--replay", help="On a GPU, time the replay of a CUDA graph too.")
    ] = False,
    variants: Annotated[
        str,
        typer.Option(
            "--variants",
            help="Beside copy: of eager, native, compile, compile-fast-math, compile-max-autotune, eafo, exact, code.",
        ),
    ] = "eager,native,compile,eafo",
    device: Annotated[Device, typer.Option("--device", help="cpu or cuda.")] = Device.CPU,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Of torch on the CPU.")] = 1,
    rounds: Annotated[int, typer.Option("--rounds", min=3, help="Rounds; medians are compared.")] = 15,
    output: Annotated[Path | None, typer.Option("--csv", help="A file for every number.")] = None,
    figure: Annotated[Path | None, typer.Option("--figure", help="A figure: svg, png or pdf.")] = None,
    as_json: Json = False,
) -> None:
    """Measure kernels beside eager PyTorch, its native operators, torch.compile and a plain copy."""
    import io  # noqa: PLC0415 - needed here alone

    from eafo.kernels import bench as measuring  # noqa: PLC0415 - loads torch
    from eafo.report import bench_figure, files  # noqa: PLC0415 - loads matplotlib

    for path in (output, figure):
        if path is not None:
            check_folder(path)
    if figure is not None:
        files.check_name(figure)
    with interruptible("what was measured is lost; fewer --sizes or --dtypes take less time"):
        measured = measuring.bench(
            activations,
            sizes=[_size(text) for text in _parts(sizes)],
            dtypes=_parts(dtypes),
            passes=_parts(passes),
            parameters=parameters.value,
            form=form.value,
            replay=replay,
            variants=_parts(variants),
            device=device.value,
            threads=threads,
            rounds=rounds,
            progress=note,
        )
    if output is not None:
        text = io.StringIO()
        measuring.write_csv(measured, text)
        write_text(output, text.getvalue())
        note(f"wrote {output}")
    if figure is not None:
        files.write(bench_figure.draw(measured, measuring.environment()), figure)
        note(f"wrote {figure}")
    if as_json:
        say_json({"environment": measuring.environment(), "measurements": [asdict(m) for m in measured]})
    else:
        _show(measured, measuring.environment())


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _size(text: str) -> int:
    base, _, power = text.partition("^")
    if not base.isdecimal() or (power and not power.isdecimal()) or len(base) > 10 or len(power) > 2:
        raise InputError("a size must be a whole number or a power of one, as 2^20", text)
    return int(base) ** int(power or 1)


def _show(measured: list[Measurement], environment: str) -> None:
    """A table a type and pass; a line an activation and size: our time, and how many times as long the others took."""
    tables: dict[tuple[str, ...], dict[tuple[str, int], dict[str, Measurement]]] = {}
    for m in measured:
        form = ((m.form,) if m.form != "plain" else ()) + (("replayed",) if m.replayed else ())
        cases = tables.setdefault((m.dtype, m.direction, *form), {})
        cases.setdefault((m.activation, m.elements), {})[m.variant] = m
    others = [v for v in _OTHERS if any(m.variant == v for m in measured)]
    numbers = ["size", "eafo", "copy", *others, "kept", "peak"]
    for title, cases in tables.items():
        say(", ".join(title))
        rows = [[name, _power(size), *_figures(found, others)] for (name, size), found in cases.items()]
        table(["activation", *numbers], rows, numbers=numbers)
    say("eafo: median of one call; copy: its share of a plain copy's speed; then how many times as long")
    say("the others took; kept for backward, and held at most (peak): in sizes of x.")
    say(environment)


def _figures(found: dict[str, Measurement], others: list[str]) -> list[str]:
    ours = found.get("eafo")
    if ours is None:
        return ["–"] * (len(others) + 4)
    size = ours.elements * _BYTES[ours.dtype]
    return [
        _duration(ours.seconds),
        f"{ours.share_of_copy:.0%}",
        *(f"{found[o].seconds / ours.seconds:.2f}" if o in found else "–" for o in others),
        *(f"{count / size:.2f}" if count >= 0 else "–" for count in (ours.kept_bytes, ours.peak_bytes)),
    ]


def _power(size: int) -> str:
    power = size.bit_length() - 1
    return f"2^{power}" if size == 2**power else str(size)


def _duration(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"
