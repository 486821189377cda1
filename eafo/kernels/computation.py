"""A scalar function with everything that computes it, and the choice among it for each call."""

from __future__ import annotations

import functools

import torch
from torch.autograd import forward_ad

from eafo.activation import VARIABLE
from eafo.errors import BuildError, MissingDependencyError
from eafo.kernels.autograd import Coded, Composable, Elementwise, ForwardMode, Gated, InPlace, Values
from eafo.kernels.build import warn_once
from eafo.kernels.coding import SlopeCode
from eafo.kernels.launch import FormRunner, Runner, is_traced
from eafo.kernels.launch.aten import AtenRunner
from eafo.kernels.launch.cpp import CppRunner
from eafo.kernels.launch.cuda import CudaRunner
from eafo.kernels.launch.layout import are_single
from eafo.kernels.launch.triton import TritonRunner
from eafo.kernels.lower import Scalar

__all__ = ["Computation", "computation"]

_FLOAT8_MOST = torch.finfo(torch.float8_e4m3fn).max


class Computation:
    """A scalar function with its runners; made once a function and backend."""

    def __init__(self, scalar: Scalar, backend: str, exact: bool) -> None:
        self.scalar, self.backend, self.exact = scalar, backend, exact
        self.learnable = tuple(scalar.parameters.index(s) for s in scalar.learnable)
        self.aten = AtenRunner(scalar, exact)
        self._refused: set[torch.device] = set()

    def runner(self, x: torch.Tensor, values: Values, *others: torch.Tensor) -> Runner:
        """The fastest runner that serves this call; torch.compile sees plain operations, to fuse them."""
        if self.backend == "aten" or torch.compiler.is_compiling():
            return self.aten
        if self.backend in ("auto", "cpp") and CppRunner.serves(x, values, *others):
            return self.cpp or self.aten
        if self.backend in ("auto", "cuda") and CudaRunner.serves(x, values, *others):
            return self._on_gpu(x.device)
        if self.backend in ("auto", "triton") and TritonRunner.serves(x, values, *others):
            return self.triton or self.aten
        return self.aten

    @functools.cached_property
    def cpp(self) -> CppRunner | None:
        """The C++ runner; None, after one warning, where it cannot be built."""
        try:
            return CppRunner(self.scalar, self.exact)
        except BuildError as error:
            if self.backend == "cpp":
                raise
            warn_once(f"on the CPU kernels run by plain torch operations: {error}")
            return None

    @functools.cached_property
    def cuda(self) -> CudaRunner | None:
        """The CUDA runner; None, after one warning, where ``eafo[cuda]`` is missing."""
        try:
            return CudaRunner(self.scalar, self.exact)
        except MissingDependencyError as error:
            if self.backend == "cuda":
                raise
            warn_once(f"on the GPU kernels run by plain torch operations: {error}")
            return None

    @functools.cached_property
    def triton(self) -> TritonRunner | None:
        """The Triton runner; None where Triton is missing, or nothing can be kept."""
        try:
            return TritonRunner(self.scalar, self.exact)
        except (MissingDependencyError, BuildError):
            if self.backend == "triton":
                raise
            return None

    def _on_gpu(self, device: torch.device) -> Runner:
        """The CUDA runner, compiled for a device; plain torch operations, after one warning, where it cannot be."""
        if self.cuda is None or device in self._refused:
            return self.aten
        try:
            self.cuda.load(device)
        except (BuildError, MissingDependencyError) as error:
            if self.backend == "cuda":
                raise
            self._refused.add(device)
            warn_once(f"on the GPU kernels run by plain torch operations: {error}")
            return self.aten
        return self.cuda

    @functools.cached_property
    def slopes(self) -> tuple[Computation, ...]:
        """f′ and ∂f/∂θ as computations of their own, for derivatives of higher order."""
        symbols = (VARIABLE, *self.scalar.learnable)
        return tuple(computation(self.scalar.derivative(s), "aten", self.exact) for s in symbols)

    def __call__(self, x: torch.Tensor, values: Values) -> torch.Tensor:
        """f(x; θ), differentiable where that is asked for."""
        if torch.compiler.is_compiling():
            # torch's tracer mistakes the arguments of a Function that none of them needs a gradient of.
            return (
                Composable.apply(x, self, *values)
                if _needs_gradient(x, *values)
                else self.aten.forward(x, values)
            )
        if is_traced():
            return self.aten.forward(x, values)
        if _is_transformed():
            return ForwardMode.apply(x, self, *values)
        if not _needs_gradient(x, *values):
            # Less than half of the time of a small call through autograd.
            return self.runner(x, values).forward(x, values)
        return Elementwise.apply(x, self, *values)

    @functools.cached_property
    def shifted(self) -> Computation:
        """f(x + bias), with the bias as the first parameter."""
        return computation(self.scalar.shifted(), self.backend, self.exact)

    def gated(self, x: torch.Tensor, gate: torch.Tensor, values: Values) -> torch.Tensor:
        """f(x) times the gate, in one pass where that is to be had."""
        runner = None if _is_transformed() else self.gated_runner(x, gate, values)
        if runner is None:
            return self(x, values) * gate
        if not _needs_gradient(x, gate, *values):
            return runner.gated(x, gate, values)
        return Gated.apply(x, self, gate, *values)

    def gated_runner(self, x: torch.Tensor, gate: torch.Tensor, values: Values) -> FormRunner | None:
        """What computes f(x) times a gate at once: both of one shape, type and device, and one value a parameter."""
        alike = x.shape == gate.shape and x.dtype == gate.dtype and x.device == gate.device
        runner = self.runner(x, values, gate) if alike and are_single(values) else self.aten
        return runner if isinstance(runner, CppRunner | CudaRunner) else None

    def coded(self, x: torch.Tensor, values: Values, code: SlopeCode) -> torch.Tensor:
        """f(x), with f′ kept in four bits where a gradient is asked for; under a transform, x is kept."""
        if torch.compiler.is_compiling() or _is_transformed() or not _needs_gradient(x):
            return self(x, values)
        if any(isinstance(v, torch.Tensor) and v.ndim for v in values):
            return self(x, values)
        return Coded.apply(x, self, code, *values)

    def float8(self, x: torch.Tensor, values: Values, scale: float | torch.Tensor) -> torch.Tensor:
        """f(x) times the scale as float8_e4m3fn, in one pass where that is to be had; without a gradient."""
        with torch.no_grad():
            runner = self.aten if _is_transformed() else self.runner(x, values)
            if isinstance(runner, CudaRunner) and are_single(values):
                return runner.float8(x, values, scale)
            # Rounded once: half precisions are not rounded to their own type before.
            wide = x if x.dtype == torch.float64 else x.float()
            return (self(wide, values) * scale).clamp(-_FLOAT8_MOST, _FLOAT8_MOST).to(torch.float8_e4m3fn)

    def in_place(self, x: torch.Tensor, values: Values) -> torch.Tensor:
        """Write f(x) over x; a copy of x is kept where a gradient needs it."""
        if torch.compiler.is_compiling() or _is_transformed():
            return x.copy_(self(x.clone(), values))
        if _needs_gradient(x, *values):
            # The copy has a history of its own, by which the gradient can be differentiated again.
            return InPlace.apply(x, self, x.clone(), *values)
        return self.overwrite(x, values)

    def overwrite(self, x: torch.Tensor, values: Values) -> torch.Tensor:
        """Write f(x) over x, and keep nothing."""
        runner = self.runner(x, values)
        if isinstance(runner, CppRunner) and runner.overwrite(x, values):
            return x
        return x.copy_(runner.forward(x, values))


def _needs_gradient(*values: float | torch.Tensor) -> bool:
    return torch.is_grad_enabled() and any(isinstance(v, torch.Tensor) and v.requires_grad for v in values)


def _is_transformed() -> bool:
    """Whether a transform of `torch.func`, a level of forward differentiation or `torch.jit.trace` is active."""
    return bool(torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0 or is_traced())


@functools.lru_cache(maxsize=512)
def computation(scalar: Scalar, backend: str, exact: bool) -> Computation:
    """Give the computation of a function, made once a function, backend and precision."""
    return Computation(scalar, backend, exact)
