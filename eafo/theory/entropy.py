"""The entropy of an activation's output: for any activation, any law, with or without an inverse, and at a resolution.

Three measures, told apart since their values must not be compared:

- *differential*, where nothing is flat: H = −∫ q log q dz;
- *mixed*, where flat parts make atoms: H = −Σ P_a log P_a − ∫ q log q dz (Lebesgue and counting measure);
- *at a resolution* δ: the output is rounded to the nearest multiple of δ, and H_δ = −Σ_j P_j log P_j + log δ. It is finite
  for every activation and every law, tends to H as δ → 0 where H is differential, and alone compares all functions.

Each stands beside its scale-free form, H − log of the output's scale, which no rescaling of the output can change; the scale
is the standard deviation, or half the width of the central 68.27 % where there is none (a normal law has both the same).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.special

from eafo import catalog, laws
from eafo.catalog import ActivationLike
from eafo.errors import InputError, RefusedError
from eafo.laws import LawLike
from eafo.theory import output as outputs
from eafo.theory.nodes import Mean
from eafo.theory.output import Atom, Output
from eafo.theory.quadrature import QuadratureError

FloatArray = npt.NDArray[np.float64]

__all__ = ["RESOLUTIONS", "Entropy", "Measure", "at_resolution", "conditional", "mixed", "of", "scale_of"]

#: The step of a number format at 1: of the output's scale, the step at which it stores the output.
RESOLUTIONS = {"fp16": 2.0**-10, "bf16": 2.0**-7, "fp8": 2.0**-3}

_MOST_BINS, _MOST_RUNS = 2**13, 2**17
#: Runs of bins on each side of a mark, growing with their distance.
_RUNS = 300
#: A run of bins is halved where the entropy changes by more; what is left is sure but for this part.
_TOLD, _UNSURE = 1e-9, 1e-2
_QUARTERS = np.array([[0.25], [0.5], [0.75]])
_ONE_SIGMA = 0.8413447460685429
_EDGE = 1e-13
_NINE_DIGITS = 1e-8
_COARSEST = 1e-2


@dataclass(frozen=True)
class Entropy:
    """The entropy of an output, in nats.

    Args:
        value: H; −inf where it is so.
        kind: ``"differential"``, ``"mixed"`` or ``"at a resolution"``; values of different kinds are not comparable.
        scale_free: H − log `scale`.
        scale: the output's standard deviation, or half the width of its central 68.27 % where it has none.
        atoms: the values that the output takes with positive probability.
        conditional: the differential entropy given that the output is no atom.
        resolution: δ, where the entropy is taken at one.
        error: an estimate of the absolute error of `value`.

    >>> round(float(of("silu", "normal")), 9)
    0.108338274
    """

    value: float
    kind: str
    scale_free: float
    scale: float
    atoms: tuple[Atom, ...]
    conditional: float
    resolution: float | None
    error: float

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        at = "" if self.resolution is None else f" δ = {self.resolution:.4g}"
        exact = self.error < _NINE_DIGITS or not math.isfinite(self.value)
        digits = 9 if exact else max(1, math.floor(-math.log10(self.error)))
        kind, doubt = f"({self.kind}{at})", "" if exact else f" ± {self.error:.0e}"
        return f"{self.value:.{digits}f}{doubt} nats {kind}; scale-free {self.scale_free:.{digits}f}"


def of(activation: ActivationLike, law: LawLike = "normal", resolution: float | str | None = None) -> Entropy:
    """The entropy of an activation's output.

    Args:
        activation: any form of an activation, at its default parameters.
        law: any form of a law.
        resolution: None; δ > 0 in units of the output; or ``"bf16"``, ``"fp16"``, ``"fp8"``: the step of that format
            at 1, times the output's scale.

    Raises:
        InputError: no such activation or law; a resolution that is not positive.
        RefusedError: the output has no entropy that the quadrature finds.

    >>> print(of("relu"), of("relu", resolution="bf16").value.__round__(6))
    1.056042857 nats (mixed); scale-free 1.594206499 -1.645074
    """
    act, input_law = catalog.get(activation), laws.get(law)
    try:
        output = outputs.of(act.concrete, input_law.numeric)
        return _differential(output) if resolution is None else _quantised(output, resolution)
    except QuadratureError as error:
        raise RefusedError(
            f"the entropy of {act.name} under the law {input_law} is beyond the quadrature ({error})"
        ) from error


def _differential(output: Output) -> Entropy:
    value = mixed(output)
    if math.isfinite(value.value) and value.error > _COARSEST * (1 + abs(value.value)):
        raise QuadratureError("an entropy must be found to 1 %", f"{value.value:.6g} ± {value.error:.1g}")
    scale = scale_of(output)
    return Entropy(
        # Not −0.
        value=value.value + 0.0,
        kind="mixed" if output.atoms else "differential",
        scale_free=value.value - math.log(scale) if scale else math.nan,
        scale=scale,
        atoms=output.atoms,
        conditional=conditional(output),
        resolution=None,
        error=value.error + output.rounding,
    )


def mixed(output: Output) -> Mean:
    """−Σ P_a log P_a − ∫ q log q dz."""
    continuous = output.log_likelihood
    atoms = -sum(a.probability * math.log(a.probability) for a in output.atoms)
    return Mean(atoms - continuous.value, continuous.error)


def conditional(output: Output) -> float:
    """The differential entropy of the output given that it is no atom; NaN where it always is one."""
    if output.mass <= 0:
        return math.nan
    return -output.log_likelihood.value / output.mass + math.log(output.mass)


def scale_of(output: Output, *, atoms: bool = True) -> float:
    """The standard deviation; half the width of the central 68.27 % where it is not finite.

    Args:
        output: the law of f(X).
        atoms: whether the deviation is that of the whole output, or given that it is no atom; the width is the whole's.
    """
    try:
        mean = output.moment(1, atoms=atoms)
        variance = output.moment(2, mean, atoms=atoms) if math.isfinite(mean) else math.inf
    except QuadratureError:
        variance = math.inf
    if math.isfinite(variance):
        return math.sqrt(max(variance, 0.0))
    return 0.5 * (output.quantile(_ONE_SIGMA) - output.quantile(1 - _ONE_SIGMA))


def _quantised(output: Output, resolution: float | str) -> Entropy:
    scale = scale_of(output)
    if isinstance(resolution, str) and not (math.isfinite(scale) and scale > 0):
        raise QuadratureError("a resolution by its name needs an output with a scale", scale)
    delta = _step(resolution, scale)
    value = at_resolution(output, delta)
    return Entropy(
        value=value.value,
        kind="at a resolution",
        scale_free=value.value - math.log(scale) if scale else math.nan,
        scale=scale,
        atoms=output.atoms,
        conditional=conditional(output),
        resolution=delta,
        error=value.error,
    )


def _step(resolution: float | str, scale: float) -> float:
    if isinstance(resolution, str):
        if resolution not in RESOLUTIONS:
            raise InputError(
                "a resolution must be a positive number or one of " + ", ".join(RESOLUTIONS), resolution
            )
        return RESOLUTIONS[resolution] * scale
    number = isinstance(resolution, (int, float)) and not isinstance(resolution, bool)
    if not number or not (math.isfinite(resolution) and resolution > 0):
        raise InputError(
            "a resolution must be a positive number or one of " + ", ".join(RESOLUTIONS), resolution
        )
    return float(resolution)


def at_resolution(output: Output, delta: float, offset: float = 0.0) -> Mean:
    """H_δ of the output rounded to offset + a multiple of δ.

    Where more than some thousand bins would be needed, many are taken together, over which the density is taken as constant. They are
    halved until quarters tell little, and what is left is known from its fall with the square of a run.
    """
    z, weight = output.values
    total = np.cumsum(weight)
    ends = z[np.clip(np.searchsorted(total, [_EDGE, 0.5, 1 - _EDGE]), 0, z.size - 1)]
    # In bins; far out in a heavy tail their number is no integer that a computer holds.
    with np.errstate(over="ignore"):
        low, middle, high = np.clip((ends - offset) / delta, -1e15, 1e15)
        marks = (np.array([*output.special, *(a.value for a in output.atoms)]) - offset) / delta
        points = np.clip((z - offset) / delta, low, high)
    marks = np.array([middle, *marks[(marks >= low - 1) & (marks <= high + 1)]])
    # P(f(X) ≤ edge) counts an atom on an edge below it: rounding half down.
    runs = _Runs.of(_bins(low, high, marks, points), lambda bins: output.cdf(offset + delta * (bins - 0.5)))
    while (told := runs.gain > _TOLD).any() and runs.first.size < _MOST_RUNS:
        runs = runs.halved(told)
    # Of runs of linear density, w bins have w² − 1 parts, and quarters a sixteenth of it.
    left = float(np.sum(runs.gain * np.where(runs.width < 4, 1.0, 16 / 15 * (1 - runs.width**-2.0))))
    value = -float(np.sum(scipy.special.xlogy(runs.probability, runs.probability / runs.width)))
    return Mean(value + math.log(delta) - left, 1e-12 + _UNSURE * left)


@dataclass(frozen=True)
class _Runs:
    """Runs of bins of an output, the first bin of each and that after the last.

    Args:
        first: the bins.
        below: the probability of what lies below each.
        gain: what the entropy falls by when a run is cut into quarters; halves may be alike beside a peak.
        cdf: the probability of what lies below bins.
    """

    first: FloatArray
    below: FloatArray
    gain: FloatArray
    cdf: Callable[[FloatArray], FloatArray]

    @classmethod
    def of(cls, first: FloatArray, cdf: Callable[[FloatArray], FloatArray]) -> _Runs:
        """With the gain of every run."""
        unknown = cls(first, cdf(first), np.zeros(first.size - 1), cdf)
        return unknown._measured(np.ones(first.size - 1, bool))

    @property
    def width(self) -> FloatArray:
        """The number of bins of each run."""
        return np.diff(self.first)

    @property
    def probability(self) -> FloatArray:
        """Of each run."""
        return np.clip(np.diff(self.below), 0.0, 1.0)

    def _measured(self, asked: npt.NDArray[np.bool_]) -> _Runs:
        """With the gains of some of the runs."""
        some = asked & (self.width > 1) & (self.probability > 0)
        first, width, p = self.first[:-1][some], self.width[some], self.probability[some]
        inner = first + np.floor(_QUARTERS * width)
        below = np.reshape(self.cdf(inner.ravel()), inner.shape)
        edges = np.vstack([first, inner, first + width])
        q = np.clip(np.diff(np.vstack([self.below[:-1][some], below, self.below[1:][some]]), axis=0), 0.0, p)
        cut = scipy.special.xlogy(q, q / np.maximum(np.diff(edges, axis=0), 1.0)).sum(axis=0)
        gain = np.where(asked, 0.0, self.gain)
        gain[some] = np.maximum(cut - scipy.special.xlogy(p, p / width), 0.0)
        return replace(self, gain=gain)

    def halved(self, told: npt.NDArray[np.bool_]) -> _Runs:
        """With some of the runs cut into two."""
        places = np.nonzero(told)[0] + 1
        middle = (self.first[:-1] + np.floor(0.5 * self.width))[told]
        cut = _Runs(
            np.insert(self.first, places, middle),
            np.insert(self.below, places, self.cdf(middle)),
            np.insert(self.gain, places, 0.0),
            self.cdf,
        )
        fresh = np.insert(told, places, True)
        return cut._measured(fresh)


def _bins(low: float, high: float, marks: FloatArray, points: FloatArray) -> FloatArray:
    """The first of each run of bins from `low` to `high`: single ones where they are few or near a mark, longer ones elsewhere."""
    first, last = math.floor(low), math.ceil(high) + 1
    if last - first <= _MOST_BINS:
        return np.arange(first, last + 1, dtype=np.float64)
    single = np.arange(_MOST_BINS // (2 * marks.size))
    away = np.concatenate([single, np.rint(np.geomspace(single.size, 1e16, _RUNS))])
    found = np.concatenate([np.rint(points), *(np.rint(m) + side * away for m in marks for side in (-1, 1))])
    return np.union1d(np.clip(found, first, last), [first, last])


@dataclass(frozen=True)
class Measure:
    """What a correction lowers: the entropy of the output given that it is no atom, in one of four forms.

    Args:
        scale_free: whether log of the output's scale is taken off.
        resolution: δ, where the entropy is taken at a resolution, for an output whose differential entropy is −∞.
    """

    scale_free: bool = False
    resolution: float | None = None

    def __str__(self) -> str:
        name = "H" if self.resolution is None else f"H_δ, δ = {self.resolution:.3g}"
        return f"{name} − log of the scale" if self.scale_free else name

    def of(self, output: Output) -> float:
        """Its value, in nats.

        Raises:
            QuadratureError: it has none.
        """
        if self.resolution is None:
            value = conditional(output)
        else:
            # The mean over two offsets: a bin's edge that passes a fold of f leaves less of a mark.
            half = self.resolution / 2
            value = float(np.mean([at_resolution(output, self.resolution, k * half).value for k in (0, 1)]))
        return value - math.log(scale_of(output, atoms=False)) if self.scale_free else value
