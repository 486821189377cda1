"""How a user sees a kernel: `Kernel`, callable on tensors, differentiable any number of times."""

from __future__ import annotations

from typing import Any

import torch

from eafo.activation import Activation
from eafo.catalog import ActivationLike, get
from eafo.errors import InputError
from eafo.kernels.autograd import Values
from eafo.kernels.coding import SlopeCode, slope_code
from eafo.kernels.computation import computation
from eafo.kernels.lower import Scalar
from eafo.laws import LawLike

__all__ = ["BACKENDS", "PRECISIONS", "Kernel", "compile_kernel"]

#: What `compile_kernel` accepts as a backend.
BACKENDS = ("auto", "aten", "cpp", "cuda", "triton")
#: What it accepts as a precision.
PRECISIONS = ("fast", "exact")
#: What it accepts to be saved for backward.
SAVED = ("x", "code")


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
        self._computation = computation(Scalar.of(activation), backend, precision == "exact")
        self._defaults: Values = tuple(activation.defaults.values())

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
        """f(x; θ) times a gate, as in SwiGLU: by ``cpp`` and ``cuda`` one pass forward and one backward.

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
        """f(x + bias; θ), as after a linear layer: by ``cpp`` and ``cuda`` one pass each way, the bias' gradient too.

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

    def _values(self, x: torch.Tensor, parameters: dict[str, float | torch.Tensor]) -> Values:
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

    def apply(self, x: torch.Tensor, values: Values) -> torch.Tensor:
        """As a call, without the checks; one value a parameter, in order."""
        if self.code is not None:
            return self._computation.coded(x, values, self.code)
        return self._computation(x, values)

    def gradients(self, x: torch.Tensor, values: Values, grad: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """grad·f′, and Σ grad·∂f/∂θ for each learnable θ, without a graph; one value a parameter, in order.

        Raises:
            InputError: the gradient is not of the shape, type and device of x.
        """
        if (grad.shape, grad.dtype, grad.device) != (x.shape, x.dtype, x.device):
            raise InputError(
                "a gradient must be of the shape, type and device of x",
                f"{grad.dtype}{list(grad.shape)} on {grad.device} beside {x.dtype}{list(x.shape)} on {x.device}",
                "expand or convert it",
            )
        return self._computation.runner(x, values, grad).backward(x, values, grad)

    def apply_gated(self, x: torch.Tensor, gate: torch.Tensor, values: Values) -> torch.Tensor:
        """As `gated`, with one value a parameter, in order."""
        return self._computation.gated(x, gate, values)

    def apply_biased(self, x: torch.Tensor, bias: torch.Tensor, values: Values) -> torch.Tensor:
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

    def apply_(self, x: torch.Tensor, values: Values) -> torch.Tensor:
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
