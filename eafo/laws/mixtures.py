"""Mixtures: Σ w_k p_k, closed in density, distribution function and score; quantile and entropy by number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import sympy

from eafo.activation import VARIABLE
from eafo.errors import InputError
from eafo.laws.inversion import solve_tail
from eafo.laws.law import Law, exact
from eafo.laws.numeric import Array, Function, Numbers
from eafo.laws.quadrature import entropy_of

__all__ = ["mixture"]

_CLOSE = 1e-9
_MOST_COMPONENTS = 64


def mixture(weights: Sequence[float | sympy.Expr], components: Sequence[Law]) -> Law:
    """The law that draws from one of several, each with its weight: p = Σ w_k p_k.

    Args:
        weights: positive, of sum 1 to 1e-9; symbols where their positivity is known.
        components: as many laws.

    Raises:
        InputError: weights that are not positive, do not sum to 1, or are not as many as the laws.

    >>> from eafo import laws
    >>> two = mixture([0.25, 0.75], [laws.get("normal(-1, 1)"), laws.get("normal(1, 1)")])
    >>> print(two.name, two.numeric.cdf(0.0).round(6))
    0.25*normal(-1, 1) + 0.75*normal(1, 1) 0.329328
    """
    parts = _checked(weights, components)
    if len(parts) == 1:
        return parts[0][1]
    ends_low, ends_high = [law.lower for _, law in parts], [law.upper for _, law in parts]
    lower, upper = sympy.Min(*ends_low), sympy.Max(*ends_high)
    return Law(
        name=" + ".join(f"{_weight_text(w)}*{law.name}" for w, law in parts),
        density=_sum(parts, [law.density for _, law in parts], outside=(0, 0)),
        cdf=_sum(parts, [law.cdf for _, law in parts], outside=(0, 1)),
        survival=_sum(parts, [law.survival for _, law in parts], outside=(1, 0)),
        quantile=None,
        lower=lower,
        upper=upper,
        entropy=None,
        source=None,
        numbers=partial(_numbers, parts),
        replaced=partial(_replaced, parts),
        components=parts,
    )


def _checked(
    weights: Sequence[float | sympy.Expr], components: Sequence[Law]
) -> tuple[tuple[sympy.Expr, Law], ...]:
    if not 1 <= len(components) <= _MOST_COMPONENTS or len(weights) != len(components):
        raise InputError(
            f"a mixture must have 1 to {_MOST_COMPONENTS} laws and a weight for each",
            f"{len(weights)} weights and {len(components)} laws",
        )
    for law in components:
        if not isinstance(law, Law):
            raise InputError("a mixture's components must be laws", law, "wrap each in laws.get(…)")
    values = [exact(w) for w in weights]
    if any(w.is_positive is not True for w in values):
        raise InputError("the weights of a mixture must be positive", ", ".join(map(str, weights)))
    total = sum(values)
    if total.free_symbols and sympy.simplify(total) != 1:
        raise InputError(
            "the weights of a mixture must sum to 1", total, "write the last as 1 minus the others"
        )
    if not total.free_symbols and abs(float(total) - 1) > _CLOSE:
        raise InputError(
            "the weights of a mixture must sum to 1",
            f"{float(total):.12g}",
            "divide each by their sum: " + ", ".join(f"{float(w / total):.6g}" for w in values),
        )
    return tuple(zip(values, components, strict=True))


def _weight_text(weight: sympy.Expr) -> str:
    return f"({weight})" if weight.free_symbols else repr(float(weight))


def _sum(
    parts: tuple[tuple[sympy.Expr, Law], ...], functions: list[sympy.Expr | None], outside: tuple[int, int]
) -> sympy.Expr | None:
    """Σ w_k f_k, each f_k continued beyond its own support; None where one has no closed form."""
    lowest, highest = sympy.Min(*(k.lower for _, k in parts)), sympy.Max(*(k.upper for _, k in parts))
    total = sympy.Integer(0)
    for (weight, law), function in zip(parts, functions, strict=True):
        if function is None:
            return None
        cases: list[Any] = []
        if law.lower != lowest:
            cases.append((outside[0], law.lower > VARIABLE))
        if law.upper != highest:
            cases.append((outside[1], law.upper < VARIABLE))
        total += weight * (sympy.Piecewise(*cases, (function, True)) if cases else function)
    return total


def _replaced(parts: tuple[tuple[sympy.Expr, Law], ...], values: Mapping[sympy.Symbol, sympy.Expr]) -> Law:
    def at(law: Law) -> Law:
        return law.at(**{s.name: v for s, v in values.items() if s in law.free_symbols})

    return mixture([w.xreplace(values) for w, _ in parts], [at(law) for _, law in parts])


def _numbers(parts: tuple[tuple[sympy.Expr, Law], ...]) -> Numbers:
    weights = np.array([float(w) for w, _ in parts])
    return mixed(weights / weights.sum(), [law.numeric for _, law in parts])


def mixed(weights: Array, each: Sequence[Numbers]) -> Numbers:
    """The numbers of a mixture."""
    logs = np.log(weights)

    def log_parts(x: Array) -> Array:
        return np.stack([part.logpdf(x) + log for part, log in zip(each, logs, strict=True)])

    def log_density(x: Array) -> Array:
        return np.logaddexp.reduce(log_parts(x), axis=0)

    def slope(x: Array) -> Array:
        parts = log_parts(x)
        # Relative to the largest, so that far out the heaviest tail has its full weight.
        shares = np.exp(parts - np.maximum(parts.max(axis=0), -1e308))
        scores = np.stack([part.score(x) for part in each])
        # A part that has no share there may have a score that is no double: Gumbel's on the left.
        weighed = np.where(shares > 0, shares * scores, 0.0)
        return weighed.sum(axis=0) / np.maximum(shares.sum(axis=0), 1e-300)

    def below(x: Array) -> Array:
        return sum((w * part.cdf(x) for w, part in zip(weights, each, strict=True)), np.zeros_like(x))

    def above(x: Array) -> Array:
        return sum((w * part.sf(x) for w, part in zip(weights, each, strict=True)), np.zeros_like(x))

    lower, upper = min(part.lower for part in each), max(part.upper for part in each)
    inside = {k for part in each for k in (*part.kinks, part.lower, part.upper) if lower < k < upper}
    numbers = Numbers(
        log_density=log_density,
        slope=slope,
        below=below,
        above=above,
        from_below=lambda u: _quantile(u, each, below, above, log_density, from_below=True),
        from_above=lambda u: _quantile(u, each, below, above, log_density, from_below=False),
        entropy_with_error=lambda: entropy_of(numbers, each),
        lower=lower,
        upper=upper,
        kinks=tuple(sorted(inside)),
    )
    return numbers


def _quantile(
    level: Array,
    each: Sequence[Numbers],
    below: Function,
    above: Function,
    log_density: Function,
    *,
    from_below: bool,
) -> Array:
    """The mixture's quantile lies between its components' quantiles of the same level."""
    flat = level.ravel()
    ends = np.stack([part.ppf(flat) if from_below else part.isf(flat) for part in each])
    low, high = ends.min(axis=0), ends.max(axis=0)
    result = np.empty_like(flat)
    # 1 − u is exact for u ≥ 1/2; below 1/2 the level itself is the tail's mass.
    for small in (True, False):
        chosen = (flat <= 0.5) if small else (flat > 0.5)
        if chosen.any():
            rising = from_below == small
            result[chosen] = solve_tail(
                flat[chosen] if small else 1 - flat[chosen],
                below if rising else above,
                log_density,
                low[chosen],
                high[chosen],
                rising=rising,
            )
    return result.reshape(level.shape)
