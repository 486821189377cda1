"""The differential entropy of an activation's output, on the branch where the activation is increasing.

With f increasing on D and X of density p, given X ∈ D, the output has the entropy (math: change of variables)

    H = h(X | D) + E[log f′(X) | D],

in nats. The whole line with its flat pieces needs other measures, and is not ranked against this one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import sympy

from eafo.activation import VARIABLE
from eafo.branching import derivative
from eafo.theory.quadrature import QuadratureError, expectation, integral, numeric

__all__ = ["Branch"]


def _tidy(expression: sympy.Expr) -> sympy.Expr:
    if isinstance(expression, sympy.Piecewise):
        return sympy.Piecewise(*((_tidy(value), when) for value, when in expression.args))
    return sympy.factor(expression) if expression.is_rational_function(VARIABLE) else expression


@dataclass(frozen=True)
class Branch:
    """An activation on the interval D where it increases, under a law restricted to D.

    Args:
        function: f(x) on D, free of other symbols; may be piecewise.
        density: p(x) on D, not normalised to D.
        ends: D's lower end, the points inside where f′ or p′ jumps, and D's upper end; ±inf allowed.
        knots: points where the law has its mass, such as quantiles of the law on D, so that no integral misses it.
        known_mass: P(X ∈ D) by another route; the quadrature must agree with it.

    >>> half_line = Branch(VARIABLE, sympy.exp(-VARIABLE), (0.0, np.inf))
    >>> round(half_line.entropy(), 10), round(half_line.entropy_shape(), 10)
    (1.0, 1.0)
    """

    function: sympy.Expr
    density: sympy.Expr
    ends: tuple[float, ...]
    knots: tuple[float, ...] = ()
    known_mass: float | None = None

    @cached_property
    def slope_of_function(self) -> sympy.Expr:
        """f′, without the cancellation that the sum rule leaves in a rational function."""
        return _tidy(derivative(self.function))

    @cached_property
    def breaks(self) -> tuple[float, ...]:
        """The ends and the knots inside them: where every integral is cut."""
        inside = {k for k in self.knots if self.ends[0] < k < self.ends[-1]}
        return tuple(sorted({*self.ends, *inside}))

    @cached_property
    def mass(self) -> float:
        """P(X ∈ D).

        Raises:
            QuadratureError: quadrature and the known mass differ by more than 1e-8 of it.
        """
        if self.known_mass is None:
            return integral(numeric(self.density), self.breaks)
        share = integral(numeric(self.density / self.known_mass), self.breaks)
        if not abs(share - 1.0) < 1e-8:
            raise QuadratureError(
                "the density must integrate to the law's mass on the branch", share * self.known_mass
            )
        return self.known_mass

    @cached_property
    def input_entropy(self) -> float:
        """h(X | D)."""
        p = self._conditional
        return -expectation(p, lambda x: np.log(p(x)), self.breaks)

    @cached_property
    def _conditional(self) -> Callable[[Any], Any]:
        """The density of X given D: of mass 1, so that tolerances mean the same for every branch."""
        return numeric(self.density / self.mass)

    def grid(self, count: int = 101) -> npt.NDArray[np.float64]:
        """Points inside D, dense beside every break, and out to 30 times the breaks' width beyond the last ones."""
        finite = [b for b in self.breaks if np.isfinite(b)] or [0.0]
        reach = 30 * max(finite[-1] - finite[0], 1.0)
        low = finite[0] - reach if self.breaks[0] == -np.inf else finite[0]
        high = finite[-1] + reach if self.breaks[-1] == np.inf else finite[-1]
        share = np.concatenate([np.geomspace(1e-9, 0.5, count), np.linspace(0.0, 0.5, count)])
        pairs = list(itertools.pairwise(sorted({low, *finite, high})))
        points = np.unique([p for a, b in pairs for p in (a + (b - a) * share, b - (b - a) * share)])
        return points[(points > self.ends[0]) & (points < self.ends[-1])]

    def _mean(self, expression: sympy.Expr) -> float:
        return expectation(self._conditional, numeric(expression), self.breaks)

    def entropy(self, direction: sympy.Expr = sympy.S.Zero, step: float = 0.0) -> float:
        """H of ``f + step·direction``; −inf never stands for an answer: where the sum is not increasing it raises.

        Raises:
            QuadratureError: the sum is not increasing on D, or the integral diverges.
        """
        log_slope = numeric(sympy.log(self.slope_of_function + step * derivative(direction)))

        def increasing(x: Any) -> Any:
            values = log_slope(x)
            if np.any(np.isnan(values)):
                raise QuadratureError(
                    "the entropy of a branch needs an increasing function; its slope is negative somewhere"
                )
            return values

        return self.input_entropy + expectation(self._conditional, increasing, self.breaks)

    def entropy_shape(self, direction: sympy.Expr = sympy.S.Zero, step: float = 0.0) -> float:
        """H − log of the output's standard deviation: what no rescaling of the output can change."""
        output = self.function + step * direction
        mean = self._mean(output)
        return self.entropy(direction, step) - 0.5 * float(np.log(self._mean((output - mean) ** 2)))

    def slope(self, direction: sympy.Expr) -> float:
        """dH/dε of ``f + ε·direction`` at ε = 0: E[direction′(X)/f′(X) | D].

        It holds with jumps of f′ and p′ inside D and with any boundary term, since nothing is integrated by parts.
        """
        return self._mean(derivative(direction) / self.slope_of_function)

    def inner(self, first: sympy.Expr, second: sympy.Expr) -> float:
        """∫ first·second / f′ dx over D: the inner product of L²(dz), for changes of f written in x."""
        return integral(numeric(first * second / self.slope_of_function), self.breaks)
