"""Where one value a channel lies beside a dense tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch

__all__ = ["Layout", "are_served", "are_single", "channel_dims", "like"]


@dataclass(frozen=True)
class Layout:
    """A dense tensor as outer times channels times inner elements, as they lie in memory."""

    outer: int
    channels: int
    inner: int

    @classmethod
    def of(cls, x: torch.Tensor, values: tuple[float | torch.Tensor, ...]) -> Self:
        """The layout of a dense x beside values of which some differ along one dimension."""
        (dim,) = channel_dims(x, values)
        channels, inner = x.shape[dim], x.stride(dim)
        return cls(x.numel() // (channels * inner), channels, inner)

    def rows(
        self, values: tuple[float | torch.Tensor, ...], dtype: torch.dtype, device: torch.device
    ) -> list[torch.Tensor]:
        """Each parameter as a value a channel, of the type that computes."""
        return [
            torch.as_tensor(v, dtype=dtype, device=device)
            .detach()
            .resolve_neg()
            .reshape(-1)
            .expand(self.channels)
            .contiguous()
            for v in values
        ]


def are_single(values: tuple[float | torch.Tensor, ...]) -> bool:
    """Whether every parameter is one number."""
    for v in values:  # noqa: SIM110 - a generator takes twice the time
        if isinstance(v, torch.Tensor) and v.ndim:
            return False
    return True


def are_served(x: torch.Tensor, values: tuple[float | torch.Tensor, ...]) -> bool:
    """Whether every parameter is one number, or they differ along one dimension of x."""
    return are_single(values) or (x.numel() > 0 and len(channel_dims(x, values)) == 1)


def channel_dims(x: torch.Tensor, values: tuple[float | torch.Tensor, ...]) -> tuple[int, ...]:
    """The dimensions of x along which parameters differ, from its end; none where they do not broadcast against x."""
    found = set[int]()
    for v in (v for v in values if isinstance(v, torch.Tensor)):
        wide = [i for i, size in enumerate(v.shape, -v.ndim) if size != 1]
        if v.ndim > x.ndim or any(v.shape[i] != x.shape[i] for i in wide):
            return ()
        found.update(wide)
    return tuple(found)


def like(total: torch.Tensor, value: float | torch.Tensor) -> torch.Tensor:
    """The sums over each channel as the gradient of a parameter."""
    if not isinstance(value, torch.Tensor):
        return total.sum()
    return (total if value.numel() > 1 else total.sum()).reshape(value.shape).to(value.dtype)
