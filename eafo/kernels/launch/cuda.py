"""Running the CUDA backend on tensors of a GPU: launched on torch's current stream, through cuda-core."""

from __future__ import annotations

import functools
import struct
import threading
from dataclasses import dataclass
from typing import Any, TypeGuard

import torch

from eafo.errors import BuildError
from eafo.kernels import nvrtc
from eafo.kernels.backends import cuda
from eafo.kernels.launch import are_plain, current_stream, is_capturing, laid_out_as, may_be_kept
from eafo.kernels.launch.layout import Layout, are_served, are_single, like
from eafo.kernels.lower import Scalar

__all__ = ["CudaRunner"]

#: The end of a kernel's name.
_SUFFIX = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
}
#: So many blocks are launched for each that is resident at once, as was fastest on an H200: the last of several end closer
#: together, but each adds to what sums must be added up from. Forward, where there is little to compute, a thread takes one turn.
_WAVES = {
    "eafo_forward": 4,
    "eafo_backward": 4,
    "eafo_backward with sums": 1,
    "eafo_forward_rows": 16,
    "eafo_backward_rows": 1,
    "eafo_forward_planes": 16,
    "eafo_backward_planes": 4,
}
#: How a kernel is told the type of a parameter; 0 for a number itself, and one bit more for a value a channel.
_TYPE = {torch.float32: 1, torch.float64: 2, torch.float16: 3, torch.bfloat16: 4}
_BY_CHANNEL = 8
_PACK_BYTES = 16
_MOST_BLOCKS = 2**31 - 1
#: What a row of a block's threads reads at once of a row of channels.
_ROW_BYTES = 256
#: So many counters are kept a stream, and so many a device for the launches that graphs hold.
_TICKETS = 4096
_CAPTURED_TICKETS = 1 << 18

_Argument = torch.Tensor | int
_DOUBLE, _BITS = struct.Struct("<d"), struct.Struct("<q")


class CudaRunner:
    """One launch forward and one backward; the parameters stay on the device, and nothing waits for it.

    Each form is compiled for a device when it is first asked for.

    Args:
        scalar: the function.
        exact: compute float32 in float64 and round once.

    Raises:
        MissingDependencyError: ``eafo[cuda]`` is not installed.
    """

    name = "cuda"

    def __init__(self, scalar: Scalar, exact: bool = False) -> None:
        self._scalar, self._exact = scalar, exact
        self._learnable = tuple(scalar.parameters.index(s) for s in scalar.learnable)
        self._modules: dict[tuple[int, cuda.Form], _Module] = {}
        nvrtc.require()

    @staticmethod
    def serves(x: torch.Tensor, values: tuple[float | torch.Tensor, ...], *others: torch.Tensor) -> bool:
        """Whether x lies on an NVIDIA GPU in a type that is served, every parameter is a number or one a channel, and all have memory."""
        return (
            x.device.type == "cuda"
            and torch.version.hip is None
            and x.dtype in _SUFFIX
            and are_served(x, values)
            and are_plain(x, *values, *others)
        )

    def forward(self, x: torch.Tensor, values: tuple[float | torch.Tensor, ...]) -> torch.Tensor:
        """f(x; θ), of the shape and type of x."""
        y = torch.empty_like(x)
        x, n = laid_out_as(y, x), x.numel()
        if not are_single(values):
            self._by_channel("forward", x, (x, y), values)
        elif n:
            module = self.load(x.device)
            module.launch(
                "eafo_forward", x, module.blocks("eafo_forward", x), x, y, n, *_parameters(x, values)
            )
        return y

    def backward(
        self, x: torch.Tensor, values: tuple[float | torch.Tensor, ...], grad: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """grad·f′, and Σ grad·∂f/∂θ for each learnable θ."""
        dx = torch.empty_like(x)
        x, grad = laid_out_as(dx, x), laid_out_as(dx, grad)
        if are_single(values):
            return dx, *self._summed("plain", x, (x, grad, dx), values)
        return dx, *self._by_channel("backward", x, (x, grad, dx), values)

    def gated(
        self, x: torch.Tensor, gate: torch.Tensor, values: tuple[float | torch.Tensor, ...]
    ) -> torch.Tensor:
        """f(x; θ) times the gate, in one launch."""
        y = torch.empty_like(x)
        x, gate, n = laid_out_as(y, x), laid_out_as(y, gate), x.numel()
        if n:
            module = self.load(x.device, "gated")
            module.launch(
                "eafo_forward",
                x,
                module.blocks("eafo_forward", x),
                x,
                gate,
                y,
                n,
                *_parameters(x, values),
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
        return dx, dgate, *self._summed("gated", x, (x, gate, grad, dx, dgate), values)

    def coded(
        self, x: torch.Tensor, values: tuple[float | torch.Tensor, ...], levels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """f(x; θ), and which of sixteen levels (float64, in rising order) f′ is nearest to: four bits an element."""
        y = torch.empty_like(x)
        x, n = laid_out_as(y, x), x.numel()
        packed = torch.empty(-(-n // 2), dtype=torch.uint8, device=x.device)
        if n:
            module, given = self.load(x.device, "code"), _parameters(x, values)
            module.launch(
                "eafo_forward", x, module.blocks("eafo_forward", x), x, y, packed, levels, n, *given
            )
        return y, packed

    def coded_backward(self, packed: torch.Tensor, grad: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
        """The gradient, laid out as y was, times the levels."""
        dx, n = torch.empty_like(grad), grad.numel()
        if n:
            module = self.load(grad.device, "code")
            module.launch(
                "eafo_backward", grad, module.blocks("eafo_backward", grad), packed, grad, dx, levels, n
            )
        return dx

    def float8(
        self, x: torch.Tensor, values: tuple[float | torch.Tensor, ...], scale: float | torch.Tensor
    ) -> torch.Tensor:
        """f(x; θ) times the scale as float8_e4m3fn, in one launch; one value a parameter."""
        y = torch.empty_like(x, dtype=torch.float8_e4m3fn)
        n = x.numel()
        if x.stride() != y.stride() or x.is_neg():
            x = torch.empty_like(x).copy_(x)
        if n:
            module, given = self.load(x.device, "float8"), _parameters(x, (scale, *values))
            module.launch("eafo_forward", x, module.blocks("eafo_forward", x), x, y, n, *given)
        return y

    def load(self, device: torch.device, form: cuda.Form = "plain") -> _Module:
        """The kernels of a form on a device, compiled when first asked for.

        Raises:
            BuildError: NVRTC refuses the source or the device's architecture.
        """
        index = torch.cuda.current_device() if device.index is None else device.index
        if (index, form) not in self._modules:
            source = cuda.source(self._scalar, self._exact, form)
            self._modules[index, form] = _Module.load(source, index, form, self._light(form))
        return self._modules[index, form]

    def _light(self, form: cuda.Form) -> frozenset[torch.dtype]:
        """The types in which forward computes little."""
        if form != "plain" or self._exact:
            return frozenset()
        return frozenset(t for t in _SUFFIX if cuda.is_light(self._scalar, t.itemsize))

    def _real(self, x: torch.Tensor) -> torch.dtype:
        """The type that computes."""
        wide = x.dtype == torch.float64 or (self._exact and x.dtype == torch.float32)
        return torch.float64 if wide else torch.float32

    def _summed(
        self,
        form: cuda.Form,
        x: torch.Tensor,
        tensors: tuple[torch.Tensor, ...],
        values: tuple[float | torch.Tensor, ...],
    ) -> list[torch.Tensor]:
        """Launch a backward pass, and give the gradients of the learnable parameters."""
        n, learnable = x.numel(), [values[i] for i in self._learnable]
        make = torch.empty if n else torch.zeros
        sums = [make((), dtype=v.dtype if _is_told(v) else self._real(x), device=x.device) for v in learnable]
        if n:
            module = self.load(x.device, form)
            blocks = module.blocks("eafo_backward", x, sums=bool(sums))
            module.launch(
                "eafo_backward",
                x,
                blocks,
                *tensors,
                *(module.scratch(blocks, blocks * len(sums)) if sums else ()),
                n,
                *_parameters(x, values),
                *_with_types(sums),
            )
        return [
            total.to(v.dtype) if isinstance(v, torch.Tensor) else total
            for total, v in zip(sums, learnable, strict=True)
        ]

    def _by_channel(
        self,
        direction: str,
        x: torch.Tensor,
        tensors: tuple[torch.Tensor, ...],
        values: tuple[float | torch.Tensor, ...],
    ) -> list[torch.Tensor]:
        """Launch a pass with a value a channel; backward, give the gradients of the learnable parameters."""
        module, layout = self.load(x.device, "channels"), Layout.of(x, values)
        learnable = [values[i] for i in self._learnable] if direction == "backward" else []
        # What is one number for all channels is summed once more.
        sums = [
            torch.empty(
                layout.channels,
                dtype=v.dtype if _is_told(v) and v.numel() > 1 else torch.float64,
                device=x.device,
            )
            for v in learnable
        ]
        name = f"eafo_{direction}_{'planes' if layout.inner > 1 else 'rows'}"
        grid = _Grid.of(layout, tensors, module.most(name, x.dtype), module.threads)
        scratch = module.scratch(grid.blocks, grid.slots * len(sums), grid.groups) if sums else ()
        module.launch(
            name,
            x,
            grid.blocks,
            *tensors,
            *scratch,
            *grid.arguments,
            *_parameters(x, values),
            *_with_types(sums),
        )
        return [like(total, v) for total, v in zip(sums, learnable, strict=True)]


def _is_told(value: float | torch.Tensor) -> TypeGuard[torch.Tensor]:
    """Whether a kernel can be told the type of a parameter."""
    return isinstance(value, torch.Tensor) and value.dtype in _TYPE


def _parameters(x: torch.Tensor, values: tuple[float | torch.Tensor, ...]) -> list[_Argument]:
    """Each parameter as a kernel takes it: a number's bits or a tensor beside x, and its type; nothing waits for them."""
    found: list[_Argument] = []
    for value in values:
        if not isinstance(value, torch.Tensor):
            found += *_BITS.unpack(_DOUBLE.pack(value)), 0
            continue
        there = value.detach().to(x.device, None if _is_told(value) else torch.float64).resolve_neg()
        by_channel = _BY_CHANNEL if there.numel() > 1 else 0
        found += there.reshape(-1).contiguous() if by_channel else there, _TYPE[there.dtype] | by_channel
    return found


def _with_types(sums: list[torch.Tensor]) -> list[_Argument]:
    return [argument for total in sums for argument in (total, _TYPE[total.dtype])]


@dataclass(frozen=True)
class _Grid:
    """How a launch with a value a channel is cut: fixed by the layout and the device, so that sums have a fixed order.

    Args:
        blocks: how many.
        slots: sums a learnable parameter.
        groups: of blocks that wait for each other's sums.
        arguments: what the kernel takes.
    """

    blocks: int
    slots: int
    groups: int
    arguments: tuple[int, ...]

    @classmethod
    def of(cls, layout: Layout, tensors: tuple[torch.Tensor, ...], most: int, threads: int) -> _Grid:
        """The grid of a layout on a device that has so many blocks at work."""
        size = tensors[0].element_size()
        width = _PACK_BYTES // size
        if layout.inner > 1:
            lanes = min(threads, _power(-(-layout.inner // (width * cuda.AHEAD))))
            # Few planes are cut, so that every processor has work; a piece holds some packs for every thread.
            few = -(-most // (layout.outer * layout.channels))
            pieces = max(1, min(few, layout.inner // (16 * threads)))
            turns = -(-layout.outer * lanes // threads)
            ranks = pieces * max(1, min(turns, most // (layout.channels * pieces)))
            return cls(
                layout.channels * ranks,
                layout.channels * ranks,
                layout.channels,
                (layout.outer, layout.channels, layout.inner, pieces, lanes),
            )
        starts = {t.data_ptr() % _PACK_BYTES for t in tensors}
        wide = layout.channels % width == 0 and starts == {0}
        packs, pack_bytes = (layout.channels // width, _PACK_BYTES) if wide else (layout.channels, size)
        lanes = min(threads, _power(packs), _ROW_BYTES // pack_bytes)
        groups = -(-packs // lanes)
        ranks = max(1, min(-(-layout.outer // (cuda.AHEAD * threads // lanes)), most // groups))
        return cls(
            groups * ranks,
            ranks * layout.channels,
            groups,
            (layout.outer, layout.channels, groups, lanes, int(wide)),
        )


def _power(n: int) -> int:
    """The first power of two that is not below n."""
    return 1 << (n - 1).bit_length()


@dataclass(frozen=True, eq=False)
class _Module:
    """A loaded cubin on one device."""

    code: Any
    index: int
    processors: int
    threads: int
    light: frozenset[torch.dtype] = frozenset()

    @classmethod
    def load(
        cls, source: str, index: int, form: cuda.Form, light: frozenset[torch.dtype] = frozenset()
    ) -> _Module:
        major, minor = torch.cuda.get_device_capability(index)
        cubin = nvrtc.compile_cubin(source, f"sm_{major}{minor}")
        processors = torch.cuda.get_device_properties(index).multi_processor_count
        code = nvrtc.require().ObjectCode.from_cubin(cubin)
        module = cls(code, index, processors, cuda.THREADS[form], light)
        try:
            # The driver is given the cubin when it is first asked for a kernel.
            _resident(module, f"eafo_forward{'_rows' if form == 'channels' else ''}_float32")
        except Exception as error:
            # cuda-core raises kinds of its own, which move between its versions.
            raise BuildError(
                "the driver must load the kernel", f"{error}", "update the driver, or install an older NVRTC"
            ) from error
        return module

    def blocks(self, name: str, x: torch.Tensor, *, sums: bool = False) -> int:
        """How many blocks: fixed by the size of x and the device, so that sums have a fixed order."""
        elements = self.threads * cuda.AHEAD * (_PACK_BYTES // x.element_size())
        turns = max(1, -(-x.numel() // elements))
        if name == "eafo_forward" and x.dtype in self.light:
            return min(turns, _MOST_BLOCKS)
        return min(turns, self.most(name, x.dtype, sums=sums))

    def most(self, name: str, dtype: torch.dtype, *, sums: bool = False) -> int:
        """How many blocks of a kernel are launched at most."""
        waves = _WAVES[f"{name} with sums" if sums else name]
        return self.processors * waves * _resident(self, f"{name}_{_SUFFIX[dtype]}")

    def scratch(self, blocks: int, slots: int, groups: int = 1) -> tuple[torch.Tensor, _Argument]:
        """What blocks in so many groups need to add up: slots for their sums, and a counter a group of more than one."""
        memory = torch.empty(slots, dtype=torch.float64, device=f"cuda:{self.index}")
        return memory, self.tickets(groups) if blocks > groups else 0

    def tickets(self, count: int) -> torch.Tensor:
        """The counters by which launches know their last blocks; some a stream, for launches on two may overlap."""
        device = torch.device("cuda", self.index)
        if is_capturing(device):
            pool = _POOLS.get(self.index)
            found = None if pool is None else pool.take(count)
        elif count <= _TICKETS and may_be_kept(device):
            found = _tickets(self.index, current_stream(self.index))
        else:
            found = None
        # Where none is kept they are zeroed for every launch, in a graph at every replay.
        return torch.zeros(count, dtype=torch.int32, device=device) if found is None else found

    def launch(self, name: str, x: torch.Tensor, blocks: int, *arguments: torch.Tensor | int) -> None:
        """Launch the kernel for the type of x on torch's current stream."""
        name = f"{name}_{_SUFFIX[x.dtype]}"
        values = [a if isinstance(a, int) else a.data_ptr() for a in arguments]
        if torch.cuda.current_device() == self.index:
            self._launch(name, blocks, *values)
        else:
            with torch.cuda.device(self.index):
                self._launch(name, blocks, *values)

    def _launch(self, name: str, blocks: int, *values: int) -> None:
        _bind(self.index)
        if torch.cuda.is_current_stream_capturing():
            _CAPTURED.add(self)
        stream = _stream(self.index, current_stream(self.index))
        nvrtc.require().launch(stream, _config(blocks, self.threads), _kernel(self, name), *values)


@dataclass(frozen=True)
class _Stream:
    """A torch stream, as cuda-core's stream protocol asks for it."""

    handle: int

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.handle


_thread = threading.local()


def _bind(index: int) -> None:
    """Give this thread a device's context: autograd's threads hold none until something asks for one, and a launch does not."""
    if getattr(_thread, "bound", None) != index:
        nvrtc.require().Device(index).set_current()
        _thread.bound = index


# What a launch needs is made once: making it takes ten times as long as the launch itself.


@functools.lru_cache(maxsize=64)
def _stream(index: int, handle: int) -> Any:
    return nvrtc.require().Device(index).create_stream(_Stream(handle))


@functools.lru_cache(maxsize=1024)
def _config(blocks: int, threads: int) -> Any:
    return nvrtc.require().LaunchConfig(grid=blocks, block=threads)


@functools.lru_cache(maxsize=1024)
def _resident(module: _Module, name: str) -> int:
    """Blocks that a processor holds at once."""
    with torch.cuda.device(module.index):
        _bind(module.index)
        return max(1, _kernel(module, name).occupancy.max_active_blocks_per_multiprocessor(module.threads, 0))


#: Modules that graphs launch: kept for good, for nothing tells when a graph is gone.
_CAPTURED = set[_Module]()


@functools.lru_cache(maxsize=1024)
def _kernel(module: _Module, name: str) -> Any:
    return module.code.get_kernel(name)


@functools.lru_cache(maxsize=64)
def _tickets(index: int, stream: int) -> torch.Tensor:
    """Counters of a stream; before the first, those of the graphs are made, which may be replayed on any."""
    if index not in _POOLS:
        pool = _Pool(torch.zeros(_CAPTURED_TICKETS, dtype=torch.int32, device=f"cuda:{index}"))
        torch.cuda.current_stream(index).synchronize()
        _POOLS.setdefault(index, pool)
    return torch.zeros(_TICKETS, dtype=torch.int32, device=f"cuda:{index}")


class _Pool:
    """Counters of a device for the launches that graphs hold: each its own for good, for graphs may overlap.

    A launch leaves them at 0, and a graph never overlaps itself; so no replay has to zero them.
    """

    def __init__(self, counters: torch.Tensor) -> None:
        self._counters, self._taken, self._lock = counters, 0, threading.Lock()

    def take(self, count: int) -> torch.Tensor | None:
        """Give so many that no other launch has; None where they are used up."""
        with self._lock:
            if self._taken + count > len(self._counters):
                return None
            self._taken += count
            return self._counters[self._taken - count : self._taken]


_POOLS: dict[int, _Pool] = {}
