"""worst_law: math's table both ways, laws of one's own, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import sympy

import eafo
from eafo.derivation import worst_law
from eafo.errors import InputError, RefusedError

KNOWN = [
    ("sigmoid", "logistic", scipy.stats.logistic()),
    ("tanh", "logistic(0, 0.5)", scipy.stats.logistic(0, 0.5)),
    ("erf(x/sqrt(2))", "normal", scipy.stats.norm()),
    ("erf", "normal(0, 0.707106781187)", scipy.stats.norm(0, np.sqrt(0.5))),
    ("2*arctan(x)/pi", "cauchy", scipy.stats.cauchy()),
    ("arctan", "cauchy", scipy.stats.cauchy()),
    ("hardtanh", "uniform", scipy.stats.uniform(-1, 2)),
    ("hardsigmoid", "uniform(-3, 3)", scipy.stats.uniform(-3, 6)),
    ("exp(-exp(-x))", "gumbel", scipy.stats.gumbel_r()),
    ("sign(x)*(1 - exp(-abs(x)))", "laplace", scipy.stats.laplace()),
    ("max(0, 1 - exp(-x))", "exponential", scipy.stats.expon()),
    ("x/sqrt(2 + x**2)", "student_t(2)", scipy.stats.t(2)),
    ("3*tanh(x/4 + 1) - 7", "logistic(-4, 2)", scipy.stats.logistic(-4, 2)),
]


@pytest.mark.parametrize(("activation", "name", "peer"), KNOWN, ids=[k[0] for k in KNOWN])
def test_known_laws(activation, name, peer):
    law = worst_law(activation)
    assert law.name == name
    u = np.linspace(0.01, 0.99, 99)
    np.testing.assert_allclose(law.numeric.ppf(u), peer.ppf(u), rtol=1e-9, atol=1e-12)


def test_softsign_has_a_law_of_its_own():
    law = worst_law("softsign")
    assert law.name == "law of softsign"
    x = np.array([-7.0, -1.0, 0.5, 20.0])
    np.testing.assert_allclose(law.numeric.pdf(x), 1 / (2 * (1 + np.abs(x)) ** 2), rtol=1e-12)
    np.testing.assert_allclose(law.numeric.cdf(x), (x / (1 + np.abs(x)) + 1) / 2, rtol=1e-12)


@pytest.mark.parametrize(
    ("activation", "bounds"),
    [
        ("sigmoid", (0, 1)),
        ("tanh", (-1, 1)),
        ("softsign", (-1, 1)),
        ("hardtanh", (-1, 1)),
        ("1 - exp(-exp(x))", (0, 1)),
        ("min(1, max(-1, x**3))", (-1, 1)),
        ("tanh(beta*x); beta=3", (-1, 1)),
    ],
)
def test_there_and_back(activation, bounds):
    x = np.linspace(-6, 6, 241)
    there = eafo.wafbc(worst_law(activation), bounds=bounds)
    np.testing.assert_allclose(there(x), eafo.get(activation)(x), atol=2e-6)


def test_a_density_of_several_exponentials_overflows_nothing():
    law = worst_law("tanh(x) + 0.1*sin(x)*exp(-x**2)").numeric
    x = np.array([-100.0, -27.5, -3.0, 0.0, 1.5, 40.0])
    expected = (1 / np.cosh(x) ** 2 + 0.1 * np.exp(-(x**2)) * (np.cos(x) - 2 * x * np.sin(x))) / 2
    np.testing.assert_allclose(law.pdf(x), expected, rtol=1e-12)
    np.testing.assert_allclose(law.cdf(law.ppf([1e-30, 1e-5, 0.3, 0.9])), [1e-30, 1e-5, 0.3, 0.9], rtol=1e-9)
    with pytest.raises(RefusedError, match=r"which decreases between -2\.02672 and -0\.999663"):
        worst_law("tanh(x) + sin(x)*exp(-x**2)")


@pytest.mark.parametrize("form", ["logistic(1, 2)", "cauchy", "gumbel(-1, 3)", "laplace", "uniform(0, 3)"])
def test_back_and_there(form):
    law = worst_law(eafo.wafbc(form, bounds=(-2, 5)))
    assert law.name == form


def test_parameters_stay_exact():
    law = worst_law("erf")
    assert (
        sympy.simplify(law.density - sympy.exp(-(sympy.Symbol("x", real=True) ** 2)) / sympy.sqrt(sympy.pi))
        == 0
    )


@pytest.mark.parametrize(
    ("activation", "message"),
    [
        ("relu", "bounded, but got 'relu, which runs from 0 to oo'; .* see eafo.wafbc"),
        ("softplus", "must be bounded"),
        ("gelu", "nowhere decrease, but got 'gelu, which decreases"),
        ("sin", "must nowhere decrease"),
        ("exp(-x)", "must nowhere decrease"),
        ("sinerelu", "continuous, but got 'sinerelu, which jumps from -0.0025 to 0 at x = 0"),
        ("3", "must not be constant"),
        (
            "asinh(x)/sqrt(1 + asinh(x)**2)",
            r"mass within ±1e\+154, but got .* which runs from -1 to 1 with 3\.96e-06 of it beyond",
        ),
        ("max(-1, min(0, x)) + max(0, min(1, x - 2))", "increase without a pause"),
    ],
)
def test_refused(activation, message):
    with pytest.raises(RefusedError, match=message):
        worst_law(activation)


def test_bad_activation():
    with pytest.raises(InputError, match="catalog name or a formula"):
        worst_law("nosuch")
