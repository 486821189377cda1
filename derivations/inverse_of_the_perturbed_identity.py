"""The inverse of z + ε z exp(−z²/2): its Lagrange series, its exact values, and Proposition 2 with a proof.

Sun et al. 2024 (arXiv 2405.12954), eqs. 8, 9 and Proposition 2: the first-order inverse x − ε c(x) misses by O(ε²).
Here the series goes on to any order, and the constant of that O(ε²) is proved by ball arithmetic.
"""

from __future__ import annotations

import itertools

import numpy as np
import sympy

from eafo import rendering
from eafo.activation import VARIABLE
from eafo.theory import bounds, inverse
from eafo.theory.quadrature import numeric


def main() -> None:
    epsilon = sympy.Rational(1, 100)
    c = VARIABLE * sympy.exp(-(VARIABLE**2) / 2)
    forward, slope = numeric(VARIABLE + epsilon * c), numeric(1 + epsilon * sympy.diff(c, VARIABLE))

    print("g(z) = z + ε z exp(−z²/2), and its inverse by Lagrange's theorem:")
    print(f"  x + Σ (−ε)ⁿ/n! dⁿ⁻¹/dxⁿ⁻¹ [c(x)ⁿ] = {rendering.text(inverse.series(c, 3))} + …")

    x = np.linspace(0.0, 8.0, 4001)
    exact = inverse.newton(forward, slope, x, 0.0)
    print(f"\nLargest distance from the exact inverse at ε = {float(epsilon)}, on {x.size} points:")
    misses = [np.max(np.abs(numeric(inverse.series(c, n, epsilon))(x) - exact)) for n in range(1, 6)]
    for n, miss in enumerate(misses, 1):
        print(f"  order {n}: {miss:.2e}")
    assert all(b < 0.03 * a for a, b in itertools.pairwise(misses))  # noqa: S101

    print("\nProposition 2, proved for every x > 0:")
    for known, reverse in ((2.94633e-5, False), (2.92579e-5, True)):
        bound = bounds.inverse_error(c, epsilon, 0, "oo", reverse=reverse, relative=1e-4)
        print(f"  {bound}")
        assert known * (1 - 2e-6) <= bound.upper <= 1.01 * known  # noqa: S101
    leading = bounds.supremum(VARIABLE * (VARIABLE**2 - 1) * sympy.exp(-(VARIABLE**2)), 0, "oo", 1e-8)
    print(
        f"  the constant of ε²: sup |x (x² − 1) exp(−x²)| ≤ {leading.upper:.9f}, at x = {leading.point:.6f}"
    )

    low, high = bounds.monotone_range(VARIABLE, c, 0, "oo", 1e-9)
    print(f"\nIncreasing on x > 0, proved, for every ε between {low:.9f} and {high:.9f} = e^(3/2)/2.")
    assert np.isclose(high, np.exp(1.5) / 2, rtol=1e-8)  # noqa: S101


if __name__ == "__main__":
    main()
