"""The entropy at a resolution, estimated from equally likely quantiles of the input law."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from eafo.activation import Activation
from eafo.errors import InputError
from eafo.laws import Law
from eafo.theory import spacing

__all__ = ["Entropy", "of"]

_QUANTILES = 400_000


@dataclass(frozen=True)
class Atom:
    """A value that the output takes with positive probability."""

    value: float
    probability: float


@dataclass(frozen=True)
class Entropy:
    """H_δ, H_δ − log scale, δ, the scale, and the atoms."""

    value: float
    error: float
    scale_free: float
    resolution: float
    scale: float
    kind: str
    atoms: tuple[Atom, ...]


def of(activation: Activation, law: Law, resolution: str | float) -> Entropy:
    """H_δ of the output by its histogram."""
    x = law.numeric.ppf((np.arange(_QUANTILES) + 0.5) / _QUANTILES)
    z = activation(x)
    scale = float(np.std(z))
    if resolution == "bf16":
        step = 2.0 ** (math.floor(math.log2(scale)) - 7)
    elif isinstance(resolution, float | int) and resolution > 0:
        step = float(resolution)
    else:
        raise InputError("a resolution must be bf16 or a positive number", resolution)
    value = spacing.at_resolution(z, step)
    values, counts = np.unique(z, return_counts=True)
    often = counts > 100
    atoms = tuple(Atom(float(v), c / z.size) for v, c in zip(values[often], counts[often], strict=True))
    return Entropy(value, 1e-3, value - math.log(scale), step, scale, "at a resolution", atoms)
