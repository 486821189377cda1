"""Running the source of the aten backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from eafo.kernels.backends import aten
from eafo.kernels.launch import Constants, is_traced
from eafo.kernels.lower import Scalar
from eafo.kernels.program import Precision

__all__ = ["AtenRunner"]


class AtenRunner:
    """Plain torch operations on any device.

    Half precisions compute in float32 and round once at the end; so does float32 in float64 where it is to be exact.
    """

    name = "aten"

    def __init__(self, scalar: Scalar, exact: bool = False) -> None:
        self._exact = exact
        self._learnable = tuple(scalar.parameters.index(s) for s in scalar.learnable)
        # Made at once, so that torch.compile finds them made and does not trace their making.
        self._modules = {p: _compile(scalar, p) for p in Precision}
        self._constants = Constants()

    def forward(self, x: torch.Tensor, values: tuple[float | torch.Tensor, ...]) -> torch.Tensor:
        """f(x; θ), of the shape and type of x."""
        work, run = self._prepare(x, "forward")
        (result,) = run(work, *self._tensors(work, values))
        # A trace knows no shapes to compare.
        if result is x or is_traced() or result.shape != x.shape:
            result = result.expand_as(x).clone()
        return result.to(x.dtype)

    def backward(
        self, x: torch.Tensor, values: tuple[float | torch.Tensor, ...], grad: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """grad·f′, and Σ grad·∂f/∂θ in the shape of each learnable θ."""
        work, run = self._prepare(x, "backward")
        slope, *by_parameter = run(work, *self._tensors(work, values))
        grad = grad.to(work.dtype)
        sums = [_sum_like(grad * d, values[i]) for i, d in zip(self._learnable, by_parameter, strict=True)]
        return ((grad * slope).to(x.dtype), *sums)

    def coded(
        self, x: torch.Tensor, values: tuple[float | torch.Tensor, ...], levels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """f(x; θ), and which of sixteen levels (in rising order) f′ is nearest to: four bits an element."""
        wide = x if x.dtype == torch.float64 else x.float()
        (slope, *_) = self.backward(wide, values, torch.ones_like(wide))
        codes = torch.bucketize(slope.reshape(-1).to(levels.dtype), (levels[1:] + levels[:-1]) / 2).to(
            torch.uint8
        )
        half = -(-codes.numel() // 2)
        packed = codes[:half].clone()
        packed[: codes.numel() - half] |= codes[half:] << 4
        return self.forward(x, values), packed

    @staticmethod
    def coded_backward(packed: torch.Tensor, grad: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
        """The gradient times the levels."""
        codes = torch.cat([packed & 15, packed >> 4])[: grad.numel()]
        slopes = levels[codes.long()].view(grad.shape)
        return (grad * slopes).to(grad.dtype)

    def _prepare(self, x: torch.Tensor, name: str) -> tuple[torch.Tensor, Callable[..., Any]]:
        if x.dtype == torch.float32 and self._exact:
            x = x.double()
        if x.dtype not in (torch.float32, torch.float64):
            x = x.float()
        precision = Precision.FLOAT64 if x.dtype == torch.float64 else Precision.FLOAT32
        return x, self._modules[precision][name]

    def _tensors(self, x: torch.Tensor, values: tuple[float | torch.Tensor, ...]) -> list[torch.Tensor]:
        return [
            v.to(x.dtype) if isinstance(v, torch.Tensor) else self._constants.get(v, x.dtype, x.device)
            for v in values
        ]


def _compile(scalar: Scalar, precision: Precision) -> dict[str, Any]:
    """Run what is shown: the source is made of the closed set of operations and generated names."""
    module: dict[str, Any] = {}
    exec(compile(aten.module(scalar, precision), "<eafo aten kernel>", "exec"), module)  # noqa: S102 - no user's text
    return module


def _sum_like(elements: torch.Tensor, value: float | torch.Tensor) -> torch.Tensor:
    """Sum over every dimension along which the value was broadcast."""
    if not isinstance(value, torch.Tensor):
        return elements.sum()
    total = elements.sum() if value.ndim == 0 else elements.sum_to_size(value.shape)
    return total.to(value.dtype)
