"""Integrals of a law over panels: halved until a Gauss rule agrees with itself, in both tails relative to their own mass."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from eafo.laws.numeric import Array, Function

if TYPE_CHECKING:
    from eafo.laws.numeric import Numbers

__all__ = ["edges_between", "entropy_of", "integrals", "refined"]

_ORDER = 20
_MOST_ROUNDS = 60
_MOST_PANELS = 20_000


@cache
def _rule(order: int) -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(order)
    return nodes, weights


def integrals(function: Function, low: Array, high: Array, order: int = _ORDER) -> Array:
    """∫ function over each panel (low, high), by a Gauss–Legendre rule."""
    nodes, weights = _rule(order)
    half = (high - low) / 2
    points = low[..., None] + half[..., None] * (1 + nodes)
    with np.errstate(all="ignore"):
        return half * (function(points) @ weights)


def refined(
    function: Function, edges: Array, relative: float, absolute: float = 0.0
) -> tuple[Array, Array, Array]:
    """Panels on each of which the rule agrees with its two halves, the integrals there, and the differences.

    Args:
        function: maps an array of points to the values there.
        edges: increasing and finite; the panels to begin with.
        relative: the difference allowed, relative to a panel's own integral.
        absolute: a difference allowed in any case.
    """
    low, high = edges[:-1], edges[1:]
    whole = integrals(function, low, high)
    kept: list[Array] = []
    for _ in range(_MOST_ROUNDS):
        middle = low / 2 + high / 2
        left, right = integrals(function, low, middle), integrals(function, middle, high)
        miss = np.abs(left + right - whole)
        rough = (
            (miss > np.maximum(relative * np.abs(left + right), absolute)) & (low < middle) & (middle < high)
        )
        kept.append(np.stack([low, high, left + right, miss])[:, ~rough])
        low, high = (
            np.concatenate([low[rough], middle[rough]]),
            np.concatenate([middle[rough], high[rough]]),
        )
        whole = np.concatenate([left[rough], right[rough]])
        if not low.size or low.size > _MOST_PANELS:
            break
    if low.size:
        kept.append(np.stack([low, high, whole, np.abs(whole)]))
    panels = np.concatenate(kept, axis=1)
    panels = panels[:, np.argsort(panels[0], kind="stable")]
    return np.append(panels[0], panels[1, -1]), panels[2], panels[3]


def edges_between(numbers: Numbers) -> Array:
    """Panels that cover a law: cut at quantiles out to where nothing is left, and at its kinks."""
    tails = 10.0 ** -np.arange(1, 300, 3)
    levels = np.concatenate([tails, [0.2, 0.3, 0.4, 0.5]])
    points = np.concatenate([numbers.ppf(levels), numbers.isf(levels), numbers.kinks])
    points = np.concatenate([points, [e for e in (numbers.lower, numbers.upper) if np.isfinite(e)]])
    return np.unique(points[np.isfinite(points)])


def entropy_of(numbers: Numbers) -> tuple[float, float]:
    """−∫ p log p, and an estimate of its error: the sum of the panels' differences.

    >>> from eafo import laws
    >>> value, error = entropy_of(laws.get("cauchy").numeric)
    >>> abs(value - np.log(4 * np.pi)) < 1e-12 and error < 1e-9
    True
    """

    def integrand(x: Array) -> Array:
        log = numbers.logpdf(x)
        return np.where(log > -745, -np.exp(log) * log, 0.0)

    _, values, misses = refined(integrand, edges_between(numbers), 1e-13, 1e-15)
    return float(np.sum(values)), float(np.sum(misses)) + 1e-14 * float(np.sum(np.abs(values)))
