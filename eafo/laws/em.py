"""Mixtures of normals by maximum likelihood: the EM algorithm in one dimension, its order by BIC.

Dempster, Laird & Rubin 1977; Schwarz 1978. Long samples are binned first: the bins' means and variances enter the
formulas in place of the values, and the outermost values stay single, so that tails lose nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from eafo.laws.numeric import Array

__all__ = ["Normals", "chosen", "fitted"]

_MOST_NORMALS = 10
_FEWEST_EACH = 10
_OUTERMOST = 300
_BINS = 1200
#: The least deviation, in units of the sample's robust scale: narrower ones chase single values.
_FLOOR = 0.01
_TRIAL_STEPS, _MOST_STEPS, _TOLERANCE = 40, 600, 1e-8


@dataclass(frozen=True, eq=False)
class Normals:
    """A mixture of normals: weights, means and deviations, each of the same length."""

    weights: Array
    means: Array
    deviations: Array

    def log_density(self, x: Array) -> Array:
        """Log p at points of one dimension."""
        return np.asarray(special.logsumexp(self._log_parts(x, 0.0), axis=0))

    def _log_parts(self, x: Array, variance: Array | float) -> Array:
        """Log w_k + E log p_k over values of mean x and the given variance, one row for each normal."""
        m, s = self.means[:, None], self.deviations[:, None]
        constant = (np.log(self.weights) - np.log(self.deviations) - np.log(2 * np.pi) / 2)[:, None]
        return constant - ((x - m) ** 2 + variance) / (2 * s**2)


@dataclass(frozen=True, eq=False)
class _Bins:
    """Values in bins: their means, variances and shares."""

    means: Array
    variances: Array
    shares: Array


def _binned(values: Array) -> _Bins:
    """Bins of equal count in the bulk; the outermost values alone."""
    if values.size <= 2 * _OUTERMOST + _BINS:
        return _Bins(values, np.zeros_like(values), np.full(values.size, 1 / values.size))
    inner = values[_OUTERMOST:-_OUTERMOST]
    starts = np.linspace(0, inner.size, _BINS + 1).astype(np.intp)[:-1]
    counts = np.diff(np.append(starts, inner.size))
    means = np.add.reduceat(inner, starts) / counts
    variances = np.add.reduceat((inner - np.repeat(means, counts)) ** 2, starts) / counts
    single = np.ones(_OUTERMOST)
    return _Bins(
        np.concatenate([values[:_OUTERMOST], means, values[-_OUTERMOST:]]),
        np.concatenate([0 * single, variances, 0 * single]),
        np.concatenate([single, counts, single]) / values.size,
    )


def _climbed(start: Normals, bins: _Bins, steps: int) -> tuple[Normals, float]:
    """EM steps from a start; the mixture and its mean log-likelihood."""
    now, before = start, -np.inf
    for _ in range(steps):
        parts = now._log_parts(bins.means, bins.variances)
        logs = special.logsumexp(parts, axis=0)
        likelihood = float(logs @ bins.shares)
        shares = np.exp(parts - logs) * bins.shares
        totals = np.maximum(shares.sum(axis=1), 1e-12)
        means = shares @ bins.means / totals
        spread = (bins.means - means[:, None]) ** 2 + bins.variances
        variances = (shares * spread).sum(axis=1) / totals
        now = Normals(totals / totals.sum(), means, np.sqrt(np.maximum(variances, _FLOOR**2)))
        if likelihood - before < _TOLERANCE:
            break
        before = likelihood
    return now, likelihood


def _starts(order: int, bins: _Bins) -> list[Normals]:
    """Side by side at quantiles; around one middle with growing scales, as heavy tails want it; and two by chance."""
    total = np.cumsum(bins.shares)
    even = np.full(order, 1 / order)
    side = np.interp((np.arange(order) + 0.5) / order, total, bins.means)
    # Ever wider scales with ever less weight.
    growing = np.geomspace(0.5, max(4.0, 0.3 * float(np.abs(bins.means).max())), order)
    falling = growing**-0.5 / (growing**-0.5).sum()
    found = [
        Normals(even, side, np.full(order, 1.5 / order + 0.2)),
        Normals(falling, np.zeros(order), growing),
    ]
    random = np.random.default_rng(order)
    for _ in range(2 if order > 1 else 0):
        centres = [float(random.choice(bins.means, p=bins.shares))]
        while len(centres) < order:
            # As k-means++ does: far from the centres so far, likelier.
            gap = np.min(np.abs(bins.means[:, None] - np.array(centres)), axis=1)
            chance = bins.shares * np.minimum(gap, 10.0) ** 2
            centres.append(float(random.choice(bins.means, p=chance / chance.sum())))
        found.append(Normals(even, np.array(centres), np.full(order, 0.5)))
    return found


def fitted(values: Array, order: int, start: Normals | None = None) -> Normals:
    """The mixture of `order` normals of greatest likelihood that several starts lead to.

    Args:
        values: sorted, of about unit scale around 0.
        order: the number of normals.
        start: the only start, where one is known.
    """
    bins = _binned(values)
    starts = [start] if start is not None else _starts(order, bins)
    tried = [_climbed(s, bins, _TRIAL_STEPS) for s in starts]
    best = max(tried, key=_likelihood)[0]
    return _climbed(best, bins, _MOST_STEPS)[0]


_likelihood: Callable[[tuple[Normals, float]], float] = lambda found: found[1]  # noqa: E731


def chosen(values: Array) -> tuple[Normals, tuple[tuple[int, float], ...]]:
    """The mixture of least BIC = −2 log L + (3k − 1) log n, and the BIC of each order that was tried.

    Orders are tried upwards until two in a row are worse than the best.
    """
    table: list[tuple[int, float]] = []
    best: Normals | None = None
    least = np.inf
    for order in range(1, max(1, min(_MOST_NORMALS, values.size // _FEWEST_EACH)) + 1):
        found = fitted(values, order)
        likelihood = float(found.log_density(values).sum())
        bic = -2 * likelihood + (3 * order - 1) * float(np.log(values.size))
        table.append((order, bic))
        if bic < least:
            best, least = found, bic
        elif (
            all(b > least for _, b in table[-2:])
            and order > table[int(np.argmin([b for _, b in table]))][0] + 1
        ):
            break
    assert best is not None  # noqa: S101 - the first order always has a finite BIC
    return best, tuple(table)
