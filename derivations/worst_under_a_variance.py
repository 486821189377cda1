"""The worst activation of output with a variance: the identity for a normal input, rational pieces for others.

The law of greatest entropy on the whole line with the variance σ² is normal (Jaynes 1957); so f = μ + σ Φ⁻¹(F), which has a
formula for a normal law alone. For others a monotone piecewise rational function stands for it.
"""

from __future__ import annotations

import numpy as np
import scipy.special

import eafo


def main() -> None:
    assert eafo.wafbc("normal", variance=1).expression == eafo.get("identity").expression  # noqa: S101
    worst = eafo.wafbc("logistic", variance=1)
    for number, step in enumerate(worst.provenance.steps, 1):
        print(f"{number}. {step}")

    print()
    for law in ("normal", "logistic", "laplace", "gumbel"):
        activation = eafo.wafbc(law, variance=1)
        # An independent check: outputs of a large sample of SciPy's are standard normal.
        outputs = np.sort(activation(eafo.laws.get(law).frozen().rvs(100_000, random_state=0)))
        levels = (np.arange(outputs.size) + 0.5) / outputs.size
        distance = float(np.max(np.abs(scipy.special.ndtr(outputs) - levels)))
        print(
            f"{law:9} formula of {len(str(activation)):4} characters, Kolmogorov-Smirnov distance {distance:.5f}"
        )
        assert distance < 1.95 / np.sqrt(outputs.size)  # noqa: S101 - passed by all but 1 in 1000 samples


if __name__ == "__main__":
    main()
