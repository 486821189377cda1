"""How far a law reaches, and the points at which a function of its variable is looked at; kept, as many outputs share a law."""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

from eafo.laws import Numbers
from eafo.theory.quadrature import QuadratureError

__all__ = ["searched", "seen", "span", "table"]

FloatArray = npt.NDArray[np.float64]

#: Beyond this probability of the law on either side no critical point is looked for.
_SEARCHED = 1e-15
#: The least probability at which a sheet ends.
_LAST = math.exp(-300.0)
#: Laws whose quantiles are kept.
_LAWS = 32


@functools.lru_cache(maxsize=_LAWS)
def span(law: Numbers) -> tuple[float, float]:
    """Where a sheet ends at most."""
    low, high = float(law.ppf(_LAST)), float(law.isf(_LAST))
    if not (math.isfinite(low) and math.isfinite(high)):
        raise QuadratureError("the law's quantiles must stay within the range of doubles", f"({low}, {high})")
    return max(low, law.lower), min(high, law.upper)


@functools.lru_cache(maxsize=_LAWS)
def seen(law: Numbers) -> tuple[float, float]:
    """Between which quantiles critical points are looked for."""
    return float(law.ppf(_SEARCHED)), float(law.isf(_SEARCHED))


@functools.lru_cache(maxsize=_LAWS)
def searched(law: Numbers) -> FloatArray:
    """Points at the scale of 1 and at that of the law, where the sign of f′ is looked at."""
    level = np.geomspace(_SEARCHED, 0.5, 500)
    return np.unique([*np.linspace(-12.0, 12.0, 2401), *law.ppf(level), *law.isf(level)])


@functools.lru_cache(maxsize=_LAWS)
def table(law: Numbers) -> FloatArray:
    """Points of the tables in which roots are bracketed."""
    level = np.exp(-np.concatenate([np.linspace(0.7, 30.0, 60), np.linspace(31.0, 300.0, 60)]))
    return np.unique([*law.ppf(level), *law.isf(level), *np.linspace(-12.0, 12.0, 241)])
