"""Integrals against an input law, by adaptive quadrature in double precision."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt
import scipy.integrate
import scipy.special
import sympy

from eafo.activation import TAIL, VARIABLE, open_tails
from eafo.errors import EafoError

__all__ = ["expectation", "integral", "numeric"]

#: Beyond it an exponential of an exponential is at its limit, and costs gigabytes to compute exactly.
_SETTLED = 1e4
#: Values of one function that are kept where they took 60 digits: the nodes of a law's far tail come again and again.
_KEPT = 2048


class QuadratureError(EafoError):
    """An integral did not converge."""


#: log(1 + e^u), under a name that SymPy does not rewrite.
_SOFTPLUS = sympy.Function("log1pexp", real=True)
#: 1/(1 + e^−u), likewise.
_SIGMOID = sympy.Function("sigmoid", real=True)
_NUMPY = {
    TAIL.__name__: scipy.special.erfc,
    _SOFTPLUS.__name__: lambda u: np.logaddexp(0.0, u),
    _SIGMOID.__name__: scipy.special.expit,
}
_MPMATH = {
    TAIL.__name__: mpmath.erfc,
    _SOFTPLUS.__name__: lambda u: mpmath.log1p(mpmath.exp(u)),
    _SIGMOID.__name__: lambda u: 1 / (1 + mpmath.exp(-u)),
}


def _settled(expression: sympy.Expr) -> sympy.Expr:
    """The same function, with tails that neither a difference loses nor a square overflows."""
    expression = expression.replace(
        lambda e: isinstance(e, sympy.log) and _logistic(e.args[0]) is not None,
        lambda e: _SOFTPLUS(_logistic(e.args[0])),
    )
    expression = open_tails(expression)
    expression = expression.replace(
        lambda e: e.is_Pow and e.exp.is_Integer and e.exp < 0 and _logistic(e.base) is not None,
        lambda e: _SIGMOID(-1 * _logistic(e.base)) ** -e.exp,
    )
    return expression.replace(lambda e: e.is_Mul and e.has(_SIGMOID), _both_sides)


def _logistic(base: sympy.Expr) -> Any:
    """U where the base is 1 + e^u."""
    inner = base - 1
    return inner.args[0] if isinstance(inner, sympy.exp) else None


def _both_sides(product: sympy.Expr) -> sympy.Expr:
    """e^u σ(−u) is σ(u)."""
    for factor in product.args:
        if isinstance(factor, sympy.exp) and product.has(_SIGMOID(-factor.args[0])):
            u = factor.args[0]
            return product / factor / _SIGMOID(-u) * _SIGMOID(u)
    return product


@functools.lru_cache(maxsize=1024)
def numeric(expression: sympy.Expr, *, exact: bool = True) -> Callable[[Any], Any]:
    """The expression as a NumPy function of x.

    Where double precision overflows, or meets log 0, the value is computed anew with 60 digits, unless `exact` is False; NaN
    where it is not real.
    """
    expression = _settled(expression)
    quick = sympy.lambdify(VARIABLE, expression, modules=[_NUMPY, "scipy", "numpy"], cse=True)
    slow = sympy.lambdify(VARIABLE, expression, modules=[_MPMATH, "mpmath"])

    nested = any(e.args[0].has(sympy.exp) for e in expression.atoms(sympy.exp))

    @functools.lru_cache(maxsize=_KEPT)
    def precise(x: float) -> float:
        if nested and abs(x) > _SETTLED:
            x = math.copysign(_SETTLED, x)
        with mpmath.workdps(60):
            try:
                value = mpmath.mpmathify(slow(mpmath.mpf(x)))
            except (ZeroDivisionError, ValueError, OverflowError):
                return float("nan")
            return float("nan") if isinstance(value, mpmath.mpc) else float(value)

    def function(x: Any) -> Any:
        with np.errstate(all="ignore"):
            values = np.array(np.broadcast_to(_real(quick(np.asarray(x, np.float64))), np.shape(x)))
        bad = ~np.isfinite(values)
        if exact and bad.any():
            values[bad] = [precise(float(v)) for v in np.asarray(x)[bad]]
        return values[()]

    return function


def _real(values: Any) -> npt.NDArray[np.float64]:
    """The real values of a function that SciPy has for complex ones, as Lambert's W; NaN for what is not real."""
    if not np.iscomplexobj(values):
        return np.asarray(values, np.float64)
    return np.where(np.abs(values.imag) <= 1e-12 * np.abs(values), values.real, np.nan)


def integral(function: Callable[[Any], Any], ends: Sequence[float], accuracy: float = 1e-8) -> float:
    """∫ function over the intervals between consecutive `ends`, which may be infinite.

    Double-exponential quadrature; the ends in between are where the function or its derivative jumps.

    Args:
        function: maps an array of points to an array of values.
        ends: increasing.
        accuracy: what the estimate of the error must not exceed, relative where the integral is larger than 1.

    Raises:
        QuadratureError: the integral diverges, or does not converge to the accuracy.

    >>> round(integral(lambda x: np.exp(-x), [0.0, 1.0, np.inf]), 12)
    1.0
    """
    total = error = 0.0
    for lower, upper in itertools.pairwise(ends):
        with np.errstate(all="ignore"):
            result = scipy.integrate.tanhsinh(function, lower, upper, atol=1e-13, rtol=1e-12, maxlevel=12)
        total, error = total + float(result.integral), error + float(result.error)
    if not np.isfinite(total) or not error <= accuracy * max(1.0, abs(total)):
        raise QuadratureError(f"an integral must converge to {accuracy:g}", f"{total} ± {error:.1e}")
    return total


def expectation(
    density: Callable[[Any], Any], function: Callable[[Any], Any], ends: Sequence[float]
) -> float:
    """E[function(X)] for a density of mass 1 on the intervals between `ends`.

    Where the density underflows to zero the integrand counts as zero, whatever the function says there.
    """

    def integrand(x: Any) -> Any:
        weight = np.asarray(density(x))
        product = np.zeros_like(weight)
        some = np.isfinite(x) & (weight != 0)
        product[some] = weight[some] * function(x[some])
        return product

    return integral(integrand, ends)
