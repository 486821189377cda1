"""The one numerical oracle: an activation and its derivatives by mpmath, with as many digits as it takes.

The oracle and a kernel are given the same problem: x and θ are the doubles that the kernel receives, taken exactly
(a default of 0.01 is the double nearest to 1/100, not 1/100), while the constants of the expression stay exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt
import sympy

from eafo.activation import TAIL, VARIABLE, Activation, open_tails
from eafo.branching import branches, derivative
from eafo.errors import InputError

__all__ = ["Exact", "Oracle", "evaluate", "oracle", "relative_error", "ulp_error"]

FloatArray = npt.NDArray[np.float64]

#: Digits tried in turn, until two in a row agree.
_DIGITS = (30, 60, 120, 240, 480, 960)
# A result of zero may be a cancellation down to the smallest double, 10**-324; so it is believed from here on only.
_DIGITS_OF_ZERO = 480
_AGREEMENT = mpmath.mpf(10) ** -22
_LOG1P = sympy.Function("log1p_of", real=True)
# Far below the smallest double, so that such a value is zero whatever its digits.
_NOTHING = mpmath.ldexp(1, -1200)


@dataclass(frozen=True)
class Exact:
    """Numbers as unevaluated sums of two doubles, ``high + low``: 32 digits, where the exponent's range allows.

    Args:
        high: the nearest doubles.
        low: what is missing, of the same shape.
    """

    high: FloatArray
    low: FloatArray


@dataclass(frozen=True)
class Oracle:
    """The exact values of an activation and its derivatives at given points.

    Args:
        x: the points.
        value: f(x).
        slope: f′(x), by the convention of `eafo.branching.branches` at a seam.
        by_parameter: ∂f/∂θ for each parameter, by name.
    """

    x: FloatArray
    value: Exact
    slope: Exact
    by_parameter: Mapping[str, Exact]


def oracle(activation: Activation, x: npt.ArrayLike) -> Oracle:
    """Evaluate f, f′ and every ∂f/∂θ exactly, at the activation's default parameters.

    Args:
        activation: the function, of which the defaults are taken as exact doubles.
        x: finite points, of any shape.

    Raises:
        InputError: a point is not finite.

    >>> from eafo.catalog import get
    >>> values = oracle(get("crrelu"), [-1.0])
    >>> values.value.high, values.slope.high
    (array([-0.00606531]), array([0.]))
    """
    points = np.asarray(x, dtype=np.float64)
    if not np.isfinite(points).all():
        raise InputError("the oracle's points must be finite", float(points[~np.isfinite(points)].flat[0]))
    f, defaults = activation.expression, activation.defaults
    return Oracle(
        points,
        evaluate(f, points, defaults),
        evaluate(derivative(f), points, defaults),
        {p.name: evaluate(derivative(f, p.symbol), points, defaults) for p in activation.parameters},
    )


def evaluate(expression: sympy.Expr, x: FloatArray, parameters: Mapping[str, float]) -> Exact:
    """Evaluate one expression of x and named parameters, with as many digits as it takes.

    Args:
        expression: of elementary functions; NaN where it is not real.
        x: points of any shape.
        parameters: their values, taken as exact doubles.

    >>> t = sympy.tanh(VARIABLE)
    >>> evaluate(1 - t**2, np.array([200.0]), {}).high
    array([7.66067839e-174])
    """
    function = _compile(expression, tuple(parameters))
    values = [float(v) for v in parameters.values()]
    numbers = [_number(function, float(point), values) for point in x.flat]
    high = np.array([float(v) for v in numbers])
    with mpmath.workdps(60):
        low = np.array(
            [float(v - h) if math.isfinite(h) else 0.0 for v, h in zip(numbers, high, strict=True)]
        )
    return Exact(high.reshape(x.shape), low.reshape(x.shape))


def _compile(expression: sympy.Expr, names: tuple[str, ...]) -> Callable[..., Any]:
    """An mpmath function of x and the parameters; generated symbol names, so that no user text reaches the printer."""
    safe = [sympy.Symbol(f"v{i}", real=True) for i in range(len(names) + 1)]
    by_name = dict(zip((VARIABLE.name, *names), safe, strict=True))
    renamed = open_tails(branches(expression)).xreplace({s: by_name[s.name] for s in expression.free_symbols})
    renamed = renamed.replace(lambda e: isinstance(e, sympy.log) and e.args[0].is_Add, _log1p)
    modules = [{TAIL.__name__: mpmath.erfc, _LOG1P.__name__: mpmath.log1p}, "mpmath"]
    # Without common subexpressions: those of a branch not taken must not be computed.
    return sympy.lambdify(safe, renamed, modules=modules, cse=False)


def _log1p(logarithm: sympy.Expr) -> sympy.Expr:
    """log(1 + u), whose digits would be lost beside 1 alike at any number of them."""
    one, rest = logarithm.args[0].as_independent(*logarithm.free_symbols)
    return _LOG1P(rest) if one == 1 else logarithm


def _number(function: Callable[..., Any], x: float, parameters: list[float]) -> Any:
    """One value, computed with more and more digits until two in a row agree."""
    before: Any = None
    for digits in _DIGITS:
        if before == 0 and digits < _DIGITS_OF_ZERO // 2:
            continue
        with mpmath.workdps(digits):
            try:
                value = function(mpmath.mpf(x), *map(mpmath.mpf, parameters))
            except (ZeroDivisionError, ValueError, OverflowError):
                return mpmath.nan
            if isinstance(value, int):
                return mpmath.mpf(value)
            if isinstance(value, mpmath.mpc) or not mpmath.isfinite(value):
                return mpmath.nan
            if value == 0:
                settled = before == 0 and digits >= _DIGITS_OF_ZERO
            else:
                settled = before is not None and abs(value - before) <= max(_AGREEMENT * abs(value), _NOTHING)
        if settled:
            return value
        before = value
    return value


def _difference(actual: npt.ArrayLike, exact: Exact) -> FloatArray:
    """|actual − exact|, in double precision; 0 where both are NaN or the same infinity, inf where one alone is."""
    found = np.asarray(actual, dtype=np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.abs((found - exact.high) - exact.low)
    same = (found == exact.high) & np.isinf(exact.high) | np.isnan(found) & np.isnan(exact.high)
    return np.where(same, 0.0, np.where(np.isnan(difference), np.inf, difference))


def ulp_error(
    actual: npt.ArrayLike,
    exact: Exact,
    dtype: npt.DTypeLike = np.float64,
    scale: npt.ArrayLike | None = None,
) -> FloatArray:
    """Give the error in units in the last place of the exact value.

    Args:
        actual: what a kernel returned.
        exact: the oracle's values, of the same shape.
        dtype: the format whose units are counted, ``float32`` or ``float64``.
        scale: magnitudes to measure against where they are larger: the largest term of a sum, near its roots.

    >>> ulp_error([1.0 + 2**-52], Exact(np.array([1.0]), np.array([0.0])))
    array([1.])
    """
    against = np.abs(exact.high) if scale is None else np.maximum(np.abs(exact.high), np.asarray(scale))
    with np.errstate(over="ignore"):
        unit = np.spacing(against.astype(dtype)).astype(np.float64)
    return _difference(actual, exact) / np.where(np.isfinite(unit), unit, 1.0)


def relative_error(
    actual: npt.ArrayLike,
    exact: Exact,
    dtype: npt.DTypeLike = np.float64,
    scale: npt.ArrayLike | None = None,
) -> FloatArray:
    """Give the relative error; an absolute one of four times the smallest subnormal number is forgiven.

    Args:
        actual: what a kernel returned.
        exact: the oracle's values, of the same shape.
        dtype: the format whose underflow is forgiven.
        scale: magnitudes to measure against where they are larger: the largest term of a sum, near its roots.

    >>> relative_error([1.5, 5e-324], Exact(np.array([1.0, 0.0]), np.zeros(2)))
    array([0.5, 0. ])
    """
    difference = _difference(actual, exact)
    against = np.abs(exact.high) if scale is None else np.maximum(np.abs(exact.high), np.asarray(scale))
    forgiven = difference <= 4 * float(np.finfo(np.dtype(dtype)).smallest_subnormal)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(forgiven, 0.0, difference / against)
