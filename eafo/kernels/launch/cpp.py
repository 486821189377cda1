"""Running the C++ backend on tensors of the CPU."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import torch

from eafo.kernels import build
from eafo.kernels.backends import cpp
from eafo.kernels.launch import are_plain, laid_out_as
from eafo.kernels.launch.layout import Layout, are_served, are_single, like
from eafo.kernels.lower import Scalar

__all__ = ["CppRunner"]

_POINTER = ctypes.c_void_p
_COUNT = (ctypes.c_longlong, ctypes.c_int)
_SHAPE = (*[ctypes.c_longlong] * 4, ctypes.c_int)
#: What is summed by channel is cut into at most so many pieces.
_MOST_PIECES = 64
_Functions = tuple[dict[torch.dtype, Any], ...]
_SUFFIX = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.bfloat16: "bfloat16",
    torch.float16: "float16",
}


class CppRunner:
    """Compiled loops over floating-point tensors, with one value a parameter or one a channel.

    Half precisions are computed in float32. Gradients of parameters are summed chunk by chunk in a fixed order, in double
    precision above 1024 elements: the same bits whatever the number of threads. Each form is compiled when it is first
    asked for.

    Args:
        scalar: the function.
        exact: compute float32 in float64 and round once.

    Raises:
        BuildError: there is no compiler, or no cache that can be trusted.
    """

    name = "cpp"

    def __init__(self, scalar: Scalar, exact: bool = False) -> None:
        self._scalar, self._exact = scalar, exact
        self._learnable = tuple(scalar.parameters.index(s) for s in scalar.learnable)
        self._doubles = [ctypes.c_double] * len(scalar.parameters)
        self._forward, self._backward = self._load("plain", self._flat(2), self._flat(5))

    def _flat(self, pointers: int) -> list[Any]:
        """What a function over all elements alike takes: so many pointers, the count, a number a parameter."""
        return [*[_POINTER] * pointers, *_COUNT, *self._doubles]

    def _load(self, form: cpp.Form, forward: list[Any], backward: list[Any]) -> _Functions:
        """Both functions of a form by type, with the types of their arguments."""
        library = build.load_cpp(cpp.source(self._scalar, self._exact, form, streamed=build.streams()))
        return tuple(
            {t: _function(library, f"eafo_{direction}_{suffix}", taken) for t, suffix in _SUFFIX.items()}
            for direction, taken in (("forward", forward), ("backward", backward))
        )

    @functools.cached_property
    def _gated(self) -> _Functions:
        return self._load("gated", self._flat(3), self._flat(7))

    @functools.cached_property
    def _channels(self) -> _Functions:
        rest = [*_SHAPE, *[_POINTER] * len(self._doubles)]
        return self._load("channels", [_POINTER] * 2 + rest, [_POINTER] * 5 + rest)

    @functools.cached_property
    def _coded(self) -> _Functions:
        return self._load("code", self._flat(4), [*[_POINTER] * 4, *_COUNT])

    @staticmethod
    def serves(x: torch.Tensor, values: tuple[float | torch.Tensor, ...], *others: torch.Tensor) -> bool:
        """Whether x is a floating-point tensor of the CPU, every parameter a number or one a channel, and all have memory."""
        return (
            x.dtype in _SUFFIX
            and x.device.type == "cpu"
            and are_served(x, values)
            and are_plain(x, *values, *others)
        )

    def forward(self, x: torch.Tensor, values: tuple[float | torch.Tensor, ...]) -> torch.Tensor:
        """f(x; θ), of the shape and type of x."""
        y = torch.empty_like(x)
        x = laid_out_as(y, x)
        n = x.numel()
        if are_single(values):
            self._forward[x.dtype](x.data_ptr(), y.data_ptr(), n, _threads(n), *map(float, values))
            return y
        layout = _Layout.of(y, values)
        rows = self._rows(layout, x, values)
        self._channels[0][x.dtype](
            x.data_ptr(), y.data_ptr(), *layout.arguments, *(r.data_ptr() for r in rows)
        )
        return y

    def overwrite(self, x: torch.Tensor, values: tuple[float | torch.Tensor, ...]) -> bool:
        """Write f(x; θ) over x; False, and nothing written, where x does not lie densely or values differ by channel."""
        if not torch.ops.aten.is_non_overlapping_and_dense(x) or x.is_neg() or not are_single(values):
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
        if not are_single(values):
            return self._backward_by_channel(x, values, grad)
        dx = torch.empty_like(x)
        x, grad = laid_out_as(dx, x), laid_out_as(dx, grad)
        n = x.numel()
        totals, slots = self._sums(x)
        self._backward[x.dtype](
            x.data_ptr(), grad.data_ptr(), dx.data_ptr(), totals.data_ptr(), slots.data_ptr(), n, _threads(n),
            *map(float, values),
        )  # fmt: skip
        return dx, *self._by_parameter(totals, values)

    def gated(
        self, x: torch.Tensor, gate: torch.Tensor, values: tuple[float | torch.Tensor, ...]
    ) -> torch.Tensor:
        """f(x; θ) times the gate, in one pass."""
        y = torch.empty_like(x)
        x, gate = laid_out_as(y, x), laid_out_as(y, gate)
        n = x.numel()
        self._gated[0][x.dtype](
            x.data_ptr(), gate.data_ptr(), y.data_ptr(), n, _threads(n), *map(float, values)
        )
        return y

    def gated_backward(
        self,
        x: torch.Tensor,
        gate: torch.Tensor,
        values: tuple[float | torch.Tensor, ...],
        grad: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """grad·gate·f′, grad·f, and Σ grad·gate·∂f/∂θ for each learnable θ."""
        dx, dgate = torch.empty_like(x), torch.empty_like(x)
        x, gate, grad = (laid_out_as(dx, t) for t in (x, gate, grad))
        n = x.numel()
        totals, slots = self._sums(x)
        self._gated[1][x.dtype](
            x.data_ptr(), gate.data_ptr(), grad.data_ptr(), dx.data_ptr(), dgate.data_ptr(), totals.data_ptr(),
            slots.data_ptr(), n, _threads(n), *map(float, values),
        )  # fmt: skip
        return dx, dgate, *self._by_parameter(totals, values)

    def coded(
        self, x: torch.Tensor, values: tuple[float | torch.Tensor, ...], levels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """f(x; θ), and which of sixteen levels (float64, in rising order) f′ is nearest to: four bits an element."""
        y = torch.empty_like(x)
        x = laid_out_as(y, x)
        n = x.numel()
        packed = torch.empty(-(-n // 2), dtype=torch.uint8, device=x.device)
        self._coded[0][x.dtype](
            x.data_ptr(),
            y.data_ptr(),
            packed.data_ptr(),
            levels.data_ptr(),
            n,
            _threads(n),
            *map(float, values),
        )
        return y, packed

    def coded_backward(self, packed: torch.Tensor, grad: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
        """The gradient, laid out as y was, times the levels."""
        dx = torch.empty_like(grad)
        n = grad.numel()
        self._coded[1][grad.dtype](
            packed.data_ptr(), grad.data_ptr(), dx.data_ptr(), levels.data_ptr(), n, _threads(n)
        )
        return dx

    def _sums(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Memory for the sums over all elements, and for those of each chunk."""
        # The default device may be another one.
        real = torch.float64 if x.dtype == torch.float64 else torch.float32
        totals = torch.empty(len(self._learnable), dtype=real, device=x.device)
        chunks = -(-x.numel() // cpp.CHUNK)
        if chunks <= cpp.CHUNKS_ON_STACK:
            return totals, totals
        return totals, torch.empty(chunks * totals.numel(), dtype=torch.float64, device=x.device)

    def _by_parameter(
        self, totals: torch.Tensor, values: tuple[float | torch.Tensor, ...]
    ) -> tuple[torch.Tensor, ...]:
        sums = totals.unbind() if self._learnable else ()
        return tuple(_as_value(total, values[i]) for total, i in zip(sums, self._learnable, strict=True))

    def _rows(
        self, layout: Layout, x: torch.Tensor, values: tuple[float | torch.Tensor, ...]
    ) -> list[torch.Tensor]:
        wide = x.dtype == torch.float64 or (self._exact and x.dtype == torch.float32)
        return layout.rows(values, torch.float64 if wide else torch.float32, x.device)

    def _backward_by_channel(
        self, x: torch.Tensor, values: tuple[float | torch.Tensor, ...], grad: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        dx = torch.empty_like(x)
        x, grad = laid_out_as(dx, x), laid_out_as(dx, grad)
        layout = _Layout.of(dx, values)
        rows, count = self._rows(layout, x, values), len(self._learnable)
        totals = torch.empty(count, layout.channels, dtype=torch.float64, device=x.device)
        slots = torch.empty(count * layout.slots, dtype=torch.float64, device=x.device)
        self._channels[1][x.dtype](
            x.data_ptr(), grad.data_ptr(), dx.data_ptr(), totals.data_ptr(), slots.data_ptr(), *layout.arguments,
            *(r.data_ptr() for r in rows),
        )  # fmt: skip
        sums = (like(total, values[i]) for total, i in zip(totals, self._learnable, strict=True))
        return dx, *sums


class _Layout(Layout):
    """The same, cut into pieces."""

    @property
    def piece(self) -> int:
        """So many rows, or elements of a channel, are summed in one go; from the shape alone."""
        if self.inner > 1:
            return cpp.CHUNK
        return max(-(-self.outer // _MOST_PIECES), -(-cpp.CHUNK // self.channels))

    @property
    def slots(self) -> int:
        """Sums a parameter."""
        if self.inner > 1:
            return self.outer * self.channels * -(-self.inner // self.piece)
        return self.channels * -(-self.outer // self.piece)

    @property
    def arguments(self) -> tuple[int, ...]:
        n = self.outer * self.channels * self.inner
        return self.outer, self.channels, self.inner, self.piece, _threads(n)


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
