"""Four bits for f′: the sixteen levels that an input law calls for, and what backward loses by them."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from eafo import laws
from eafo.errors import InputError
from eafo.kernels.launch.aten import AtenRunner
from eafo.kernels.lower import Scalar

__all__ = ["LEVELS", "SlopeCode", "slope_code"]

#: As many as four bits tell apart.
LEVELS = 16
#: The law stands for so many of its quantiles, each as probable as the others.
_QUANTILES = 2048


@dataclass(frozen=True)
class SlopeCode:
    """Sixteen levels for f′.

    Args:
        levels: in rising order; the last is repeated where f′ takes fewer values.
        error: the root of E[(f′(X) − level)²] under the law, over that of E[f′(X)²].
        law: the law of the inputs, as text.
    """

    levels: tuple[float, ...]
    error: float
    law: str


def slope_code(scalar: Scalar, values: tuple[float, ...], law: laws.LawLike) -> SlopeCode:
    """The levels with the least mean squared error of f′(X), X distributed by a law: Lloyd and Max's quantiser.

    Found exactly for 2048 quantiles of the law, by dynamic programming over the sorted slopes. Each level is the mean
    of its slopes, so that the coded gradient is unbiased under the law. The idea is that of Novikov et al.,
    Few-bit backward (2022), https://arxiv.org/abs/2202.00441.

    Args:
        scalar: the function.
        values: one a parameter.
        law: any form that `eafo.laws.get` takes, without open parameters.

    Raises:
        InputError: no such law, or a slope that is not finite under it.
    """
    found = laws.get(law)
    levels, error = _levels(scalar, values, found)
    return SlopeCode(levels, error, str(found))


@functools.lru_cache(maxsize=64)
def _levels(scalar: Scalar, values: tuple[float, ...], law: laws.Law) -> tuple[tuple[float, ...], float]:
    x = torch.from_numpy(law.numeric.ppf((np.arange(_QUANTILES) + 0.5) / _QUANTILES))
    (found, *_) = AtenRunner(scalar).backward(x, values, torch.ones_like(x))
    if not found.isfinite().all():
        raise InputError("a slope that is kept in four bits must be finite under the law", str(law))
    slopes = np.sort(found.numpy())
    levels = _means_of_groups(slopes)
    thresholds = [(a + b) / 2 for a, b in itertools.pairwise(levels)]
    kept = np.array(levels)[np.searchsorted(thresholds, slopes)]
    size = float(np.mean(slopes**2))
    error = math.sqrt(float(np.mean((slopes - kept) ** 2)) / size) if size else 0.0
    return (*levels, *[levels[-1]] * (LEVELS - len(levels))), error


def _means_of_groups(slopes: npt.NDArray[np.float64]) -> list[float]:
    """Cut sorted numbers into at most sixteen runs of the least squared error in all; give their means."""
    count = len(slopes)
    sums, squares = (np.concatenate([[0.0], np.cumsum(slopes**k)]) for k in (1, 2))
    start, end = np.arange(count)[:, None], np.arange(1, count + 1)[None, :]
    length = np.maximum(end - start, 1)
    # The squared error of the run from one position to another; an empty run cannot be.
    error = squares[end] - squares[start] - (sums[end] - sums[start]) ** 2 / length
    error = np.where(end > start, np.maximum(error, 0.0), np.inf)
    best, cuts = error[0], list[npt.NDArray[np.intp]]()
    for _ in range(LEVELS - 1):
        total = np.concatenate([[np.inf], best])[:count, None] + error
        cuts.append(total.argmin(axis=0))
        best = np.minimum(total.min(axis=0), best)
    bounds = [count]
    for cut in reversed(cuts):
        bounds.append(int(cut[bounds[-1] - 1]))
        if bounds[-1] == 0:
            break
    edges = sorted({*bounds, 0})
    means = [float(slopes[a:b].mean()) for a, b in itertools.pairwise(edges)]
    return sorted(set(means))
