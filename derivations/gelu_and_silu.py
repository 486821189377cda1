"""Corrections of GELU and SiLU, which have no inverse: the method beyond its own limits.

The output of a function with two sheets has the density q = Σ p/|f′| over both, and its entropy is less than h(X) + E[log |f′|]
by the branch entropy E[−Σ π log π]. At the turning point the score of q is not square-integrable, so that the direction of steepest
descent is looked for in the span of the odd Hermite functions ψ₁ … ψ₁₅.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import scipy.integrate

import eafo
from eafo.theory import output
from eafo.theory.output import Output


def by_density(out: Output) -> float:
    """−∫ q log q dz by SciPy; z = z₀ + t² takes the singularity at the turning point away."""
    fold = out.special[0]

    def integrand(t: float) -> float:
        q = float(out.density(fold + t * t))
        return -2 * t * q * math.log(q) if q > 0 else 0.0

    ends = np.sqrt([0.0, -fold, 1 - fold, 3 - fold, 9 - fold])
    pieces = itertools.pairwise(ends)
    return sum(scipy.integrate.quad(integrand, a, b, limit=200)[0] for a, b in pieces)


def main() -> None:
    law = eafo.laws.get("normal")
    for name, known in (("gelu", -0.069613503), ("silu", 0.108338274)):
        out = output.of(eafo.get(name).concrete, law.numeric)
        print(f"{name} turns at x = {out.sheets[0].upper:.9f}, where f = {out.special[0]:.9f}")
        here = eafo.entropy(name, law)
        values = here.value, by_density(out)
        print(f"H = {values[0]:.9f} by sheets and branch entropy, {values[1]:.9f} by −∫ q log q dz")
        assert max(abs(v - known) for v in values) < 1e-8  # noqa: S101

        for scale_free in (False, True):
            derivation = eafo.derive(name, law, scale_free=scale_free)
            checks = derivation.verify()
            assert all(c.ok for c in checks)  # noqa: S101
            print(f"\n{'H − log σ' if scale_free else 'H'}: {derivation.activation}")
            print(*checks, sep="\n")
            # By the entropy's own quadrature, which knows nothing of the direction.
            moved = eafo.entropy(derivation.activation.with_parameters(epsilon=-0.1), law)
            before, after = (e.scale_free if scale_free else e.value for e in (here, moved))
            print(f"at ε = 0 and −0.1: {before:.6f}, {after:.6f}")
            assert after < before  # noqa: S101
        print()


if __name__ == "__main__":
    main()
