"""Logarithms of tails that underflow: a rewrite of its own, since it knows two laws."""

from __future__ import annotations

from typing import Any

import sympy

from eafo.activation import VARIABLE
from eafo.kernels.functions import LogErfc, LogGumbel, LogHalfErfc

__all__ = ["log_of_tails"]


def log_of_tails(node: Any) -> Any:
    """log(c − c erf(u)) = log(c) + log(erfc(u)), and log(1 − exp(−c exp(u))) by the function that knows its tail.

    >>> log_of_tails(sympy.log(1 - sympy.exp(-sympy.exp(-VARIABLE))))
    LogGumbel(-x)
    """
    if (
        not isinstance(node, sympy.log)
        or not isinstance(node.args[0], sympy.Add)
        or len(node.args[0].args) != 2
    ):
        return node
    constant, other = node.args[0].as_coeff_Add()
    if not constant.is_positive:
        return node
    factor, function = (-other / constant).as_coeff_Mul()
    if isinstance(function, sympy.erf) and abs(factor) == 1:
        kind, unit = (LogHalfErfc, sympy.S.Half) if constant == sympy.S.Half else (LogErfc, sympy.S.One)
        return sympy.log(constant / unit) + kind(factor * function.args[0])
    if isinstance(function, sympy.exp) and factor == constant == 1:
        coefficient, inner = (-function.args[0]).as_independent(VARIABLE, as_Add=False)
        if isinstance(inner, sympy.exp) and coefficient.is_positive:
            return LogGumbel(inner.args[0] + sympy.log(coefficient))
    return node
