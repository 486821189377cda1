"""From ReLU and a normal input law to CRReLU, and the sign of its ε.

Sun et al. 2024 (arXiv 2405.12954), eqs. 6-10, Proposition 2.
"""

from __future__ import annotations

import math

import eafo


def main() -> None:
    derivation = eafo.derive("relu", law="normal")
    print(derivation.text())

    assert derivation.activation.expression == eafo.get("crrelu").expression  # noqa: S101
    # The paper's start, ε = +0.01, raises the entropy of the branch: dH/dε = 1/(2√2) > 0.
    assert math.isclose(derivation.slope, 1 / (2 * math.sqrt(2)), rel_tol=1e-9)  # noqa: S101

    print("\nThe entropy of the positive branch, in nats:")
    print(f"{'ε':>8} {'H':>14} {'H − log σ':>14}")
    for row in derivation.entropies:
        print(f"{row.epsilon:8.2f} {row.entropy:14.9f} {row.shape:14.9f}")


if __name__ == "__main__":
    main()
