"""The worst activation of the cauchy law on (-1, 1): an inverse tangent.

Sun et al. 2024 (arXiv 2405.12954), eqs. 3-5: the first integral p(y) y′ = C makes the output uniform.
"""

from __future__ import annotations

import numpy as np

import eafo


def main() -> None:
    worst = eafo.wafbc("cauchy", bounds=(-1, 1))
    for number, step in enumerate(worst.provenance.steps, 1):
        print(f"{number}. {step}")

    x = np.linspace(-20.0, 20.0, 4001)
    assert np.max(np.abs(worst(x) - eafo.get("2*arctan(x)/pi")(x))) < 1e-12  # noqa: S101
    # An independent check: outputs of a large sample of SciPy's are uniform on the bounds.
    outputs = np.sort(worst(eafo.laws.get("cauchy").frozen().rvs(100_000, random_state=0)))
    uniform = -1 + 2 * (np.arange(outputs.size) + 0.5) / outputs.size
    distance = float(np.max(np.abs(outputs - uniform))) / 2
    print(f"\nKolmogorov-Smirnov distance of 100,000 outputs from the uniform law: {distance:.5f}")
    assert distance < 1.95 / np.sqrt(outputs.size)  # noqa: S101 - passed by all but 1 in 1000 uniform samples


if __name__ == "__main__":
    main()
