"""Quadrature nodes in a law's own scale of probability, for expectations up to its far tails.

On each side of the median x is written as the quantile of e^{−t}; then ∫ g p dx = ∫ g(x(t)) e^{−t} dt, whatever the law: a tail
of power-law kind is as tame as a normal one. The t-axis is cut into panels, each with tanh-sinh nodes, which bear any
integrable singularity at a panel's end. Every cut of the caller's (a seam, a critical point) is such an end.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eafo.laws import Numbers
from eafo.theory.quadrature import QuadratureError

__all__ = ["Mean", "Nodes", "between", "inmost"]

FloatArray = npt.NDArray[np.float64]

_PANELS = (np.log(2.0), 1.3, 2.2, 3.5, 5.5, 9.0, 15.0, 26.0, 50.0, 120.0, 300.0)
_PANEL_ENDS = np.array(_PANELS)
#: Under a heavy tail a panel is cut here too, so that what happens at the scale of 1 is seen.
_NEAR = np.linspace(-9.0, 9.0, 13)
#: Of the way to the last node: where the size of an integrand is read, and how fast it falls from there to the end.
_NEARER, _LAST = (0.5, 0.6), 0.9
#: e-folds a unit of −log of the probability: below the first an integrand does not fall, between the two it cannot be told.
_LEVEL, _FALLING = 1e-3, 2e-2
#: A tail of less than this part of an integral is none, and one of more than the other is not known well enough.
_NOTHING, _MOST_LEFT = 1e-9, 1e-2
#: A term of this size at a pole is of an integral that diverges there, if half of the nodes tell another value.
_HUGE, _UNLIKE = 1e6, 0.1
_STEP, _REACH = 1 / 8, 3.25
_ANGLES = np.arange(-_REACH, _REACH + _STEP / 2, _STEP)
#: tanh-sinh: the share of a panel at each node, from its nearer end so that none is lost to rounding, and the weight.
_SHARE = 1 / (1 + np.exp(np.pi * np.sinh(np.abs(_ANGLES))))
_WEIGHT = _STEP * (np.pi / 2) * np.cosh(_ANGLES) / np.cosh(np.pi / 2 * np.sinh(_ANGLES)) ** 2 / 2
_COARSE = np.where(np.arange(_ANGLES.size) % 2 == 0, 2 * _WEIGHT, 0.0)


@dataclass(frozen=True)
class Mean:
    """An integral and an estimate of its absolute error: its change when every second node is left out, and what lies beyond the nodes."""

    value: float
    error: float

    def __add__(self, other: Mean) -> Mean:
        return Mean(self.value + other.value, self.error + other.error)


@dataclass(frozen=True)
class Nodes:
    """Points of an interval, with weights that sum to its probability.

    Args:
        x: the points.
        weight: Σ weight·g(x) approximates ∫ g p dx over the interval.
        coarse: the weights of the rule with half of the points.
        depth: −log of the probability beyond each point, negative below the median; 0 where the interval ends before the law does.
    """

    x: FloatArray
    weight: FloatArray
    coarse: FloatArray
    depth: FloatArray

    def mean(self, values: FloatArray) -> Mean:
        """∫ g p dx from the values of g at the points; ±inf where it diverges to it.

        Raises:
            QuadratureError: the integral diverges without a sign, or g is not a number somewhere.
        """
        used = self.weight != 0
        if np.isnan(values[used]).any():
            at = float(self.x[used][np.isnan(values[used])][0])
            raise QuadratureError("the integrand must be a number", f"NaN at x = {at:.6g}")
        with np.errstate(over="ignore", invalid="ignore"):
            terms, coarse = self.weight[used] * values[used], self.coarse[used] * values[used]
            total, rough = float(np.sum(terms)), float(np.sum(coarse))
            unlike = not abs(total - rough) <= _UNLIKE * float(np.sum(np.abs(terms)))
            endless = terms[np.abs(terms) > _HUGE] if unlike or not math.isfinite(total) else terms[:0]
            left = 0.0
            for side in (-1, 1):
                depth = side * self.depth[used]
                beyond, rate = _tail(depth, values[used])
                if beyond <= _NOTHING * max(1.0, abs(total)):
                    continue
                left += beyond if rate > _FALLING else math.inf
                if rate < _LEVEL:
                    endless = np.concatenate([endless, terms[depth >= _LAST * depth.max()]])
        if endless.size:
            return Mean(_endless(endless), math.inf)
        if left > _MOST_LEFT * abs(total):
            raise QuadratureError("an integral must converge", f"{left:.3g} of it in the far tail")
        return Mean(total, abs(total - rough) + left)


def _tail(depth: FloatArray, values: FloatArray) -> tuple[float, float]:
    """What |g| p has beyond the last nodes of a side, and the rate at which it falls there a unit of −log of the probability."""
    end = float(depth.max(initial=0.0))
    nearer = (depth >= _NEARER[0] * end) & (depth <= _NEARER[1] * end)
    if end <= 0 or not nearer.any():
        return 0.0, math.inf
    with np.errstate(divide="ignore"):
        sizes = np.log(np.abs(values)) - depth
    before, size = float(sizes[nearer].max()), float(sizes[depth >= _LAST * end].max())
    if size == -math.inf:
        return 0.0, math.inf
    rate = (before - size) / ((_LAST - _NEARER[0]) * end) if size < math.inf else -math.inf
    return math.exp(min(size, 700.0)) / max(rate, 1 / end), rate


def _endless(terms: FloatArray) -> float:
    """The infinity that an integral diverges to, from the terms that tell so.

    Raises:
        QuadratureError: they are of both signs.
    """
    rising, falling = float(np.sum(terms[terms > 0])), float(-np.sum(terms[terms < 0]))
    if min(rising, falling) > _NOTHING * max(rising, falling):
        raise QuadratureError("an integral must converge", f"{rising + falling:.3g} of it in the far tail")
    return math.copysign(math.inf, rising - falling)


def between(law: Numbers, lower: float, upper: float) -> Nodes:
    """Nodes for the part of a law between two points of its support, which may be infinite.

    >>> from eafo import laws
    >>> normal = laws.get("normal").numeric
    >>> found = between(normal, 0.0, np.inf)
    >>> round(found.mean(found.x**2).value, 12)
    0.5
    """
    blocks = [*_side(law, lower, upper, below=True), *_side(law, lower, upper, below=False)]
    if not blocks:
        empty = np.empty(0)
        return Nodes(empty, empty, empty, empty)
    x, weight, coarse, depth = (np.concatenate(part) for part in zip(*blocks, strict=True))
    if lower > law.lower:
        depth = np.maximum(depth, 0.0)
    if upper < law.upper:
        depth = np.minimum(depth, 0.0)
    lower, upper = max(lower, law.lower), min(upper, law.upper)
    inside = np.clip(x, _beside(law, lower, np.inf), _beside(law, upper, -np.inf))
    return Nodes(inside, weight, coarse, depth)


def _beside(law: Numbers, end: float, inward: float) -> float:
    """The nearest that a node comes to an end: inside the support no level tells points apart that are closer."""
    if end in (law.lower, law.upper):
        return inmost(law)[int(end == law.upper)]
    least = float(np.nextafter(end, inward))
    apart = math.copysign(1e-17 * _width(law), inward)
    return end + apart if abs(apart) > abs(least - end) else least


@functools.lru_cache(maxsize=32)
def inmost(law: Numbers) -> tuple[float, float]:
    """The points nearest to the ends of the support at which the density is finite, and not that of the end itself."""
    found = []
    for end, inward in ((law.lower, math.inf), (law.upper, -math.inf)):
        x = float(np.nextafter(end, inward))
        while math.isfinite(x) and np.isposinf(law.logpdf(x)):
            # A law that is moved and scaled rounds its own argument onto the end.
            x = end + 2 * (x - end)
        found.append(x)
    return found[0], found[1]


@functools.lru_cache(maxsize=32)
def _width(law: Numbers) -> float:
    return float(law.isf(0.25) - law.ppf(0.25))


@functools.lru_cache(maxsize=64)
def _at_panels(law: Numbers, below: bool) -> FloatArray:
    """The points between the panels of one side, from the median on."""
    return np.asarray((law.ppf if below else law.isf)(np.exp(-_PANEL_ENDS)), np.float64)


def _side(law: Numbers, lower: float, upper: float, *, below: bool) -> list[tuple[FloatArray, ...]]:
    """The panels below or above the median."""
    tail, quantile = (law.cdf, law.ppf) if below else (law.sf, law.isf)
    probabilities = np.minimum(np.asarray(tail(np.array([lower, upper])), np.float64), 0.5)
    with np.errstate(divide="ignore"):
        first, last = sorted(-np.log(probabilities))
    last = min(last, _PANELS[-1])
    if not first < last:
        return []
    inner = (first < _PANEL_ENDS) & (last > _PANEL_ENDS)
    cuts = np.array([first, *_PANEL_ENDS[inner], last])
    known = _at_panels(law, below)
    at = np.clip([lower, *known[inner], upper], *sorted((known[0], known[-1])))
    wide = [
        x
        for a, b in itertools.pairwise(np.sort(np.clip(at, -_NEAR[-1], _NEAR[-1])))
        if b - a > _NEAR[1] - _NEAR[0]
        for x in _NEAR
        if a < x < b
    ]
    if wide:
        cuts = np.union1d(cuts, -np.log(np.asarray(tail(np.array(wide)), np.float64)))
    start, width = cuts[:-1, None], np.diff(cuts)[:, None]
    t = np.where(_ANGLES < 0, start + width * _SHARE, start + width - width * _SHARE)
    level = np.exp(-t)
    x = np.asarray(quantile(level.ravel()), np.float64)
    held = np.isfinite(x)
    blocks = (
        x,
        (_WEIGHT * width * level).ravel(),
        (_COARSE * width * level).ravel(),
        t.ravel() * (-1 if below else 1),
    )
    return [tuple(block[held] for block in blocks)]
