"""Launching: how each backend computes forward and backward on tensors."""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch

__all__ = [
    "Constants",
    "FormRunner",
    "Runner",
    "are_plain",
    "as_tensors",
    "current_stream",
    "is_capturing",
    "is_traced",
    "laid_out_as",
    "may_be_kept",
]

_PLAIN = (torch.Tensor, torch.nn.Parameter)
_keys_of = torch._C._dispatch_keys
_WRAPPERS = tuple(
    map(
        torch._C._dispatch_key_parse,
        ("Batched", "FuncTorchBatched", "FuncTorchGradWrapper", "ZeroTensor", "Functionalize"),
    )
)
#: What is known of tensors by their dispatch keys, which tell their layout too.
_MEMORY: dict[int, bool] = {}
_MOST_CONSTANTS = 256


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


class FormRunner(Runner, Protocol):
    """One that has the gated form too."""

    def gated(
        self, x: torch.Tensor, gate: torch.Tensor, values: tuple[float | torch.Tensor, ...]
    ) -> torch.Tensor:
        """f(x; θ) times the gate, of the shape and type of x, in one pass."""
        ...

    def gated_backward(
        self,
        x: torch.Tensor,
        gate: torch.Tensor,
        values: tuple[float | torch.Tensor, ...],
        grad: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """grad·gate·f′, grad·f, and Σ grad·gate·∂f/∂θ for each learnable θ."""
        ...


class Constants:
    """Numbers as tensors without dimensions, made once a type, a device and a stream.

    Nothing is kept of what a transform of `torch.func`, a dispatch mode or the capture of a CUDA graph makes: it would
    outlive them.
    """

    def __init__(self) -> None:
        self._kept: dict[Any, torch.Tensor] = {}

    def get(self, value: float, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        """Give the number; its fill is ordered before whatever the current stream runs next."""
        if not may_be_kept(device):
            return torch.full((), value, dtype=dtype, device=device)
        stream = current_stream(device.index) if device.type == "cuda" else None
        # 0.0 equals -0.0, so the sign is a part of the key.
        key = (value, math.copysign(1.0, value), dtype, device, stream)
        if key not in self._kept:
            if len(self._kept) >= _MOST_CONSTANTS:
                self._kept.clear()
            self._kept[key] = torch.full((), value, dtype=dtype, device=device)
        return self._kept[key]


_KEPT = Constants()


def current_stream(index: int) -> int:
    """The handle of torch's current stream on a GPU, by the call of Inductor and Triton: without an object for it."""
    handle: int = torch._C._cuda_getCurrentRawStream(index)
    return handle


def as_tensors(
    x: torch.Tensor, real: torch.dtype, values: tuple[float | torch.Tensor, ...]
) -> list[torch.Tensor]:
    """The numbers beside x, on its device, in the type that computes; the processor waits for none of them."""
    return [
        v.detach().to(x.device, real).resolve_neg()
        if isinstance(v, torch.Tensor)
        else _KEPT.get(v, real, x.device)
        for v in values
    ]


def may_be_kept(device: torch.device) -> bool:
    """Whether a tensor made now on a device is an ordinary one, filled when its stream gets there."""
    return not (
        torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack()
        or torch.is_inference_mode_enabled()
        or is_capturing(device)
    )


def is_capturing(device: torch.device) -> bool:
    """Whether a CUDA graph is being captured on the current stream of a device."""
    if device.type != "cuda":
        return False
    if device.index in (None, torch.cuda.current_device()):
        return torch.cuda.is_current_stream_capturing()
    with torch.cuda.device(device):
        return torch.cuda.is_current_stream_capturing()


def are_plain(*values: float | torch.Tensor) -> bool:
    """Whether every tensor among the values has memory of its own that may be read through its pointer."""
    if torch._C._len_torch_dispatch_stack() or is_traced():
        return False
    for v in values:
        if isinstance(v, torch.Tensor) and not (type(v) in _PLAIN and _has_memory(v)):
            return False
    return True


def _has_memory(x: torch.Tensor) -> bool:
    """Whether x is strided, and neither of a transform of `torch.func` nor of batched gradients nor without storage."""
    keys = _keys_of(x)
    bits = keys.raw_repr()
    if bits not in _MEMORY:
        _MEMORY[bits] = x.layout is torch.strided and not any(map(keys.has, _WRAPPERS))
    return _MEMORY[bits]


def is_traced() -> bool:
    """Whether `torch.jit.trace` records operations, of which a kernel of ours is none."""
    return torch._C._get_tracing_state() is not None


def laid_out_as(like: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Give x itself where it lies in memory as `like`, which is dense; else a copy that does.

    A view with the negative bit holds the opposite of its values: it is copied too.
    """
    if x.dtype == like.dtype and x.stride() == like.stride() and not x.is_neg():
        return x
    return torch.empty_like(like).copy_(x)
