"""What a derivation says of itself holds in the cases where it is easily false."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import sympy

from eafo import catalog, laws
from eafo.derivation import checks, steps
from eafo.theory import variation
from eafo.theory.closed_form import Metric
from eafo.theory.correction import correct
from eafo.theory.quadrature import QuadratureError, numeric


def test_a_direction_along_which_the_entropy_falls_does_not_pass() -> None:
    found = correct(catalog.get("relu"), laws.get("normal"))
    assert "dH/dε = 0.353553" in checks.central_difference(found)
    with pytest.raises(QuadratureError, match="the entropy must rise along the correction"):
        checks.central_difference(replace(found, shape=-found.shape))


def test_a_correction_with_the_factor_of_the_slope_keeps_a_flat_part_flat() -> None:
    found = correct(catalog.get("relu_squared"), laws.get("normal"))
    assert not numeric(found.shape)(np.array([-3.0, -1.0, -0.1])).any()
    told = " ".join(steps.findings(found, 1.0, ()))
    assert "leaves it flat there" in told
    assert "non-monotone" not in told


def test_a_flat_part_between_two_others_is_not_beyond_them() -> None:
    found = correct(catalog.get("where(x>1,x-1,where(x<-1,x+1,0))"), laws.get("normal"))
    told = " ".join(steps.findings(found, 1.0, ()))
    assert "Inside D the base is flat, and the correction makes the whole function non-monotone" in told


@pytest.mark.parametrize(
    ("base", "law", "metric"),
    [
        ("relu", "normal", "output"),
        ("x + sin(x)**2", "normal", "output"),
        ("x**3", "exponential", "output"),
        ("x**3", "uniform(0, 1)", "probability"),
        ("x**4", "exponential", "input"),
        ("erf", "laplace(0, 2)", "output"),
        ("tanh", "normal(0, 20)", "output"),
    ],
)
def test_a_closed_form_one_percent_off_does_not_pass(base: str, law: str, metric: Metric) -> None:
    found = correct(catalog.get(base), laws.get(law), metric=metric)
    assert found.closed is not None
    assert "to 1e-6" in checks.score_form_of(found, found.closed)
    wrong = replace(found.closed, direction=sympy.Rational(101, 100) * found.closed.direction)
    with pytest.raises(QuadratureError, match="c must equal the score form in numbers"):
        checks.score_form_of(found, wrong)


def test_a_wrong_inverse_of_a_saturated_function_does_not_pass() -> None:
    found = correct(catalog.get("tanh"), laws.get("normal(0, 20)"))
    y = sympy.atanh(variation.Z)
    assert "at five points" in checks.inverse_returns(found, y)
    with pytest.raises(QuadratureError, match="must be x"):
        checks.inverse_returns(found, y * sympy.Rational(101, 100))
    assert found.closed is not None
    eta = -variation.along(found.closed.density, y)
    assert "at five points" in checks.through_inverse(found, found.closed, eta)
    with pytest.raises(QuadratureError, match="must equal the score form"):
        checks.through_inverse(found, found.closed, eta + sympy.Rational(1, 100))
