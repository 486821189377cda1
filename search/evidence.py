"""How well one batch before any training orders the catalog as 2,000 steps do.

python search/evidence.py [FILE.csv]  writes Kendall's τ, with its interval, of every feature and of the surrogate, which predicts each activation from the others.
"""

import csv
import sys
import time
from pathlib import Path

from eafo.search import Comparison
from eafo.search.agreement import kendalls
from eafo.search.features import features
from eafo.search.filters import fingerprint
from eafo.search.surrogate import Surrogate

HERE = Path(__file__).parent


def main(target: Path) -> None:
    """Measure and write."""
    comparison = Comparison.load(HERE / "results" / "compare_mnist1d_catalog.json")
    # One of each function: two formulas of one would agree with themselves.
    arms = list({fingerprint(arm.activation): arm for arm in comparison.arms if arm.estimate}.values())
    features("relu", comparison.task)
    start = time.perf_counter()
    found = [features(arm.activation, comparison.task) for arm in arms]
    seconds = (time.perf_counter() - start) / len(arms)
    scores = [[o.score for o in arm.outcomes] for arm in arms]
    surrogate = Surrogate(startup=10)
    for arm, own, score in zip(arms, found, scores, strict=True):
        surrogate.learn(arm.activation, own, sum(score) / len(score))
    columns = {name: [own[name] for own in found] for name in found[0]}
    told = {name: values for name, values in columns.items() if len(set(values)) > 1}
    told["the surrogate, each left out"] = surrogate.left_out().tolist()
    agreements = dict(zip(told, kendalls(list(told.values()), scores), strict=True))
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("feature", "tau", "low", "high", "activations"))
        for name, agreement in sorted(agreements.items(), key=lambda item: -abs(item[1].tau)):
            print(f"{name:30}{agreement}")
            values = (f"{v:.3f}" for v in (agreement.tau, agreement.low, agreement.high))
            writer.writerow((name, *values, agreement.count))
    print(f"{1000 * seconds:.0f} ms an activation")


if __name__ == "__main__":
    main(Path(*sys.argv[1:2]) if sys.argv[1:] else HERE / "results" / "features_mnist1d_catalog.csv")
