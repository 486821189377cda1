"""from_derivative: activations by their gradients, against the catalog, SciPy and quadrature."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate
import sympy

import eafo
from eafo.activation import VARIABLE, Activation
from eafo.derivation import from_derivative
from eafo.errors import InputError, RefusedError

XIELU = "where(x > 0, 2*alpha_p*x + beta, alpha_n*(exp(x) - 1) + beta); alpha_p=0.8, alpha_n=0.8, beta=0.5"


def test_xielu_is_what_its_gradient_integrates_to():
    made, known = from_derivative(XIELU), eafo.get("xielu")
    same = {p.symbol: k.symbol for p in made.parameters for k in known.parameters if p.name == k.name}
    assert sympy.simplify(made.expression.xreplace(same) - known.expression) == 0
    x = np.linspace(-20, 20, 4001)
    np.testing.assert_allclose(made(x), known(x), rtol=1e-13, atol=1e-14)
    other = {"alpha_p": 0.3, "alpha_n": 1.7, "beta": 0.1}
    np.testing.assert_allclose(made(x, **other), known(x, **other), rtol=1e-12, atol=1e-13)
    assert [p.name for p in made.parameters] == ["alpha_p", "alpha_n", "beta"]


def test_the_sigmoid_gives_softplus_but_for_a_constant():
    difference = from_derivative("1/(1+exp(-x))").expression - eafo.get("softplus").expression
    assert sympy.simplify(difference) == -sympy.log(2)


@pytest.mark.parametrize(
    ("gradient", "text"),
    [
        ("relu", "where(x > 0, x**2/2, 0)"),
        ("tanh", "log(cosh(x))"),
        ("sin(x)", "1 - cos(x)"),
        ("abs(x)", "where(x > 0, x**2/2, -x**2/2)"),
        ("softsign", "where(x > 0, x - log(x + 1), -x - log(1 - x))"),
        ("exp(-x**2)", "sqrt(pi)*erf(x)/2"),
        ("where(x > t, x, 0); t=-1", "where(x > t, x**2/2, t**2/2)"),
        ("2", "2*x"),
    ],
)
def test_closed_forms(gradient, text):
    assert str(from_derivative(gradient)) == text


GRADIENTS = [
    "hardtanh",
    "hardsigmoid",
    "gelu",
    "erf",
    "arctan",
    "crrelu",
    "srelu",
    "selu",
    "sigmoid",
    "leaky_relu",
    "x**2",
]


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_it_is_the_integral(gradient):
    made, slope = from_derivative(gradient), eafo.get(gradient)
    assert abs(made([0.0])[0]) < 1e-15
    for end in (-5.3, -0.4, 0.7, 6.1):
        seams = [s for s in (-3.0, -2.21, -1.0, 1.0, 2.21, 3.0) if min(end, 0) < s < max(end, 0)]
        expected = scipy.integrate.quad(lambda v: slope([v])[0], 0, end, points=seams or None, epsabs=1e-12)[
            0
        ]
        assert made([end])[0] == pytest.approx(expected, abs=1e-9)
    assert eafo.properties(made).continuous


@pytest.mark.parametrize("gradient", ["sigmoid", "relu", XIELU])
def test_the_gradient_comes_back(gradient):
    made, slope = from_derivative(gradient), eafo.get(gradient)
    x = np.linspace(-9, 9, 400)
    np.testing.assert_allclose(made.diff()(x), slope(x), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("gradient", "text"),
    [
        ("where(x > 0, sqrt(x), 0)", "where(x > 0, 2*x**(3/2)/3, 0)"),
        ("where(x > 0, x**0.3, 0)", "where(x > 0, 10*x**(13/10)/13, 0)"),
        ("where(x > 1, sqrt(x - 1), 0)", "where(x > 1, 2*(x - 1)**(3/2)/3, 0)"),
        ("where(x > 0, x**a, 0); a=0.5", "where(x > 0, x**(a + 1)/(a + 1), 0)"),
    ],
)
def test_the_quadrature_bears_a_root(gradient, text):
    made = from_derivative(gradient)
    assert str(made) == text
    assert "to 1e-14 of its size" in made.provenance.steps[-1] or "to 2e-14" in made.provenance.steps[-1]


@pytest.mark.parametrize(
    ("gradient", "condition", "holds", "fails"),
    [
        ("where(x > s, x, a*x); s=0.5, a=0.1", "0 <= s", {"s": 2.0, "a": -3.0}, {"s": -1.0}),
        ("where(x > s, x, a*x); s=-0.5, a=0.1", "s <= 0", {"s": -2.0}, {"s": 1.0}),
        (
            "where(x > t, x, where(x > s, 1, 0)); s=0.5, t=2",
            "0 <= s, s <= t",
            {"s": 1.0, "t": 3.0},
            {"s": -1.0},
        ),
    ],
)
def test_a_parametric_seam_says_where_it_holds(gradient, condition, holds, fails):
    made = from_derivative(gradient)
    assert any(step.endswith(f"which hold while {condition}") for step in made.provenance.steps)
    assert made([0.0], **holds)[0] == 0
    assert eafo.properties(made.with_parameters(**holds)).continuous
    assert made([0.0], **fails)[0] != 0


def test_no_condition_where_there_is_none():
    assert "the constants follow from f(0) = 0 and from continuity at the seams" in (
        from_derivative(XIELU).provenance.steps
    )
    assert any("beta != 0" in s for s in from_derivative("exp(beta*x); beta=1").provenance.steps)


@pytest.mark.parametrize(
    ("gradient", "told"),
    [
        ("celu", "seams"),
        ("srelu", "seams"),
        ("exp(-a*x**2); a=1", "which hold while a > 0"),
        ("a**x; a=2", "which hold while a > 0, log(a) != 0"),
    ],
)
def test_conditions_are_those_of_the_formula(gradient, told):
    steps = from_derivative(gradient).provenance.steps
    (constants,) = (s for s in steps if s.startswith("the constants follow"))
    assert constants.endswith(told)


def test_xielu_learns_as_it_is():
    torch = pytest.importorskip("torch")
    layer = eafo.nn.Module(from_derivative(XIELU)).to(torch.float64)
    # The parameters began in float32.
    own = from_derivative(XIELU, **{name: p.item() for name, p in layer.named_parameters()})
    x = torch.linspace(-6, 6, 101, dtype=torch.float64)
    layer(x).square().sum().backward()
    found = {name: parameter.grad.item() for name, parameter in layer.named_parameters()}
    assert found.keys() == own.defaults.keys()
    for name, value in own.defaults.items():
        # f is linear in each parameter, so that a difference over a long step is its derivative.
        high, low = (own(x.numpy(), **{name: value + d}) for d in (0.5, -0.5))
        assert found[name] == pytest.approx(float(2 * own(x.numpy()) @ (high - low)), rel=1e-12)


def test_forms_and_steps():
    made = from_derivative("1/(1 + exp(-beta*x)); beta=1", beta=2.0)
    assert made.defaults == {"beta": 2.0}
    assert Activation.from_json(made.to_json()) == made
    assert from_derivative(sympy.sin(VARIABLE)).expression == 1 - sympy.cos(VARIABLE)
    steps = from_derivative("relu").provenance.steps
    assert steps[0] == "gradient f′(x) = max(0, x)"
    assert steps[1:3] == (
        "for -oo < x < 0 the integral is 0 + 0",
        "for 0 < x < oo the integral is x**2/2 + 0",
    )
    assert "quadrature" in steps[-1]


@pytest.mark.parametrize(
    ("gradient", "message"),
    [
        ("silu", "integral in elementary functions that SymPy finds, but got .*another form"),
        ("mish", "integral in elementary functions"),
        ("1/x", "finite and real wherever it is integrated, .*, but got 'nan at x = 0 in 1/x'"),
        ("exp(x**2)", r"below 1e\+06 in size there, but got '6.23515e\+27 at x = -8"),
        ("1/sqrt(abs(x))", "finite and real"),
        ("log(x)", "finite and real"),
        ("where(x > 1, 1/(x - 1)**2, 0)", "finite and real"),
    ],
)
def test_refused(gradient, message):
    with pytest.raises(RefusedError, match=message):
        from_derivative(gradient)


@pytest.mark.parametrize("gradient", ["nosuch", "x +", "x*beta", 3])
def test_bad_input(gradient):
    with pytest.raises(InputError):
        from_derivative(gradient)
