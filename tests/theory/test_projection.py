"""The projection on odd Hermite functions: slopes, Gram matrices, seams, and least squares by other means."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.integrate
import sympy

import eafo
from eafo import laws
from eafo.activation import VARIABLE as x
from eafo.errors import RefusedError
from eafo.theory import correction, entropy, output, projection
from eafo.theory.correction import correct
from eafo.theory.entropy import Measure
from eafo.theory.function import direction
from eafo.theory.projection import ODD_ORDERS, hermite_function


def of(name: str, law: str = "normal") -> output.Output:
    return output.of(eafo.get(name).concrete, laws.get(law).numeric)


@pytest.mark.parametrize("order", [1, 3, 8, 15])
@pytest.mark.parametrize("scale", [1, 4])
def test_hermite_functions_are_orthonormal(order: int, scale: int) -> None:
    z = np.linspace(-16 * scale, 16 * scale, 60_001)
    size = sympy.Integer(scale)
    first = sympy.lambdify(x, hermite_function(order, size))(z)
    assert scipy.integrate.trapezoid(first * first, z) == pytest.approx(1, abs=1e-10)
    for other in (0, 2, 5, 7):
        if other != order:
            second = sympy.lambdify(x, hermite_function(other, size))(z)
            assert scipy.integrate.trapezoid(first * second, z) == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("name", ["softplus", "tanh", "leaky_relu", "relu", "hardtanh"])
@pytest.mark.parametrize("law", ["normal", "laplace", "gumbel"])
def test_slope_is_a_difference_of_entropies(name: str, law: str) -> None:
    phi = direction(x * sympy.exp(-(x**2)))
    found = of(name, law)
    for measure in (Measure(), Measure(scale_free=True)):
        h = 1e-4
        difference = (measure.of(found.moved(phi, h)) - measure.of(found.moved(phi, -h))) / (2 * h)
        assert projection.slope(found, measure, phi) == pytest.approx(difference, rel=1e-4, abs=2e-6)


def test_slope_under_a_law_without_a_variance() -> None:
    found, phi = of("identity", "cauchy"), direction(hermite_function(1))
    h = 1e-3
    free = Measure(scale_free=True)
    scaled = (free.of(found.moved(phi, h)) - free.of(found.moved(phi, -h))) / (2 * h)
    assert projection.slope(found, free, phi) == pytest.approx(scaled, rel=1e-2)
    difference = (entropy.conditional(found.moved(phi, h)) - entropy.conditional(found.moved(phi, -h))) / (
        2 * h
    )
    assert projection.slope(found, Measure(), phi) == pytest.approx(difference, abs=1e-5)


def test_relu_and_laplace_is_the_least_squares_fit() -> None:
    """Steepest ascent in the span is the orthogonal projection of η = e^{−z}/2 on it."""
    found = correct(eafo.get("relu"), laws.get("laplace"))
    z = np.linspace(0, 40, 400_001)
    basis = np.array([sympy.lambdify(x, hermite_function(n))(z) for n in ODD_ORDERS])
    target = np.exp(-z) / 2
    gram = scipy.integrate.trapezoid(basis[:, None] * basis[None], z)
    fit = np.linalg.solve(gram, scipy.integrate.trapezoid(basis * target, z)) @ basis
    ours = sympy.lambdify(x, found.shape)(z)
    np.testing.assert_allclose(ours / np.linalg.norm(ours), fit / np.linalg.norm(fit), atol=1e-6)
    missed = scipy.integrate.trapezoid((target - fit) ** 2, z) / scipy.integrate.trapezoid(target**2, z)
    assert found.residual == pytest.approx(math.sqrt(missed), abs=1e-5)


def test_more_functions_leave_less() -> None:
    left = [
        correct(eafo.get("relu"), laws.get("laplace"), orders=orders).residual
        for orders in ((1,), (1, 3, 5), ODD_ORDERS)
    ]
    assert 1 > left[0] > left[1] > left[2] > 0  # type: ignore[operator]


def test_a_closed_form_in_the_span_is_found() -> None:
    # Through the projection, ReLU × normal is ψ₁ again.
    found = of("relu")
    made = projection.project(eafo.get("relu").concrete, found, Measure())
    assert made is not None
    points = np.linspace(-3, 3, 13)
    ours = sympy.lambdify(x, made.shape)(points)
    ratio = ours[0] / (points[0] * math.exp(-(points[0] ** 2) / 2))
    np.testing.assert_allclose(ours, ratio * points * np.exp(-(points**2) / 2), atol=1e-7)
    assert ratio > 0
    assert projection.residual(found, made, x * sympy.exp(-(x**2) / 2)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "law", "seams"),
    [
        ("hardtanh", "normal", (-1.0, 1.0)),
        ("hardsigmoid", "normal", (-3.0, 3.0)),
        ("srelu", "normal", (-2.21,)),
        ("relu", "laplace", (0.0,)),
        ("relu_squared", "normal", (0.0,)),
        ("softplus", "uniform", (-1.0, 1.0)),
        ("silu", "uniform(-3, 2)", (-3.0, 2.0)),
        ("tanh", "exponential", (0.0,)),
    ],
)
def test_ends_that_must_not_move(name: str, law: str, seams: tuple[float, ...]) -> None:
    found = correct(eafo.get(name), laws.get(law))
    c = sympy.lambdify(x, found.shape)
    largest = np.max(np.abs(c(np.linspace(-4, 4, 801))))
    for seam in seams:
        assert abs(c(seam)) < 1e-6 * largest


@pytest.mark.parametrize("name", ["relu_squared", "leaky_relu_squared"])
def test_carried_functions_have_the_slope_as_a_factor(name: str) -> None:
    found = correct(eafo.get(name), laws.get("normal"))
    assert found.projection is not None
    slope, c = eafo.get(name).diff(), sympy.lambdify(x, found.shape)
    if found.projection.carried:
        near = np.array([1e-4, 1e-3])
        np.testing.assert_allclose(c(near) / slope(near), 0, atol=1e-2)


def test_erf_is_carried() -> None:
    found = correct(eafo.get("erf"), laws.get("normal"))
    assert found.projection is not None
    assert found.projection.carried
    assert "c′/f′ grows without bound" in found.why
    low, high = correction.monotone_range(found)  # type: ignore[misc]
    assert low < -0.01 < 0.01 < high


def test_scale_follows_a_wide_or_narrow_law() -> None:
    for law, scale in (
        ("normal", 1.0),
        ("normal(0, 2)", 1.0),
        ("laplace(0, 20)", 23.0),
        ("normal(0, 0.01)", 0.01),
    ):
        assert float(projection.scale_of_law(of("identity", law))) == pytest.approx(scale, rel=0.05)


def test_a_span_with_no_room_is_refused() -> None:
    # One function cannot vanish at two ends.
    with pytest.raises(
        RefusedError, match="the odd Hermite functions leave no function that keeps every seam, but got"
    ):
        correct(eafo.get("silu"), laws.get("uniform(-3, 2)"), orders=(1,))
