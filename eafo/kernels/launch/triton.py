"""Running the Triton backend on tensors of a GPU, as operators that `torch.compile` and `torch.export` see through."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from eafo.errors import BuildError, MissingDependencyError
from eafo.kernels import build
from eafo.kernels.backends import triton as backend
from eafo.kernels.launch import are_plain, as_tensors, laid_out_as
from eafo.kernels.launch.layout import are_single
from eafo.kernels.lower import Scalar

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

__all__ = ["TritonRunner", "available", "load_module"]

_TYPES = frozenset({torch.float32, torch.float64, torch.float16, torch.bfloat16})


def available() -> bool:
    """Whether Triton is installed."""
    return importlib.util.find_spec("triton") is not None


class TritonRunner:
    """One launch forward and one backward; the sums of the programs are added in their order.

    Args:
        scalar: the function.
        exact: compute float32 in float64 and round once.

    Raises:
        MissingDependencyError: Triton is not installed.
        BuildError: there is no cache that can be trusted.
    """

    name = "triton"

    def __init__(self, scalar: Scalar, exact: bool = False) -> None:
        if not available():
            raise MissingDependencyError(
                "the triton backend needs Triton", remedy='pip install "eafo[triton]"'
            )
        self._exact = exact
        self._learnable = tuple(scalar.parameters.index(s) for s in scalar.learnable)
        source = backend.source(scalar, exact)
        self._forward, self._backward = _operators(source, len(self._learnable), exact)

    @staticmethod
    def serves(x: torch.Tensor, values: tuple[float | torch.Tensor, ...], *others: torch.Tensor) -> bool:
        """Whether x lies on a GPU in a type that is served, every parameter is one number, and all have memory."""
        return (
            x.device.type in ("cuda", "xpu")
            and x.dtype in _TYPES
            and are_single(values)
            and are_plain(x, *values, *others)
        )

    def forward(self, x: torch.Tensor, values: tuple[float | torch.Tensor, ...]) -> torch.Tensor:
        """f(x; θ), of the shape and type of x."""
        x = laid_out_as(torch.empty_like(x), x)
        with _on(x.device):
            y: torch.Tensor = self._forward(x, as_tensors(x, self._real(x), values))
        return y

    def backward(
        self, x: torch.Tensor, values: tuple[float | torch.Tensor, ...], grad: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """grad·f′, and Σ grad·∂f/∂θ for each learnable θ."""
        like, real = torch.empty_like(x), self._real(x)
        with _on(x.device):
            given = as_tensors(x, real, values)
            dx, totals = self._backward(laid_out_as(like, x), laid_out_as(like, grad), given)
        sums = (
            total.to(v.dtype if isinstance(v := values[i], torch.Tensor) else real)
            for total, i in zip(totals.unbind(), self._learnable, strict=True)
        )
        return dx, *sums

    def _real(self, x: torch.Tensor) -> torch.dtype:
        wide = x.dtype == torch.float64 or (self._exact and x.dtype == torch.float32)
        return torch.float64 if wide else torch.float32


def _on(device: torch.device) -> AbstractContextManager[None]:
    """Triton launches on the current device, whichever holds the tensors; under a mode that only looks, none is needed."""
    if torch._C._len_torch_dispatch_stack():
        return nullcontext()
    context: AbstractContextManager[None] = getattr(torch, device.type).device(device)
    return context


@functools.lru_cache(maxsize=512)
def _operators(source: str, learnable: int, exact: bool) -> tuple[Any, Any]:
    """The operators of a source, registered once a process."""
    kernels, digest = load_module(source), hashlib.sha256(source.encode()).hexdigest()[:16]

    def kernel(direction: str, x: torch.Tensor) -> Any:
        wide = x.dtype == torch.float64 or (exact and x.dtype == torch.float32)
        found = getattr(kernels, f"{direction}_{'float64' if wide else 'float32'}")
        return torch.library.wrap_triton(found)[(_programs(x),)]

    def forward(x: torch.Tensor, given: list[torch.Tensor]) -> torch.Tensor:
        y = torch.empty_like(x)
        if x.numel():
            kernel("forward", x)(x, y, x.numel(), *given, BLOCK=backend.BLOCK)
        return y

    def backward(
        x: torch.Tensor, grad: torch.Tensor, given: list[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        dx = torch.empty_like(x)
        slots = torch.zeros(learnable, max(1, _programs(x)), dtype=torch.float64, device=x.device)
        if x.numel():
            kernel("backward", x)(x, grad, dx, slots, x.numel(), *given, BLOCK=backend.BLOCK)
        return dx, slots.sum(1)

    return (
        torch.library.triton_op(
            f"eafo::triton_{digest}_forward",
            forward,
            mutates_args={},
            schema="(Tensor x, Tensor[] given) -> Tensor",
        ),
        torch.library.triton_op(
            f"eafo::triton_{digest}_backward",
            backward,
            mutates_args={},
            schema="(Tensor x, Tensor grad, Tensor[] given) -> (Tensor, Tensor)",
        ),
    )


def _programs(x: torch.Tensor) -> int:
    return -(-x.numel() // backend.BLOCK)


def load_module(source: str) -> Any:
    """Import a source from a file of the kernel cache: Triton reads the text of what it compiles.

    Raises:
        BuildError: the cache is not to be trusted, or cannot be written.
    """
    digest = hashlib.sha256(source.encode()).hexdigest()[:32]
    path = build.cache_directory() / f"eafo_{digest}.py"
    if not path.is_file() or path.read_text(encoding="utf-8") != source:
        _write(path, source)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise BuildError("a Triton kernel must be importable", str(path), "set EAFO_CACHE to another")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _write(path: Path, source: str) -> None:
    try:
        handle, name = tempfile.mkstemp(suffix=".py", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(source)
        Path(name).replace(path)
    except OSError as error:
        raise BuildError(
            "the kernel cache must be writable", str(path.parent), "set EAFO_CACHE to another"
        ) from error
