"""Checking kernels against the oracle: `verify` a whole kernel, `sweep` one rewrite."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
import torch

from eafo import reference
from eafo.activation import Activation
from eafo.branching import branches, derivative
from eafo.catalog import ActivationLike, get
from eafo.errors import InputError
from eafo.kernels.functions import ScaledErfc, ScaledExp, ScaledSigmoid, elementary
from eafo.kernels.launch.aten import AtenRunner
from eafo.kernels.lower import Scalar
from eafo.kernels.op import Kernel, compile_kernel
from eafo.kernels.stabilise import RULES, finish, stabilise

__all__ = ["Sweep", "Verification", "largest_term", "sweep", "verify"]

#: The largest relative error that a float64 kernel may have.
TOLERANCE = 1e-12
_HALF_WIDTH = 50.0
# More than a vector register holds, so that the vectorised loop is what is checked.
_LANES = 16


@dataclass(frozen=True)
class Verification:
    """How far a float64 kernel is from the oracle.

    Relative errors; near a root of f′ or ∂f/∂θ they are measured against the largest term of the sum, and where a
    value underflows an absolute error of 4·2⁻¹⁰⁷⁴ is forgiven. Those of f are plain.

    Args:
        activation: its name.
        backend: the backend that computed.
        points: how many points were compared, evenly over [−50, 50].
        value_error: the worst relative error of f, near a root against the largest term of the sum there; so are the others.
        slope_error: the worst of f′.
        parameter_errors: the worst of ∂f/∂θ, with the name of each learnable θ.
        seconds: the time it took, the oracle's included.
    """

    activation: str
    backend: str
    points: int
    value_error: float
    slope_error: float
    parameter_errors: tuple[tuple[str, float], ...]
    seconds: float
    tolerance: float = TOLERANCE

    @property
    def worst(self) -> float:
        """The largest of the errors."""
        return max(self.value_error, self.slope_error, *(e for _, e in self.parameter_errors), 0.0)

    @property
    def ok(self) -> bool:
        """Whether every error is within the tolerance."""
        return self.worst <= self.tolerance

    def __str__(self) -> str:
        parts = [("f", self.value_error), ("f′", self.slope_error)]
        parts += [(f"∂f/∂{name}", error) for name, error in self.parameter_errors]
        shown = ", ".join(f"{name} {error:.1e}" for name, error in parts)
        verdict = "agrees with mpmath" if self.ok else "DISAGREES with mpmath"
        return f"{self.activation} ({self.backend}) {verdict} on {self.points} points: {shown}"


@dataclass(frozen=True)
class Sweep:
    """What one rewrite is worth: the worst error in ULP of f and f′ with the rule and without it."""

    activation: str
    rule: str
    with_rule: tuple[float, float]
    without_rule: tuple[float, float]

    @property
    def accepted(self) -> bool:
        """Whether the rule makes the worst error no larger."""
        return max(self.with_rule) <= max(self.without_rule)


def verify(activation: ActivationLike, backend: str = "auto", points: int = 10_000) -> Verification:
    """Compare a float64 kernel with mpmath, as autograd sees it: f, f′, and ∂f/∂θ of every learnable parameter.

    Args:
        activation: any text form, a SymPy expression or an `Activation`.
        backend: as in `eafo.kernels.compile_kernel`.
        points: how many, at least 2, evenly over [−50, 50].

    Raises:
        InputError: no such activation or backend, too few points, or ``cuda`` without a CUDA device.
    """
    if points < 2:
        raise InputError("the number of points must be at least 2", points)
    if backend == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "the cuda backend is verified on a CUDA device", "none", "verify 'aten' or 'cpp' here"
        )
    began = time.perf_counter()
    act = get(activation)
    kernel = compile_kernel(act, backend)
    x = np.linspace(-_HALF_WIDTH, _HALF_WIDTH, points)
    exact = reference.oracle(act, x)
    tensor = torch.from_numpy(x).to("cuda" if backend == "cuda" else "cpu")
    value, slope, by_parameter = _gradients(kernel, act, tensor)
    stable = stabilise(act.expression)

    def worst(found: Any, right: reference.Exact, expression: sympy.Expr) -> float:
        terms = reference.evaluate(largest_term(finish(expression)), x, act.defaults)
        return float(reference.relative_error(found, right, scale=terms.high).max())

    return Verification(
        act.name,
        kernel.served_by(tensor),
        points,
        worst(value, exact.value, stable),
        worst(slope, exact.slope, derivative(stable)),
        tuple(
            (p.name, worst(found, exact.by_parameter[p.name], derivative(stable, p.symbol)))
            for p, found in zip(act.learnable, by_parameter, strict=True)
        ),
        time.perf_counter() - began,
    )


def _gradients(kernel: Kernel, activation: Activation, x: torch.Tensor) -> tuple[Any, Any, list[Any]]:
    """f, f′ and ∂f/∂θ at each point, as autograd gives them to a user."""
    points = x.clone().requires_grad_()
    y = kernel(points)
    (slope,) = torch.autograd.grad(y.sum(), points)
    by_parameter = np.array([_parameter_gradients(kernel, activation, point) for point in x])
    return (
        y.detach().cpu().numpy(),
        slope.cpu().numpy(),
        list(by_parameter.reshape(len(x), len(activation.learnable)).T),
    )


def _parameter_gradients(kernel: Kernel, activation: Activation, point: torch.Tensor) -> list[float]:
    """∂f/∂θ at one point: the gradient sums over elements, so all but one of a full vector have weight zero."""
    if not activation.learnable:
        return []
    parameters = {p.name: point.new_tensor(p.default, requires_grad=True) for p in activation.learnable}
    y = kernel(point.expand(_LANES).contiguous(), **parameters)
    return [g.item() for g in torch.autograd.grad(y[0], list(parameters.values()))]


def largest_term(expression: sympy.Expr) -> sympy.Expr:
    """Give the magnitude of the largest term of each sum in a finished expression, in elementary functions.

    An error is measured against it where a sum has a root: there the terms are right, and their difference is what
    they leave.

    >>> x = sympy.Symbol("x", real=True)
    >>> sorted(map(str, largest_term(x - sympy.exp(x)).args))
    ['Abs(x)', 'exp(x)']
    """
    return elementary(_magnitude(branches(expression)))


def _magnitude(e: Any) -> Any:
    match e:
        case sympy.Add():
            terms = [_magnitude(a) for a in e.args]
            # A maximum of maxima doubles with each level of nesting when it is written as branches; in a polynomial by
            # Horner's rule the sum, which is at most so many times as large, stands for it.
            nested = any(t.has(sympy.Max, sympy.Piecewise) for t in terms)
            return sympy.Add(*terms) if nested else sympy.Max(*terms, evaluate=False)
        case sympy.Mul():
            return sympy.Mul(*map(_magnitude, e.args))
        case sympy.Pow() if e.exp.is_Integer and e.exp > 0:
            return _magnitude(e.base) ** e.exp
        case ScaledExp() | ScaledSigmoid() | ScaledErfc():
            return _magnitude(e.args[0]) * type(e)(sympy.S.One, e.args[1])
        case sympy.Piecewise():
            return sympy.Piecewise(*((_magnitude(value), when) for value, when in e.args))
    return sympy.Abs(e)


def sweep(activation: ActivationLike, rule: str, points: int = 2_000) -> Sweep:
    """Measure a rewrite: the worst ULP error of f and f′ with it and without it, by plain torch operations.

    Args:
        activation: any text form, a SymPy expression or an `Activation`.
        rule: the name of one of `eafo.kernels.stabilise.RULES`.
        points: how many in all: half evenly over [−50, 50], half of all magnitudes from 1e-12 to 50, both signs.

    Raises:
        InputError: no such activation or rule.
    """
    if rule not in (names := [r.name for r in RULES]):
        raise InputError(f"the rules are: {', '.join(names)}", rule)
    act = get(activation)
    act = act.with_learnable()
    magnitudes = np.geomspace(1e-12, _HALF_WIDTH, max(points // 4, 1))
    even = np.linspace(-_HALF_WIDTH, _HALF_WIDTH, max(points // 2, 1))
    x = np.concatenate([even, -magnitudes, magnitudes])
    exact = reference.oracle(act, x)
    measure = functools.partial(_worst_ulps, act, torch.from_numpy(x), exact)
    return Sweep(act.name, rule, measure(frozenset()), measure(frozenset({rule})))


def _worst_ulps(
    activation: Activation, x: torch.Tensor, exact: reference.Oracle, without: frozenset[str]
) -> tuple[float, float]:
    runner = AtenRunner(Scalar.of(activation, without))
    values = tuple(activation.defaults.values())
    f = runner.forward(x, values).numpy()
    (slope,) = runner.backward(x, values, torch.ones_like(x))
    return (
        float(reference.ulp_error(f, exact.value).max()),
        float(reference.ulp_error(slope.numpy(), exact.slope).max()),
    )
