"""Running the C++ backend on tensors of the CPU."""

from __future__ import annotations

import ctypes
from typing import Any

import torch

from eafo.kernels import build
from eafo.kernels.backends import cpp
from eafo.kernels.launch import are_plain, laid_out_as
from eafo.kernels.lower import Scalar

__all__ = ["CppRunner"]

_SUFFIX = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.bfloat16: "bfloat16",
    torch.float16: "float16",
}


class CppRunner:
    """Compiled loops over floating-point tensors, one value a parameter; half precisions are computed in float32.

    Gradients of parameters are summed in double precision, chunk by chunk in a fixed order: the same bits whatever
    the number of threads.

    Raises:
        BuildError: there is no compiler, or no cache that can be trusted.
    """

    name = "cpp"

    def __init__(self, scalar: Scalar, exact: bool = False) -> None:
        self._learnable = tuple(scalar.parameters.index(s) for s in scalar.learnable)
        library = build.load_cpp(cpp.source(scalar, exact))
        doubles = [ctypes.c_double] * len(scalar.parameters)
        pointer, count = ctypes.c_void_p, [ctypes.c_longlong, ctypes.c_int]
        self._forward = {
            t: _function(library, f"eafo_forward_{s}", [pointer] * 2 + count + doubles)
            for t, s in _SUFFIX.items()
        }
        self._backward = {
            t: _function(library, f"eafo_backward_{s}", [pointer] * 5 + count + doubles)
            for t, s in _SUFFIX.items()
        }

    @staticmethod
    def serves(x: torch.Tensor, values: tuple[float | torch.Tensor, ...], *others: torch.Tensor) -> bool:
        """Whether x is a floating-point tensor of the CPU, every parameter a single number, and all have memory."""
        return (
            x.dtype in _SUFFIX
            and x.device.type == "cpu"
            and all(not isinstance(v, torch.Tensor) or v.ndim == 0 for v in values)
            and are_plain(x, *values, *others)
        )

    def forward(self, x: torch.Tensor, values: tuple[float | torch.Tensor, ...]) -> torch.Tensor:
        """f(x; θ), of the shape and type of x."""
        y = torch.empty_like(x)
        x = laid_out_as(y, x)
        n = x.numel()
        self._forward[x.dtype](x.data_ptr(), y.data_ptr(), n, _threads(n), *map(float, values))
        return y

    def overwrite(self, x: torch.Tensor, values: tuple[float | torch.Tensor, ...]) -> bool:
        """Write f(x; θ) over x; False, and nothing written, where x does not lie densely in memory."""
        if not torch.ops.aten.is_non_overlapping_and_dense(x) or x.is_neg():
            return False
        n = x.numel()
        self._forward[x.dtype](x.data_ptr(), x.data_ptr(), n, _threads(n), *map(float, values))
        # Autograd finds out by the version that what it saved has changed.
        torch.autograd.graph.increment_version(x)
        return True

    def backward(
        self, x: torch.Tensor, values: tuple[float | torch.Tensor, ...], grad: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """grad·f′, and Σ grad·∂f/∂θ for each learnable θ."""
        dx = torch.empty_like(x)
        x, grad = laid_out_as(dx, x), laid_out_as(dx, grad)
        n = x.numel()
        # The default device may be another one.
        real = torch.float64 if x.dtype == torch.float64 else torch.float32
        totals = torch.empty(len(self._learnable), dtype=real, device=x.device)
        chunks = -(-n // cpp.CHUNK)
        # Up to this many chunks the sums fit on the stack of the compiled function.
        slots = (
            torch.empty(chunks * totals.numel(), dtype=torch.float64, device=x.device)
            if chunks > cpp.CHUNKS_ON_STACK
            else totals
        )
        self._backward[x.dtype](
            x.data_ptr(), grad.data_ptr(), dx.data_ptr(), totals.data_ptr(), slots.data_ptr(), n, _threads(n),
            *map(float, values),
        )  # fmt: skip
        sums = totals.unbind() if self._learnable else ()
        return (dx, *(_as_value(total, values[i]) for total, i in zip(sums, self._learnable, strict=True)))


def _function(library: ctypes.CDLL, name: str, arguments: list[Any]) -> Any:
    function = getattr(library, name)
    function.argtypes, function.restype = arguments, None
    return function


def _threads(n: int) -> int:
    return torch.get_num_threads() if n > cpp.CHUNK else 1


def _as_value(total: torch.Tensor, value: float | torch.Tensor) -> torch.Tensor:
    if not isinstance(value, torch.Tensor) or total.dtype == value.dtype:
        return total
    return total.to(value.dtype)
