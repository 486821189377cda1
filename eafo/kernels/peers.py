"""What a user would write instead of a kernel: the native operators of torch, and a formula as it stands."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from eafo.activation import Activation
from eafo.catalog import get, names
from eafo.kernels.backends import aten
from eafo.kernels.lower import Scalar
from eafo.kernels.program import Precision
from eafo.kernels.stabilise import RULES

__all__ = ["as_written", "native"]

_NATIVE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "arctan": torch.atan,
    "celu": functional.celu,
    "elu": functional.elu,
    "erf": torch.erf,
    "gelu": functional.gelu,
    "gelu_tanh": functools.partial(functional.gelu, approximate="tanh"),
    "hardsigmoid": functional.hardsigmoid,
    "hardswish": functional.hardswish,
    "hardtanh": functional.hardtanh,
    "leaky_relu": functional.leaky_relu,
    "mish": functional.mish,
    "relu": functional.relu,
    "selu": functional.selu,
    "sigmoid": torch.sigmoid,
    "silu": functional.silu,
    "sin": torch.sin,
    "softplus": functional.softplus,
    "softsign": functional.softsign,
    "tanh": torch.tanh,
}


def native(activation: Activation) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """Give torch's own operator for a catalog activation with its catalog parameters; None where it has none.

    >>> native(get("gelu"))(torch.tensor(0.0))
    tensor(0.)
    >>> native(get("crrelu")) is None
    True
    """
    name = activation.name
    known = name in _NATIVE and name in names() and get(name) == activation
    return _NATIVE[name] if known else None


def as_written(activation: Activation) -> Callable[..., torch.Tensor]:
    """Give the formula in plain torch operations, without a rewrite, for autograd to differentiate.

    Its arguments are x and the parameters, as tensors.

    >>> as_written(get("crrelu"))(torch.tensor([0.0, 2.0]), torch.tensor(0.0))
    tensor([0., 2.])
    """
    scalar = Scalar.of(activation, without=[rule.name for rule in RULES])
    module: dict[str, Any] = {}
    text = aten.HELPERS + "\n\n" + aten.body(scalar.forward(Precision.FLOAT64), "forward")
    exec(compile(text, "<formula as written>", "exec"), module)  # noqa: S102 - printed from a closed set of operations
    run = module["forward"]

    def function(x: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        (result,) = run(x, *parameters)
        return result

    return function
