"""Entropies against the known values, against SciPy and against Monte Carlo."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import sympy

from eafo import laws
from eafo.activation import VARIABLE as x
from eafo.theory.branch import Branch
from eafo.theory.quadrature import QuadratureError, expectation, integral, numeric

CRRELU = x * sympy.exp(-(x**2) / 2)
INF = np.inf


def half_normal() -> Branch:
    return Branch(x, laws.get("normal").density, (0.0, INF))


@pytest.mark.parametrize(
    ("epsilon", "entropy", "shape"),
    [
        (-0.1, 0.688407839, 1.203887727),
        (-0.01, 0.722236477, 1.229355475),
        (0.0, 0.725791353, 1.231944120),
        (0.01, 0.729307737, 1.234486992),
        (0.1, 0.759312194, 1.255409821),
    ],
)
def test_crrelu_on_the_positive_branch(epsilon: float, entropy: float, shape: float) -> None:
    assert half_normal().entropy(CRRELU, epsilon) == pytest.approx(entropy, abs=6e-10)
    assert half_normal().entropy_shape(CRRELU, epsilon) == pytest.approx(shape, abs=6e-10)


def test_first_variation_of_crrelu() -> None:
    assert half_normal().slope(CRRELU) == pytest.approx(1 / (2 * np.sqrt(2)), rel=1e-12)


def test_softplus_of_a_normal() -> None:
    branch = Branch(sympy.log(1 + sympy.exp(x)), laws.get("normal").density, (-INF, INF))
    assert branch.entropy() == pytest.approx(0.612879349857, abs=1e-11)
    assert branch.slope(sympy.exp(-((x - sympy.Rational(1, 2)) ** 2))) == pytest.approx(
        0.6267034719, abs=1e-9
    )


def test_wafbc_has_the_entropy_of_a_uniform_law() -> None:
    branch = Branch(sympy.erf(x / sympy.sqrt(2)), laws.get("normal").density, (-INF, INF))
    assert branch.entropy() == pytest.approx(np.log(2), abs=1e-9)


@pytest.mark.parametrize("name", laws.names())
def test_identity_keeps_the_entropy(name: str) -> None:
    law = laws.get(name)
    kinks = [0.0] if name == "laplace" else []
    branch = Branch(x, law.density, (float(law.lower), *kinks, float(law.upper)))
    assert branch.mass == pytest.approx(1.0, abs=1e-10)
    assert branch.entropy() == pytest.approx(float(law.entropy), abs=1e-8)


def test_against_monte_carlo() -> None:
    branch = Branch(x + sympy.tanh(x), laws.get("logistic").density, (-INF, INF))
    sample = laws.get("logistic").sample(200_000, seed=1)
    estimate = scipy.stats.differential_entropy(sample + np.tanh(sample), window_length=200)
    assert branch.entropy() == pytest.approx(float(estimate), abs=0.01)


def test_saturating_tails_keep_their_logarithm() -> None:
    # tanh′ underflows long before the Laplace law does; the logarithm of it must not.
    branch = Branch(sympy.tanh(x), laws.get("laplace").density, (-INF, 0.0, INF))
    t = np.linspace(0, 200, 2_000_001)
    log_slope = 2 * np.log(2) - 2 * t - 2 * np.log1p(np.exp(-2 * t))
    expected = 1 + np.log(2) + np.trapezoid(np.exp(-t) * log_slope, t)
    assert branch.entropy() == pytest.approx(float(expected), abs=1e-7)


def test_a_decreasing_sum_is_refused() -> None:
    with pytest.raises(QuadratureError, match="increasing"):
        half_normal().entropy(CRRELU, -3.0)


def test_an_infinite_entropy_is_refused() -> None:
    branch = Branch(1 / (1 + sympy.exp(-x)), laws.get("cauchy").density, (-INF, INF))
    with pytest.raises(QuadratureError, match="converge"):
        branch.entropy()


def test_quadrature() -> None:
    assert integral(numeric(sympy.exp(-(x**2))), [-INF, INF]) == pytest.approx(np.sqrt(np.pi), rel=1e-12)
    with pytest.raises(QuadratureError):
        integral(numeric(1 + 0 * x), [0.0, INF])
    normal = numeric(laws.get("normal").density)
    assert expectation(normal, lambda v: v**4, [-INF, INF]) == pytest.approx(3.0, rel=1e-10)
    overflowing = numeric(sympy.exp(x) / (1 + sympy.exp(x)))
    np.testing.assert_allclose(overflowing(np.array([-800.0, 0.0, 800.0])), [0.0, 0.5, 1.0], atol=1e-300)
