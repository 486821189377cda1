"""Activations: values, derivatives, branches, JSON, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import math
import pickle

import mpmath
import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

import eafo
from eafo.activation import VARIABLE, Activation, Domain, Parameter
from eafo.branching import branches, derivative
from eafo.errors import InputError
from eafo.reference import evaluate

x = VARIABLE


def test_frozen_and_hashable() -> None:
    relu = eafo.get("relu")
    with pytest.raises(dataclasses.FrozenInstanceError):
        relu.name = "other"  # type: ignore[misc]
    assert hash(relu) == hash(eafo.get("relu"))


def test_values_keep_the_shape() -> None:
    act = eafo.get("crrelu")
    assert act(np.zeros((2, 0, 3))).shape == (2, 0, 3)
    assert act(2.0).shape == ()
    assert float(act(2.0)) == pytest.approx(2 + 0.02 * math.exp(-2), rel=1e-15)
    assert float(act(2.0, epsilon=-1.0)) == pytest.approx(2 - 2 * math.exp(-2), rel=1e-15)
    assert act([1, 2]).dtype == np.float64


@pytest.mark.parametrize("name", eafo.names())
@pytest.mark.parametrize("x0", [-800.0, -30.0, -2.5, -0.3, 0.4, 3.0, 30.0, 800.0])
def test_catalog_values_against_mpmath(name: str, x0: float) -> None:
    act = eafo.get(name)
    with mpmath.workdps(50):
        exact = sympy.lambdify(x, branches(act.concrete), "mpmath")(mpmath.mpf(x0))
    # The plain formula may cancel; what it loses is small against the terms that cancel, and those are at most |x|.
    assert float(act(x0)) == pytest.approx(float(exact), rel=1e-12, abs=1e-14 * abs(x0))


@pytest.mark.parametrize(
    "name",
    [
        *eafo.names(),
        "erfc(x)",
        "log1p(x*x)",
        "expm1(x)",
        "softplus(-x)",
        "2 + 2*tanh(x/3)",
        "a*exp(x) - a; a=0.3",
    ],
)
def test_tails_keep_their_digits(name: str) -> None:
    act = eafo.get(name)
    sizes = np.geomspace(1e-8, 700, 60)
    points = np.concatenate([-sizes, sizes])
    exact = evaluate(act.expression, points, act.defaults).high
    # A subnormal number has fewer digits.
    clear = np.abs(exact) > 1e-300
    np.testing.assert_allclose(act(points)[clear], exact[clear], rtol=1e-12)


def test_tails_that_a_difference_would_lose() -> None:
    found = [
        eafo.get(name)(at) for name, at in (("gelu", -9), ("softplus", -40), ("mish", -40), ("erfc(x)", 6))
    ]
    exact = [-1.0157295654e-18, 4.24835426e-18, -1.69934170e-16, 2.15197367e-17]
    assert [float(v) for v in found] == pytest.approx(exact, rel=1e-8, abs=0)
    assert float(eafo.get("tanh").diff()(-200.0)) == pytest.approx(7.66067838e-174, rel=1e-8, abs=0)


def test_ends_stay_what_numpy_makes_of_them() -> None:
    ends = [-math.inf, math.inf, math.nan]
    np.testing.assert_array_equal(eafo.get("softplus")(ends), [0.0, math.inf, math.nan])
    np.testing.assert_array_equal(eafo.get("gelu")(ends), [math.nan, math.inf, math.nan])
    np.testing.assert_array_equal(eafo.get("log1p(x)")([-1.0, -2.0]), [math.nan, math.nan])


@pytest.mark.parametrize("name", eafo.names())
def test_derivative_against_differences(name: str) -> None:
    act = eafo.get(name)
    points = np.array([-3.3, -1.7, -0.6, 0.45, 1.2, 2.6])
    step = 1e-6
    differences = (act(points + step) - act(points - step)) / (2 * step)
    np.testing.assert_allclose(act.diff()(points), differences, rtol=1e-6, atol=1e-8)


def test_seams_follow_torch() -> None:
    assert float(eafo.get("relu").diff()(0.0)) == 0.0
    np.testing.assert_array_equal(eafo.get("hardtanh").diff()([-1.0, 0.0, 1.0]), [0.0, 1.0, 0.0])
    assert float(eafo.get("abs(x)").diff()(0.0)) == 0.0
    assert derivative(sympy.sign(x)) == 0


def test_no_nan_where_the_formula_overflows() -> None:
    silu = eafo.get("silu")
    np.testing.assert_array_equal(silu.diff()([-1000.0, 1000.0]), [0.0, 1.0])
    assert float(eafo.get("softplus")(1000.0)) == 1000.0


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("max(log(x), -3)", [math.nan, -3.0, 0.0]),
        ("max(sqrt(x), 0)", [math.nan, 0.0, 1.0]),
        ("max(1/x, 0)", [0.0, math.nan, 1.0]),
        ("max(1/x, a); a=-2", [-1.0, math.nan, 1.0]),
    ],
)
def test_outside_the_domain_there_is_no_number(text: str, values: list[float]) -> None:
    np.testing.assert_array_equal(eafo.get(text)([-1.0, 0.0, 1.0]), values)


def test_a_negative_power_of_zero_is_no_error() -> None:
    made = eafo.from_derivative(eafo.get("max(0, x)**p; p=0.5"))
    np.testing.assert_allclose(made([-1.0, 1.0], p=-0.5), [math.nan, 2.0])
    np.testing.assert_allclose(made([-1.0, 1.0]), [0.0, 2 / 3])


def test_branches_from_left_to_right() -> None:
    seams = [(p.lower, p.upper) for p in eafo.get("srelu").pieces()]
    t = eafo.get("srelu").parameters[0].symbol
    assert seams == [(-sympy.oo, -t), (-t, t), (t, sympy.oo)]
    assert [p.expression for p in eafo.get("hardtanh").pieces()] == [-1, x, 1]
    assert [p.expression for p in eafo.get("abs(x)").pieces()] == [-x, x]
    assert len(eafo.get("gelu").pieces()) == 1


def test_sinerelu_jumps_at_zero() -> None:
    left, right = eafo.get("sinerelu").pieces()
    epsilon = eafo.get("sinerelu").parameters[0].symbol
    assert left.expression.subs(x, 0) == -epsilon
    assert right.expression.subs(x, 0) == 0


def test_srelu_is_once_differentiable() -> None:
    pieces = eafo.get("srelu").pieces()
    slopes = [sympy.diff(p.expression, x) for p in pieces]
    t = eafo.get("srelu").parameters[0].symbol
    for left, right, seam, slope in ((0, 1, -t, 0), (1, 2, t, 1)):
        assert sympy.simplify((pieces[right].expression - pieces[left].expression).subs(x, seam)) == 0
        assert sympy.simplify(slopes[left].subs(x, seam)) == slope
        assert sympy.simplify(slopes[right].subs(x, seam)) == slope


def test_xielu_is_what_its_gradient_integrates_to() -> None:
    act = eafo.get("xielu")
    a_p, a_n, beta = (p.symbol for p in act.parameters)
    gradient = sympy.Piecewise((2 * a_p * x + beta, x > 0), (a_n * (sympy.exp(x) - 1) + beta, True))
    assert sympy.simplify(derivative(act.expression) - gradient) == 0
    assert act.expression.subs(x, 0) == 0


@pytest.mark.parametrize("name", eafo.names())
def test_json_and_pickle_round_trip(name: str) -> None:
    act = eafo.get(name)
    again = Activation.from_json(act.to_json())
    assert again == act
    assert again.provenance == act.provenance
    assert json.loads(act.to_json())["name"] == name
    assert pickle.loads(pickle.dumps(act)) == act


@settings(max_examples=40, deadline=None)
@given(st.floats(-100, 100), st.floats(0.01, 10.0))
def test_parameters_replace_defaults(x0: float, t: float) -> None:
    direct = eafo.get("srelu")(x0, t=t)
    assert float(eafo.get(f"srelu(t={t!r})")(x0)) == float(direct)


def test_latex() -> None:
    assert eafo.get("crrelu").latex() == r"\epsilon x e^{- \frac{x^{2}}{2}} + \max\left(0, x\right)"
    assert eafo.get("crrelu")._repr_latex_().startswith("$")


def test_any_variable_becomes_x() -> None:
    z = sympy.Symbol("z")
    assert Activation("f", z**2, variable=z).expression == x**2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Activation("f", sympy.Symbol("a") * x), "declared as a parameter"),
        (lambda: Activation("f", sympy.gamma(x)), "elementary real functions"),
        (lambda: Activation("f", sympy.I * x), "must be real"),
        (lambda: Activation("", x), "1 to 80 characters"),
        (lambda: Activation("a\nb", x), "1 to 80 characters"),
        (lambda: Activation("f", x, (Parameter("a", 1.0), Parameter("a", 2.0))), "must differ"),
        (lambda: Parameter("a b", 1.0), "parameter's name"),
        (lambda: Parameter("a" * 33, 1.0), "parameter's name"),
        (lambda: Parameter("x", 1.0), "parameter's name"),
        (lambda: Parameter("a", -1.0, Domain(0.0)), "must lie in"),
        (lambda: Parameter("a", math.nan), "must lie in"),
        (lambda: Parameter("a", "1"), "must be a number"),
        (lambda: Domain(1.0, 1.0), "lower end"),
        (lambda: eafo.get("relu")([1j]), "real numbers"),
        (lambda: eafo.get("relu").with_parameters(t=1.0), "parameters of relu are: none"),
        (lambda: eafo.get("srelu").with_parameters(t=-1.0), "must lie in"),
        (lambda: eafo.get("srelu").with_learnable("u"), "parameters of srelu are: t"),
        (lambda: eafo.get("relu").diff(0), "at least 1"),
        (lambda: Activation.from_json("[]"), "what to_json wrote"),
        (lambda: Activation.from_json("{"), "what to_json wrote"),
        (
            lambda: Activation.from_json(eafo.get("relu").to_json().replace("max(0, x)", "exec(x)")),
            "known functions",
        ),
        (
            lambda: Activation.from_json(eafo.get("relu").to_json().replace("eafo-activation-1", "v9")),
            "format",
        ),
    ],
)
def test_bad_input_is_refused(make: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()  # type: ignore[operator]


def test_the_derivative_of_a_long_name_has_a_name():
    assert len(dataclasses.replace(eafo.get("gelu"), name="g" * 80).diff(2).name) == 80


@pytest.mark.parametrize(
    ("text", "seams"),
    [
        ("max(2*x, 1/(1 + exp(-pi)))", [0.5 / (1 + math.exp(-math.pi))]),
        ("max(0, x**2 - pi)", [-math.sqrt(math.pi), math.sqrt(math.pi)]),
        ("max(0, (x - pi)**3)", [math.pi]),
        ("max(0, x**3 - 3*pi*x**2 + 3*pi**2*x - pi**3)", [math.pi]),
        ("max(0, x**5 + pi*x)", [0.0]),
        ("abs(tanh(erf(x)))", [0.0]),
        ("abs(asinh(x**3 - 8)*atan(x))", [0.0, 2.0]),
        ("min(0, x**2 + x/(x**2 + 1))", [-0.6823278038280193, 0.0]),
        ("max(0, 1/(x - 3))", [3.0]),
        ("max(0, sin(1)*x**2 - x)", [0.0, 1 / math.sin(1)]),
        ("max(x**2, exp(x))", [-0.7034674224983917]),
        ("max(0, x**2 - a); a=-1", []),
    ],
)
def test_seams_that_sympy_alone_does_not_find(text: str, seams: list[float]) -> None:
    act = eafo.get(text)
    at_default = {p.symbol: sympy.Rational(repr(p.default)) for p in act.parameters}
    parts = act.pieces()
    assert [float(p.lower) for p in parts[1:]] == pytest.approx(seams, abs=1e-14)
    for part in parts:
        low, high = max(float(part.lower), -5.0), min(float(part.upper), 5.0)
        for point in np.linspace(low, high, 9)[1:-1]:
            value = part.expression.xreplace(at_default).subs(x, float(point))
            assert float(act(point)) == pytest.approx(float(value), rel=1e-12)


def test_seams_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(InputError, match=r"SymPy finds them, but got .*; write the parameters as numbers"):
        eafo.get("min(0, x**3 - a*x + 1); a=3").pieces()
    assert len(eafo.get("min(0, x**3 - 3*x + 1)").pieces()) == 4


@pytest.mark.parametrize(
    "text",
    ["silu(x)/2", "sigmoid(2*x)/3", "a*x/(1 + exp(-x))/2; a=1", "-(x + 1)*x*3", "2*(x + 1)", "x/(2*(x + 1))**2",
     "-(1 + tanh(x))/2*(3 - x)", "max(2*(x + 1), 1)/2"],
)  # fmt: skip
def test_json_of_products_with_sums(text: str) -> None:
    act = eafo.get(text)
    back = Activation.from_json(act.to_json())
    assert back == act
    assert hash(back) == hash(act)


@pytest.mark.parametrize("name", eafo.names())
@pytest.mark.parametrize("order", [1, 2, 3])
def test_json_of_derivatives(name: str, order: int) -> None:
    slope = eafo.get(name).diff(order)
    back = Activation.from_json(slope.to_json())
    assert back == slope
    assert hash(back) == hash(slope)


def test_json_of_a_sum_that_stands_beside_a_number() -> None:
    act = Activation("factored", sympy.factor(2 * x + 2))
    assert Activation.from_json(act.to_json()) == act
