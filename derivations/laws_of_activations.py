"""Each bounded activation is the worst for one input law: p = f′/(b − a), and back again.

Sun et al. 2024 (arXiv 2405.12954), eqs. 3-5, read from right to left.
"""

from __future__ import annotations

import numpy as np

import eafo
from eafo.derivation import worst_law

ACTIVATIONS = {
    "sigmoid": (0, 1),
    "tanh": (-1, 1),
    "erf(x/sqrt(2))": (-1, 1),
    "2*arctan(x)/pi": (-1, 1),
    "hardtanh": (-1, 1),
    "hardsigmoid": (0, 1),
    "softsign": (-1, 1),
    "exp(-exp(-x))": (0, 1),
}


def main() -> None:
    x = np.linspace(-6.0, 6.0, 601)
    for text, bounds in ACTIVATIONS.items():
        law = worst_law(text)
        back = eafo.wafbc(law, bounds=bounds)
        error = float(np.max(np.abs(back(x) - eafo.get(text)(x))))
        print(f"{text:16} is the worst for {law!s:24} p(0) = {law.numeric.pdf(0.0):.6f}")
        assert error < 1e-12  # noqa: S101


if __name__ == "__main__":
    main()
