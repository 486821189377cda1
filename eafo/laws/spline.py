"""Log-splines: log p a natural cubic spline, by maximum likelihood; the number of its knots by BIC.

Stone & Koo 1986, Kooperberg & Stone 1992. The log-likelihood is concave in the spline's values at its knots, so Newton's
iteration finds the one maximum. Beyond the outermost knots log p is a line. In a warped coordinate, y = asinh x, a line is a
power of x: so heavy tails have their own form, and the likelihood of values held out chooses between the two.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.interpolate import CubicSpline

from eafo.laws.numeric import Array

__all__ = ["LogSpline", "chosen", "fitted"]

_MOST_KNOTS = 14
_FEWEST_KNOTS = 4
_FEWEST_EACH = 8
_STEPS = 100
_NODES = 16
_TAIL_NODES = 6


@dataclass(frozen=True, eq=False)
class LogSpline:
    """log p up to a constant: its values at the knots, in x or in y = asinh x.

    Args:
        knots: in y, increasing.
        heights: log of y's density there.
        warped: whether y = asinh x, in place of y = x.
    """

    knots: Array
    heights: Array
    warped: bool

    @cached_property
    def _spline(self) -> CubicSpline:
        return CubicSpline(self.knots, self.heights, bc_type="natural")

    def log_density(self, x: Array) -> Array:
        """Log p(x)."""
        y = np.arcsinh(x) if self.warped else x
        inner = np.clip(y, self.knots[0], self.knots[-1])
        logs = self._spline(inner) + self._spline(inner, 1) * (y - inner)
        return np.asarray(logs - np.log(np.hypot(1, x)) if self.warped else logs)

    def score(self, x: Array) -> Array:
        """(log p)′(x), continuous."""
        y = np.arcsinh(x) if self.warped else x
        slope = self._spline(np.clip(y, self.knots[0], self.knots[-1]), 1)
        if not self.warped:
            return np.asarray(slope)
        root = np.hypot(1, x)
        return np.asarray(slope / root - x / root / root)

    @property
    def knots_in_x(self) -> Array:
        """The knots as values of x."""
        return np.sinh(self.knots) if self.warped else self.knots

    @property
    def tails(self) -> tuple[float, float]:
        """The slopes of log p at both ends, in y."""
        return float(self._spline(self.knots[0], 1)), float(self._spline(self.knots[-1], 1))


def _basis(knots: Array) -> CubicSpline:
    """The natural splines that are 1 at one knot and 0 at the others."""
    return CubicSpline(knots, np.eye(knots.size), bc_type="natural")


@dataclass(frozen=True, eq=False)
class _Nodes:
    """Where the normalising integral is taken: the basis at the inner nodes, their weights, and at both ends."""

    inner: Array
    weights: Array
    ends: Array
    slopes: Array


def _nodes(knots: Array, basis: CubicSpline) -> _Nodes:
    t, w = np.polynomial.legendre.leggauss(_NODES)
    edges = np.concatenate([np.linspace(a, b, 5)[:-1] for a, b in itertools.pairwise(knots)])
    edges = np.append(edges, knots[-1])
    half = np.diff(edges)[:, None] / 2
    points = (edges[:-1, None] + half * (1 + t)).ravel()
    outer = knots[[0, -1]]
    return _Nodes(basis(points), (half * w).ravel(), basis(outer), basis(outer, 1))


def _moments(heights: Array, nodes: _Nodes) -> tuple[float, Array, Array] | None:
    """Log ∫ p, and the mean and the covariance of the basis under p; None where a tail does not fall."""
    slopes = nodes.slopes @ heights
    if not (slopes[0] > 1e-6 and slopes[1] < -1e-6):
        return None
    t, w = np.polynomial.laguerre.laggauss(_TAIL_NODES)
    rows, logs = [nodes.inner], [nodes.inner @ heights + np.log(nodes.weights)]
    for end, slope, sign in zip(nodes.ends, nodes.slopes, (-1.0, 1.0), strict=True):
        rate = abs(float(slope @ heights))
        rows.append(end + sign * slope * t[:, None] / rate)
        logs.append(float(end @ heights) - np.log(rate) + np.log(w))
    basis, log = np.concatenate(rows), np.concatenate(logs)
    top = float(log.max())
    shares = np.exp(log - top)
    total = float(shares.sum())
    shares /= total
    mean = shares @ basis
    return top + float(np.log(total)), mean, (basis * shares[:, None]).T @ basis - np.outer(mean, mean)


def fitted(values: Array, knots: int, *, warped: bool) -> LogSpline:
    """The log-spline of greatest likelihood with knots at the sample's quantiles.

    Args:
        values: sorted, of about unit scale around 0.
        knots: their number; the outermost lie just inside the outermost values.
        warped: whether in y = asinh x.
    """
    y = np.arcsinh(values) if warped else values
    # A value beyond the last knot gives the tail its slope.
    rim = min(0.02, 2.5 / y.size)
    levels = np.concatenate([[rim], np.linspace(0, 1, knots)[1:-1] * 0.9 + 0.05, [1 - rim]])
    at = np.unique(np.quantile(y, levels))
    basis = _basis(at)
    nodes = _nodes(at, basis)
    target = _mean_basis(y, at, basis)
    heights = -np.sqrt(1 + at**2)
    return LogSpline(at, _climbed(heights, target, nodes), warped)


def _mean_basis(y: Array, knots: Array, basis: CubicSpline) -> Array:
    inner = np.clip(y, knots[0], knots[-1])
    left, right = basis(knots[[0, -1]], 1)
    low, high = float(np.mean(np.minimum(y - inner, 0))), float(np.mean(np.maximum(y - inner, 0)))
    return np.asarray(basis(inner).mean(axis=0) + low * left + high * right)


def _climbed(heights: Array, target: Array, nodes: _Nodes) -> Array:
    """Newton's iteration with halved steps; ends with the mass at 1."""
    found = _moments(heights, nodes)
    assert found is not None  # noqa: S101 - the start falls on both sides
    for _ in range(_STEPS):
        level, mean, covariance = found
        gradient = target - mean
        # Adding a constant to log p changes nothing; the ridge takes that direction out.
        ridge = 1e-10 * float(np.trace(covariance)) + 1e-300
        step = np.linalg.solve(covariance + ridge * np.eye(heights.size) + ridge, gradient)
        value, gain = float(target @ heights) - level, float(gradient @ step)
        if gain < 1e-14:
            break
        size = 1.0
        while size > 1e-10:
            new = _moments(heights + size * step, nodes)
            if (
                new is not None
                and float(target @ (heights + size * step)) - new[0] >= value + 1e-4 * size * gain
            ):
                break
            size /= 2
        else:
            break
        assert new is not None  # noqa: S101 - the loop ended at one
        heights, found = heights + size * step, new
    return heights - found[0]


def chosen(values: Array, *, warped: bool) -> tuple[LogSpline, tuple[tuple[int, float], ...]]:
    """The log-spline of least BIC = −2 log L + (k − 1) log n, and the BIC of each number of knots k."""
    table: list[tuple[int, float]] = []
    found: list[LogSpline] = []
    most = max(_FEWEST_KNOTS, min(_MOST_KNOTS, values.size // _FEWEST_EACH))
    for knots in range(_FEWEST_KNOTS, most + 1):
        spline = fitted(values, knots, warped=warped)
        bic = -2 * float(spline.log_density(values).sum()) + (spline.knots.size - 1) * float(
            np.log(values.size)
        )
        table.append((knots, bic))
        found.append(spline)
    return found[int(np.argmin([b for _, b in table]))], tuple(table)
