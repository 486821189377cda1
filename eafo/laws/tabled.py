"""The numbers of a law of which only the density is known: distribution function and quantile from a table of integrals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from eafo.errors import InputError
from eafo.laws.inversion import solve_tail
from eafo.laws.numeric import Array, Function, Numbers
from eafo.laws.quadrature import integrals, masses, refined

__all__ = ["Table", "tabled"]

_OUTERMOST = 1000
_INNERMOST = 60
_ROUNDS = 40
#: Below it the exponential of a logarithm is zero in double precision.
_LEAST_LOG = -745.0


@dataclass(frozen=True, eq=False)
class Table:
    """The mass of a density in panels, accumulated from both sides.

    Args:
        log_density: log p up to a constant.
        edges: of the panels.
        left: the mass to the left of each edge, of the density as it stands.
        right: the mass to the right of each edge.
        mass: the whole mass; what the numbers divide by.
        error: an estimate of its absolute error.
    """

    log_density: Function
    edges: Array
    left: Array
    right: Array
    mass: float
    error: float

    def tail(self, x: Array, *, rising: bool) -> Array:
        """F(x) where `rising`, 1 − F(x) otherwise: the whole panels beyond x and a part of x's own."""
        flat = np.clip(np.ravel(x), self.edges[0], self.edges[-1])
        panel = np.clip(np.searchsorted(self.edges, flat, side="right") - 1, 0, self.edges.size - 2)
        if rising:
            part = self.left[panel] + masses(self.log_density, self.edges[panel], flat)
        else:
            part = self.right[panel + 1] + masses(self.log_density, flat, self.edges[panel + 1])
        return np.where(np.isnan(x), np.nan, np.minimum(1.0, part / self.mass).reshape(np.shape(x)))

    def quantile(self, level: Array, *, rising: bool) -> Array:
        """The point below which, or above which, the mass `level` lies."""
        flat = np.ravel(level)
        result = np.empty_like(flat)
        for small in (True, False):
            chosen = (flat <= 0.5) if small else (flat > 0.5)
            if chosen.any():
                mass = flat[chosen] if small else 1 - flat[chosen]
                result[chosen] = self._solve(mass, rising=rising == small)
        return result.reshape(np.shape(level))

    def _solve(self, mass: Array, *, rising: bool) -> Array:
        within = (self.left if rising else self.right[::-1]) / self.mass
        panel = np.clip(np.searchsorted(within, mass, side="left") - 1, 0, within.size - 2)
        if not rising:
            panel = within.size - 2 - panel
        return solve_tail(
            mass,
            lambda x: self.tail(x, rising=rising),
            lambda x: self.log_density(x) - np.log(self.mass),
            self.edges[panel],
            self.edges[panel + 1],
            rising=rising,
        )


def tabulate(log_density: Function, lower: float, upper: float, cuts: Sequence[float] = ()) -> Table:
    """Integrate a density over panels fine enough for both tails.

    Args:
        log_density: log p, up to a constant.
        lower: the support's lower end, may be -inf.
        upper: its upper end, may be inf.
        cuts: points inside at which p or its slope jumps, or near which p is concentrated.
    """

    def safe(x: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(log_density(x), np.float64)

    edges = _edges(lower, upper, cuts)
    peak = _peak(safe, edges)
    edges = np.unique(np.concatenate([edges, _around(peak, lower, upper)]))

    edges = _inhabited(safe, edges)
    edges, found, misses = refined(partial(masses, safe), edges, 1e-12, 1e-320)
    some = np.flatnonzero(found > 0)
    if some.size:
        # Beyond the last mass that a double can hold there is nothing to look for.
        edges, found = edges[some[0] : some[-1] + 2], found[some[0] : some[-1] + 1]
    left = np.concatenate([[0.0], np.cumsum(found)])
    right = np.concatenate([np.cumsum(found[::-1])[::-1], [0.0]])
    return Table(safe, edges, left, right, float(left[-1]), float(np.sum(misses)))


def _inhabited(log_density: Function, edges: Array) -> Array:
    """The edges between which a mass may lie that a double can hold."""
    logs = log_density(edges)
    logs = np.where(np.isnan(logs), np.inf, logs)
    some = np.maximum(logs[1:], logs[:-1]) + np.log(np.diff(edges)) > 2 * _LEAST_LOG
    held = np.flatnonzero(some)
    return edges[held[0] : held[-1] + 2] if held.size else edges


def _edges(lower: float, upper: float, cuts: Sequence[float]) -> Array:
    """Panels that shrink towards each finite end and each cut, and grow towards infinity."""
    anchors = [e for e in (lower, upper, *cuts) if np.isfinite(e)] or [0.0]
    if not np.isfinite(lower) and not np.isfinite(upper):
        anchors.append(0.0)
    return np.unique(np.concatenate([_around(a, lower, upper) for a in anchors]))


def _around(anchor: float, lower: float, upper: float) -> Array:
    # Next to 0 doubles are dense, elsewhere they end at the last digit.
    least = -_OUTERMOST if anchor == 0 else min(0, int(np.log2(abs(anchor)))) - _INNERMOST
    steps = np.exp2(np.arange(max(least, -_OUTERMOST), _OUTERMOST, dtype=np.float64))
    points = np.concatenate([anchor - steps, [anchor], anchor + steps])
    ends = [e for e in (lower, upper) if np.isfinite(e)]
    return np.unique(np.concatenate([points[(points >= lower) & (points <= upper)], ends]))


def _peak(log_density: Function, edges: Array) -> float:
    """A point of greatest density, found by narrowing a grid: so that a narrow law far from 0 is not overlooked."""
    grid = edges
    best = float(grid[0])
    for _ in range(_ROUNDS):
        values = log_density(grid)
        values = np.where(np.isnan(values) | (values == np.inf), -np.inf, values)
        i = int(np.argmax(values))
        best = float(grid[i])
        low, high = grid[max(i - 1, 0)], grid[min(i + 1, grid.size - 1)]
        if not high - low > 1e-14 * abs(best):
            break
        grid = np.linspace(low, high, 33)
    return best


def tabled(
    log_density: Function,
    slope: Function,
    lower: float,
    upper: float,
    *,
    kinks: tuple[float, ...] = (),
    table: Table | None = None,
    normalised: bool = False,
) -> Numbers:
    """The numbers of a law from the logarithm of its density, which is brought to mass 1 where it is not.

    Args:
        log_density: log p up to a constant.
        slope: (log p)′.
        lower: the support's lower end, may be -inf.
        upper: its upper end, may be inf.
        kinks: the points inside at which p or its slope jumps.
        table: its integrals, where they are known already.
        normalised: whether the density is of mass 1 as it stands; what its table lacks of that lies closer to an end than
            doubles do.

    Raises:
        InputError: the density has no mass.

    >>> numbers = tabled(lambda x: -np.abs(x), lambda x: -np.sign(x), -np.inf, np.inf, kinks=(0.0,))
    >>> print(numbers.isf(1e-300).round(9), round(numbers.entropy, 12))
    690.082380718 1.69314718056
    """
    found = table or tabulate(log_density, lower, upper, kinks)
    if not (np.isfinite(found.mass) and found.mass > 0):
        raise InputError("a density must have a finite mass above 0", found.mass)
    constant = 0.0 if normalised else float(np.log(found.mass))
    return Numbers(
        log_density=lambda x: log_density(x) - constant,
        slope=slope,
        below=lambda x: found.tail(x, rising=True),
        above=lambda x: found.tail(x, rising=False),
        from_below=lambda u: found.quantile(u, rising=True),
        from_above=lambda u: found.quantile(u, rising=False),
        entropy_with_error=lambda: _entropy(found, constant),
        lower=lower,
        upper=upper,
        kinks=kinks,
    )


def _entropy(table: Table, constant: float) -> tuple[float, float]:

    def integrand(x: Array) -> Array:
        log = table.log_density(x) - constant
        values = -np.exp(log) * log
        return np.where((log > _LEAST_LOG) & np.isfinite(values), values, 0.0)

    _, values, misses = refined(partial(integrals, integrand), table.edges, 1e-12, 1e-16)
    total, rounding = float(np.sum(values)), 1e-14 * float(np.sum(np.abs(values)))
    # Mass that was not found weighs with its log p, which is some tens next to a pole of the density.
    unseen = table.error / table.mass * (20 + abs(total))
    return total, float(np.sum(misses)) + unseen + rounding
