"""Running the CUDA backend on tensors of a GPU: launched on torch's current stream, through cuda-core."""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass
from typing import Any

import torch

from eafo.kernels import nvrtc
from eafo.kernels.backends import cuda
from eafo.kernels.launch import Constants, are_plain, laid_out_as, may_be_kept
from eafo.kernels.lower import Scalar

__all__ = ["CudaRunner"]

#: The suffix of a kernel's name, and the type it computes in.
_TYPES = {
    torch.float32: ("float32", torch.float32),
    torch.float64: ("float64", torch.float64),
    torch.float16: ("float16", torch.float32),
    torch.bfloat16: ("bfloat16", torch.float32),
}
_BLOCKS_PER_PROCESSOR = 8
_PACK_BYTES = 16


class CudaRunner:
    """One launch forward and one backward; the parameters stay on the device, and nothing waits for it.

    Raises:
        MissingDependencyError: ``eafo[cuda]`` is not installed.
    """

    name = "cuda"

    def __init__(self, scalar: Scalar) -> None:
        self._learnable = tuple(scalar.parameters.index(s) for s in scalar.learnable)
        self._source = cuda.source(scalar)
        self._modules: dict[int, _Module] = {}
        nvrtc.require()

    @staticmethod
    def serves(x: torch.Tensor, values: tuple[float | torch.Tensor, ...], *others: torch.Tensor) -> bool:
        """Whether x lies on an NVIDIA GPU in a type that is served, every parameter is one number, and all have memory."""
        return (
            x.device.type == "cuda"
            and torch.version.hip is None
            and x.dtype in _TYPES
            and all(not isinstance(v, torch.Tensor) or v.ndim == 0 for v in values)
            and are_plain(x, *values, *others)
        )

    def forward(self, x: torch.Tensor, values: tuple[float | torch.Tensor, ...]) -> torch.Tensor:
        """f(x; θ), of the shape and type of x."""
        y = torch.empty_like(x)
        x, n = laid_out_as(y, x), x.numel()
        if n:
            suffix, real = _TYPES[x.dtype]
            module, parameters = self.load(x.device), _on_device(x, real, values)
            module.launch(f"eafo_forward_{suffix}", module.blocks(x), x, y, n, *parameters)
        return y

    def backward(
        self, x: torch.Tensor, values: tuple[float | torch.Tensor, ...], grad: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """grad·f′, and Σ grad·∂f/∂θ for each learnable θ."""
        suffix, real = _TYPES[x.dtype]
        dx = torch.empty_like(x)
        x, grad, n = laid_out_as(dx, x), laid_out_as(dx, grad), x.numel()
        learnable = len(self._learnable)
        totals = (torch.empty if n else torch.zeros)(learnable, dtype=real, device=x.device)
        if n:
            module, parameters = self.load(x.device), _on_device(x, real, values)
            blocks = module.blocks(x)
            # Without a learnable parameter the kernel touches neither.
            sums_of: tuple[torch.Tensor | int, ...] = (0, 0)
            if learnable:
                sums_of = torch.empty(blocks * learnable, dtype=real, device=x.device), module.ticket()
            module.launch(f"eafo_backward_{suffix}", blocks, x, grad, dx, totals, *sums_of, n, *parameters)
        sums = (
            total.to(v.dtype) if isinstance(v := values[i], torch.Tensor) else total
            for total, i in zip(totals.unbind(), self._learnable, strict=True)
        )
        return (dx, *sums)

    def load(self, device: torch.device) -> _Module:
        """The kernels on a device, compiled when first asked for.

        Raises:
            BuildError: NVRTC refuses the source or the device's architecture.
        """
        index = torch.cuda.current_device() if device.index is None else device.index
        if index not in self._modules:
            self._modules[index] = _Module.load(self._source, index)
        return self._modules[index]


@dataclass(frozen=True, eq=False)
class _Module:
    """A loaded cubin on one device."""

    code: Any
    index: int
    processors: int

    @classmethod
    def load(cls, source: str, index: int) -> _Module:
        core = nvrtc.require()
        major, minor = torch.cuda.get_device_capability(index)
        cubin = nvrtc.compile_cubin(source, f"sm_{major}{minor}")
        device = core.Device(index)
        device.set_current()
        processors = torch.cuda.get_device_properties(index).multi_processor_count
        return cls(core.ObjectCode.from_cubin(cubin), index, processors)

    def blocks(self, x: torch.Tensor) -> int:
        """How many blocks: fixed by the size of x and the device, so that sums have a fixed order."""
        elements = cuda.THREADS * max(1, _PACK_BYTES // x.element_size())
        return max(1, min(-(-x.numel() // elements), self.processors * _BLOCKS_PER_PROCESSOR))

    def ticket(self) -> torch.Tensor:
        """The counter by which a launch knows its last block; one a stream, for launches on two may overlap."""
        stream = torch.cuda.current_stream(self.index).cuda_stream
        if may_be_kept(torch.device("cuda", self.index)):
            return _ticket(self.index, stream)
        # A graph zeroes a counter of its own at every replay, on whichever stream that is.
        return _ticket.__wrapped__(self.index, stream)

    def launch(self, name: str, blocks: int, *arguments: torch.Tensor | int) -> None:
        """Launch on torch's current stream."""
        values = (a.data_ptr() if isinstance(a, torch.Tensor) else a for a in arguments)
        if torch.cuda.current_device() == self.index:
            self._launch(name, blocks, *values)
        else:
            with torch.cuda.device(self.index):
                self._launch(name, blocks, *values)

    def _launch(self, name: str, blocks: int, *values: int) -> None:
        core = nvrtc.require()
        if getattr(_thread, "bound", None) != self.index:
            # Autograd's threads hold no context until something asks for one, and a launch does not.
            core.Device(self.index).set_current()
            _thread.bound = self.index
        stream = _stream(self.index, torch.cuda.current_stream(self.index).cuda_stream)
        core.launch(stream, _config(blocks), _kernel(self, name), *values)


@dataclass(frozen=True)
class _Stream:
    """A torch stream, as cuda-core's stream protocol asks for it."""

    handle: int

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.handle


_thread = threading.local()

# What a launch needs is made once: making it takes ten times as long as the launch itself.


@functools.lru_cache(maxsize=64)
def _stream(index: int, handle: int) -> Any:
    return nvrtc.require().Device(index).create_stream(_Stream(handle))


@functools.lru_cache(maxsize=1024)
def _config(blocks: int) -> Any:
    return nvrtc.require().LaunchConfig(grid=blocks, block=cuda.THREADS)


@functools.lru_cache(maxsize=1024)
def _kernel(module: _Module, name: str) -> Any:
    return module.code.get_kernel(name)


_CONSTANTS = Constants()


@functools.lru_cache(maxsize=64)
def _ticket(index: int, stream: int) -> torch.Tensor:
    return torch.zeros(1, dtype=torch.int32, device=f"cuda:{index}")


def _on_device(
    x: torch.Tensor, real: torch.dtype, values: tuple[float | torch.Tensor, ...]
) -> list[torch.Tensor]:
    return [
        v.to(x.device, real) if isinstance(v, torch.Tensor) else _CONSTANTS.get(v, real, x.device)
        for v in values
    ]
