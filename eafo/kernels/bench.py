"""Measuring kernels beside what a user would take instead: one process, variants interleaved, medians."""

from __future__ import annotations

import contextlib
import csv
import functools
import importlib.metadata
import itertools
import math
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch

from eafo.activation import Activation
from eafo.catalog import ActivationLike, get
from eafo.errors import InputError
from eafo.kernels.memory import kept, pages_kept, peak
from eafo.kernels.op import compile_kernel
from eafo.kernels.peers import as_written, native

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

#: What is compared, in the order in which a round runs it.
VARIANTS = (
    "copy", "eager", "native", "compile", "compile-fast-math", "compile-max-autotune", "eafo", "exact", "code",
)  # fmt: skip
#: Those that are compared where nothing else is asked for.
COMPARED = ("copy", "eager", "native", "compile", "eafo")
_COMPILERS: dict[str, dict[str, Any]] = {
    "compile": {},
    "compile-fast-math": {"options": {"use_fast_math": True}},
    "compile-max-autotune": {"mode": "max-autotune-no-cudagraphs"},
}
#: What is computed: f(x); f(x) b with a second tensor b; or f(x + b) with a value a channel.
FORMS = ("plain", "gated", "bias")
#: What is timed: f alone, without a graph; or f and the gradients of x and the learnable parameters.
PASSES = ("forward", "forward+backward")
#: How the learnable parameters are given: as numbers, as one tensor each, or as a tensor of a value a channel.
PARAMETERS = ("none", "scalar", "channel")
DTYPES = {t: getattr(torch, t) for t in ("float64", "float32", "bfloat16", "float16")}

_CHANNELS = 256
_SMALLEST_ELEMENTS, _LARGEST_ELEMENTS = _CHANNELS, 2**31
#: Tensors that must move: x and y; x, the gradient and dx once more; the same for b, whose gradient is one more.
_TENSORS = {
    "plain": {"forward": 2, "forward+backward": 5},
    "gated": {"forward": 3, "forward+backward": 8},
}
#: A block of calls is timed as one, so that the clock's resolution does not matter.
_BLOCK_SECONDS = 2e-3
_MOST_CALLS = 1000
_ERROR_POINTS = 4096
#: On a GPU the inputs rotate over at least this much memory, past its cache.
_ROTATED_BYTES = 2**28
_MOST_COPIES = 64


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


@dataclass(frozen=True)
class _Case:
    """What every variant of a comparison shares."""

    activation: Activation
    dtype: torch.dtype
    elements: int
    direction: str
    parameters: str
    form: str
    replayed: bool
    device: torch.device

    @property
    def tensors(self) -> int:
        """How many as large as x must move."""
        return _TENSORS["gated" if self.form == "gated" else "plain"][self.direction]

    @property
    def useful_bytes(self) -> int:
        return self.tensors * self.elements * self.dtype.itemsize

    @property
    def backward(self) -> bool:
        return self.direction != "forward"

    def values(self) -> list[torch.Tensor]:
        """The parameters as tensors; those that are learned require a gradient."""
        made = []
        for parameter in self.activation.parameters:
            learned = parameter.learnable and self.parameters != "none"
            shape = (_CHANNELS,) if learned and self.parameters == "channel" else ()
            value = torch.full(shape, parameter.default, dtype=self.dtype, device=self.device)
            made.append(value.requires_grad_(learned and self.backward))
        return made


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
        replay: on a GPU, record the calls in a CUDA graph and time its replay: what the GPU does without its host.
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
                case = _Case(
                    activation, DTYPES[dtype], elements, direction, given, form, replay, torch.device(device)
                )
                measured = _measure(case, variants, threads, rounds, progress)
                results += measured
                progress(_told(measured))
    finally:
        _inputs.cache_clear()
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
    for size in sizes:
        if size % _CHANNELS or not _SMALLEST_ELEMENTS <= size <= _LARGEST_ELEMENTS:
            raise InputError(
                f"a size must be a multiple of {_CHANNELS} from {_SMALLEST_ELEMENTS} to 2^31", size
            )
    if rounds < 3:
        raise InputError("the number of rounds must be at least 3", rounds)
    if threads < 1:
        raise InputError("the number of threads must be at least 1", threads)
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("the device cuda needs an NVIDIA GPU", "none here", "measure on cpu")


def _measure(
    case: _Case, variants: Sequence[str], threads: int, rounds: int, progress: Callable[[str], None]
) -> list[Measurement]:
    calls = _calls(case, variants, progress)
    timed = {name: _Replay(call) if case.replayed else call for name, call in calls.items()}
    blocks = {name: _block_length(call, case.device) for name, call in timed.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in timed.items():
            times[name].append(_timed(call, blocks[name], case.device) / call.calls)
    memory = {name: (_kept(call), peak(call, case.device)) for name, call in calls.items()}
    copy = float(np.median(times["copy"]))
    made = []
    for name, call in calls.items():
        low, middle, high = (float(q) for q in np.quantile(times[name], (0.25, 0.5, 0.75)))
        made.append(
            Measurement(
                case.activation.name, _device_name(case.device), str(case.dtype).removeprefix("torch."), case.elements,
                case.direction, case.parameters, case.form, case.replayed, name, threads, middle, low, high, case.useful_bytes / middle / 1e9,
                copy / middle, *memory[name], *_errors(case, call, name),
            )
        )  # fmt: skip
    return made


class _Call:
    """One variant, ready to run: inputs made once, rotated on a GPU past its cache."""

    calls = 1

    def __init__(self, case: _Case, function: Callable[..., torch.Tensor]) -> None:
        self.case, self.function = case, function
        self.values = case.values()
        self.learned = [v for v in self.values if v.requires_grad]
        self.inputs = _inputs(case)
        self._turn = itertools.cycle(self.inputs)

    def __call__(self) -> None:
        x, grad, *others = next(self._turn)
        if not self.case.backward:
            with torch.no_grad():
                self.function(x, *others, *self.values)
            return
        y = self.function(x, *others, *self.values)
        torch.autograd.grad(y, [x, *others, *self.learned], grad)


class _Copy(_Call):
    """As many bytes as the case must move, moved by torch's own copy."""

    def __call__(self) -> None:
        x, grad, *_ = next(self._turn)
        whole, odd = divmod(self.case.tensors, 2)
        sources = [*itertools.islice(itertools.cycle((x, grad)), whole)]
        if odd:
            sources.append(grad.view(-1)[: x.numel() // 2])
        with torch.no_grad():
            for source in sources:
                torch.empty_like(source).copy_(source)


class _Replay:
    """A CUDA graph of one call on each of the inputs."""

    def __init__(self, call: _Call) -> None:
        self.calls = len(call.inputs)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            call()
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            for _ in range(self.calls):
                call()

    def __call__(self) -> None:
        self._graph.replay()


def _kept(call: _Call) -> int:
    return kept(call) if call.case.backward and not isinstance(call, _Copy) else 0


@functools.lru_cache(maxsize=1)
def _inputs(case: _Case) -> list[tuple[torch.Tensor, ...]]:
    """x, the gradient of y and what the form takes beside, the same for every variant."""
    rows = case.elements // _CHANNELS
    copies = 1
    if case.device.type == "cuda":
        copies = max(1, min(_MOST_COPIES, _ROTATED_BYTES // (2 * case.elements * case.dtype.itemsize)))
    generator = torch.Generator(case.device).manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.empty(shape, dtype=case.dtype, device=case.device).normal_(generator=generator)

    made = []
    for _ in range(copies):
        x, grad = normal(rows, _CHANNELS), normal(rows, _CHANNELS)
        others = [normal(*shape).requires_grad_(case.backward) for shape in _shapes_beside(case.form, rows)]
        made.append((x.requires_grad_(case.backward), grad, *others))
    return made


def _shapes_beside(form: str, rows: int) -> list[tuple[int, ...]]:
    """Of what the form takes beside x."""
    shapes: dict[str, list[tuple[int, ...]]] = {"gated": [(rows, _CHANNELS)], "bias": [(_CHANNELS,)]}
    return shapes.get(form, [])


def _calls(case: _Case, variants: Sequence[str], progress: Callable[[str], None]) -> dict[str, _Call]:
    """The variants that run here, each warmed up; one that cannot be compiled is told and left out."""
    functions = {v: _in_form(case.form, f) for v, f in _theirs(case).items()}
    peer = functions.get("native", functions["eager"])
    # Each case starts without a cache in memory.
    torch._dynamo.reset()
    functions |= {v: _compiled(peer, **given) for v, given in _COMPILERS.items() if v in variants}
    functions |= {v: _ours(case, v) for v in ("eafo", "exact", "code") if v in variants and _is_made(case, v)}
    calls: dict[str, _Call] = {"copy": _Copy(case, torch.clone)}
    for name in (v for v in VARIANTS if v in variants and v in functions):
        call = _Call(case, functions[name])
        try:
            for _ in range(3):
                call()
        except Exception as error:
            if name not in _COMPILERS:
                raise
            # torch.compile needs a compiler of its own, and raises kinds of its own.
            progress(f"{name} is left out: {str(error).strip().splitlines()[0]}")
            continue
        calls[name] = call
    return calls


_Function = Callable[..., torch.Tensor]


def _theirs(case: _Case) -> dict[str, _Function]:
    """f(x; θ) as others compute it."""
    functions = {"eager": as_written(case.activation)}
    peer = native(case.activation)
    if peer is not None and not (case.parameters != "none" and case.activation.learnable):
        functions["native"] = lambda x, *_: peer(x)
    return functions


def _in_form(form: str, function: _Function) -> _Function:
    """As a user writes it around f."""
    if form == "gated":
        return lambda x, b, *values: function(x, *values) * b
    if form == "bias":
        return lambda x, b, *values: function(x + b, *values)
    return function


def _is_made(case: _Case, variant: str) -> bool:
    return variant != "code" or (case.form == "plain" and case.parameters == "none")


def _ours(case: _Case, variant: str) -> _Function:
    coded = variant == "code"
    kernel = compile_kernel(
        case.activation.with_learnable() if coded else case.activation,
        precision="exact" if variant == "exact" else "fast",
        save="code" if coded else "x",
    )
    forms = {"plain": kernel.apply, "gated": kernel.apply_gated, "bias": kernel.apply_biased}
    apply: _Function = forms[case.form]  # type: ignore[assignment]
    beside = 1 if case.form == "plain" else 2
    if case.parameters == "none":
        numbers = tuple(case.activation.defaults.values())
        return lambda *given: apply(*given[:beside], numbers)
    return lambda *given: apply(*given[:beside], given[beside:])


def _compiled(function: _Function, **options: Any) -> _Function:
    """Compile for the very shape, which is Inductor at its best."""
    return torch.compile(function, dynamic=False, **options)


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


def _errors(case: _Case, call: _Call, variant: str) -> tuple[float, float]:
    """The largest errors of the result and of the gradient of x against float64, in units in the last place."""
    if isinstance(call, _Copy):
        return math.nan, math.nan
    generator = torch.Generator().manual_seed(1)
    rows = _ERROR_POINTS // _CHANNELS
    x, *others = (
        torch.randn(*shape, generator=generator)
        for shape in [(rows, _CHANNELS), *_shapes_beside(case.form, rows)]
    )
    x, *others = ((3 * t).to(case.device, case.dtype) for t in (x, *others))
    x.requires_grad_(case.backward)
    exact_values = [v.double().detach() for v in call.values]
    if case.parameters == "none" and variant not in ("eager", "compile"):
        # These compute with the numbers, the others with tensors of x's type.
        exact_values = [torch.tensor(v, dtype=torch.float64) for v in case.activation.defaults.values()]
    exact_x = x.detach().double().requires_grad_()
    kernel = compile_kernel(case.activation, "aten")
    function = _in_form(case.form, lambda x, *values: kernel.apply(x, values))
    exact = function(exact_x, *(o.double() for o in others), *exact_values)
    with torch.set_grad_enabled(case.backward):
        y = call.function(x, *others, *call.values)
    value = _units(y.detach(), exact.detach())
    if not case.backward:
        return value, math.nan
    (slope,) = torch.autograd.grad(y, x, torch.ones_like(y))
    (exact_slope,) = torch.autograd.grad(exact, exact_x, torch.ones_like(exact))
    return value, _units(slope, exact_slope)


def _units(found: torch.Tensor, exact: torch.Tensor) -> float:
    size = exact.abs().clamp(min=2.0**-10)
    unit = torch.exp2(torch.floor(torch.log2(size))) * torch.finfo(found.dtype).eps
    return float(((found.double() - exact).abs() / unit).max())


def _told(measured: Sequence[Measurement]) -> str:
    first = measured[0]
    form = "" if first.form == "plain" else f" {first.form}"
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
        [*gpu, _processor(), f"{platform.system()}, Python {platform.python_version()}", *versions]
    )


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def write_csv(measurements: Sequence[Measurement], file: TextIO) -> None:
    """Write the measurements, after one line of comment with the machine and the versions."""
    file.write(f"# {environment()}\n")
    table = csv.writer(file, lineterminator="\n")
    table.writerow(f.name for f in fields(Measurement))
    for one in measurements:
        table.writerow(f"{v:.6g}" if isinstance(v, float) else v for v in astuple(one))
