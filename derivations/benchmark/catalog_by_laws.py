"""Every catalog activation × ten laws: how each correction is found, and that moving along it lowers the entropy.

The fall is measured by a route that shares nothing with the derivation: values of the activations in NumPy on one stratified
sample of the law, and the entropy of the sample by m-spacings, or at a resolution by counting; both activations on the same
points, so that the difference is known far better than either entropy. Writes results/catalog_by_laws.csv. Run on one core:

    python derivations/benchmark/catalog_by_laws.py                 # all of it, minutes
    python derivations/benchmark/catalog_by_laws.py relu normal     # one pair
"""

from __future__ import annotations

import csv
import platform
import statistics
import sys
import time
from collections import Counter
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import sympy

import eafo
from eafo.errors import EafoError
from eafo.theory import spacing

LAWS = (
    "normal",
    "laplace",
    "logistic",
    "student_t(3)",
    "cauchy",
    "uniform",
    "gumbel",
    "exponential",
    "half_normal",
    "0.5*normal(-1,1)+0.5*normal(1,1)",
)
RESULTS = Path(__file__).parents[1] / "results" / "catalog_by_laws.csv"
SIZE, ROUNDS = 100_000, 4
#: Steps along the correction that are tried, from small to large: a fall to second order shows in a large one alone.
STEPS = (0.01, 0.03, 0.1, 0.3, 1.0)


@dataclass(frozen=True)
class Row:
    """One pair: how it ended, the change of entropy measured at a step and its standard error, and the time it took."""

    activation: str
    law: str
    ended: str
    reason: str
    measure: str
    step: float
    change: float
    error: float
    lowered: bool
    seconds: float
    entropy_ms: float


def samples(law: eafo.Law) -> list[npt.NDArray[np.float64]]:
    """Stratified samples: one point at random in each of SIZE slices of equal probability."""
    generator = np.random.default_rng(0)
    slices = np.arange(SIZE)
    return [law.numeric.ppf((slices + generator.uniform(size=SIZE)) / SIZE) for _ in range(ROUNDS)]


def change(found: eafo.Derivation, drawn: list[npt.NDArray[np.float64]], step: float) -> tuple[float, float]:
    """The change of entropy by a step against the correction: its mean over the samples and the standard error."""
    moved = found.activation.with_parameters(**{found.activation.parameters[-1].name: -step})
    resolution = found.resolution
    changes = []
    for x in drawn:
        before, after = found.base(x), moved(x)
        free = found.base.diff()(x) != 0
        if resolution is not None:
            values = [spacing.at_resolution(z[free], resolution) for z in (before, after)]
        else:
            values = [spacing.entropy(z[free]).continuous for z in (before, after)]
        changes.append(values[1] - values[0])
    return float(np.mean(changes)), float(np.std(changes, ddof=1) / np.sqrt(len(changes)))


def milliseconds(name: str, law: eafo.Law) -> float:
    """One value of the entropy, in a process that has computed it before."""
    eafo.entropy(name, law)
    begin = time.perf_counter()
    eafo.entropy(name, law)
    return round(1000 * (time.perf_counter() - begin), 1)


def examine(name: str, text: str) -> Row:
    law = eafo.laws.get(text)
    begin = time.perf_counter()
    try:
        found = eafo.derive(name, law)
    except EafoError as refusal:
        spent = round(time.perf_counter() - begin, 2)
        return Row(name, text, "refused", str(refusal), "", 0.0, 0.0, 0.0, False, spent, 0.0)
    seconds = time.perf_counter() - begin
    drawn = samples(law)
    for step in STEPS:
        fall, error = change(found, drawn, step)
        if fall < -3 * error:
            break
    lowered = fall < -3 * error
    times = round(seconds, 2), milliseconds(name, law)
    return Row(name, text, found.ended, found.why, found.measure, step, fall, error, lowered, *times)


def main() -> None:
    names = [sys.argv[1]] if len(sys.argv) > 1 else list(eafo.names())
    laws = [sys.argv[2]] if len(sys.argv) > 2 else list(LAWS)
    eafo.derive("relu")  # so that no pair pays for the imports
    rows = []
    for law in laws:
        for name in names:
            rows.append(examine(name, law))
            row = rows[-1]
            mark = "lowered" if row.lowered else "NOT LOWERED"
            print(
                f"{row.activation:20s} {law:34s} {row.ended:12s} {mark} {row.change:+.2e} ± {row.error:.0e} "
                f"at ε = −{row.step:g}  {row.seconds:.1f} s",
                flush=True,
            )
    print(
        Counter(row.ended for row in rows),
        f"{sum(r.lowered for r in rows)} of {len(rows)} lowered,",
        f"{sum(r.seconds for r in rows):.0f} s of derivations",
    )
    values = [row.entropy_ms for row in rows if row.entropy_ms]
    print(f"one entropy: median {statistics.median(values):.1f} ms, longest {max(values):.0f} ms")
    if len(rows) > 1:
        write(rows)


def write(rows: list[Row]) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("w", newline="", encoding="utf-8") as file:
        file.write(
            f"# eafo {eafo.__version__}, Python {platform.python_version()}, SymPy {sympy.__version__}, "
            f"NumPy {np.__version__}, {platform.machine()}\n"
        )
        table = csv.writer(file)
        table.writerow(f.name for f in fields(Row))
        table.writerows(astuple(r) for r in rows)


if __name__ == "__main__":
    main()
