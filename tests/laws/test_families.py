"""Contract of every law, against scipy.stats."""

from __future__ import annotations

import numpy as np
import pytest
import sympy

from eafo import laws
from eafo.activation import VARIABLE as x
from eafo.errors import InputError

FORMS = [
    *laws.names(),
    "normal(1, 2)",
    "normal(deviation=0.5)",
    "logistic(-1, 0.5)",
    "laplace(2, 3)",
    "cauchy(scale=0.25)",
    "uniform(0, 3)",
    "gumbel(1, 2)",
    "exponential(scale=3)",
    "half_normal(0.5)",
    "exponential(2, -1)",
    "student_t(1)",
    "student_t(2, 1, 3)",
    "student_t(5)",
    "student_t(12, scale=2)",
]
U = np.linspace(0.001, 0.999, 333)


def function(expression: sympy.Expr, symbol: sympy.Symbol) -> object:
    return sympy.lambdify(symbol, expression, ["scipy", "numpy"])


@pytest.mark.parametrize("form", FORMS)
def test_equals_scipy(form: str) -> None:
    law = laws.get(form)
    peer = law.frozen()
    points = peer.ppf(U)
    np.testing.assert_allclose(
        function(law.density, x)(points) * np.ones_like(points), peer.pdf(points), rtol=1e-12
    )  # type: ignore[operator]
    np.testing.assert_allclose(function(law.cdf, x)(points), peer.cdf(points), rtol=1e-12)  # type: ignore[operator]
    if law.quantile is not None:
        np.testing.assert_allclose(function(law.quantile, law.U)(U), points, rtol=1e-10, atol=1e-12)  # type: ignore[operator]
    np.testing.assert_allclose(function(law.survival, x)(points), peer.sf(points), rtol=1e-12)  # type: ignore[operator]
    assert float(law.entropy) == pytest.approx(float(peer.entropy()), rel=1e-8)
    wide = np.linspace(-60, 60, 999)
    np.testing.assert_allclose(function(law.cdf_everywhere(), x)(wide), peer.cdf(wide), atol=1e-14)  # type: ignore[operator]


@pytest.mark.parametrize("form", FORMS)
def test_score_and_density_are_derivatives(form: str) -> None:
    law = laws.get(form)
    points = law.frozen().ppf([0.07, 0.31, 0.62, 0.93])
    for value in points:
        at = sympy.Float(value, 30)
        slope = sympy.diff(law.cdf, x).subs(x, at)
        assert float(slope) == pytest.approx(float(law.density.subs(x, at)), rel=1e-12)
        score = sympy.diff(sympy.log(law.density), x).subs(x, at)
        assert float(law.score.subs(x, at)) == pytest.approx(float(score), rel=1e-12, abs=1e-15)


def test_names_show_their_parameters() -> None:
    assert str(laws.get("normal")) == "normal"
    assert str(laws.get("normal(0, 2)")) == "normal(0, 2)"
    assert str(laws.get(str(laws.get("laplace(scale=0.5)")))) == "laplace(0, 0.5)"
    assert laws.get(laws.get("cauchy")) is not None


def test_samples_repeat() -> None:
    law = laws.get("logistic")
    first = law.sample(1000, seed=3)
    np.testing.assert_array_equal(first, law.sample(1000, seed=3))
    assert abs(float(np.mean(first < 0)) - 0.5) < 0.06


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("nosuch", "one of cauchy, exponential"),
        ("normal(", "one of"),
        ("normal(0, -1)", "deviation must be positive"),
        ("normal(0, 0)", "deviation must be positive"),
        ("normal(1, 2, 3)", "parameters of this law"),
        ("normal(foo=1)", "parameters of this law"),
        ("normal(1, mean=2)", "parameters of this law"),
        ("normal(a, 1)", "name=number"),
        ("uniform(1, 0)", "lower end"),
        ("uniform(1, 1)", "lower end"),
        ("normal(0, 1e-300)", "between 1e-100 and 1e100"),
        ("normal(1e308, 1)", "between 1e-100 and 1e100"),
        ("exponential(-1)", "scale must be positive"),
        ("exponential(1, 2, 3)", "parameters of this law are scale"),
        (3, "text form or a Law"),
    ],
)
def test_bad_input(form: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        laws.get(form)  # type: ignore[arg-type]


def test_a_sample_needs_a_size() -> None:
    with pytest.raises(InputError, match="at least 1"):
        laws.get("normal").sample(0, seed=0)
