"""How torch sees a kernel: `Kernel`, callable on tensors, differentiable any number of times."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch.autograd import forward_ad

from eafo.activation import VARIABLE, Activation
from eafo.catalog import ActivationLike, get
from eafo.errors import BuildError, InputError, MissingDependencyError
from eafo.kernels.build import warn_once
from eafo.kernels.coding import SlopeCode, slope_code
from eafo.kernels.launch import FormRunner, Runner, are_plain, laid_out_as
from eafo.kernels.launch.aten import AtenRunner
from eafo.kernels.launch.cpp import CppRunner
from eafo.kernels.launch.cuda import CudaRunner
from eafo.kernels.launch.layout import are_single
from eafo.kernels.launch.triton import TritonRunner
from eafo.kernels.lower import Scalar
from eafo.laws import LawLike

__all__ = ["BACKENDS", "PRECISIONS", "Kernel", "compile_kernel"]

#: What `compile_kernel` accepts as a backend.
BACKENDS = ("auto", "aten", "cpp", "cuda", "triton")
#: What it accepts as a precision.
PRECISIONS = ("fast", "exact")
#: What it accepts to be saved for backward.
SAVED = ("x", "code")

_FLOAT8_MOST = torch.finfo(torch.float8_e4m3fn).max
_Values = tuple[float | torch.Tensor, ...]


class _Computation:
    """A scalar function with its runners; made once a function and backend."""

    def __init__(self, scalar: Scalar, backend: str, exact: bool) -> None:
        self.scalar, self.backend, self.exact = scalar, backend, exact
        self.learnable = tuple(scalar.parameters.index(s) for s in scalar.learnable)
        self.aten = AtenRunner(scalar, exact)
        self._refused: set[torch.device] = set()

    def runner(self, x: torch.Tensor, values: _Values, *others: torch.Tensor) -> Runner:
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
        except BuildError as error:
            if self.backend == "cuda":
                raise
            self._refused.add(device)
            warn_once(f"on the GPU kernels run by plain torch operations: {error}")
            return self.aten
        return self.cuda

    @functools.cached_property
    def slopes(self) -> tuple[_Computation, ...]:
        """f′ and ∂f/∂θ as computations of their own, for derivatives of higher order."""
        symbols = (VARIABLE, *self.scalar.learnable)
        return tuple(_computation(self.scalar.derivative(s), "aten", self.exact) for s in symbols)

    def __call__(self, x: torch.Tensor, values: _Values) -> torch.Tensor:
        if torch.compiler.is_compiling():
            # torch's tracer mistakes the arguments of a Function that none of them needs a gradient of.
            return (
                _Composable.apply(x, self, *values)
                if _needs_gradient(x, *values)
                else self.aten.forward(x, values)
            )
        if _is_transformed():
            return _ForwardMode.apply(x, self, *values)
        if not _needs_gradient(x, *values):
            # Less than half of the time of a small call through autograd.
            return self.runner(x, values).forward(x, values)
        return _Elementwise.apply(x, self, *values)

    @functools.cached_property
    def shifted(self) -> _Computation:
        """f(x + bias), with the bias as the first parameter."""
        return _computation(self.scalar.shifted(), self.backend, self.exact)

    def gated(self, x: torch.Tensor, gate: torch.Tensor, values: _Values) -> torch.Tensor:
        """f(x) times the gate, in one pass where that is to be had."""
        runner = None if _is_transformed() else self._gated_runner(x, gate, values)
        if runner is None:
            return self(x, values) * gate
        if not _needs_gradient(x, gate, *values):
            return runner.gated(x, gate, values)
        return _Gated.apply(x, self, gate, *values)

    def _gated_runner(self, x: torch.Tensor, gate: torch.Tensor, values: _Values) -> FormRunner | None:
        """What computes f(x) times a gate at once: both of one shape, type and device, and one value a parameter."""
        alike = x.shape == gate.shape and x.dtype == gate.dtype and x.device == gate.device
        runner = self.runner(x, values, gate) if alike and are_single(values) else self.aten
        return runner if isinstance(runner, CppRunner | CudaRunner) else None

    def coded(self, x: torch.Tensor, values: _Values, code: SlopeCode) -> torch.Tensor:
        """f(x), with f′ kept in four bits where a gradient is asked for; under a transform, x is kept."""
        if torch.compiler.is_compiling() or _is_transformed() or not _needs_gradient(x):
            return self(x, values)
        if any(isinstance(v, torch.Tensor) and v.ndim for v in values):
            return self(x, values)
        return _Coded.apply(x, self, code, *values)

    def float8(self, x: torch.Tensor, values: _Values, scale: float | torch.Tensor) -> torch.Tensor:
        """f(x) times the scale as float8_e4m3fn, in one pass where that is to be had; without a gradient."""
        with torch.no_grad():
            runner = self.aten if _is_transformed() else self.runner(x, values)
            if isinstance(runner, CudaRunner) and are_single(values):
                return runner.float8(x, values, scale)
            # Rounded once: half precisions are not rounded to their own type before.
            wide = x if x.dtype == torch.float64 else x.float()
            return (self(wide, values) * scale).clamp(-_FLOAT8_MOST, _FLOAT8_MOST).to(torch.float8_e4m3fn)

    def in_place(self, x: torch.Tensor, values: _Values) -> torch.Tensor:
        """Write f(x) over x; a copy of x is kept where a gradient needs it."""
        if torch.compiler.is_compiling() or _is_transformed():
            return x.copy_(self(x.clone(), values))
        if _needs_gradient(x, *values):
            return _InPlace.apply(x, self, *values)
        return self._overwrite(x, values)

    def _overwrite(self, x: torch.Tensor, values: _Values) -> torch.Tensor:
        runner = self.runner(x, values)
        if isinstance(runner, CppRunner) and runner.overwrite(x, values):
            return x
        return x.copy_(runner.forward(x, values))


def _needs_gradient(*values: float | torch.Tensor) -> bool:
    return torch.is_grad_enabled() and any(isinstance(v, torch.Tensor) and v.requires_grad for v in values)


def _is_transformed() -> bool:
    """Whether a transform of `torch.func` or a level of forward differentiation is active."""
    return bool(torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0)


@functools.lru_cache(maxsize=512)
def _computation(scalar: Scalar, backend: str, exact: bool) -> _Computation:
    return _Computation(scalar, backend, exact)


class _Elementwise(torch.autograd.Function):
    """Saves x and the parameters, nothing else; the derivatives are programs of their own, never autograd's."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, computation: _Computation, *values: float | torch.Tensor
    ) -> torch.Tensor:
        _remember(ctx, x, computation, values)
        return computation.runner(x, values).forward(x, values)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return _backward(ctx, grad)


class _InPlace(_Elementwise):
    """The same, written over x, of which a copy is saved."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, computation: _Computation, *values: float | torch.Tensor
    ) -> torch.Tensor:
        _remember(ctx, x.clone(), computation, values)
        ctx.mark_dirty(x)
        return computation._overwrite(x, values)


class _Gated(torch.autograd.Function):
    """f(x) times a gate, the first of the values: saves both and the parameters."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, computation: Any, *values: Any) -> torch.Tensor:
        _remember(ctx, x, computation, values)
        gate, *rest = values
        ctx.runner = computation._gated_runner(x, gate, tuple(rest))
        return ctx.runner.gated(x, gate, tuple(rest))

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, (gate, *rest) = _saved(ctx)
        computation, values = ctx.computation, tuple(rest)
        if torch.is_grad_enabled() or not are_plain(grad):
            dx, *sums = _differentiable_backward(computation, x, values, grad * gate)
            dgate = grad * computation(x, values)
        else:
            dx, dgate, *sums = ctx.runner.gated_backward(x, gate, values, grad)
        return dx, None, dgate, *_in_place_of(computation, values, sums)


class _Coded(torch.autograd.Function):
    """Keeps f′ in four bits an element, and nothing else."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, computation: Any, code: SlopeCode, *values: float) -> torch.Tensor:
        ctx.runner = computation.runner(x, values)
        # A table of sixteen numbers, the same for every call.
        ctx.levels = torch.tensor(code.levels, dtype=torch.float64, device=x.device)
        y, packed = ctx.runner.coded(x, values, ctx.levels)
        ctx.stride = y.stride()
        ctx.save_for_backward(packed)
        return y

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise InputError(
                "save='code' keeps four bits of f′, which have no derivative",
                "create_graph=True",
                "use save='x'",
            )
        (packed,) = ctx.saved_tensors
        like = torch.empty_strided(grad.shape, ctx.stride, dtype=grad.dtype, device=grad.device)
        if are_plain(grad):
            dx = ctx.runner.coded_backward(packed, laid_out_as(like, grad), ctx.levels)
        else:
            # A batch of gradients: the slopes themselves, times it.
            dx = grad * ctx.runner.coded_backward(packed, like.fill_(1), ctx.levels)
        return dx, *[None] * (len(ctx.needs_input_grad) - 1)


class _Composable(torch.autograd.Function):
    """The same for torch.func and torch.compile, with the context apart; the signature that torch binds costs 20 µs."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: torch.Tensor, computation: _Computation, *values: float | torch.Tensor) -> torch.Tensor:
        return computation.aten.forward(x, values)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        x, computation, *values = inputs
        _remember(ctx, x, computation, tuple(values))

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return _backward(ctx, grad)


class _ForwardMode(_Composable):
    """The same with derivatives forward, which torch.compile refuses to trace."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        _Composable.setup_context(ctx, inputs, output)
        x, _, *values = inputs
        ctx.save_for_forward(x, *(v for v in values if isinstance(v, torch.Tensor)))

    @staticmethod
    def jvp(ctx: Any, *tangents: torch.Tensor | None) -> torch.Tensor:
        """f′ dx + Σ ∂f/∂θ dθ."""
        x, values = _saved(ctx)
        moved = [tangents[0], *(tangents[2 + position] for position in ctx.computation.learnable)]
        terms = [
            c(x, values) * t for c, t in zip(ctx.computation.slopes, moved, strict=True) if t is not None
        ]
        return sum(terms, torch.zeros_like(x)).to(x.dtype)


def _remember(ctx: Any, x: torch.Tensor, computation: _Computation, values: _Values) -> None:
    ctx.computation = computation
    ctx.save_for_backward(x, *(v for v in values if isinstance(v, torch.Tensor)))
    ctx.numbers = tuple(None if isinstance(v, torch.Tensor) else v for v in values)


def _saved(ctx: Any) -> tuple[torch.Tensor, _Values]:
    """Give x and the parameters, as `_remember` took them."""
    x, *saved = ctx.saved_tensors
    tensors = iter(saved)
    return x, tuple(next(tensors) if number is None else number for number in ctx.numbers)


def _backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    x, values = _saved(ctx)
    computation = ctx.computation
    if torch.is_grad_enabled():
        results = _differentiable_backward(computation, x, values, grad)
    else:
        results = computation.runner(x, values, grad).backward(x, values, grad)
    return results[0], None, *_in_place_of(computation, values, results[1:])


def _in_place_of(
    computation: _Computation, values: _Values, sums: Sequence[torch.Tensor]
) -> list[torch.Tensor | None]:
    """A gradient for each parameter that is a tensor and learned."""
    by_parameter: list[torch.Tensor | None] = [None] * len(values)
    for position, result in zip(computation.learnable, sums, strict=True):
        by_parameter[position] = result if isinstance(values[position], torch.Tensor) else None
    return by_parameter


def _differentiable_backward(
    computation: _Computation, x: torch.Tensor, values: _Values, grad: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """The same backward, of operations that torch can differentiate again; half precisions are summed in float32."""
    dtype = x.dtype
    if dtype not in (torch.float32, torch.float64):
        x, grad = x.float(), grad.float()
    slope, *by_parameter = (c(x, values) for c in computation.slopes)
    sums = []
    for position, elements in zip(computation.learnable, by_parameter, strict=True):
        value = values[position]
        total = grad * elements
        sums.append(
            total.sum_to_size(value.shape).to(value.dtype) if isinstance(value, torch.Tensor) else total.sum()
        )
    return (grad * slope).to(dtype), *sums


class Kernel:
    """A compiled activation: call it on tensors of any shape, device and floating type.

    Gradients flow to x and to the parameters that are learnable.

    >>> import torch
    >>> kernel = compile_kernel("prelu", backend="aten")
    >>> kernel(torch.tensor([-2.0, 3.0]), alpha=torch.tensor(0.5))
    tensor([-1.,  3.])
    """

    def __init__(
        self, activation: Activation, backend: str, precision: str = "fast", code: SlopeCode | None = None
    ) -> None:
        self.activation, self.backend, self.precision, self.code = activation, backend, precision, code
        self._computation = _computation(Scalar.of(activation), backend, precision == "exact")
        self._defaults: _Values = tuple(activation.defaults.values())

    def __call__(self, x: torch.Tensor, **parameters: float | torch.Tensor) -> torch.Tensor:
        """f(x; θ) elementwise.

        Args:
            x: a floating-point tensor; half precisions are computed in float32.
            parameters: numbers, or tensors that broadcast against x, in place of the defaults.

        Raises:
            InputError: x is not real floating-point, a parameter is unknown, or a gradient is asked of a fixed one.
        """
        return self.apply(x, self._values(x, parameters))

    def gated(
        self, x: torch.Tensor, gate: torch.Tensor, /, **parameters: float | torch.Tensor
    ) -> torch.Tensor:
        """f(x; θ) times a gate, as in SwiGLU: on the CPU one pass forward and one backward.

        Args:
            x: a floating-point tensor.
            gate: of the shape and type of x; where it only broadcasts, the product is an operation of its own.
            parameters: as in a call.

        Raises:
            InputError: as in a call.

        >>> import torch
        >>> compile_kernel("relu").gated(torch.tensor([-1.0, 2.0]), torch.tensor([5.0, 5.0]))
        tensor([ 0., 10.])
        """
        return self._computation.gated(x, gate, self._values(x, parameters))

    def biased(
        self, x: torch.Tensor, bias: torch.Tensor, /, **parameters: float | torch.Tensor
    ) -> torch.Tensor:
        """f(x + bias; θ), as after a linear layer: on the CPU one pass forward, and one backward with the bias' gradient.

        Args:
            x: a floating-point tensor.
            bias: what broadcasts against x, of at most as many dimensions; a value a channel is fused.
            parameters: as in a call.

        Raises:
            InputError: as in a call, or the bias does not broadcast.

        >>> import torch
        >>> compile_kernel("relu").biased(torch.tensor([[-1.0, 2.0]]), torch.tensor([3.0, 1.0]))
        tensor([[2., 3.]])
        """
        return self.apply_biased(x, bias, self._values(x, parameters))

    def float8(
        self, x: torch.Tensor, scale: float | torch.Tensor = 1.0, /, **parameters: float | torch.Tensor
    ) -> torch.Tensor:
        """f(x; θ) times a scale in eight bits (e4m3), as the next matrix product takes it: by ``cuda`` one pass.

        What is rounded is f(x) scale as it is computed, to the nearest and ties to even; what is larger than 448 in size becomes
        448. No gradient flows.

        Args:
            x: a floating-point tensor.
            scale: a number, or a tensor of one, for the whole tensor; the product divides by it again.
            parameters: as in a call.

        Raises:
            InputError: as in a call, or the scale is a tensor of several numbers.

        >>> import torch
        >>> compile_kernel("relu").float8(torch.tensor([-1.0, 0.3, 500.0]), 2.0).float()
        tensor([  0.0000,   0.6250, 448.0000])
        """
        values = self._values(x, parameters)
        if isinstance(scale, torch.Tensor) and scale.numel() != 1:
            raise InputError(
                "the scale of a float8 result must be one number",
                f"shape {tuple(scale.shape)}",
                "reduce it, as by max()",
            )
        return self._computation.float8(x, values, scale)

    def _values(self, x: torch.Tensor, parameters: dict[str, float | torch.Tensor]) -> _Values:
        """One value a parameter, in order, after the checks of a call."""
        if not x.is_floating_point():
            raise InputError(
                "x must be a floating-point tensor", str(x.dtype), "convert it, for example x.float()"
            )
        if not parameters:
            return self._defaults
        known = {p.name: p for p in self.activation.parameters}
        for name, value in parameters.items():
            if name not in known:
                raise InputError(
                    f"the parameters of {self.activation.name} are: {', '.join(known) or 'none'}", name
                )
            if isinstance(value, torch.Tensor) and value.requires_grad and not known[name].learnable:
                raise InputError(
                    "only a learnable parameter has a gradient",
                    name,
                    f"use activation.with_learnable({name!r})",
                )
        return tuple(parameters.get(n, v) for n, v in self.activation.defaults.items())

    def served_by(self, x: torch.Tensor) -> str:
        """Name the backend that a call on x runs through, with one value a parameter.

        >>> compile_kernel("relu", "aten").served_by(torch.ones(2))
        'aten'
        """
        return self._computation.runner(x, self._defaults).name

    def apply(self, x: torch.Tensor, values: _Values) -> torch.Tensor:
        """As a call, without the checks; one value a parameter, in order."""
        if self.code is not None:
            return self._computation.coded(x, values, self.code)
        return self._computation(x, values)

    def gradients(self, x: torch.Tensor, values: _Values, grad: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """grad·f′, and Σ grad·∂f/∂θ for each learnable θ, without a graph; one value a parameter, in order."""
        return self._computation.runner(x, values, grad).backward(x, values, grad)

    def apply_gated(self, x: torch.Tensor, gate: torch.Tensor, values: _Values) -> torch.Tensor:
        """As `gated`, with one value a parameter, in order."""
        return self._computation.gated(x, gate, values)

    def apply_biased(self, x: torch.Tensor, bias: torch.Tensor, values: _Values) -> torch.Tensor:
        """As `biased`, with one value a parameter, in order."""
        wide = zip(bias.shape[::-1], x.shape[::-1], strict=False)
        if bias.ndim > x.ndim or any(b not in (1, n) for b, n in wide):
            raise InputError(
                "the bias must broadcast against x",
                f"shape {tuple(bias.shape)} beside {tuple(x.shape)}",
                "give one value a channel, shaped as for x + bias",
            )
        if torch.compiler.is_compiling():
            # Traced as a sum of its own, which the compiler fuses.
            return self.apply(x + bias, values)
        return self._computation.shifted(x, (bias, *values))

    def apply_(self, x: torch.Tensor, values: _Values) -> torch.Tensor:
        """As `apply`, written over x, which is also what is returned.

        Backward recomputes from x, so where a gradient is asked a copy of x is kept: memory is saved in inference only.
        A leaf that requires a gradient is refused by torch, as everywhere.
        """
        return self._computation.in_place(x, values)

    def __reduce__(self) -> tuple[Any, ...]:
        return Kernel, (self.activation, self.backend, self.precision, self.code)

    def __repr__(self) -> str:
        save = "" if self.code is None else f", save='code' for {self.code.law}"
        return f"Kernel({self.activation}, backend={self.backend!r}, precision={self.precision!r}{save})"


def compile_kernel(
    activation: ActivationLike,
    backend: str = "auto",
    precision: str = "fast",
    *,
    save: str = "x",
    law: LawLike = "normal",
) -> Kernel:
    """Compile an activation for tensors.

    Args:
        activation: any text form, a SymPy expression or an `Activation`.
        backend: ``aten``, plain torch operations; ``cpp``, a compiled loop on the CPU; ``cuda``, a compiled kernel on an
            NVIDIA GPU (``eafo[cuda]``); ``triton``, on the GPUs that Triton serves (``eafo[triton]``); or ``auto``, the fastest
            that serves each call. What they do not serve (other devices, parameters that differ along several dimensions, by
            ``triton`` a value a channel) goes through ``aten``.
        precision: ``fast`` computes float32 in float32; by ``cpp`` f and f′ of every activation of the catalog are then
            within 8 ULP, near a root of the largest term of the sum, and where they are below 2⁻¹¹⁰ within 2⁻¹²⁶.
            ``exact`` computes float32 in float64 and rounds once: within 1 ULP. By both, half precisions are within
            1 ULP (of the smallest normal number, where the result is smaller) and float64 within a relative 1e-12.
            Measured on 2¹⁸ numbers of all magnitudes; half precisions on every input.
        save: what a call keeps for backward: ``x``, or ``code``, f′ in four bits an element, a quarter of x in bfloat16.
            `Kernel.code` then tells the error. Not for learnable parameters, and without a second derivative. With a gate,
            a bias or a value a channel, under torch.compile and the transforms of torch.func, x is kept.
        law: that of the inputs, for which the sixteen levels of the code are the best, at the defaults of the parameters.

    Raises:
        InputError: no such activation, backend, precision, law or thing to save; a code for an activation with learnable
            parameters.
        BuildError: on a call, where ``cpp`` was named and there is no compiler or no cache to trust.
        MissingDependencyError: on a call, where ``cuda`` or ``triton`` was named and is not installed.
    """
    if backend not in BACKENDS:
        raise InputError(f"the backends are: {', '.join(BACKENDS)}", backend)
    if precision not in PRECISIONS:
        raise InputError(f"the precisions are: {', '.join(PRECISIONS)}", precision)
    if save not in SAVED:
        raise InputError(f"what is saved for backward is: {', '.join(SAVED)}", save)
    act = get(activation)
    if save == "x":
        return Kernel(act, backend, precision)
    if act.learnable:
        raise InputError(
            "save='code' is for activations without learnable parameters",
            ", ".join(p.name for p in act.learnable),
            "fix them with activation.with_learnable()",
        )
    return Kernel(act, backend, precision, slope_code(Scalar.of(act), tuple(act.defaults.values()), law))
