"""The first variation, against SymPy's own Euler equations and against differences of the entropy."""

from __future__ import annotations

import numpy as np
import pytest
import sympy

from eafo import laws
from eafo.activation import VARIABLE as x
from eafo.theory import function, projection, variation
from eafo.theory import output as outputs
from eafo.theory.entropy import Measure, conditional
from eafo.theory.variation import U, V, W, Z


def test_formulas_of_the_paper() -> None:
    general = variation.general()
    p = variation.P(U)
    assert sympy.simplify(general.euler_lagrange - (sympy.diff(p, U) * V + p * W / V)) == 0  # eq. 2
    assert sympy.simplify(general.first_integral - p * V) == 0  # Prop. 1, eq. 3
    assert sympy.simplify(general.legendre + p / V) == 0
    assert general.legendre.is_negative
    assert variation.conserved() == 0


def test_euler_lagrange_by_sympys_own_route() -> None:
    assert variation.against_euler_equations() < 1e-14


@pytest.mark.parametrize("name", laws.names())
def test_identity_gives_the_slope_of_the_density(name: str) -> None:
    density = laws.get(name).density
    along = variation.along(density, Z)
    for point in (0.3, 0.8):
        expected = sympy.diff(density, x).subs(x, sympy.Float(point))
        assert float(along.subs(Z, point)) == pytest.approx(float(expected), rel=1e-12, abs=1e-15)


def test_wafbc_solves_the_euler_lagrange_equation() -> None:
    # The inverse of the sigmoid makes EL vanish for the logistic law; that of tanh does not for the normal one.
    logit = sympy.log(Z / (1 - Z))
    vanishing = variation.along(laws.get("logistic").density, logit)
    assert all(abs(float(vanishing.subs(Z, p).evalf(30))) < 1e-12 for p in (0.1, 0.5, 0.83))
    other = variation.along(laws.get("normal").density, sympy.atanh(Z))
    assert abs(float(other.subs(Z, 0.5).evalf())) > 1e-2


@pytest.mark.parametrize(
    "direction", [x * sympy.exp(-(x**2)), sympy.sin(x) * sympy.exp(-x / 2), x / (1 + x**2) ** 2]
)
def test_first_variation_against_differences(direction: sympy.Expr) -> None:
    output = outputs.of(sympy.Max(0, x), laws.get("normal").numeric)
    phi, step = function.direction(direction), 1e-4
    difference = (conditional(output.moved(phi, step)) - conditional(output.moved(phi, -step))) / (2 * step)
    # dH/dε along y → y − εφ is −∫ EL φ dz; for the identity that is −∫ p′ φ dz, conditional on the half line.
    slope = sympy.lambdify(x, -sympy.diff(laws.get("normal").density, x) * direction)
    z = np.linspace(0, 40, 400_001)
    by_parts = np.trapezoid(slope(z), z) / 0.5
    assert difference == pytest.approx(projection.slope(output, Measure(), phi), rel=1e-6)
    assert difference == pytest.approx(by_parts, rel=1e-6)
