"""Measuring kernels beside what a user would take instead: one process, variants interleaved, medians."""

from __future__ import annotations

import contextlib
import csv
import importlib.metadata
import itertools
import math
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields
from typing import TextIO

import numpy as np
import torch

from eafo.catalog import ActivationLike, get
from eafo.errors import InputError
from eafo.kernels.build import processor_name
from eafo.kernels.memory import pages_kept, peak
from eafo.kernels.variants import (
    CHANNELS,
    FORMS,
    VARIANTS,
    Call,
    Case,
    Replay,
    calls,
    errors,
    inputs,
    kept_by,
)

__all__ = [
    "COMPARED",
    "DTYPES",
    "FORMS",
    "PARAMETERS",
    "PASSES",
    "VARIANTS",
    "Measurement",
    "bench",
    "environment",
    "write_csv",
]
#: Those that are compared where nothing else is asked for.
COMPARED = ("copy", "eager", "native", "compile", "eafo")
#: What is timed: f alone, without a graph; or f and the gradients of x and the learnable parameters.
PASSES = ("forward", "forward+backward")
#: How the learnable parameters are given: as numbers, as one tensor each, or as a tensor of a value a channel.
PARAMETERS = ("none", "scalar", "channel")
DTYPES = {t: getattr(torch, t) for t in ("float64", "float32", "bfloat16", "float16")}

_SMALLEST_ELEMENTS, _LARGEST_ELEMENTS = CHANNELS, 2**31
#: A block of calls is timed as one, so that the clock's resolution does not matter.
_BLOCK_SECONDS = 2e-3
_MOST_CALLS = 1000


@dataclass(frozen=True)
class Measurement:
    """One variant in one case.

    Args:
        activation: its name.
        device: ``cpu`` or the name of the GPU.
        dtype: of x, y and the gradients.
        elements: how many x holds.
        direction: one of `PASSES`.
        parameters: one of `PARAMETERS`.
        form: one of `FORMS`.
        replayed: whether what is timed is the replay of a CUDA graph.
        variant: one of `VARIANTS`; ``copy`` is the limit: as many bytes moved by torch's own copy.
        threads: of torch on the CPU.
        seconds: the median of one call.
        low: the first quartile.
        high: the third.
        gigabytes_per_second: useful bytes a second: x, y and, backward, x, the gradient and dx, each moved once; gated, b
            each time and its gradient too.
        share_of_copy: the copy's median over this one.
        kept_bytes: what autograd keeps for backward, x included; 0 forward.
        peak_bytes: the most memory that one call held beside its inputs; −1 where it could not be told.
        value_error: the largest error of f against float64 on 4096 points of a normal law of deviation 3, in units in
            the last place of max(|f|, 2⁻¹⁰).
        slope_error: the same of the gradient of x for a gradient of ones; NaN forward.
    """

    activation: str
    device: str
    dtype: str
    elements: int
    direction: str
    parameters: str
    form: str
    replayed: bool
    variant: str
    threads: int
    seconds: float
    low: float
    high: float
    gigabytes_per_second: float
    share_of_copy: float
    kept_bytes: int
    peak_bytes: int
    value_error: float
    slope_error: float


def bench(
    activations: Sequence[ActivationLike],
    *,
    sizes: Sequence[int] = (2**10, 2**16, 2**20, 2**24),
    dtypes: Sequence[str] = ("float32", "bfloat16"),
    passes: Sequence[str] = PASSES,
    parameters: str = "scalar",
    form: str = "plain",
    replay: bool = False,
    variants: Sequence[str] = COMPARED,
    device: str = "cpu",
    threads: int = 1,
    rounds: int = 15,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Measurement]:
    """Measure activations beside eager PyTorch, torch's native operators, `torch.compile` and a plain copy.

    In each round every variant is timed once, so that a disturbance meets them all; the medians over the rounds are
    compared. On glibc the allocator keeps its pages while this runs, for all variants alike: otherwise page faults
    are most of what is timed.

    Args:
        activations: any text forms, SymPy expressions or `Activation`s.
        sizes: elements of x, multiples of 256 from 256 to 2³¹.
        dtypes: of `DTYPES`.
        passes: of `PASSES`.
        parameters: of `PARAMETERS`; an activation without a learnable parameter is measured as for ``none``.
        form: of `FORMS`.
        replay: on a GPU, record the calls in a CUDA graph too and time its replay: what the GPU does without its host.
        variants: of `VARIANTS`; ``copy`` is always among them. ``native`` only where torch has the operator; ``compile``
            compiles that, or else the formula as it stands, for the very shape, and may be told to use fast mathematics or
            to search its settings; ``eafo`` is our kernel as it is made by
            default, ``exact`` in that precision, ``code`` with f′ kept in four bits (in the plain form, where no parameter
            is learned).
        device: ``cpu`` or ``cuda``.
        threads: of torch on the CPU.
        rounds: how many, at least 3.
        progress: is told each case in one line, and a variant that fails with its reason.

    Raises:
        InputError: no such activation, type, pass, form or variant; a size, a number of rounds or threads out of range; a
            device that is not there; a replay on the CPU.
    """
    _check(
        sizes=sizes, dtypes=dtypes, passes=passes, parameters=parameters, form=form, variants=variants, device=device,
        threads=threads, rounds=rounds,
    )  # fmt: skip
    if replay and device != "cuda":
        raise InputError("the replay of a CUDA graph needs the device cuda", device, "leave the replay out")
    found = [get(a) for a in activations]
    before, results = torch.get_num_threads(), list[Measurement]()
    torch.set_num_threads(threads)
    try:
        with pages_kept():
            for activation, dtype, elements, direction in itertools.product(found, dtypes, sizes, passes):
                given = parameters if activation.learnable else "none"
                case = Case(activation, DTYPES[dtype], elements, direction, given, form, torch.device(device))
                ready = calls(case, variants, progress)
                for replayed in (False, True)[: 1 + replay]:
                    measured = _measure(case, ready, threads, rounds, replayed)
                    results += measured
                    progress(_told(measured))
    finally:
        inputs.cache_clear()
        torch.set_num_threads(before)
    return results


def _check(
    *,
    sizes: Sequence[int],
    dtypes: Sequence[str],
    passes: Sequence[str],
    parameters: str,
    form: str,
    variants: Sequence[str],
    device: str,
    threads: int,
    rounds: int,
) -> None:
    for given, known, what in (
        (dtypes, tuple(DTYPES), "types"),
        (passes, PASSES, "passes"),
        ([parameters], PARAMETERS, "kinds of parameters"),
        ([form], FORMS, "forms"),
        (variants, VARIANTS, "variants"),
        ([device], ("cpu", "cuda"), "devices"),
    ):
        for one in given:
            if one not in known:
                raise InputError(f"the {what} of a benchmark are: {', '.join(known)}", one)
    for count, what in ((len(sizes), "size"), (len(dtypes), "type"), (len(passes), "pass")):
        if not count:
            raise InputError(f"a benchmark needs a {what}", "none")
    for size in sizes:
        if size % CHANNELS or not _SMALLEST_ELEMENTS <= size <= _LARGEST_ELEMENTS:
            raise InputError(
                f"a size must be a multiple of {CHANNELS} from {_SMALLEST_ELEMENTS} to 2^31", size
            )
    if rounds < 3:
        raise InputError("the number of rounds must be at least 3", rounds)
    if threads < 1:
        raise InputError("the number of threads must be at least 1", threads)
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("the device cuda needs an NVIDIA GPU", "none here", "measure on cpu")


def _measure(
    case: Case, ready: dict[str, Call], threads: int, rounds: int, replayed: bool
) -> list[Measurement]:
    timed = {name: Replay(call) if replayed else call for name, call in ready.items()}
    blocks = {name: _block_length(call, case.device) for name, call in timed.items()}
    times: dict[str, list[float]] = {name: [] for name in ready}
    for _ in range(rounds):
        for name, call in timed.items():
            times[name].append(_timed(call, blocks[name], case.device) / call.calls)
    memory = {name: (kept_by(call), peak(call, case.device)) for name, call in ready.items()}
    copy = float(np.median(times["copy"]))
    made = []
    for name, call in ready.items():
        low, middle, high = (float(q) for q in np.quantile(times[name], (0.25, 0.5, 0.75)))
        made.append(
            Measurement(
                case.activation.name, _device_name(case.device), str(case.dtype).removeprefix("torch."), case.elements,
                case.direction, case.parameters, case.form, replayed, name, threads, middle, low, high, case.useful_bytes / middle / 1e9,
                copy / middle, *memory[name], *errors(case, call, name),
            )
        )  # fmt: skip
    return made


def _timed(call: Callable[[], None], count: int, device: torch.device) -> float:
    """Seconds of one call, over a block of calls."""
    if device.type == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        for _ in range(count):
            call()
        end.record()
        torch.cuda.synchronize()
        return start.elapsed_time(end) / 1e3 / count
    began = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - began) / count


def _block_length(call: Callable[[], None], device: torch.device) -> int:
    return max(1, min(_MOST_CALLS, math.ceil(_BLOCK_SECONDS / _timed(call, 3, device))))


def _told(measured: Sequence[Measurement]) -> str:
    first = measured[0]
    form = ("" if first.form == "plain" else f" {first.form}") + (" replayed" if first.replayed else "")
    times = ", ".join(f"{m.variant} {m.seconds * 1e6:.1f}" for m in measured)
    return f"{first.activation} {first.dtype} {first.elements} {first.direction}{form}: {times} µs"


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def environment() -> str:
    """Tell the machine and the versions that a measurement depends on, in one line.

    >>> "torch" in environment()
    True
    """
    packages = [
        ("eafo", "eafo"),
        ("torch", "torch"),
        ("cuda-core", "cuda-core"),
        ("NVRTC", "nvidia-cuda-nvrtc"),
    ]
    versions = []
    for shown, name in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{shown} {importlib.metadata.version(name)}")
    gpu = [torch.cuda.get_device_name()] if torch.cuda.is_available() else []
    return ", ".join(
        [*gpu, processor_name(), f"{platform.system()}, Python {platform.python_version()}", *versions]
    )


def write_csv(measurements: Sequence[Measurement], file: TextIO) -> None:
    """Write the measurements, after one line of comment with the machine and the versions."""
    file.write(f"# {environment()}\n")
    table = csv.writer(file, lineterminator="\n")
    table.writerow(f.name for f in fields(Measurement))
    for one in measurements:
        table.writerow(f"{v:.6g}" if isinstance(v, float) else v for v in astuple(one))
