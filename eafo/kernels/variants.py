"""The variants of a benchmark, ready to be called: each with the same inputs, in one form, forward or with backward."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from eafo.activation import Activation
from eafo.kernels.memory import kept
from eafo.kernels.op import compile_kernel
from eafo.kernels.peers import as_written, native

__all__ = ["CHANNELS", "FORMS", "VARIANTS", "Call", "Case", "Replay", "calls", "errors", "inputs", "kept_by"]

#: What is compared, in the order in which a round runs it.
VARIANTS = (
    "copy", "eager", "native", "compile", "compile-fast-math", "compile-max-autotune", "eafo", "exact", "code",
)  # fmt: skip
_COMPILERS: dict[str, dict[str, Any]] = {
    "compile": {},
    "compile-fast-math": {"options": {"use_fast_math": True}},
    "compile-max-autotune": {"mode": "max-autotune-no-cudagraphs"},
}
#: What is computed: f(x); f(x) b with a second tensor b; or f(x + b) with a value a channel.
FORMS = ("plain", "gated", "bias")
#: Elements of the last dimension.
CHANNELS = 256

#: Tensors that must move: x and y; x, the gradient and dx once more; the same for b, whose gradient is one more.
_TENSORS = {
    "plain": {"forward": 2, "forward+backward": 5},
    "gated": {"forward": 3, "forward+backward": 8},
}
_ERROR_POINTS = 4096
#: On a GPU the inputs rotate over at least this much memory, past its cache.
_ROTATED_BYTES = 2**28
_MOST_COPIES = 64


@dataclass(frozen=True)
class Case:
    """What every variant of a comparison shares."""

    activation: Activation
    dtype: torch.dtype
    elements: int
    direction: str
    parameters: str
    form: str
    device: torch.device

    @property
    def tensors(self) -> int:
        """How many as large as x must move."""
        return _TENSORS["gated" if self.form == "gated" else "plain"][self.direction]

    @property
    def useful_bytes(self) -> int:
        """Bytes that must move."""
        return self.tensors * self.elements * self.dtype.itemsize

    @property
    def backward(self) -> bool:
        """Whether gradients are asked for."""
        return self.direction != "forward"

    def values(self) -> list[torch.Tensor]:
        """The parameters as tensors; those that are learned require a gradient."""
        made = []
        for parameter in self.activation.parameters:
            learned = parameter.learnable and self.parameters != "none"
            shape = (CHANNELS,) if learned and self.parameters == "channel" else ()
            value = torch.full(shape, parameter.default, dtype=self.dtype, device=self.device)
            made.append(value.requires_grad_(learned and self.backward))
        return made


class Call:
    """One variant, ready to run: inputs made once, rotated on a GPU past its cache."""

    calls = 1

    def __init__(self, case: Case, function: Callable[..., torch.Tensor]) -> None:
        self.case, self.function = case, function
        self.values = case.values()
        self.learned = [v for v in self.values if v.requires_grad]
        self.inputs = inputs(case)
        self._turn = itertools.cycle(self.inputs)

    def __call__(self) -> None:
        """Run once."""
        x, grad, *others = next(self._turn)
        if not self.case.backward:
            with torch.no_grad():
                self.function(x, *others, *self.values)
            return
        y = self.function(x, *others, *self.values)
        torch.autograd.grad(y, [x, *others, *self.learned], grad)


class _Copy(Call):
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


class Replay:
    """A CUDA graph of one call on each of the inputs."""

    def __init__(self, call: Call) -> None:
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
        """Run as many as there are inputs."""
        self._graph.replay()


def kept_by(call: Call) -> int:
    """Bytes that autograd keeps for backward; none of a copy."""
    return kept(call) if call.case.backward and not isinstance(call, _Copy) else 0


@functools.lru_cache(maxsize=1)
def inputs(case: Case) -> list[tuple[torch.Tensor, ...]]:
    """x, the gradient of y and what the form takes beside, the same for every variant."""
    rows = case.elements // CHANNELS
    copies = 1
    if case.device.type == "cuda":
        copies = max(1, min(_MOST_COPIES, _ROTATED_BYTES // (2 * case.elements * case.dtype.itemsize)))
    generator = torch.Generator(case.device).manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.empty(shape, dtype=case.dtype, device=case.device).normal_(generator=generator)

    made = []
    for _ in range(copies):
        x, grad = normal(rows, CHANNELS), normal(rows, CHANNELS)
        others = [normal(*shape).requires_grad_(case.backward) for shape in _shapes_beside(case.form, rows)]
        made.append((x.requires_grad_(case.backward), grad, *others))
    return made


def _shapes_beside(form: str, rows: int) -> list[tuple[int, ...]]:
    """Of what the form takes beside x."""
    shapes: dict[str, list[tuple[int, ...]]] = {"gated": [(rows, CHANNELS)], "bias": [(CHANNELS,)]}
    return shapes.get(form, [])


def calls(case: Case, variants: Sequence[str], progress: Callable[[str], None]) -> dict[str, Call]:
    """The variants that run here, each warmed up; one that cannot be compiled is told and left out."""
    functions = {v: _in_form(case.form, f) for v, f in _theirs(case).items()}
    peer = functions.get("native", functions["eager"])
    # Each case starts without a cache in memory.
    torch._dynamo.reset()
    functions |= {v: _compiled(peer, **given) for v, given in _COMPILERS.items() if v in variants}
    functions |= {v: _ours(case, v) for v in ("eafo", "exact", "code") if v in variants and _is_made(case, v)}
    calls: dict[str, Call] = {"copy": _Copy(case, torch.clone)}
    for name in (v for v in VARIANTS if v in variants and v in functions):
        call = Call(case, functions[name])
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


def _theirs(case: Case) -> dict[str, _Function]:
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


def _is_made(case: Case, variant: str) -> bool:
    return variant != "code" or (case.form == "plain" and case.parameters == "none")


def _ours(case: Case, variant: str) -> _Function:
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


def errors(case: Case, call: Call, variant: str) -> tuple[float, float]:
    """The largest errors of the result and of the gradient of x against float64, in units in the last place."""
    if isinstance(call, _Copy):
        return math.nan, math.nan
    generator = torch.Generator().manual_seed(1)
    rows = _ERROR_POINTS // CHANNELS
    x, *others = (
        torch.randn(*shape, generator=generator)
        for shape in [(rows, CHANNELS), *_shapes_beside(case.form, rows)]
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
