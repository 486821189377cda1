"""The first variation without an inverse: the score form, its bracket, a fold, and a direction that no rescaling feels.

dH/dε = −E[s(f(X)) φ(X)] + [q φ] at the ends,  s = (log q)′

"""

from __future__ import annotations

import math

import sympy

import eafo
from eafo.activation import VARIABLE as x
from eafo.theory import entropy, function, output, score_form


def by_differences(found: output.Output, phi: function.Direction, step: float = 1e-4) -> float:
    above, below = (entropy.mixed(found.moved(phi, sign * step)).value for sign in (1, -1))
    return (above - below) / (2 * step)


def main() -> None:
    normal, uniform = eafo.laws.get("normal").numeric, eafo.laws.get("uniform").numeric
    bump = function.direction(sympy.exp(-((x - sympy.Rational(1, 2)) ** 2)))
    cases = (
        ("softplus, normal, φ = exp(−(x − ½)²)", eafo.get("softplus").concrete, normal, bump),
        ("SiLU, normal: one fold, φ − φ(x₀)", eafo.get("silu").concrete, normal, bump),
        ("identity, uniform, φ = x: all bracket", x, uniform, function.direction(x)),
    )
    print(f"{'dH/dε':42s} {'score form':>12s} {'differences':>12s}")
    for name, expression, law, phi in cases:
        found = output.of(expression, law)
        form, difference = score_form.first_variation(found, phi), by_differences(found, phi)
        print(f"{name:42s} {form:12.8f} {difference:12.8f}")
        assert math.isclose(form, difference, rel_tol=1e-5)  # noqa: S101

    # φ⊥ = s(f) + (f − μ)/σ² vanishes exactly where the output is normal.
    for name, expression in (("2x + 1", 2 * x + 1), ("softplus", eafo.get("softplus").concrete)):
        found = output.of(expression, normal)
        mean = found.moment(1)
        variance = found.moment(2, mean)
        relative = [
            s + (c.z - mean) / variance
            for c, s in zip(found.cells, score_form.score_at_nodes(found), strict=True)
        ]
        size = math.sqrt(sum(c.nodes.mean(r**2).value for c, r in zip(found.cells, relative, strict=True)))
        print(f"‖φ⊥‖ in L²(p) of {name}: {size:.6f}")
        assert (size < 1e-6) == (name == "2x + 1")  # noqa: S101


if __name__ == "__main__":
    main()
