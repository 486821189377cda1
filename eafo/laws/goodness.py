"""How well a measured law fits its sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from eafo.laws.numeric import Array, Function

__all__ = ["Fit", "kolmogorov_smirnov", "spacing_entropy"]


@dataclass(frozen=True)
class Fit:
    """The goodness of a measured law.

    Args:
        method: ``"mixture"`` or ``"spline"``.
        size: the number of all values of the sample.
        used: the number of those that the law was fitted to.
        distinct: how many of these differ; far fewer tell of rounded values.
        order: the number of normals, or of knots.
        criterion: the BIC of each order that was tried, on the part that was not held out; the least was chosen.
        distance: the Kolmogorov–Smirnov distance between the held-out fifth and a law fitted to the other four.
        p_value: its p-value, valid since neither that law nor its order has seen the held-out values.
        held_out: the mean log-likelihood of the held-out values, in nats.
        entropy: of the law, in nats.
        sample_entropy: an estimate from the sample's spacings alone, in nats.
        atoms: values with a mass of their own, which the density leaves out, each with its share of the sample.
        tails: what the law does beyond the data, where the sample says nothing.
    """

    method: str
    size: int
    used: int
    distinct: int
    order: int
    criterion: tuple[tuple[int, float], ...]
    distance: float
    p_value: float
    held_out: float
    entropy: float
    sample_entropy: float
    atoms: tuple[tuple[float, float], ...]
    tails: str

    def __str__(self) -> str:
        part = "normals" if self.method == "mixture" else "knots"
        part = part[:-1] if self.order == 1 else part
        text = (
            f"{self.method} of {self.order} {part}, {self.size} values; held out: KS distance {self.distance:.4f} "
            f"(p = {self.p_value:.2g}), log-likelihood {self.held_out:.4f} nats; entropy {self.entropy:.4f} "
            f"against {self.sample_entropy:.4f} from spacings; {self.tails}"
        )
        if self.distinct < self.used / 2:
            text += f"; rounded to {self.distinct} distinct values"
        if self.atoms:
            shown = ", ".join(f"{share:.1%} at {value:g}" for value, share in self.atoms[:5])
            text += f"; without the atoms: {shown}" + (" …" if len(self.atoms) > 5 else "")
        return text


def kolmogorov_smirnov(values: Array, cdf: Function) -> tuple[float, float]:
    """The distance sup |F_n − F| of a sorted sample, and its p-value for a law that did not see the sample.

    The p-value is Kolmogorov's limit with the correction of Stephens 1970, good to 0.01 from 20 values on.

    >>> distance, p = kolmogorov_smirnov((np.arange(100) + 0.5) / 100, lambda u: u)
    >>> round(distance, 9), round(p, 9)
    (0.005, 1.0)
    """
    n, levels = values.size, cdf(values)
    steps = np.arange(n + 1) / n
    distance = float(max(np.max(steps[1:] - levels), np.max(levels - steps[:-1])))
    root = np.sqrt(n)
    return distance, float(special.kolmogorov((root + 0.12 + 0.11 / root) * distance))


def spacing_entropy(values: Array) -> float:
    """The entropy by spacings of order m = n^(1/3) (Vasicek 1976), with the bias for a locally flat density taken out.

    >>> round(spacing_entropy(np.sort(np.random.default_rng(0).uniform(0, 2, 20_000))), 2)
    0.69
    """
    n = values.size
    m = max(1, round(float(np.cbrt(n))))
    gaps = values[m:] - values[:-m]
    gaps = gaps[gaps > 0]
    if not gaps.size:
        return float("nan")
    return float(np.mean(np.log(gaps)) + np.log(n + 1) - special.digamma(m))
