"""The oracle against values known otherwise: SciPy, closed forms, and the exactness of its inputs."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.special
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from eafo.activation import VARIABLE as X
from eafo.activation import Activation, Parameter
from eafo.catalog import get
from eafo.errors import InputError
from eafo.reference import Exact, evaluate, oracle, relative_error, ulp_error


def test_values_and_derivatives_of_crrelu():
    exact = oracle(get("crrelu"), [-1.0, 0.0, 2.0])
    np.testing.assert_allclose(
        exact.value.high, [-0.01 * math.exp(-0.5), 0, 2 + 0.02 * math.exp(-2)], rtol=1e-15
    )
    np.testing.assert_allclose(exact.slope.high, [0, 0.01, 1 - 0.03 * math.exp(-2)], rtol=1e-15)
    np.testing.assert_allclose(
        exact.by_parameter["epsilon"].high, [-math.exp(-0.5), 0, 2 * math.exp(-2)], rtol=1e-15
    )


def test_parameters_are_exact_doubles_and_constants_exact_rationals():
    parameter = Activation("scaled", sympy.Symbol("a") * X, (Parameter("a", 0.1),))
    constant = Activation("scaled", X / 10)
    as_parameter, as_constant = oracle(parameter, [1.0]).value, oracle(constant, [1.0]).value
    assert Fraction(as_parameter.high[0]) + Fraction(as_parameter.low[0]) == Fraction(0.1)
    error = Fraction(as_constant.high[0]) + Fraction(as_constant.low[0]) - Fraction(1, 10)
    assert 0 < abs(error) < Fraction(1, 10**32)


@pytest.mark.parametrize(
    ("expression", "peer"),
    [
        (1 + sympy.erf(X / sympy.sqrt(2)), lambda x: scipy.special.erfc(-x / math.sqrt(2))),
        (1 / (1 + sympy.exp(-X)), scipy.special.expit),
        (sympy.log(1 + sympy.exp(X)), lambda x: np.logaddexp(0, x)),
        (sympy.exp(X) - 1, np.expm1),
    ],
)
def test_tails_that_cancel_are_resolved(expression, peer):
    x = np.linspace(-30, 30, 41)
    exact = evaluate(expression, x, {})
    np.testing.assert_allclose(exact.high, peer(x), rtol=1e-12)
    assert (np.abs(exact.low) <= np.spacing(np.abs(exact.high))).all()


def test_a_cancellation_of_three_hundred_digits_is_seen():
    exact = evaluate(1 - sympy.tanh(X) ** 2, np.array([340.0]), {})
    assert exact.high[0] == pytest.approx(4 * math.exp(-680), rel=1e-12)


def test_a_logarithm_beside_1_keeps_its_digits():
    # By 400 digits; log(1 + exp(−161.1)) is 0 by 30 and by 60 alike.
    found = oracle(get("mish"), np.array([-161.1]))
    assert found.slope.high[0] == pytest.approx(-1.736002304e-68, rel=1e-9)


def test_a_branch_not_taken_is_not_computed():
    safe = sympy.Piecewise((sympy.log(X) / X, X > 0), (0, True))
    assert evaluate(safe, np.array([-1.0, 0.0, 1.0]), {}).high.tolist() == [0, 0, 0]


def test_outside_its_domain_a_function_is_nan():
    assert np.isnan(evaluate(sympy.sqrt(X), np.array([-1.0]), {}).high[0])
    assert np.isnan(evaluate(1 / X, np.array([0.0]), {}).high[0])


def test_points_must_be_finite():
    with pytest.raises(InputError, match="the oracle's points must be finite, but got inf"):
        oracle(get("relu"), [1.0, math.inf])


@settings(deadline=None)
@given(st.floats(-1e300, 1e300, allow_subnormal=False).filter(lambda v: abs(v) > 1e-290), st.integers(-8, 8))
def test_ulp_error_counts_units(value, units):
    moved = value + units * np.spacing(value)
    found = ulp_error([moved], Exact(np.array([value]), np.zeros(1)))
    expected = abs(moved - value) / np.spacing(abs(value))
    assert found[0] == pytest.approx(expected)


def test_errors_of_special_values():
    exact = Exact(np.array([math.nan, math.inf, 1.0, math.inf]), np.zeros(4))
    assert ulp_error([math.nan, math.inf, math.nan, 1.0], exact).tolist() == [0, 0, math.inf, math.inf]


def test_errors_may_be_measured_against_the_largest_term():
    exact = Exact(np.array([1e-10]), np.zeros(1))
    assert relative_error([2e-10], exact)[0] == pytest.approx(1)
    assert relative_error([2e-10], exact, scale=[1.0])[0] == pytest.approx(1e-10)
    assert ulp_error([2e-10], exact, scale=[1.0])[0] == pytest.approx(1e-10 / 2**-52)


def test_underflow_is_forgiven_four_units_and_no_more():
    exact = Exact(np.zeros(2), np.zeros(2))
    assert relative_error([4 * 2.0**-1074, 5 * 2.0**-1074], exact).tolist() == [0, math.inf]
    assert relative_error([4 * 2.0**-149, 5 * 2.0**-149], exact, np.float32).tolist() == [0, math.inf]


def test_ulps_of_float32():
    exact = Exact(np.array([1.0]), np.zeros(1))
    assert ulp_error([1 + 2.0**-23], exact, np.float32).tolist() == [1]
