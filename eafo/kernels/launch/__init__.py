"""Launching: how each backend computes forward and backward on tensors."""

from __future__ import annotations

from typing import Protocol

import torch

__all__ = ["Runner", "laid_out_as"]


class Runner(Protocol):
    """What a backend does with tensors; it knows nothing of autograd."""

    name: str

    def forward(self, x: torch.Tensor, values: tuple[float | torch.Tensor, ...]) -> torch.Tensor:
        """f(x; θ), of the shape and type of x."""
        ...

    def backward(
        self, x: torch.Tensor, values: tuple[float | torch.Tensor, ...], grad: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """grad·f′, and Σ grad·∂f/∂θ in the shape of each learnable θ."""
        ...


def laid_out_as(like: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Give x itself where it lies in memory as `like`, which is dense; else a copy that does."""
    if x.dtype == like.dtype and x.stride() == like.stride():
        return x
    return torch.empty_like(like).copy_(x)
