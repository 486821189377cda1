"""The correction η: closed forms, the seam, projections, and that it moves the entropy as it says."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.integrate
import sympy

import eafo
from eafo import catalog, laws, limits
from eafo.activation import VARIABLE as x
from eafo.errors import RefusedError
from eafo.theory import correction, inverse
from eafo.theory.correction import correct, hermite_function
from eafo.theory.variation import Z

NORMAL = laws.get("normal")


@pytest.mark.parametrize(
    ("law", "shape", "constant"),
    [
        ("normal", x * sympy.exp(-(x**2) / 2), 1 / sympy.sqrt(2 * sympy.pi)),
        ("cauchy", x / (1 + x**2) ** 2, 2 / sympy.pi),
        ("logistic", sympy.tanh(x / 2) / sympy.cosh(x / 2) ** 2, sympy.Rational(1, 4)),
    ],
)
def test_relu_in_closed_form(law: str, shape: sympy.Expr, constant: sympy.Expr) -> None:
    found = correct(catalog.get("relu"), laws.get(law))
    assert sympy.simplify(found.shape - shape) == 0
    assert sympy.simplify(found.constant - constant) == 0
    assert not found.projected
    # η of eq. 7 for y = z is −p′.
    assert sympy.simplify(found.direction + sympy.diff(laws.get(law).density, x)) == 0


def test_relu_and_laplace_needs_the_boundary_term() -> None:
    found = correct(catalog.get("relu"), laws.get("laplace"))
    assert "does not vanish at the seam x = 0" in found.projected
    assert found.shape.subs(x, 0) == 0
    # Without the boundary term eq. 7 gives η = e^{−x}/2 at the seam, and following it the other way the entropy rises.
    naive = sympy.exp(-x) / 2
    assert found.direction == naive
    assert found.branch.slope(naive) < 0 < found.branch.slope(found.shape)
    assert 0 < found.residual < 1  # type: ignore[operator]


def test_projection_equals_least_squares() -> None:
    found = correct(catalog.get("relu"), laws.get("laplace"))
    z = np.linspace(0, 30, 300_001)
    basis = np.array([sympy.lambdify(x, hermite_function(n))(z) for n in correction.ODD_ORDERS])
    target = np.exp(-z) / 2
    gram = scipy.integrate.trapezoid(basis[:, None] * basis[None], z)
    weights = np.linalg.solve(gram, scipy.integrate.trapezoid(basis * target, z))
    ours = sympy.lambdify(x, found.constant * found.shape)(z)
    np.testing.assert_allclose(ours, weights @ basis, atol=2e-6)
    missed = scipy.integrate.trapezoid((target - weights @ basis) ** 2, z) / scipy.integrate.trapezoid(
        target**2, z
    )
    assert found.residual == pytest.approx(math.sqrt(missed), abs=1e-5)


def test_hermite_functions_are_orthonormal() -> None:
    z = np.linspace(-15, 15, 60_001)
    basis = np.array([sympy.lambdify(x, hermite_function(n))(z) for n in (1, 3, 5, 7)])
    np.testing.assert_allclose(
        scipy.integrate.trapezoid(basis[:, None] * basis[None], z), np.eye(4), atol=1e-12
    )


DERIVABLE = [
    (base, law)
    for base in ("relu", "softplus", "elu", "tanh", "sigmoid", "leaky_relu", "softsign", "arctan", "selu")
    for law in ("normal", "logistic", "laplace")
    if (base, law) != ("sigmoid", "logistic")
]


@pytest.mark.parametrize(("base", "law"), DERIVABLE)
def test_the_entropy_falls_against_the_correction(base: str, law: str) -> None:
    found = correct(catalog.get(base), laws.get(law))
    slope = correction.descent_slope(found)
    assert slope > 0
    low, high = correction.monotone_range(found)
    assert low < 0 < high
    step = 0.02 * min(1.0, -low, high)
    # Simpson sums over a fixed grid of the law's quantiles: a route that shares nothing with the quadrature.
    u = (np.arange(400_000) + 0.5) / 400_000
    points = laws.get(law).frozen().ppf(u)
    points = points[(points > float(found.lower)) & (points < float(found.upper))]
    slope_of = {
        e: np.mean(np.log(eafo.get(base).diff()(points) + e * _derivative(found.shape, points)))
        for e in (-step, step)
    }
    assert slope_of[-step] < slope_of[step]
    assert (slope_of[step] - slope_of[-step]) / (2 * step) == pytest.approx(slope, rel=0.05)


def _derivative(expression: sympy.Expr, points: np.ndarray) -> np.ndarray:
    return np.asarray(eafo.get(expression).diff()(points))


def test_where_crrelu_is_monotone() -> None:
    low, high = correction.monotone_range(correct(catalog.get("relu"), NORMAL))
    assert low == pytest.approx(-1.0, abs=1e-9)
    assert high == pytest.approx(math.exp(1.5) / 2, abs=1e-9)


@pytest.mark.parametrize(
    ("base", "law", "message"),
    [
        ("relu", "uniform", "worst activation under its bounds"),
        ("sigmoid", "logistic", "worst activation under its bounds"),
        ("hardtanh", "uniform", "worst activation under its bounds"),
        ("identity", "uniform", "worst activation under its bounds"),
        ("leaky_relu", "uniform", "f′ jumps by 0.99"),
        ("gelu", "normal", "no inverse"),
        ("silu", "normal", "no inverse"),
        ("crrelu", "normal", "no inverse"),
        ("sinerelu", "normal", "a jump of 0.0025 at x = 0"),
        ("hardtanh", "normal", "seam x = -1"),
        ("srelu", "normal", "no inverse.*a slope of -0.1"),
        ("relu_squared", "normal", r"seam x = 0 \(c = inf\).* diverges"),
        ("relu_squared", "uniform", "support's end x = 1|seam"),
        ("sigmoid", "cauchy", "entropy of its output is not finite"),
        ("erf", "normal", "diverges"),
        ("0*x + 1", "normal", "one interval on which it increases"),
    ],
)
def test_refusals_say_why(base: str, law: str, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        correct(catalog.get(base), laws.get(law))


def test_inverse_in_closed_form() -> None:
    for function, point in (
        (sympy.tanh(x), 0.5),
        (sympy.log(1 + sympy.exp(x)), 1.0),
        (x / (1 + sympy.exp(-x)), 1.0),
    ):
        y = inverse.closed_form(function, point)
        if y is not None:
            assert float(y.subs(Z, function.subs(x, point)).evalf()) == pytest.approx(point, rel=1e-9)
    assert inverse.closed_form(sympy.log(1 + sympy.exp(x)), 1.0) == sympy.log(sympy.exp(Z) - 1)
    assert inverse.closed_form(x + sympy.tanh(x) * sympy.exp(x), 1.0) is None


def test_symbolic_work_has_a_time_limit() -> None:
    def endless() -> str:
        while True:
            pass

    assert limits.within(0.05, endless, "gave up") == "gave up"
