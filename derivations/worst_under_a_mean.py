"""The worst activation of non-negative output with a mean: softplus for a logistic input, ReLU for an exponential one.

The law of greatest entropy on z ≥ 0 with the mean m is exponential (Jaynes 1957); so f = −m log(1 − F).
"""

from __future__ import annotations

import numpy as np

import eafo


def main() -> None:
    worst = eafo.wafbc("logistic", mean=1)
    for number, step in enumerate(worst.provenance.steps, 1):
        print(f"{number}. {step}")
    assert worst.expression == eafo.get("softplus").expression  # noqa: S101
    assert eafo.wafbc("exponential", mean=1).expression == eafo.get("relu").expression  # noqa: S101

    print()
    for law in ("logistic", "exponential", "normal", "gumbel", "laplace", "cauchy"):
        activation = eafo.wafbc(law, mean=1)
        # An independent check: outputs of a large sample of SciPy's are exponential with the mean 1.
        outputs = np.sort(activation(eafo.laws.get(law).frozen().rvs(100_000, random_state=0)))
        levels = (np.arange(outputs.size) + 0.5) / outputs.size
        distance = float(np.max(np.abs(-np.expm1(-outputs) - levels)))
        print(f"{law:12} {activation!s:60} Kolmogorov-Smirnov distance {distance:.5f}")
        assert distance < 1.95 / np.sqrt(outputs.size)  # noqa: S101 - passed by all but 1 in 1000 samples


if __name__ == "__main__":
    main()
