"""Laws of scipy.stats and sympy.stats."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import mpmath
import numpy as np
import pytest
import scipy.stats
import sympy
import sympy.stats

from eafo import laws
from eafo.activation import VARIABLE as x
from eafo.errors import InputError
from eafo.laws.scipy_forms import FORMS, KINKS

SHAPES: dict[str, tuple[float, ...]] = {
    "beta": (2.5, 1.5), "chi2": (55,), "gamma": (2.2,), "johnsonsu": (0.5, 1.5), "lognorm": (0.9,), "lomax": (1.9,),
    "pareto": (2.6,), "skewnorm": (3.0,), "t": (2.7,), "weibull_min": (1.8,),
    "exponnorm": (1.5,), "f": (9, 8), "fisk": (3,), "genlogistic": (0.4,), "gennorm": (1.3,), "invgauss": (0.6,),
    "laplace_asymmetric": (2,), "nct": (14, 0.24), "norminvgauss": (1.25, 0.5), "powerlognorm": (2.1, 0.45),
    "skewcauchy": (0.5,), "trapezoid": (0.2, 0.8), "triang": (0.3,), "truncnorm": (-1.1, 2.7),
}  # fmt: skip
NAMES = sorted({*FORMS, *SHAPES})
LEVELS = np.array([1e-7, 1e-3, 0.03, 0.25, 0.5, 0.8, 0.99])


@pytest.mark.parametrize("name", NAMES)
def test_a_law_of_scipy(name: str) -> None:
    law = laws.get(getattr(scipy.stats, name)(*SHAPES.get(name, ()), loc=0.5, scale=2.0))
    numbers, peer = law.numeric, law.frozen()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        low, high, truth = peer.ppf(LEVELS), peer.isf(LEVELS), float(peer.entropy())
    width = high[3] - low[3]
    # Its mass next to 1 lies closer than doubles do, 1e-8 of it; SciPy integrates the other by number.
    rough = {"arcsine": 1e-7, "norminvgauss": 1e-6}.get(name, 1e-9)
    np.testing.assert_allclose(numbers.ppf(LEVELS), low, rtol=rough, atol=rough * width)
    np.testing.assert_allclose(numbers.isf(LEVELS), high, rtol=10 * rough, atol=rough * width)
    np.testing.assert_allclose(
        numbers.cdf(low[1:]), LEVELS[1:], rtol=max(1e-7, rough), atol=1e-8 if name == "arcsine" else 0
    )
    np.testing.assert_allclose(
        numbers.sf(high[1:]), LEVELS[1:], rtol=max(1e-7, rough), atol=1e-8 if name == "arcsine" else 0
    )
    np.testing.assert_allclose(numbers.logpdf(low[1:]), peer.logpdf(low[1:]), rtol=1e-9, atol=1e-9)
    assert abs(numbers.entropy - truth) < 1e-7
    for point in (low[3], low[5], high[4]):
        h = 1e-4 * width
        slope = (peer.logpdf(point + h) - peer.logpdf(point - h)) / (2 * h)
        if all(abs(point - k) > 2 * h for k in numbers.kinks):
            assert float(numbers.score(point)) * width == pytest.approx(slope * width, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("name", sorted(FORMS))
def test_the_closed_forms_are_scipys(name: str) -> None:
    law = laws.get(getattr(scipy.stats, name)(*SHAPES.get(name, ()), loc=0.5, scale=2.0))
    peer = law.frozen()
    points = peer.ppf(LEVELS[2:])
    for expression, values in (
        (law.density, peer.pdf(points)),
        (law.cdf, LEVELS[2:]),
        (law.survival, 1 - LEVELS[2:]),
    ):
        if expression is not None:
            found = sympy.lambdify(x, expression.evalf(17), ["scipy", "numpy"])(points)
            np.testing.assert_allclose(found * np.ones_like(points), values, rtol=1e-9)
    if law.quantile is not None:
        found = sympy.lambdify(law.U, law.quantile, ["scipy", "numpy"])(LEVELS[2:])
        np.testing.assert_allclose(found, points, rtol=1e-9, atol=1e-12)
    if law.entropy is not None:
        assert float(law.entropy) == pytest.approx(float(peer.entropy()), abs=1e-8)


@pytest.mark.parametrize("name", sorted(KINKS))
def test_kinks_lie_where_the_slope_jumps(name: str) -> None:
    shapes = {
        "crystalball": (2.0, 3.0),
        "dgamma": (1.5,),
        "dweibull": (1.7,),
        "irwinhall": (2,),
        "loglaplace": (3.0,),
    }
    law = laws.get(getattr(scipy.stats, name)(*shapes.get(name, SHAPES.get(name, ())), loc=1.0, scale=2.0))
    assert law.numeric.kinks
    assert all(law.numeric.lower < k < law.numeric.upper for k in law.numeric.kinks)


def test_slow_laws_go_by_scipys_own_routines() -> None:
    law = laws.get("scipy.irwinhall(4)")
    numbers, peer = law.numeric, law.frozen()
    points = peer.ppf([0.01, 0.3, 0.9])
    np.testing.assert_allclose(numbers.cdf(points), peer.cdf(points), rtol=1e-9)
    assert abs(numbers.entropy - float(peer.entropy())) < 2 * numbers.entropy_error < 1e-5


def test_names_read_back() -> None:
    law = laws.get("scipy.gamma(2, scale=3)")
    assert law.name == "scipy.gamma(2, 0, 3)"
    assert laws.get(law.name) == law == laws.get(scipy.stats.gamma(2, scale=3))
    assert laws.get(scipy.stats.norm).name == "scipy.norm(0, 1)"


@pytest.mark.parametrize(
    ("law", "message"),
    [
        ("scipy.nosuch(1)", "must be a continuous distribution of scipy.stats, but got 'nosuch'"),
        ("scipy.poisson(2)", "must be a continuous distribution"),
        ("scipy.__class__", "must be a continuous distribution"),
        ("scipy.gamma", "parameters of scipy.gamma are a, loc, scale"),
        ("scipy.gamma(1, 2, 3, 4)", "parameters of scipy.gamma are a, loc, scale"),
        ("scipy.gamma(2, foo=1)", "parameters of scipy.gamma are a, loc, scale"),
        ("scipy.gamma(-1)", "must lie in its range"),
        ("scipy.norm(0, -1)", "must lie in its range"),
        ("scipy.gamma(a)", "every name in a formula"),
        ("scipy.vonmises(1)", "on the line, not on the circle"),
        (scipy.stats.poisson(2), "must be a continuous distribution"),
        (scipy.stats.multivariate_normal([0, 0]), "must be a continuous distribution"),
        (scipy.stats.gamma([1, 2]), "must be single numbers"),
        (scipy.stats.gamma(np.nan), "must be finite"),
        (scipy.stats.gamma, "parameters of scipy.gamma are a, loc, scale"),
    ],
)
def test_bad_laws_of_scipy(law: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        laws.get(law)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("variable", "peer", "closed"),
    [
        (sympy.stats.Normal("X", 1, 2), "norm(1, 2)", "c"),
        (sympy.stats.Gamma("X", 2, 3), "gamma(2, scale=3)", "c"),
        (sympy.stats.Uniform("X", -1, 3), "uniform(-1, 4)", "c"),
        (sympy.stats.Laplace("X", 0, 2), "laplace(0, 2)", "c"),
        (sympy.stats.Beta("X", 2, 3), "beta(2, 3)", "c"),
        (sympy.stats.Rayleigh("X", 2), "rayleigh(0, 2)", "c"),
        (sympy.stats.StudentT("X", 3), "t(3)", ""),
    ],
)
def test_a_law_of_sympy(variable: object, peer: str, closed: str) -> None:
    law, other = laws.get(variable), laws.get(f"scipy.{peer}")  # type: ignore[arg-type]
    points = other.frozen().ppf(LEVELS)
    for mine, theirs in ((law.numeric.pdf, other.frozen().pdf), (law.numeric.cdf, other.frozen().cdf)):
        np.testing.assert_allclose(mine(points), theirs(points), rtol=1e-8)
    assert law.numeric.entropy == pytest.approx(float(other.frozen().entropy()), abs=1e-9)
    assert "c" not in closed or law.cdf is not None
    if law.entropy is not None:
        assert float(law.entropy) == pytest.approx(law.numeric.entropy, abs=1e-8)
    if law.cdf is not None:
        np.testing.assert_allclose(sympy.lambdify(x, law.cdf, ["scipy", "numpy"])(points), LEVELS, atol=1e-9)
    with pytest.raises(InputError, match=r"scipy.stats knows.*law.numeric serves every law"):
        law.frozen()


def test_symbols_of_sympys_laws() -> None:
    rate = sympy.Symbol("rate", positive=True)
    law = laws.get(sympy.stats.Exponential("X", rate))
    assert law.free_symbols == {rate}
    assert law.density == rate * sympy.exp(-rate * x)
    assert sympy.simplify(law.cdf - 1 + sympy.exp(-rate * x)) == 0
    np.testing.assert_allclose(law.at(rate=2).numeric.cdf([0.5, 3.0]), 1 - np.exp([-1.0, -6.0]), rtol=1e-13)


@pytest.mark.parametrize(
    "variable",
    [
        sympy.stats.Poisson("P", 2),
        sympy.stats.Die("D", 6),
        sympy.stats.MultivariateNormal("M", [0, 0], [[1, 0], [0, 1]]),
    ],
)
def test_bad_laws_of_sympy(variable: object) -> None:
    with pytest.raises(InputError, match="must be one continuous random variable"):
        laws.get(variable)  # type: ignore[arg-type]


def test_values_that_sympys_laws_refuse() -> None:
    sigma = sympy.Symbol("sigma", positive=True)
    with pytest.raises(
        InputError, match="must lie in its range: Standard deviation must be positive, but got '-1'"
    ):
        laws.get(sympy.stats.Normal("X", 0, sigma)).at(sigma=-1)
    with pytest.raises(InputError, match="must not hold the law's own variable x"):
        laws.get(sympy.stats.Normal("X", sympy.Symbol("x"), 1))
    with pytest.raises(InputError, match="must be a closed form in numbers"):
        laws.get(sympy.stats.UniformSum("X", 3))


@pytest.mark.parametrize(
    "form",
    [
        "gamma(1000)", "gamma(1000000)", "chi2(300)", "chi2(2000000)", "beta(900, 900)", "beta(10000, 100000)",
        "gamma(0.001)", "chi2(0.01)", "t(1000000)", "loguniform(1e-50, 1e50)",
    ],
)  # fmt: skip
def test_shapes_far_out(form: str) -> None:
    law = laws.get(f"scipy.{form}")
    numbers, peer = law.numeric, law.frozen()
    levels = np.array([1e-3, 0.2, 0.9])
    np.testing.assert_allclose(numbers.ppf(levels), peer.ppf(levels), rtol=1e-8, atol=1e-200)
    np.testing.assert_allclose(numbers.isf(levels), peer.isf(levels), rtol=1e-8, atol=1e-200)
    # SciPy's own entropies of large shapes are good to 1e-10.
    assert abs(numbers.entropy - float(peer.entropy())) < max(numbers.entropy_error, 1e-9)
    assert numbers.entropy_error < 1e-6


@pytest.mark.parametrize(
    ("form", "points", "score"),
    [
        ("levy", [0.05, 0.1, 0.2, 1.0, 100.0], lambda v: (1 / v - 3) / (2 * v)),
        ("powerlaw(0.5)", [1e-3, 0.01, 0.5], lambda v: -0.5 / v),
        ("argus(1)", [0.01, 0.5, 0.97, 0.999], lambda v: 1 / v - v / (1 - v * v) + v),
        ("gennorm(100)", [0.9, 0.99, 1.0, 1.02], lambda v: -100 * v**99),
        # SciPy states no end for it; it lies at 1.
        ("pearson3(-2)", [-3.0, 0.5, 0.97, 0.99], np.ones_like),
    ],
)
def test_the_score_by_differences(
    form: str, points: list[float], score: Callable[[np.ndarray], np.ndarray]
) -> None:  # type: ignore[type-arg]
    found = laws.get(f"scipy.{form}").numeric.score(points)
    np.testing.assert_allclose(found, score(np.array(points)), rtol=1e-8)


def test_a_tail_that_the_closed_form_would_cancel() -> None:
    numbers = laws.get("scipy.skewnorm(4)").numeric
    with mpmath.workdps(40):

        def p(z: mpmath.mpf) -> mpmath.mpf:
            return 2 * mpmath.npdf(z) * mpmath.ncdf(4 * z)

        for z in (-1.0, -2.0, -4.0, -6.0):
            assert float(numbers.logpdf(z)) == pytest.approx(float(mpmath.log(p(z))), rel=1e-14)
            expected = mpmath.diff(lambda v: mpmath.log(p(v)), z)
            assert float(numbers.score(z)) == pytest.approx(float(expected), rel=1e-8)
            below = mpmath.quad(p, [z - 8, z - 2, z - 0.5, z])
            assert float(numbers.cdf(z)) == pytest.approx(float(below), rel=1e-11)


def test_a_tail_beyond_doubles_is_in_the_error() -> None:
    """Of this law a thousandth lies beyond 1e308."""
    numbers = laws.get("scipy.crystalball(1, 1.01)").numeric
    assert np.isfinite(numbers.entropy)
    assert numbers.entropy_error > 0.5


@pytest.mark.parametrize(
    ("variable", "lower", "median", "entropy"),
    [
        # F = 1 − (1 − x²)³, h = 2/3 + 11/12 − log 6; that of Davis by mpmath from the density.
        (sympy.stats.Kumaraswamy("X", 2, 3), 0.0, np.sqrt(1 - 0.5 ** (1 / 3)), -0.208426135894722),
        (sympy.stats.Davis("X", 3, 2, 1), 1.0, None, 2.76860553452849),
    ],
)
def test_supports_that_sympy_states_too_wide(
    variable: object, lower: float, median: float | None, entropy: float
) -> None:
    numbers = laws.get(variable).numeric  # type: ignore[arg-type]
    assert numbers.lower == lower
    assert median is None or float(numbers.ppf(0.5)) == pytest.approx(median, rel=1e-12)
    assert numbers.entropy == pytest.approx(entropy, abs=1e-12)
