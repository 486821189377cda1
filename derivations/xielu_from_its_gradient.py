"""xIELU from its gradient: an affine image of ELU, integrated piece by piece with f(0) = 0.

Huang, Schlag 2024 (arXiv 2411.13010): f′ = 2 α_p x + β for x > 0 and α_n (eˣ − 1) + β for x ≤ 0.
"""

from __future__ import annotations

import numpy as np
import sympy

import eafo
from eafo.derivation import from_derivative

GRADIENT = "where(x > 0, 2*alpha_p*x + beta, alpha_n*(exp(x) - 1) + beta); alpha_p=0.8, alpha_n=0.8, beta=0.5"


def main() -> None:
    made, known = from_derivative(GRADIENT), eafo.get("xielu")
    for number, step in enumerate(made.provenance.steps, 1):
        print(f"{number}. {step}")

    by_name = {p.name: p.symbol for p in known.parameters}
    same = made.expression.xreplace({p.symbol: by_name[p.name] for p in made.parameters})
    difference = sympy.simplify(same - known.expression)
    print(f"\nits difference from the catalog's xIELU, by SymPy: {difference}")
    assert difference == 0  # noqa: S101
    x = np.linspace(-10.0, 10.0, 2001)
    assert np.max(np.abs(made(x) - known(x))) < 1e-12  # noqa: S101


if __name__ == "__main__":
    main()
