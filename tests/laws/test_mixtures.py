"""Mixtures: the sum of their parts, their text form, and what is refused."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import sympy

from eafo import laws
from eafo.activation import VARIABLE as x
from eafo.errors import InputError
from eafo.laws.law import increases

TWO = "0.5*normal(-1, 1) + 0.5*normal(1, 1)"


def test_a_mixture_is_the_sum_of_its_parts() -> None:
    law = laws.get("0.25*normal(-1,1)+0.75*laplace(2,0.5)")
    parts = [(0.25, laws.get("normal(-1,1)").frozen()), (0.75, laws.get("laplace(2,0.5)").frozen())]
    points = np.linspace(-40, 40, 801)
    for mine, peer in ((law.numeric.pdf, "pdf"), (law.numeric.cdf, "cdf"), (law.numeric.sf, "sf")):
        expected = sum(w * getattr(p, peer)(points) for w, p in parts)
        np.testing.assert_allclose(mine(points), expected, rtol=1e-12)
    assert law.numeric.kinks == (2.0,)


def test_the_closed_forms_are_the_numbers() -> None:
    law = laws.get(TWO)
    points = np.linspace(-5, 5, 41)
    for expression, numbers in (
        (law.density, law.numeric.pdf),
        (law.cdf, law.numeric.cdf),
        (law.survival, law.numeric.sf),
        (law.score, law.numeric.score),
    ):
        values = sympy.lambdify(x, expression, ["scipy", "numpy"])(points)
        np.testing.assert_allclose(values, numbers(points), rtol=1e-11, atol=1e-13)
    assert law.quantile is None
    assert law.entropy is None


def test_entropy_against_mpmath() -> None:
    numbers = laws.get("0.3*normal(-2, 0.5) + 0.7*normal(1, 2)").numeric
    with mpmath.workdps(20):

        def p(t: mpmath.mpf) -> mpmath.mpf:
            return 0.3 * mpmath.npdf(t, -2, 0.5) + 0.7 * mpmath.npdf(t, 1, 2)

        expected = mpmath.quad(lambda t: -p(t) * mpmath.log(p(t)), [-25, -5, -2, 0, 3, 8, 28])
    assert numbers.entropy == pytest.approx(float(expected), abs=1e-12)
    assert abs(numbers.entropy - float(expected)) <= numbers.entropy_error < 1e-11


def test_parts_of_different_support() -> None:
    law = laws.get("0.5*uniform(0, 1) + 0.5*exponential(2, 3)")
    numbers = law.numeric
    assert (law.lower, law.upper, numbers.kinks) == (0, sympy.oo, (1.0, 3.0))
    np.testing.assert_allclose(
        numbers.cdf([-1, 0.5, 2, 3, 5]), [0, 0.25, 0.5, 0.5, 1 - 0.5 * np.exp(-1)], rtol=1e-14
    )
    np.testing.assert_allclose(numbers.score([0.5, 2.0, 4.0]), [0, 0, -0.5])
    values = sympy.lambdify(x, law.density, "numpy")(np.array([0.5, 2.0, 4.0]))
    np.testing.assert_allclose(values, numbers.pdf([0.5, 2.0, 4.0]), rtol=1e-14)
    assert float(numbers.entropy) == pytest.approx(np.log(2) + 0.5 * (1 + np.log(2)), abs=1e-12)


def test_the_name_reads_back() -> None:
    law = laws.get("0.5*normal(-1,1)+5e-1*scipy.gamma(2)")
    assert law.name == "0.5*normal(-1, 1) + 0.5*scipy.gamma(2, 0, 1)"
    assert laws.get(law.name).name == law.name
    assert laws.get("1*normal").name == "normal"
    assert laws.get("1/3*normal+2/3*cauchy").numeric.cdf(0.0) == pytest.approx(0.5, abs=1e-15)


def test_symbols_in_parts_and_weights() -> None:
    m = sympy.Symbol("m", real=True)
    w = sympy.Symbol("w", positive=True)
    law = laws.mixture(
        [sympy.Rational(1, 2), sympy.Rational(1, 2)],
        [laws.get("normal", mean=m), laws.get("normal", mean=-m)],
    )
    assert law.free_symbols == {m}
    np.testing.assert_allclose(
        law.at(m=1.0).numeric.pdf([0.0, 2.0]), laws.get(TWO).numeric.pdf([0.0, 2.0]), rtol=1e-14
    )
    with pytest.raises(InputError, match="positive"):
        laws.mixture([w, 1 - w], [laws.get("normal"), laws.get("cauchy")])


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (
            "0.5*normal+0.6*normal(1,1)",
            "must sum to 1, but got '1.1'; divide each by their sum: 0.454545, 0.545455",
        ),
        ("0.5*normal", "must sum to 1"),
        ("0*normal+1*cauchy", "must be positive"),
        ("-0.5*normal+1.5*cauchy", "a sum of weight"),
        ("0.5*normal+cauchy", "a sum of weight.law, but got 'cauchy'"),
        ("0.5*normal+0.5*nosuch", "one of cauchy"),
        ("0.5*normal(0,-1)+0.5*cauchy", "deviation must be positive"),
        ("0.5*normal+", "a sum of weight"),
    ],
)
def test_bad_input(form: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        laws.get(form)


def test_weights_and_laws_must_pair() -> None:
    with pytest.raises(InputError, match="2 weights and 1 laws"):
        laws.mixture([0.5, 0.5], [laws.get("normal")])
    with pytest.raises(InputError, match="0 weights and 0 laws"):
        laws.mixture([], [])


def test_components_are_laws() -> None:
    with pytest.raises(InputError, match="components must be laws, but got 'cauchy'"):
        laws.mixture([0.5, 0.5], [laws.get("normal"), "cauchy"])  # type: ignore[list-item]


def test_a_narrow_part_counts_in_the_entropy() -> None:
    numbers = laws.get("0.999*normal(0, 1e6) + 0.001*normal(3, 1e-6)").numeric
    # The parts hardly overlap: h = Σ w_k (h_k − log w_k), less what the wide one adds under the narrow one, below 1e-10.
    wide, narrow = (np.log(2 * np.pi * np.e * s**2) / 2 for s in (1e6, 1e-6))
    expected = 0.999 * (wide - np.log(0.999)) + 0.001 * (narrow - np.log(0.001))
    assert numbers.entropy == pytest.approx(expected, abs=1e-9)
    assert numbers.entropy_error < 1e-9


def test_the_entropy_of_many_scales_is_that_of_a_sample() -> None:
    parts = " + ".join(f"0.1*normal(0, 1e{k})" for k in range(-3, 12, 2)) + " + 0.2*normal(5, 1)"
    law = laws.get(parts)
    drawn = -law.numeric.logpdf(law.sample(40_000, seed=1))
    assert law.numeric.entropy == pytest.approx(drawn.mean(), abs=5 * drawn.std() / 200)


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), "a", None])
def test_weights_are_numbers(weight: object) -> None:
    with pytest.raises(InputError, match="a law's parameter must be"):
        laws.mixture([weight, 0.5], [laws.get("normal"), laws.get("cauchy")])  # type: ignore[list-item]


@pytest.mark.parametrize(
    "form",
    [
        "scipy.pareto(2)",
        "scipy.lognorm(1)",
        "scipy.weibull_min(1.5)",
        "0.5*scipy.pareto(2) + 0.5*normal",
        "0.5*scipy.pareto(2) + 0.5*scipy.weibull_min(1.5)",
        "0.5*uniform + 0.5*scipy.pareto(2)",
        "0.5*uniform + 0.5*uniform(0, 3)",
        "0.5*exponential + 0.5*half_normal",
    ],
)
def test_the_distribution_function_holds_beyond_the_support(form: str) -> None:
    """1 − 1/x² falls for x < 0, and log x has no value there: neither may be clipped at the support's end."""
    law, points = laws.get(form), np.array([-1e6, -3.0, -1.0, -0.1, 0.3, 0.99, 1.01, 2.0, 3.5, 1e3])
    everywhere = law.cdf_everywhere()
    assert everywhere is not None
    found = [float(everywhere.subs(x, sympy.Rational(repr(float(v)))).evalf(20)) for v in points]
    np.testing.assert_allclose(found, law.numeric.cdf(points), atol=1e-14)


def test_a_pole_ends_what_increases_on_both_sides() -> None:
    assert not increases(sympy.exp(-1 / x))
    assert increases(sympy.atan(x))
    assert increases(1 / (1 + sympy.exp(-x)))
