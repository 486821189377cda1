"""Module: an activation as a torch.nn.Module, its learnable parameters kept in their domains."""

from __future__ import annotations

import math
from typing import Any

import torch

from eafo.activation import Parameter
from eafo.catalog import ActivationLike, get
from eafo.errors import InputError
from eafo.kernels.op import compile_kernel
from eafo.laws import LawLike

__all__ = ["Module"]


class Module(torch.nn.Module):
    """An activation function as a layer.

    A learnable parameter of unbounded domain is an `nn.Parameter` of its own name. One of bounded domain is learned
    as ``raw_NAME``, and ``layer.NAME`` is its value: ``lower + softplus(raw)`` on a half line,
    ``lower + (upper − lower) sigmoid(raw)`` on an interval. Parameters that are not learnable are plain numbers.

    Args:
        activation: any text form, a SymPy expression or an `Activation`.
        channels: one value of each learnable parameter a channel; one for the whole layer where not given.
        backend: as in `eafo.kernels.compile_kernel`.
        channel_dim: the dimension of x that holds the channels, 1 as for `torch.nn.PReLU`.
        inplace: write the result over x. Backward needs x, so a copy is kept where a gradient is asked: this saves
            memory in inference only.
        precision: ``fast`` or ``exact``, as in `eafo.kernels.compile_kernel`.
        save: ``x`` or ``code``, what is kept for backward, as there; ``code`` is not for layers that write over x.
        law: that of the inputs, for the code.

    Raises:
        InputError: no such activation or backend; a parameter's name that `torch.nn.Module` uses itself.

    >>> layer = Module("crrelu")
    >>> layer.epsilon
    Parameter containing:
    tensor(0.0100, requires_grad=True)
    """

    def __init__(
        self,
        activation: ActivationLike,
        channels: int | None = None,
        backend: str = "auto",
        channel_dim: int = 1,
        *,
        inplace: bool = False,
        precision: str = "fast",
        save: str = "x",
        law: LawLike = "normal",
    ) -> None:
        super().__init__()
        self.activation = get(activation)
        if channels is not None and (type(channels) is not int or channels < 1):
            raise InputError("the number of channels must be a whole number, at least 1", channels)
        if type(channel_dim) is not int:
            raise InputError("the channel dimension must be a whole number", channel_dim)
        if inplace and save != "x":
            raise InputError(
                "a layer that writes over x keeps a copy of it", f"save={save!r}", "leave one out"
            )
        self.channels, self.channel_dim, self.inplace = channels, channel_dim, inplace
        self.kernel = compile_kernel(self.activation, backend, precision, save=save, law=law)
        self._bounded: dict[str, Parameter] = {}
        for parameter in self.activation.learnable:
            self._add(parameter)
        self._fixed = {p.name: p.default for p in self.activation.parameters if not p.learnable}

    def _add(self, parameter: Parameter) -> None:
        name = parameter.name
        if hasattr(self, name):
            raise InputError(
                "a parameter must not bear the name of an attribute of torch.nn.Module", name, "rename it"
            )
        raw = _to_raw(parameter)
        if raw is not None:
            self._bounded[name] = parameter
            name = f"raw_{name}"
        value = parameter.default if raw is None else raw
        shape = () if self.channels is None else (self.channels,)
        self.register_parameter(name, torch.nn.Parameter(torch.full(shape, value)))

    def widen(self, channels: int, channel_dim: int = 1) -> None:
        """From one value of each learnable parameter for the layer to one a channel, in place; all start at the layer's.

        Args:
            channels: how many.
            channel_dim: the dimension of x that holds them.

        Raises:
            InputError: the layer has channels already.
        """
        if self.channels is not None:
            raise InputError("a layer must have no channels to be given some", self.channels)
        self.channels, self.channel_dim = channels, channel_dim
        for parameter in self.activation.learnable:
            name = f"raw_{parameter.name}" if parameter.name in self._bounded else parameter.name
            old = self.get_parameter(name)
            values = old.detach().expand(channels).clone()
            self.register_parameter(name, torch.nn.Parameter(values, requires_grad=old.requires_grad))

    def __getattr__(self, name: str) -> Any:
        # torch.nn.Module looks here only for what is no ordinary attribute.
        bounded = self.__dict__.get("_bounded", {})
        if name in bounded:
            # Whatever stands there: torch.func.functional_call, replicas and parametrizations put tensors in its place.
            return _from_raw(bounded[name], getattr(self, f"raw_{name}"))
        fixed = self.__dict__.get("_fixed", {})
        return fixed[name] if name in fixed else super().__getattr__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        # What is read from elsewhere would be set in vain.
        if name in self.__dict__.get("_fixed", {}) or name in self.__dict__.get("_bounded", {}):
            raise InputError(
                "a fixed or bounded parameter of a layer must be given to it when it is made",
                f"{name} = {value}",
                f"for example {self.activation.name}({name}=…) as its activation",
            )
        super().__setattr__(name, value)

    def forward(
        self, x: torch.Tensor, *, gate: torch.Tensor | None = None, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Compute f(x + bias) · gate elementwise; without a gate, of the shape and type of x.

        Args:
            x: a floating-point tensor.
            gate: a factor, as in SwiGLU: ``layer(a, gate=b)``; one pass where it is of the shape and type of x, else as ``f(x) * gate``.
            bias: a term that broadcasts against x, as the bias of the linear layer before.

        Raises:
            InputError: x is not floating-point, its channel dimension is missing or of another size, the bias does not
                broadcast, or a gate or a bias is given to a layer that writes over x.
        """
        if not isinstance(x, torch.Tensor):
            raise InputError("x must be a torch.Tensor", type(x).__name__, "convert it")
        if not x.is_floating_point():
            raise InputError(
                "x must be a floating-point tensor", str(x.dtype), "convert it, for example x.float()"
            )
        values = tuple(
            getattr(self, p.name) if p.learnable else p.default for p in self.activation.parameters
        )
        if self.channels is not None:
            shape = self._channel_shape(x)
            values = tuple(v.view(shape) if isinstance(v, torch.Tensor) else v for v in values)
        if self.inplace and not (gate is None and bias is None):
            raise InputError(
                "a layer that writes over x takes no gate and no bias", "inplace=True", "leave it out"
            )
        if bias is not None:
            y = self.kernel.apply_biased(x, bias, values)
            return y if gate is None else y * gate
        if gate is not None:
            return self.kernel.apply_gated(x, gate, values)
        return self.kernel.apply_(x, values) if self.inplace else self.kernel.apply(x, values)

    def _channel_shape(self, x: torch.Tensor) -> list[int]:
        dim = self.channel_dim
        if not -x.ndim <= dim < x.ndim or x.shape[dim] != self.channels:
            raise InputError(
                f"dimension {dim} of x must hold {self.channels} channels",
                f"shape {tuple(x.shape)}",
                "pass channels=… or channel_dim=… to match",
            )
        shape = [1] * x.ndim
        shape[dim] = -1
        return shape

    def extra_repr(self) -> str:
        """Show the formula, the fixed parameters, the channels."""
        parts = [str(self.activation), *(f"{n}={v:g}" for n, v in self._fixed.items())]
        if self.channels is not None:
            parts.append(f"channels={self.channels}")
        if self.inplace:
            parts.append("inplace=True")
        if self.kernel.code is not None:
            parts.append(f"save='code' for {self.kernel.code.law}")
        if self.kernel.precision != "fast":
            parts.append(f"precision={self.kernel.precision!r}")
        return ", ".join(parts)


def _to_raw(parameter: Parameter) -> float | None:
    """Give the raw value that stands for the default; None where the domain is the whole line."""
    lower, upper, value = parameter.domain.lower, parameter.domain.upper, parameter.default
    if math.isinf(lower) and math.isinf(upper):
        return None
    if math.isinf(lower) or math.isinf(upper):
        distance = upper - value if math.isinf(lower) else value - lower
        return distance + math.log(-math.expm1(-distance))
    return math.log((value - lower) / (upper - value))


def _from_raw(parameter: Parameter, raw: torch.Tensor) -> torch.Tensor:
    """Map the whole line to the domain, smoothly; where rounding would reach an end, stop just before it."""
    lower, upper = parameter.domain.lower, parameter.domain.upper
    if math.isinf(upper):
        value = lower + torch.nn.functional.softplus(raw)
    elif math.isinf(lower):
        value = upper - torch.nn.functional.softplus(raw)
    else:
        value = lower + (upper - lower) * torch.sigmoid(raw)
    return value.clamp(*_innermost(lower, upper, raw.dtype))


def _innermost(lower: float, upper: float, dtype: torch.dtype) -> tuple[float, float]:
    """Give numbers of a type just inside an open interval; beside 0, the smallest normal one."""
    kind = torch.finfo(dtype)
    low = lower if math.isinf(lower) else lower + max(abs(lower) * kind.eps, kind.tiny)
    return low, upper if math.isinf(upper) else upper - max(abs(upper) * kind.eps, kind.tiny)
