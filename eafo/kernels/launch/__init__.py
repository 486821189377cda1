"""Launching: how each backend computes forward and backward on tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch

__all__ = ["Runner"]


class Runner(Protocol):
    """What a backend does with tensors; it knows nothing of autograd."""

    def forward(self, x: torch.Tensor, values: tuple[float | torch.Tensor, ...]) -> torch.Tensor:
        """f(x; θ), of the shape and type of x."""
        ...

    def backward(
        self, x: torch.Tensor, values: tuple[float | torch.Tensor, ...], grad: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """grad·f′, and Σ grad·∂f/∂θ in the shape of each learnable θ."""
        ...
