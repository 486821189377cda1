"""A route to the entropy of an output that shares nothing with the theory: the law's quantiles, joined by straight lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from eafo.laws import Numbers

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PushForward:
    """The output of the polygon through (x_i, f(x_i)), x_i quantiles: a density that is constant between breakpoints.

    Args:
        z: the breakpoints, in order.
        density: of the part that is no atom, with the mass 1, between them.
        atoms: the probability of the flat segments.
    """

    z: FloatArray
    density: FloatArray
    atoms: float

    @property
    def entropy(self) -> float:
        """−∫ q log q dz, given that the output is no atom."""
        width, q = np.diff(self.z), self.density
        some = (q > 0) & (width > 0)
        return float(-np.sum(width[some] * q[some] * np.log(q[some])))

    def cdf(self, z: FloatArray) -> FloatArray:
        """The distribution function, given that the output is no atom."""
        return np.interp(z, self.z, np.concatenate([[0.0], np.cumsum(np.diff(self.z) * self.density)]))

    def moment(self, power: int, centre: float = 0.0) -> float:
        """E[(Z − centre)^power], given that the output is no atom."""
        ends = (self.z - centre) ** (power + 1) / (power + 1)
        return float(np.sum(self.density * np.diff(ends)))

    @property
    def scale_free(self) -> float:
        """H − log of the standard deviation."""
        return self.entropy - 0.5 * np.log(self.moment(2, self.moment(1)))


def push_forward(
    function: Callable[[FloatArray], FloatArray],
    law: Numbers,
    cuts: tuple[float, ...] = (),
    size: int = 40_000,
) -> PushForward:
    """The output of the polygon.

    Args:
        function: f.
        law: the law of X; only its quantiles and its distribution function are used.
        cuts: points that must be corners: seams, and turns where they are known.
        size: the number of quantiles.
    """
    x, weight = grid(law, cuts, size)
    # Each segment by its own ends, a hair inside, so that a jump belongs to none.
    left, right = function(x[:-1] + 1e-9 * np.diff(x)), function(x[1:] - 1e-9 * np.diff(x))
    atoms = left == right
    width = np.abs(right - left)
    # Far out a slope may be below what doubles tell apart.
    kept = ~atoms & (width > 1e-290)
    height = weight[kept] / width[kept] / weight[kept].sum()
    low, high = np.minimum(left, right)[kept], np.maximum(left, right)[kept]
    ends = np.concatenate([low, high])
    order = np.argsort(ends, kind="stable")
    total = sum(_stacked(height, band, order) for band in _bands(height))
    return PushForward(ends[order], total[:-1], float(weight[atoms].sum()))


def _bands(height: FloatArray) -> list[npt.NDArray[np.bool_]]:
    """Segments of like height: beside a fold's, what is small would be lost in one sum."""
    decades = np.floor(np.log10(height) / 6)
    return [decades == d for d in np.unique(decades)]


def _stacked(height: FloatArray, band: npt.NDArray[np.bool_], order: npt.NDArray[np.intp]) -> FloatArray:
    """The sum of the heights of a band's segments over every breakpoint, 0 where none lies."""
    here = np.where(band, height, 0.0)
    total = np.cumsum(np.concatenate([here, -here])[order].astype(np.longdouble)).astype(np.float64)
    return np.where(total < 0.5 * height[band].min(), 0.0, total)


def grid(law: Numbers, cuts: tuple[float, ...] = (), size: int = 40_000) -> tuple[FloatArray, FloatArray]:
    """Points between the levels 1e−13 and 1 − 1e−13, denser in the tails, and the probability between neighbours."""
    level = np.concatenate([np.geomspace(1e-13, 1e-3, size // 8), np.linspace(1e-3, 0.5, size // 2)[1:]])
    x = np.concatenate([law.ppf(level), law.isf(level), cuts])
    x = np.unique(x[(x >= law.lower) & (x <= law.upper)])
    below = x[1:] < law.ppf(0.5)
    weight = np.where(below, np.diff(law.cdf(x)), -np.diff(law.sf(x)))
    return x[np.append(True, weight > 0)], weight[weight > 0]


@pytest.fixture(name="push_forward")
def _push_forward() -> Callable[..., PushForward]:
    return push_forward


@pytest.fixture(name="quantile_grid")
def _grid() -> Callable[..., tuple[FloatArray, FloatArray]]:
    return grid
