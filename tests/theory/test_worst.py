"""WAFBC: each law's worst activation, against SciPy's distribution functions and on samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import sympy

import eafo
from eafo import laws
from eafo.errors import InputError
from eafo.theory import worst
from eafo.theory.worst_numeric import TOLERANCE

FORMS = [
    *laws.names(),
    "normal(1, 2)",
    "logistic(0, 0.5)",
    "laplace(2, 3)",
    "cauchy(-1, 0.5)",
    "uniform(0, 3)",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 1.0), (-2.5, 3.0)])
def test_is_the_distribution_function(form: str, bounds: tuple[float, float]) -> None:
    act = eafo.wafbc(form, bounds)
    points = np.concatenate([np.linspace(-50, 50, 5001), laws.get(form).frozen().ppf([1e-6, 0.3, 1 - 1e-6])])
    lower, upper = bounds
    expected = lower + (upper - lower) * laws.get(form).frozen().cdf(points)
    np.testing.assert_allclose(act(points), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("form", "bounds", "name"),
    [
        ("logistic", (0, 1), "sigmoid"),
        ("logistic(0, 0.5)", (-1, 1), "tanh"),
        ("uniform", (-1, 1), "hardtanh"),
    ],
)
def test_known_activations_are_recognised(form: str, bounds: tuple[float, float], name: str) -> None:
    act = eafo.wafbc(form, bounds)
    assert act.name == name
    assert act.expression == eafo.get(name).expression


def test_closed_forms() -> None:
    x = eafo.get("identity").expression
    assert eafo.wafbc("normal", (-1, 1)).expression == sympy.erf(x / sympy.sqrt(2))
    assert eafo.wafbc("cauchy", (-1, 1)).expression == 2 * sympy.atan(x) / sympy.pi
    assert eafo.wafbc("uniform").expression == sympy.Min(1, sympy.Max(0, x / 2 + sympy.S.Half))


@pytest.mark.parametrize("form", FORMS)
def test_output_is_uniform(form: str) -> None:
    outputs = eafo.wafbc(form, (-1, 2))(laws.get(form).sample(100_000, seed=7))
    distance = scipy.stats.kstest(outputs, scipy.stats.uniform(-1, 3).cdf).statistic
    assert distance < 1.95 / math.sqrt(100_000)  # the 0.1 % point of the Kolmogorov distribution


def test_constants_are_solved_not_typed() -> None:
    found = worst.under_range(laws.get("cauchy"), -2, 5)
    assert [str(k) for k in found.constants] == ["A", "B"]
    assert list(found.constants.values()) == [-2, 7]
    assert found.error < 1e-14


def test_constants_of_sympy_stay_exact() -> None:
    x = eafo.get("identity").expression
    found = worst.under_range(laws.get("cauchy"), -sympy.pi / 2, sympy.pi / 2)
    assert found.expression == sympy.atan(x)
    assert worst.under_variance(laws.get("normal"), sympy.Rational(1, 3)).expression == x / sympy.sqrt(3)


def test_every_step_is_told() -> None:
    steps = eafo.wafbc("logistic").provenance.steps
    assert "first integral" in steps[0]
    assert "sigmoid" in steps[-1]


def test_a_measured_law_of_many_features_gets_a_coarser_formula() -> None:
    layer = laws.get(
        "0.3*normal(-3.5, 0.5) + 0.1*normal(-7, 0.8) + 0.35*normal(0.5, 2) + 0.25*normal(4, 1.5)"
    )
    measured = laws.measure(layer.sample(50_000, seed=0), "spline")
    found = worst.under_range(measured, 0, 1)
    assert found.approximation is not None
    # No formula of readable length reaches 1e-6; the one that is found says how far it comes.
    assert TOLERANCE < found.error < 20 * TOLERANCE
    assert len(str(found.expression)) < 4000
    points = measured.numeric.ppf(np.linspace(1e-4, 1 - 1e-4, 1001))
    made = eafo.wafbc(measured)
    assert np.max(np.abs(made(points) - measured.numeric.cdf(points))) < 2 * found.error
    assert np.all(np.diff(made(points)) > 0)
    assert "no closed form" in made.provenance.steps[-2]


@pytest.mark.parametrize(
    "bounds", [(1, 0), (1, 1), (0, math.inf), (math.nan, 1), (0, 1e-320), (-1e308, 1e308), (0,), "ab", 3]
)
def test_bad_bounds(bounds: object) -> None:
    with pytest.raises(InputError, match="bounds must be two"):
        eafo.wafbc("normal", bounds)  # type: ignore[arg-type]


def test_bad_law() -> None:
    with pytest.raises(InputError, match="a law must be one of"):
        eafo.wafbc("nosuch")
