"""An activation as an operator of torch.library: for exporters, and whoever asks for it by name."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import torch

from eafo.catalog import ActivationLike
from eafo.kernels.op import Kernel, compile_kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["NAMESPACE", "operator"]

#: Where the operators stand: ``torch.ops.eafo``.
NAMESPACE = "eafo"

_made: dict[str, Callable[..., torch.Tensor]] = {}


def operator(
    activation: ActivationLike, backend: str = "auto", precision: str = "fast"
) -> Callable[..., torch.Tensor]:
    """Register an activation in ``torch.ops.eafo`` and give the operator.

    It takes x and one tensor a parameter, in order, and is named after the activation and a digest of its formula, so that
    two formulas of one name do not meet. A program that ``torch.export`` writes holds it as one node, which a
    reader that has registered the same activation runs; ``torch.compile`` does not fuse it with its neighbours: call the
    kernel for that. Differentiable once.

    Args:
        activation: any text form, a SymPy expression or an `Activation`.
        backend: as in `eafo.kernels.compile_kernel`.
        precision: as there.

    Raises:
        InputError: no such activation, backend or precision.

    >>> silu = operator("silu")
    >>> silu(torch.tensor([0.0, 2.0]))
    tensor([0.0000, 1.7616])
    >>> silu is operator("silu")
    True
    """
    kernel = compile_kernel(activation, backend, precision)
    act = kernel.activation
    what = f"{act.expression} {act.parameters} {backend} {precision}"
    stem = "".join(c if c.isascii() and c.isalnum() else "_" for c in act.name)
    name = f"{stem}_{hashlib.sha256(what.encode()).hexdigest()[:16]}"
    if name not in _made:
        _made[name] = _define(name, kernel)
    return _made[name]


def _define(name: str, kernel: Kernel) -> Callable[..., torch.Tensor]:
    count = len(kernel.activation.parameters)
    learnable = [p.learnable for p in kernel.activation.parameters]
    parameters = "".join(f", Tensor p{i}" for i in range(count))
    sums = "".join(", Tensor" for learned in learnable if learned)

    def forward(x: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return kernel.apply(x, values)

    def backward(grad: torch.Tensor, x: torch.Tensor, *values: torch.Tensor) -> Any:
        dx, *totals = kernel.gradients(x, values, grad)
        # Sums may be views of one tensor, which an operator must not give out.
        results = (dx, *(total.clone() for total in totals))
        return results if sums else results[0]

    def fake_backward(grad: torch.Tensor, x: torch.Tensor, *values: torch.Tensor) -> Any:
        results = [torch.empty_like(x)]
        results += [torch.empty_like(v) for v, learned in zip(values, learnable, strict=True) if learned]
        return tuple(results) if sums else results[0]

    def setup(ctx: Any, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        ctx.save_for_backward(*inputs)

    def differentiate(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        results = slopes(grad, *ctx.saved_tensors)
        dx, *by_parameter = results if sums else (results,)
        rest: Iterator[torch.Tensor] = iter(by_parameter)
        return dx, *(next(rest) if learned else None for learned in learnable)

    made = torch.library.custom_op(
        f"{NAMESPACE}::{name}", forward, mutates_args=(), schema=f"(Tensor x{parameters}) -> Tensor"
    )
    made.register_fake(lambda x, *values: torch.empty_like(x))
    returned = f"(Tensor{sums})" if sums else "Tensor"
    slopes = torch.library.custom_op(
        f"{NAMESPACE}::{name}_backward",
        backward,
        mutates_args=(),
        schema=f"(Tensor grad, Tensor x{parameters}) -> {returned}",
    )
    slopes.register_fake(fake_backward)
    made.register_autograd(differentiate, setup_context=setup)
    return made
