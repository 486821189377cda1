"""What a candidate must be before any training: finite in bfloat16, of bounded gradient, and cheap enough."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from eafo import catalog
from eafo.errors import EafoError, InputError

if TYPE_CHECKING:
    from eafo.activation import Activation

__all__ = ["Filters", "cost", "fingerprint"]

#: Operations that take the time of about so many others: an exponential, a quotient, their like.
_CHEAP = {
    "add", "sub", "mul", "fma", "neg", "abs", "sign", "max", "min", "less", "less_equal", "equal", "and", "or", "not", "select",
    "product_error", "sum_error",
}  # fmt: skip
_FREE = {"input", "const"}
_DEAR = 6


@dataclass(frozen=True)
class Filters:
    """Bounds that a candidate must keep.

    Args:
        inputs: f and f′ are looked at at every bfloat16 number up to this size.
        gradient: the largest size of f′ there.
        cost: of forward and backward, in multiples of GELU's.

    Raises:
        InputError: a bound that is no positive number.
    """

    inputs: float = 1e4
    gradient: float = 1e5
    cost: float = 4.0

    def __post_init__(self) -> None:
        for name in ("inputs", "gradient", "cost"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
                raise InputError(f"{name} of [space.filters] must be a positive number", value)

    @functools.lru_cache(maxsize=4096)  # noqa: B019 - a handful of bounds in a process, and samplers come back to candidates
    def refusal(self, activation: Activation) -> str:
        """Why a candidate is left out; empty where it is not.

        >>> Filters().refusal(catalog.get("gelu")), Filters().refusal(catalog.get("exp(x)"))
        ('', 'not finite in bfloat16 at x = 89')
        """
        try:
            found = cost(activation) / cost(catalog.get("gelu"))
            if found > self.cost:
                return f"its kernel costs {found:.1f} times that of GELU"
            return self._looked_at(activation)
        except EafoError as error:
            return str(error)
        except Exception as error:
            # A formula that SymPy or a compiler trips over is left out with its reason; the study goes on.
            return f"it cannot be compiled ({type(error).__name__}: {error})"

    def _looked_at(self, activation: Activation) -> str:
        import torch  # noqa: PLC0415 - only where candidates are looked at

        from eafo.kernels import compile_kernel  # noqa: PLC0415

        x = torch.arange(2**16, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
        x = x[x.abs() <= self.inputs].sort().values.requires_grad_()
        y = compile_kernel(activation, "aten")(x)
        (slope,) = torch.autograd.grad(y.sum(), x)
        y, x = y.detach(), x.detach()
        wrong = ~(torch.isfinite(y) & torch.isfinite(slope))
        if wrong.any():
            at = x[wrong]
            return f"not finite in bfloat16 at x = {at[at.abs().argmin()].item() + 0.0:.3g}"
        if float(slope.abs().max()) > self.gradient:
            return f"its gradient reaches {float(slope.abs().max()):.3g}"
        if float(y.max()) == float(y.min()):
            return "it is constant"
        return ""


@functools.lru_cache(maxsize=1024)
def cost(activation: Activation) -> int:
    """The operations of forward and backward an element, exponentials and their like counted six times.

    >>> cost(catalog.get("relu")) < cost(catalog.get("gelu"))
    True
    """
    from eafo.kernels.lower import Scalar  # noqa: PLC0415 - loads torch's half of the kernels
    from eafo.kernels.program import Precision  # noqa: PLC0415

    scalar = Scalar.of(activation)
    steps = (
        step.operation.value
        for program in (scalar.forward(Precision.FLOAT32), scalar.backward(Precision.FLOAT32))
        for step in program.instructions
    )
    return sum(1 if name in _CHEAP else _DEAR for name in steps if name not in _FREE)


_POINTS = np.concatenate([np.linspace(-8, 8, 97), np.array([-1e3, -31.7, 31.7, 1e3])]) + 1e-3


@functools.lru_cache(maxsize=4096)
def fingerprint(activation: Activation) -> tuple[float, ...]:
    """What two formulas of one function have in common: their values at some points, to seven digits.

    >>> fingerprint(catalog.get("max(x, 0)")) == fingerprint(catalog.get("(x + abs(x))/2"))
    True
    """
    with np.errstate(all="ignore"):
        values = np.asarray(activation(_POINTS), np.float64)
    # Zero and what rounding leaves of it are the same.
    return tuple(float(f"{v:.7g}") if abs(v) > 1e-9 else 0.0 for v in np.broadcast_to(values, _POINTS.shape))
