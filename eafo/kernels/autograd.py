"""How autograd sees a computation: functions that save x and the parameters, or f′ in four bits, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from eafo.errors import InputError
from eafo.kernels.launch import are_plain, is_capturing, laid_out_as, may_be_kept

if TYPE_CHECKING:
    from eafo.kernels.coding import SlopeCode
    from eafo.kernels.computation import Computation

__all__ = ["Coded", "Composable", "Elementwise", "ForwardMode", "Gated", "InPlace", "Values"]

Values = tuple[float | torch.Tensor, ...]


class Elementwise(torch.autograd.Function):
    """Saves x and the parameters, nothing else; the derivatives are programs of their own, never autograd's."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, computation: Computation, *values: float | torch.Tensor
    ) -> torch.Tensor:
        _remember(ctx, x, computation, values)
        return computation.runner(x, values).forward(x, values)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return _backward(ctx, grad)


class InPlace(Elementwise):
    """The same, written over x, of which a copy is the first of the values: it is saved, and takes the gradient."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, computation: Computation, *values: Any) -> torch.Tensor:
        copy, *rest = values
        _remember(ctx, copy, computation, tuple(rest))
        ctx.mark_dirty(x)
        return computation.overwrite(x, tuple(rest))

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        dx, _, *rest = _backward(ctx, grad)
        return None, None, dx, *rest


class Gated(torch.autograd.Function):
    """f(x) times a gate, the first of the values: saves both and the parameters."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, computation: Any, *values: Any) -> torch.Tensor:
        _remember(ctx, x, computation, values)
        gate, *rest = values
        ctx.runner = computation.gated_runner(x, gate, tuple(rest))
        return ctx.runner.gated(x, gate, tuple(rest))

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, (gate, *rest) = _saved(ctx)
        computation, values = ctx.computation, tuple(rest)
        if torch.is_grad_enabled() or not are_plain(grad):
            dx, *sums = _differentiable_backward(computation, x, values, grad * gate)
            dgate = grad * computation(x, values)
        else:
            dx, dgate, *sums = ctx.runner.gated_backward(x, gate, values, grad)
        return dx, None, dgate, *_in_place_of(computation, values, sums)


class Coded(torch.autograd.Function):
    """Keeps f′ in four bits an element, and nothing else."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, computation: Any, code: SlopeCode, *values: float) -> torch.Tensor:
        ctx.runner = computation.runner(x, values)
        ctx.levels = _levels(code.levels, x.device)
        y, packed = ctx.runner.coded(x, values, ctx.levels)
        ctx.stride = y.stride()
        ctx.save_for_backward(packed)
        return y

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise InputError(
                "save='code' keeps four bits of f′, which have no derivative",
                "create_graph=True",
                "use save='x'",
            )
        (packed,) = ctx.saved_tensors
        like = torch.empty_strided(grad.shape, ctx.stride, dtype=grad.dtype, device=grad.device)
        if are_plain(grad):
            dx = ctx.runner.coded_backward(packed, laid_out_as(like, grad), ctx.levels)
        else:
            # A batch of gradients: the slopes themselves, times it.
            dx = grad * ctx.runner.coded_backward(packed, like.fill_(1), ctx.levels)
        return dx, *[None] * (len(ctx.needs_input_grad) - 1)


class Composable(torch.autograd.Function):
    """The same for torch.func and torch.compile, with the context apart; the signature that torch binds costs 20 µs."""

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], x: torch.Tensor, computation: Computation, *values: Any
    ) -> tuple[torch.Tensor, int]:
        """The whole batch at once, its dimension the first; what is mapped over among the parameters is a value a slice."""
        moved = [
            v if d is None else v.movedim(d, 0)
            for v, d in zip((x, *values), (in_dims[0], *in_dims[2:]), strict=True)
        ]
        x, values = moved[0], tuple(moved[1:])
        if in_dims[0] is None:
            x = x.expand(info.batch_size, *x.shape)
        spread = [
            v if d is None else v.reshape(v.shape[:1] + (1,) * (x.ndim - v.ndim) + v.shape[1:])
            for v, d in zip(values, in_dims[2:], strict=True)
        ]
        return computation(x, tuple(spread)), 0

    @staticmethod
    def forward(x: torch.Tensor, computation: Computation, *values: float | torch.Tensor) -> torch.Tensor:
        return computation.aten.forward(x, values)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        x, computation, *values = inputs
        _remember(ctx, x, computation, tuple(values))

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return _backward(ctx, grad)


class ForwardMode(Composable):
    """The same with derivatives forward, which torch.compile refuses to trace."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        Composable.setup_context(ctx, inputs, output)
        x, _, *values = inputs
        ctx.save_for_forward(x, *(v for v in values if isinstance(v, torch.Tensor)))

    @staticmethod
    def jvp(ctx: Any, *tangents: torch.Tensor | None) -> torch.Tensor:
        """f′ dx + Σ ∂f/∂θ dθ."""
        x, values = _saved(ctx)
        moved = [tangents[0], *(tangents[2 + position] for position in ctx.computation.learnable)]
        terms = [
            c(x, values) * t for c, t in zip(ctx.computation.slopes, moved, strict=True) if t is not None
        ]
        return sum(terms, torch.zeros_like(x)).to(x.dtype)


_LEVELS: dict[tuple[tuple[float, ...], torch.device], torch.Tensor] = {}


def _levels(levels: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """The table of a code: made once a device and kept for good, since the graphs that read it may be."""
    capturing = is_capturing(device)
    kept = _LEVELS.get((levels, device)) if capturing or may_be_kept(device) else None
    if kept is not None:
        return kept
    if capturing:
        # A capture refuses what the processor holds.
        return torch.stack([torch.full((), v, dtype=torch.float64, device=device) for v in levels])
    made = torch.tensor(levels, dtype=torch.float64, device=device)
    return _LEVELS.setdefault((levels, device), made) if may_be_kept(device) else made


def _remember(ctx: Any, x: torch.Tensor, computation: Computation, values: Values) -> None:
    ctx.computation = computation
    ctx.save_for_backward(x, *(v for v in values if isinstance(v, torch.Tensor)))
    ctx.numbers = tuple(None if isinstance(v, torch.Tensor) else v for v in values)


def _saved(ctx: Any) -> tuple[torch.Tensor, Values]:
    """Give x and the parameters, as `_remember` took them."""
    x, *saved = ctx.saved_tensors
    tensors = iter(saved)
    return x, tuple(next(tensors) if number is None else number for number in ctx.numbers)


def _backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    x, values = _saved(ctx)
    computation = ctx.computation
    if torch.is_grad_enabled():
        results = _differentiable_backward(computation, x, values, grad)
    else:
        results = computation.runner(x, values, grad).backward(x, values, grad)
    return results[0], None, *_in_place_of(computation, values, results[1:])


def _in_place_of(
    computation: Computation, values: Values, sums: Sequence[torch.Tensor]
) -> list[torch.Tensor | None]:
    """A gradient for each parameter that is a tensor and learned."""
    by_parameter: list[torch.Tensor | None] = [None] * len(values)
    for position, result in zip(computation.learnable, sums, strict=True):
        by_parameter[position] = result if isinstance(values[position], torch.Tensor) else None
    return by_parameter


def _differentiable_backward(
    computation: Computation, x: torch.Tensor, values: Values, grad: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """The same backward, of operations that torch can differentiate again; half precisions are summed in float32."""
    dtype = x.dtype
    if dtype not in (torch.float32, torch.float64):
        x, grad = x.float(), grad.float()
    slope, *by_parameter = (c(x, values) for c in computation.slopes)
    sums = []
    for position, elements in zip(computation.learnable, by_parameter, strict=True):
        value = values[position]
        total = grad * elements
        sums.append(
            total.sum_to_size(value.shape).to(value.dtype) if isinstance(value, torch.Tensor) else total.sum()
        )
    return (grad * slope).to(dtype), *sums
