"""Measured laws: a smooth density with a smooth score from a sample, and how well it fits.

Two estimators. A mixture of normals has a closed form, so every symbolic route serves it. A log-spline follows any shape and has
tails of its own. It stands here in place of a kernel estimate since its score is as smooth as its density: log p is one cubic
spline with few knots, while the score of a kernel estimate, a ratio of two noisy sums, needs a wider bandwidth than the density does.
Measured over the middle 90 % of the mass, 4000 values, five seeds, bandwidth by likelihood of held-out values: the relative error of
the score is 0.24 by kernels, 0.12 by log-splines and 0.02 by mixtures for a normal law, 0.17, 0.07 and 0.12 for Student's t.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import sympy

from eafo.errors import InputError
from eafo.laws import em, samples
from eafo.laws.families import build
from eafo.laws.goodness import Fit, kolmogorov_smirnov, spacing_entropy
from eafo.laws.law import Law
from eafo.laws.mixtures import mixture
from eafo.laws.numeric import Array, Numbers
from eafo.laws.samples import SampleLike
from eafo.laws.tabled import tabled, tabulate

if TYPE_CHECKING:
    from eafo.laws.spline import LogSpline

__all__ = ["METHODS", "measure"]

METHODS = ("mixture", "spline")
_HELD_OUT = 5
_LEAST_WEIGHT = 1e-5
#: Wider than a normal sample ever spreads, in robust scales.
_HEAVY = 12.0


def measure(sample: SampleLike, method: str = "mixture", name: str = "") -> Law:
    """The law of a sample, as a smooth density with its goodness of fit in `law.fit`.

    Args:
        sample: an array, a tensor or a list of numbers, the path of a file (.npy; .csv or .txt with numbers alone), or an iterable
            of arrays, read once in bounded memory: 100,000 values are kept, drawn uniformly.
        method: ``"mixture"``: normals by EM, their number by BIC; closed in all but quantile and entropy.
            ``"spline"``: log p a cubic spline, its knots by BIC; exponential tails, or power tails where values held out
            are likelier so.
        name: what the law is called; for a mixture its text form where not given.

    Values that repeat (the zeros after a ReLU or a dropout) are atoms: no density has them, and an entropy with them is another
    measure. The law is that of the other values, and `fit.atoms` states what it leaves out.

    Raises:
        InputError: an unknown method; an empty or constant sample, NaN or infinite values, fewer than 20 distinct values.

    >>> law = measure(np.random.default_rng(0).normal(3.0, 2.0, 2000))
    >>> law.fit.order, bool(abs(law.numeric.ppf(0.5) - 3.0) < 0.1)
    (1, True)
    """
    if method not in METHODS:
        raise InputError(f"a method must be one of {', '.join(METHODS)}", method)
    found = samples.read(sample)
    place = _Place(*_standard(found.values))
    standard = (found.values - place.location) / place.scale
    held = np.random.default_rng(0).permutation(standard.size) % _HELD_OUT == 0
    fitted = (_mixture if method == "mixture" else _spline)(standard, held, place)
    law, trial = fitted.law, fitted.trial.affine(place.scale, place.location)
    outside = found.values[held]
    distance, p_value = kolmogorov_smirnov(outside, trial.cdf)
    fit = Fit(
        method=method,
        size=found.count,
        used=found.values.size,
        distinct=found.distinct,
        order=fitted.order,
        criterion=fitted.criterion,
        distance=distance,
        p_value=p_value,
        held_out=float(np.mean(trial.logpdf(outside))),
        entropy=law.numeric.entropy,
        sample_entropy=spacing_entropy(found.values),
        atoms=found.atoms,
        tails=fitted.tails + _warning(standard),
    )
    return replace(law, name=name or law.name, fit=fit)


@dataclass(frozen=True)
class _Place:
    """Where the standard sample lies: median and robust scale, since moments may not exist."""

    location: float
    scale: float


@dataclass(frozen=True, eq=False)
class _Fitted:
    """The law of all values, and the standard one of those not held out, with how both were found."""

    law: Law
    trial: Numbers
    order: int
    criterion: tuple[tuple[int, float], ...]
    tails: str


def _standard(values: Array) -> tuple[float, float]:
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    scale = float(high - low) / 1.349 or float(np.ptp(values)) / 4
    if not 1e-90 < scale < 1e90:
        raise InputError("a sample's scale must lie between 1e-90 and 1e90", scale, "rescale it")
    return float(middle), scale


def _mixture(standard: Array, held: npt.NDArray[np.bool_], place: _Place) -> _Fitted:
    trial, criterion = em.chosen(standard[~held])
    final = em.fitted(standard, trial.weights.size, trial)
    law = _closed(final, place)
    widest = place.scale * float(final.deviations.max())
    tails = f"beyond the data normal tails, the widest of deviation {widest:.3g}"
    return _Fitted(law, _closed(trial, _Place(0.0, 1.0)).numeric, trial.weights.size, criterion, tails)


def _closed(found: em.Normals, place: _Place) -> Law:
    """The mixture as a law, its parameters rounded to six digits, far below what a sample can tell."""
    order = np.argsort(found.means)
    order = order[found.weights[order] > _LEAST_WEIGHT]
    weights = [round(float(w), 6) for w in found.weights[order] / found.weights[order].sum()]
    largest = int(np.argmax(weights))
    weights[largest] = round(1 - sum(w for i, w in enumerate(weights) if i != largest), 6)
    normals = [
        build("normal", {"mean": _rounded(m, place.scale), "deviation": float(f"{s:.6g}")})
        for m, s in zip(
            place.location + place.scale * found.means[order],
            place.scale * found.deviations[order],
            strict=True,
        )
    ]
    return mixture(weights, normals)


def _rounded(mean: float, scale: float) -> float:
    """To a millionth of the scale."""
    digits = 6 - int(np.floor(np.log10(scale)))
    return round(float(mean), digits)


def _spline(standard: Array, held: npt.NDArray[np.bool_], place: _Place) -> _Fitted:
    """In the plain or the warped coordinate, whichever makes the held-out values likelier."""
    from eafo.laws import spline  # noqa: PLC0415 - SciPy's splines take 0.5 s to load, and serve this alone

    tried = []
    for warped in (False, True):
        trial, criterion = spline.chosen(standard[~held], warped=warped)
        tried.append((float(np.mean(trial.log_density(standard[held]))), warped, trial, criterion))
    _, warped, trial, criterion = max(tried, key=lambda found: found[0])
    final = spline.fitted(standard, trial.knots.size, warped=warped)
    low, high = final.tails
    if warped:
        tails = (
            f"beyond the data p falls as |x|^-{1 + low:.3g} on the left and |x|^-{1 - high:.3g} on the right"
        )
    else:
        tails = f"beyond the data p falls as exp(-|x|/{place.scale / low:.3g}) on the left and exp(-|x|/{-place.scale / high:.3g}) on the right"
    law = Law(
        name=f"log-spline of {standard.size} values",
        density=None,
        cdf=None,
        survival=None,
        quantile=None,
        lower=-sympy.oo,
        upper=sympy.oo,
        entropy=None,
        source=None,
        numbers=partial(_spline_numbers, final, place),
    )
    return _Fitted(law, _spline_numbers(trial, _Place(0.0, 1.0)), trial.knots.size, criterion, tails)


def _spline_numbers(found: LogSpline, place: _Place) -> Numbers:
    cuts = tuple(map(float, found.knots_in_x))
    table = tabulate(found.log_density, -np.inf, np.inf, cuts)
    # The score is continuous: the knots are no kinks.
    standard = tabled(found.log_density, found.score, -np.inf, np.inf, table=table)
    return standard.affine(place.scale, place.location)


def _warning(standard: Array) -> str:
    """Whether the sample spreads as no normal one does; then what lies beyond it weighs, and nobody has seen it."""
    reach = float(np.abs(standard).max())
    return (
        f"; heavy tails: the sample reaches {reach:.3g} of its scales from its median"
        if reach > _HEAVY
        else ""
    )
