"""Laws of `sympy.stats`: any continuous random variable, closed where SymPy finds the form in time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

import sympy

from eafo.activation import VARIABLE
from eafo.errors import InputError
from eafo.laws.densities import (
    PATIENCE,
    Known,
    assembled,
    attempted,
    checked_numbers,
    confirmed,
    inside,
    integrated,
    require_function,
)
from eafo.laws.law import Law
from eafo.laws.numeric import Numbers

__all__ = ["from_variable", "is_variable"]

x = VARIABLE
#: Where SymPy 1.14 states a support that is too wide for its density.
_SUPPORTS: dict[str, Callable[[Any], sympy.Set]] = {
    "DavisDistribution": lambda law: sympy.Interval(law.mu, sympy.oo),
    "KumaraswamyDistribution": lambda law: sympy.Interval(0, 1),
}


def is_variable(law: object) -> bool:
    """Whether an object is a random variable of SymPy's, without loading sympy.stats."""
    return any(k.__module__.startswith("sympy.stats") for k in type(law).__mro__)


@lru_cache(64)
def from_variable(variable: Any) -> Law:
    """The law of a continuous random variable of `sympy.stats`; its parameters may be symbols.

    Raises:
        InputError: the variable is discrete, joint or a compound, or its density is none.

    >>> import sympy.stats
    >>> from_variable(sympy.stats.Rayleigh("X", 1)).cdf
    1 - exp(-x**2/2)
    """
    import sympy.stats  # noqa: PLC0415 - only where somebody has loaded it already

    space: Any = getattr(variable, "pspace", None)
    kind = getattr(space, "is_Continuous", False) and type(space).__name__ == "SingleContinuousPSpace"
    if not kind or not isinstance(variable, sympy.stats.rv.RandomSymbol):
        raise InputError(
            "a law of SymPy must be one continuous random variable",
            variable,
            "for example sympy.stats.Gamma('X', 2, 1)",
        )
    if any(s.name == x.name for s in space.distribution.free_symbols):
        raise InputError(
            "a law's parameter must not hold the law's own variable x", variable, "choose another name"
        )
    # SymPy writes some constants as Catalan numbers of halves, which nothing can print into code.
    given, support = sympy.stats.density(variable)(x).rewrite(sympy.gamma), space.domain.set
    if type(space.distribution).__name__ in _SUPPORTS:
        support = _SUPPORTS[type(space.distribution).__name__](space.distribution)
    if not isinstance(support, sympy.Interval):
        raise InputError("a law's support must be one interval", support)
    name = (
        f"sympy.{type(space.distribution).__name__.removesuffix('Distribution').lower()}{_arguments(space)}"
    )
    ends = support.start, support.end
    if (given.free_symbols | ends[0].free_symbols | ends[1].free_symbols) - {x}:
        return _symbolic(name, given, ends, variable)
    return _numeric(name, given, ends, variable)


def _arguments(space: Any) -> str:
    return f"({', '.join(map(str, space.distribution.args))})"


def _numeric(name: str, given: sympy.Expr, ends: tuple[sympy.Expr, sympy.Expr], variable: Any) -> Law:
    density, lower, upper, _ = inside(given, *ends)
    require_function(density)
    numbers = checked_numbers(density, lower, upper)
    found = _known(variable, numbers)
    if found.cdf is None or found.entropy is None:
        other = confirmed(integrated(density, lower, upper), numbers)
        found = Known(found.cdf or other.cdf, found.quantile, found.entropy or other.entropy)
    return assembled(name, density, (lower, upper), found, numbers=numbers)


def _known(variable: Any, numbers: Numbers) -> Known:
    """What sympy.stats itself knows, where it bears out the numbers."""
    import sympy.stats  # noqa: PLC0415 - as above

    return confirmed(
        Known(
            cdf=attempted(lambda: sympy.stats.cdf(variable)(x), PATIENCE),
            quantile=attempted(lambda: sympy.stats.quantile(variable)(Law.U)),
            entropy=attempted(lambda: sympy.simplify(sympy.stats.entropy(variable))),
        ),
        numbers,
    )


def _symbolic(name: str, given: sympy.Expr, ends: tuple[sympy.Expr, sympy.Expr], variable: Any) -> Law:
    """With symbols nothing can be checked by number: what SymPy says inside the support stands as it is."""
    import sympy.stats  # noqa: PLC0415 - as above

    def branch(expression: sympy.Expr | None) -> sympy.Expr | None:
        if expression is None or expression.has(sympy.Integral):
            return None
        while isinstance(expression, sympy.Piecewise):
            expression = expression.args[0][0]
        return expression

    cdf = branch(attempted(lambda: sympy.stats.cdf(variable)(x), PATIENCE))
    return Law(
        name=name,
        density=branch(given),
        cdf=cdf,
        survival=None if cdf is None else 1 - cdf,
        quantile=None,
        lower=ends[0],
        upper=ends[1],
        entropy=branch(attempted(lambda: sympy.simplify(sympy.stats.entropy(variable)))),
        source=None,
        numbers=partial(checked_numbers, given, *ends),
        replaced=partial(_replaced, variable),
    )


def _replaced(variable: Any, values: Mapping[sympy.Symbol, sympy.Expr]) -> Law:
    found = variable.xreplace(values)
    distribution = found.pspace.distribution
    try:
        # SymPy checks parameters where a variable is made, not where they are replaced.
        distribution.check(*distribution.args)
    except ValueError as error:
        raise InputError(
            f"the parameters of a law must lie in its range: {error}", ", ".join(map(str, values.values()))
        ) from error
    return from_variable(found)
