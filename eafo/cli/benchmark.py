"""``eafo bench``: kernels beside what a user would take instead."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eafo.cli.options import Json
from eafo.cli.output import interruptible, note, say, say_json, table, write_text
from eafo.errors import InputError

if TYPE_CHECKING:
    from eafo.kernels.bench import Measurement

__all__ = ["bench"]


class Device(StrEnum):
    """Where kernels are measured."""

    CPU = "cpu"
    CUDA = "cuda"


class Parameters(StrEnum):
    """How learnable parameters are given."""

    NONE = "none"
    SCALAR = "scalar"
    CHANNEL = "channel"


def bench(  # noqa: PLR0917 - an option each
    activations: Annotated[list[str], typer.Argument(help="Catalog names, or formula texts in x.")],
    sizes: Annotated[
        str, typer.Option("--sizes", help="Elements, with commas: numbers or powers as 2^20.")
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
    variants: Annotated[
        str, typer.Option("--variants", help="Beside copy: of eager, native, compile, eafo.")
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

    if figure is not None:
        files.check_name(figure)
    with interruptible("what was measured is lost; fewer --sizes or --dtypes take less time"):
        measured = measuring.bench(
            activations,
            sizes=[_size(text) for text in _parts(sizes)],
            dtypes=_parts(dtypes),
            passes=_parts(passes),
            parameters=parameters.value,
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
    """A line a case: our time, and how many times as long the others took."""
    cases: dict[tuple[object, ...], dict[str, Measurement]] = {}
    for m in measured:
        case = (m.activation, m.dtype, m.elements, m.direction, m.parameters)
        cases.setdefault(case, {})[m.variant] = m
    others = [v for v in ("eager", "native", "compile") if any(v in found for found in cases.values())]
    columns = [
        "activation",
        "type",
        "elements",
        "pass",
        "parameters",
        "eafo",
        "of copy",
        *others,
        "kept",
        "peak",
    ]
    rows = []
    for key, found in cases.items():
        ours = found.get("eafo")
        times = [f"{found[o].seconds / ours.seconds:.2f} ×" if ours and o in found else "–" for o in others]
        mine = ["–"] * 2 if ours is None else [_duration(ours.seconds), f"{ours.share_of_copy:.0%}"]
        memory = ["–"] * 2 if ours is None else [_bytes(ours.kept_bytes), _bytes(ours.peak_bytes)]
        rows.append([*map(str, key), *mine, *times, *memory])
    table(columns, rows, numbers=["elements", "eafo", "of copy", *others, "kept", "peak"])
    say(
        "eafo: median of one call; of copy: its share of a plain copy's speed; then how many times as long the"
    )
    say("others took; kept: for backward; peak: memory beside the inputs.")
    say(environment)


def _duration(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"


def _bytes(count: int) -> str:
    if count < 0:
        return "–"
    return f"{count / 2**20:.4g} MiB" if count >= 2**20 else f"{count / 2**10:.3g} KiB"
