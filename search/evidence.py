"""How well one batch before any training orders activations as training on MNIST-1D does.

python search/evidence.py  writes Kendall's τ, with its interval, of every feature and of the surrogate, which predicts each activation from the others, over
the catalog (2,000 steps, 10 seeds) and over all formulas that the search of `formulas.toml` trained (5 epochs, one seed).
"""

import csv
import time
from collections.abc import Iterator
from pathlib import Path

from eafo import catalog
from eafo.activation import Activation
from eafo.errors import RefusedError
from eafo.search import Comparison
from eafo.search.agreement import Agreement, kendalls
from eafo.search.features import features
from eafo.search.filters import fingerprint
from eafo.search.surrogate import Surrogate

RESULTS = Path(__file__).parent / "results"


def catalogued() -> Iterator[tuple[Activation, list[float]]]:
    """The catalog, with its scores."""
    for arm in Comparison.load(RESULTS / "compare_mnist1d_catalog.json").arms:
        yield arm.activation, [o.score for o in arm.outcomes]


def composed() -> Iterator[tuple[Activation, list[float]]]:
    """The formulas, with their scores on the first rung."""
    with (RESULTS / "formulas.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["epochs_5"]:
                yield catalog.get(row["formula"]), [float(row["epochs_5"])]


def agreements(trained: Iterator[tuple[Activation, list[float]]]) -> list[tuple[str, Agreement]]:
    """τ of every feature and of the surrogate, the strongest first."""
    found, scores, surrogate = [], [], Surrogate(startup=10)
    # One of each function: two formulas of one would agree with themselves.
    distinct = {fingerprint(activation): (activation, own) for activation, own in trained}
    start = time.perf_counter()
    for activation, own in distinct.values():
        try:
            found.append(features(activation, "mnist1d"))
        except RefusedError as error:
            print(error)
            continue
        scores.append(own)
        surrogate.learn(activation, found[-1], sum(own) / len(own))
    print(f"{1000 * (time.perf_counter() - start) / len(distinct):.0f} ms an activation")
    columns = {name: [own[name] for own in found] for name in found[0]}
    told = {name: values for name, values in columns.items() if len(set(values)) > 1}
    told["the surrogate, each left out"] = surrogate.left_out().tolist()
    pairs = zip(told, kendalls(list(told.values()), scores, resamples=2000), strict=True)
    return sorted(pairs, key=lambda pair: -abs(pair[1].tau))


def main() -> None:
    """Measure and write."""
    features("relu", "mnist1d")
    with (RESULTS / "features_mnist1d.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("sample", "feature", "tau", "low", "high", "activations"))
        for sample, trained in (("catalog", catalogued()), ("formulas", composed())):
            for name, agreement in agreements(trained):
                print(f"{sample:10}{name:30}{agreement}")
                values = (f"{v:.3f}" for v in (agreement.tau, agreement.low, agreement.high))
                writer.writerow((sample, name, *values, agreement.count))


if __name__ == "__main__":
    main()
