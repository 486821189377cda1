"""Rewrites: each is an identity, each does what it is for, and the sweep says what it is worth."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
import torch

from eafo import reference
from eafo.activation import VARIABLE as X
from eafo.branching import derivative
from eafo.catalog import get, names
from eafo.errors import InputError
from eafo.kernels import compile_kernel, sweep
from eafo.kernels import functions as fn
from eafo.kernels.launch.aten import AtenRunner
from eafo.kernels.lower import Scalar
from eafo.kernels.stabilise import RULES, finish, stabilise

T = sympy.Symbol("t", positive=True)

EXAMPLES = {
    "sigmoid": 1 / (1 + sympy.exp(-X)) + sympy.exp(3 * X) / (2 + 5 * sympy.exp(X)) ** 4,
    "softplus": sympy.log(1 + 3 * sympy.exp(2 * X)) - sympy.log(1 / (1 + sympy.exp(X))),
    "log of tails": X * sympy.log(sympy.S.Half - sympy.erf(X) / 2)
    + sympy.log(3 - 3 * sympy.erf(-X))
    + sympy.log(1 - sympy.exp(-2 * sympy.exp(X))),
    "log1p": sympy.log(1 + X**2),
    "expm1": 3 * sympy.exp(X) - 3 + X * (1 - sympy.exp(-X)),
    "erfc": sympy.Rational(1, 2) + sympy.erf(X) / 2 + (1 - sympy.erf(2 * X)) + sympy.erfc(X),
    "tanh": sympy.tanh(X),
    "one over cosh": sympy.tanh(X) / sympy.cosh(X / 2) ** 3,
    "merged exponentials": X * sympy.exp(-X) * sympy.exp(-sympy.exp(-X)),
    "one plus tanh": X * (1 + sympy.tanh(X)) + 2 * (1 - sympy.tanh(2 * X)),
    "tanh of softplus": sympy.tanh(sympy.log(1 + sympy.exp(X))),
    "one plus sin": X * (1 + sympy.sin(X)) + 2 * (1 - sympy.sin(sympy.pi * X / 3)),
    "one plus cos": X * (1 + sympy.cos(X)) + X**2 * (1 - sympy.cos(2 * X)),
    "sinusoids": 2 * sympy.sin(X) - 3 * sympy.cos(X),
    "sign products": X * sympy.sign(X) + 1,
    "cancelling fractions": 1 / (1 + sympy.Abs(X)) - sympy.Abs(X) / (1 + sympy.Abs(X)) ** 2,
    "near sines": sympy.Piecewise(
        (sympy.sin(X + 1), X < -2), (X * sympy.sin(X / 2 + 1) + sympy.sin(4 * X), X < 1), (X, True)
    ),
    "cos of turns": sympy.cos(sympy.pi * (X + 2) / 8),
    "common exponential": sympy.exp(-(X**2)) - X**2 * sympy.exp(-(X**2)),
    "tanh of quotients": sympy.sinh(X) / sympy.cosh(X) + (sympy.exp(X) - 1) ** 2 / (sympy.exp(X) + 1),
    "sech": X / (sympy.exp(X) + sympy.exp(-X)) + X / sympy.cosh(2 * X) ** 3,
    "log cosh": sympy.log(3 * sympy.cosh(X) ** 2),
    "scaled exp": X * sympy.exp(-(X**2) / 2),
    "scaled sigmoid": X**2 * sympy.exp(X) / (1 + sympy.exp(X)) ** 2,
    "scaled erfc": X * (1 + sympy.erf(X)),
}

PREREQUISITES = {
    "one plus tanh": ["tanh"],
    "tanh of softplus": ["tanh", "softplus"],
    "sech": ["sigmoid", "one over cosh"],
    "scaled sigmoid": ["sigmoid"],
    "tanh of quotients": ["sigmoid", "expm1"],
    "scaled erfc": ["erfc"],
}


def _numbers(expression, x):
    return reference.evaluate(fn.elementary(expression), x, {}).high


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_a_rule_is_an_identity_and_does_something(rule):
    example = EXAMPLES[rule.name]
    others = [r.name for r in RULES if r is not rule]
    prerequisites = PREREQUISITES.get(rule.name, [])
    without = [name for name in others if name not in prerequisites]
    rewritten = finish(stabilise(example, without), without)
    assert rewritten != finish(stabilise(example, [*without, rule.name]), [*without, rule.name])
    x = np.linspace(-3, 3, 25)
    np.testing.assert_allclose(_numbers(rewritten, x), _numbers(example, x), rtol=1e-13, atol=1e-16)


def test_every_rule_has_an_example_and_a_reason():
    assert set(EXAMPLES) == {r.name for r in RULES}
    assert all(r.reason for r in RULES)


@pytest.mark.parametrize("name", names())
def test_stable_forms_of_the_catalog_equal_their_formulas(name):
    act = get(name)
    x = np.concatenate([np.linspace(-4.1, 4.1, 18), [-30.0, 30.0]])
    stable = stabilise(act.expression)
    symbols = [X, *(p.symbol for p in act.parameters)]
    pairs = [(stable, act.expression)]
    pairs += [(derivative(stable, s), derivative(act.expression, s)) for s in symbols]
    for found, right in pairs:
        exact = reference.evaluate(right, x, act.defaults).high
        rewritten = reference.evaluate(fn.elementary(finish(found)), x, act.defaults).high
        np.testing.assert_allclose(rewritten, exact, rtol=1e-14, atol=1e-300)


def test_only_sines_that_stay_near_are_taken_for_such():
    u, near = (X + 1) / 2, fn.NearSin
    for branches, expected in (
        ([(sympy.sin(u), sympy.And(X > -4, X <= 2)), (0, True)], near(u)),
        ([(0, X >= 2), (sympy.sin(u), X > -4), (0, True)], near(u)),
        ([(0, sympy.Or(X >= 2, X < -4)), (sympy.sin(u), True)], near(u)),
        (
            [(0, 2 * T < -X), (sympy.sin(sympy.pi * X / (4 * T)), X < 2 * T), (0, True)],
            near(sympy.pi * X / (4 * T)),
        ),
        # Unbounded on one side, too wide, bounds that depend on another symbol, not affine.
        ([(sympy.sin(u), X < 2), (0, True)], sympy.sin(u)),
        ([(sympy.sin(u), sympy.And(X > -5, X < 2)), (0, True)], sympy.sin(u)),
        ([(sympy.sin(u), sympy.And(X > -T, X < T)), (0, True)], sympy.sin(u)),
        ([(sympy.sin(X**2), sympy.And(X > -1, X < 1)), (0, True)], sympy.sin(X**2)),
    ):
        found = finish(sympy.Piecewise(*branches))
        assert any(chosen == expected for chosen, _ in found.args), found


def test_srelu_is_written_with_exact_differences():
    act = get("srelu")
    stable = stabilise(act.expression)
    assert stable.has(sympy.sin(sympy.pi * (T + X) / (4 * T)) ** 2)
    assert finish(derivative(stable, T)).has(X - T) or finish(derivative(stable, T)).has(T - X)


@pytest.mark.parametrize("kind", fn._Real.__subclasses__(), ids=lambda k: k.__name__)
def test_derivatives_of_the_functions_are_those_of_their_definitions(kind):
    arguments = {
        fn.ScaledExp: (X**2, -X),
        fn.ShiftedSin: (X, sympy.pi / 4),
        fn.ShiftedCos: (X, sympy.Integer(1)),
        fn.ScaledSigmoid: (X**2, 2 * X),
        fn.ScaledErfc: (X, 1 - X),
    }
    args = arguments.get(kind, (X / 2,))
    x = np.linspace(-0.9, 3, 14)
    found = _numbers(kind(*args).diff(X), x)
    np.testing.assert_allclose(found, _numbers(kind.definition(*args).diff(X), x), rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("x/(1 + exp(-20*x))", "sigmoid"),
        ("softplus", "softplus"),
        ("elu", "expm1"),
        ("gelu", "erfc"),
        ("tanh", "tanh"),
        ("mish", "tanh of softplus"),
        ("srelu", "one plus sin"),
        ("sinerelu", "sinusoids"),
        ("softsign", "cancelling fractions"),
        ("crrelu", "common exponential"),
    ],
)
def test_the_sweep_accepts_the_rules_that_the_catalog_needs(name, rule):
    found = sweep(name, rule, points=160)
    assert found.accepted, found


def test_scaled_exp_rescues_the_last_digits():
    x = np.linspace(37.0, 38.5, 301)
    exact = reference.evaluate(X * sympy.exp(-(X**2) / 2), x, {})
    plain = x * np.exp(-(x**2) / 2)
    half = np.exp(-(x**2) / 4)
    assert reference.relative_error(plain, exact).max() > 1e-12
    assert reference.relative_error(x * half * half, exact).max() < 1e-12


@pytest.mark.parametrize(
    ("name", "left", "right"), [("gelu", -38.6, -37.2), ("gelu_tanh", -21.7, -21.0), ("silu", -745, -705)]
)
def test_tails_keep_their_digits_down_to_the_last_subnormal(name, left, right):
    act, x = get(name), np.linspace(left, right, 60)
    exact = reference.oracle(act, x)
    for backend in ("aten", "auto"):
        found = compile_kernel(act, backend)(torch.from_numpy(x)).numpy()
        assert reference.relative_error(found, exact.value).max() < 1e-12
    plain = (
        AtenRunner(Scalar.of(act, ["scaled sigmoid", "scaled erfc"])).forward(torch.from_numpy(x), ()).numpy()
    )
    assert reference.relative_error(plain, exact.value).max() > 1e-12


def test_an_unknown_rule_is_refused():
    with pytest.raises(InputError, match=r"the rules are: sigmoid, .*but got 'nosuch'"):
        sweep("relu", "nosuch")


@pytest.mark.parametrize("backend", ["aten", "cpp"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "formula",
    [
        "tanh(x/2)/cosh(x/2)**2",
        "x*(1 - 0.7*x**2 + 0.2*x**4 - 0.01*x**6)*exp(-x**2/2)",
        "(x - 2*tanh(x))*exp(-x**2/2)",
        "(1 - exp(-x))*exp(-x - exp(-x))",
        "exp(-exp(-x))",
    ],
)
def test_what_dies_out_leaves_no_nan(formula, dtype, backend):
    far = [s * v for s in (-1.0, 1.0) for v in (90.0, 750.0, 1500.0, 1e4, 1e18, 1e30)]
    x = torch.tensor(far, dtype=dtype, requires_grad=True)
    y = compile_kernel(formula, backend)(x)
    y.sum().backward()
    limits = get(formula)(np.array(far).clip(-1e4, 1e4))
    np.testing.assert_allclose(y.detach().double().numpy(), limits, rtol=1e-6, atol=1e-30)
    np.testing.assert_array_equal(x.grad.double().abs().numpy() < 1e-30, True)


@pytest.mark.parametrize("backend", ["aten", "cpp"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "formula",
    [
        "exp(2*x)/(3 + exp(2*x))",
        "exp(x)/(2 + exp(x))",
        "exp(x)/(exp(x) + exp(-x))",
        "exp(x)/cosh(x)",
        "x/(exp(x) + exp(-x))",
        "log(2 + exp(x))",
        "log(exp(x) + exp(-x))",
        "(exp(2*x) - 1)/(exp(2*x) + 1)",
        "(1 - exp(-x))/(1 + exp(-x))",
        "1/cosh(x)",
        "x/cosh(x)**3",
        "sinh(x)/cosh(x)",
        "log(cosh(x))",
    ],
)
def test_what_overflows_on_the_way_to_a_finite_value_does_not(formula, dtype, backend):
    far = [
        s * v for s in (-1.0, 1.0) for v in (0.3, 2.0, 20.0, 52.5, 55.0, 60.0, 90.0, 105.0, 400.0, 800.0, 1e4)
    ]
    x = torch.tensor(far, dtype=dtype, requires_grad=True)
    exact = reference.oracle(get(formula), x.detach().double().numpy())
    y = compile_kernel(formula, backend)(x)
    y.sum().backward()
    # Arguments such as 2x − log 3 are rounded, which exp turns into a few dozen units.
    tolerance = {"rtol": 3e-5, "atol": 1e-36} if dtype == torch.float32 else {"rtol": 1e-13, "atol": 1e-300}
    np.testing.assert_allclose(y.detach().double().numpy(), exact.value.high, **tolerance)
    np.testing.assert_allclose(x.grad.double().numpy(), exact.slope.high, **tolerance)


@pytest.mark.parametrize("backend", ["aten", "cpp"])
@pytest.mark.parametrize(
    "formula", ["exp(x)/(1 + exp(x/3))**3", "exp(0.9*x)/(1 + exp(x))", "exp(x)*exp(-sqrt(1 + x**2))"]
)
def test_an_overflow_is_never_a_plausible_number(formula, backend):
    x = torch.linspace(-200, 600, 2000)
    y = compile_kernel(formula, backend)(x)
    exact = reference.evaluate(get(formula).expression, x.double().numpy(), {}).high
    finite = y.isfinite().numpy()
    np.testing.assert_allclose(y.numpy()[finite], exact[finite], rtol=1e-3, atol=1e-30)


@pytest.mark.parametrize("backend", ["aten", "cpp"])
@pytest.mark.parametrize(
    ("formula", "scale"), [("sinerelu", 1.0), ("1 + sin(x)", 1.0), ("sin(x) + 2*cos(x)", 2.0)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shifted_sines_far_out(formula, scale, dtype, backend):
    far = [s * v for s in (-1.0, 1.0) for v in (200.0, 257.0, 1e4 + 0.25, 1e7, 1e10)]
    x = torch.tensor(far, dtype=dtype)
    x = x if formula != "sinerelu" else x[x < 0]
    act = get(formula)
    act = act.with_parameters(**{k: float(np.float32(v)) for k, v in act.defaults.items()})
    exact = reference.oracle(act, x.double().numpy()).value.high
    found = compile_kernel(act, backend)(x).double().numpy()
    np.testing.assert_allclose(found, exact, rtol=0, atol=6 * torch.finfo(dtype).eps * scale)


@pytest.mark.parametrize(
    "text",
    [
        # Exponentials and sigmoids of numbers are constants.
        "exp(-1)*cos(x)",
        "-x*exp(-1)/(exp(x) + 1)",
        "exp(-x**2)*exp(-(-x - 1)**2)",
        "x*exp(-2)*sigmoid(1)",
        # SymPy turns the conditions of these round and round.
        "max(-x**2 + x, 1/(x**2 + 1))",
        "min(1/(x**2 + 1), max(0, -x**2 + max(0, x)))",
    ],
)
@pytest.mark.parametrize("backend", ["aten", "cpp"])
def test_formulas_that_once_could_not_be_compiled(text: str, backend: str) -> None:
    # No point lies on a seam.
    x = torch.linspace(-3, 3, 60, dtype=torch.float64, requires_grad=True)
    y = compile_kernel(text, backend)(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    at, step = x.detach().numpy(), 1e-6
    function = get(text)
    assert y.detach().numpy() == pytest.approx(function(at), rel=1e-12, abs=1e-15)
    assert slope.numpy() == pytest.approx((function(at + step) - function(at - step)) / (2 * step), abs=1e-7)
