"""Laws by their density: integrated, closed where SymPy can, refused where it is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import sympy

from eafo import laws
from eafo.activation import VARIABLE as x
from eafo.errors import InputError

T = sympy.Symbol("t")
PLANCK = "15/pi**4*x**3/(exp(x) - 1)"
LEVELS = np.array([1e-12, 1e-3, 0.2, 0.5, 0.77, 0.999])


@pytest.mark.parametrize(
    ("density", "lower", "upper", "peer"),
    [
        (sympy.exp(-(T**2) / 2) / sympy.sqrt(2 * sympy.pi), -sympy.oo, sympy.oo, scipy.stats.norm()),
        ("1/(pi*(1 + x**2))", -sympy.oo, sympy.oo, scipy.stats.cauchy()),
        (1 / (sympy.pi * sympy.cosh(T)), -sympy.oo, sympy.oo, scipy.stats.hypsecant()),
        ("exp(-abs(x))/2", -sympy.oo, sympy.oo, scipy.stats.laplace()),
        (sympy.exp(-T) / sympy.sqrt(sympy.pi * T), 0, sympy.oo, scipy.stats.gamma(0.5)),
        ("6*x*(1 - x)", 0, 1, scipy.stats.beta(2, 2)),
        ("where(x < 1, x, 2 - x)", 0, 2, scipy.stats.triang(0.5, 0, 2)),
        ("where(x > 0 and x < 4, 1/4, 0)", -sympy.oo, sympy.oo, scipy.stats.uniform(0, 4)),
        (sympy.Rational(1, 4), 1, 5, scipy.stats.uniform(1, 4)),
        (
            1000 * sympy.exp(-1000 * sympy.Abs(T - 10**6)) / 2,
            -sympy.oo,
            sympy.oo,
            scipy.stats.laplace(1e6, 1e-3),
        ),
        (sympy.exp(T - 100 - sympy.exp(T - 100)), -sympy.oo, sympy.oo, scipy.stats.gumbel_l(100)),
    ],
)
def test_the_numbers_are_those_of_the_law(
    density: object, lower: object, upper: object, peer: object
) -> None:
    law = laws.from_density(density, lower, upper)  # type: ignore[arg-type]
    numbers, points = law.numeric, peer.ppf(LEVELS)  # type: ignore[attr-defined]
    spread = points[-2] - points[2]
    # The law at 1e6 is known to the last digit of a double there, 1e-7 of its scale.
    rough = 1e-6 if abs(points[3]) > 1e5 else 1e-10
    np.testing.assert_allclose(numbers.ppf(LEVELS), points, rtol=1e-10, atol=rough * spread)
    np.testing.assert_allclose(numbers.isf(LEVELS), peer.isf(LEVELS), rtol=1e-10, atol=rough * spread)  # type: ignore[attr-defined]
    np.testing.assert_allclose(numbers.cdf(points), LEVELS, rtol=1e-9 if rough < 1e-9 else 1e-5, atol=1e-15)
    np.testing.assert_allclose(
        numbers.sf(peer.isf(LEVELS)), LEVELS, rtol=1e-9 if rough < 1e-9 else 1e-5, atol=1e-15
    )  # type: ignore[attr-defined]
    np.testing.assert_allclose(
        numbers.logpdf(points), peer.logpdf(points), rtol=1e-9, atol=max(1e-9, 10 * rough)
    )  # type: ignore[attr-defined]
    truth = float(peer.entropy())  # type: ignore[attr-defined]
    assert abs(numbers.entropy - truth) < max(1e-9, 2 * numbers.entropy_error)
    assert numbers.entropy_error < 1e-6
    for found, reference in ((law.cdf, LEVELS), (law.survival, 1 - LEVELS)):
        if found is not None:
            values = sympy.lambdify(x, found, ["scipy", "numpy"])(points)
            np.testing.assert_allclose(values, reference, atol=1e-9)


def test_the_law_of_softsign() -> None:
    law = laws.from_density("1/(2*(1 + abs(x))**2)", name="softsign's")
    assert law.name == "softsign's"
    points = np.array([-1e6, -3.0, 0.5, 40.0])
    tails = 1 / (2 * (1 + np.abs(points)))
    np.testing.assert_allclose(law.numeric.cdf(points), np.where(points < 0, tails, 1 - tails), rtol=1e-12)
    np.testing.assert_allclose(
        law.numeric.score(points), -2 * np.sign(points) / (1 + np.abs(points)), rtol=1e-12
    )
    # h = E[log 2 + 2 log(1 + |X|)] = log 2 + 2.
    assert law.numeric.entropy == pytest.approx(np.log(2) + 2, abs=1e-12)
    assert float(law.numeric.isf(1e-200)) == pytest.approx(5e199, rel=1e-12)
    assert law.numeric.kinks == (0.0,)
    np.testing.assert_allclose(sympy.lambdify(x, law.cdf)(points), law.numeric.cdf(points), rtol=1e-9)


@pytest.mark.parametrize(
    ("density", "at", "log_density", "score"),
    [
        (1 / (sympy.pi * sympy.cosh(T)), 3000.0, np.log(2 / np.pi) - 3000, -1.0),
        (sympy.exp(-T) / (1 + sympy.exp(-T)) ** 2, -3000.0, -3000.0, 1.0),
        (sympy.exp(-(T**2) / 2) / sympy.sqrt(2 * sympy.pi), 60.0, -1800 - np.log(2 * np.pi) / 2, -60.0),
        ("1/(2*(1 + abs(x))**2)", -1e200, -np.log(2) - 400 * np.log(10), 2e-200),
        (PLANCK, 1000.0, np.log(15 / np.pi**4 * 1e9) - 1000, 3e-3 - 1),
        (PLANCK, 1e-200, np.log(15 / np.pi**4) - 400 * np.log(10), 2e200),
    ],
)
def test_beyond_underflow(density: object, at: float, log_density: float, score: float) -> None:
    numbers = laws.from_density(density, 0 if density == PLANCK else -sympy.oo).numeric  # type: ignore[arg-type]
    assert float(numbers.logpdf(at)) == pytest.approx(log_density, rel=1e-14)
    assert float(numbers.score(at)) == pytest.approx(score, rel=1e-14)


def test_a_known_distribution_function_is_checked() -> None:
    law = laws.from_density("1/(pi*(1 + x**2))", cdf=sympy.atan(x) / sympy.pi + sympy.S.Half)
    assert law.cdf == sympy.atan(x) / sympy.pi + sympy.S.Half
    with pytest.raises(InputError, match="must be the integral of its density"):
        laws.from_density("1/(pi*(1 + x**2))", cdf=sympy.atan(2 * x) / sympy.pi + sympy.S.Half)


@pytest.mark.parametrize(
    ("density", "ends", "message"),
    [
        (
            "exp(-x**2)",
            (),
            "must integrate to one on its support, but got '1.77245385'; divide it by 1.77245385",
        ),
        ("1/(1 + abs(x))", (), "must integrate to one"),
        ("0", (), "must integrate to one"),
        (T - T, (), "must integrate to one"),
        ("x", (), "must be at least 0 everywhere on its support, but got '-"),
        ("3*(1 - x**2)/2", (-1, 2), "must be at least 0 everywhere"),
        ("log(x)", (), "must be a number everywhere on its support, but got 'nan at x = -"),
        (
            T * sympy.Symbol("a"),
            (),
            "must have one variable, but got 'a, t in a.t'; give the other symbols their values",
        ),
        (sympy.nan, (), "must be finite and real"),
        (sympy.I * T, (), "must be finite and real"),
        (3, (), "must be a SymPy expression or formula text"),
        ("import os", (), "one well-formed expression"),
        ("1/2", (1, -1), "lower end must be a number below its upper end"),
        ("1/2", (sympy.Symbol("a"), 1), "lower end must be a number"),
        ("1/2", (0, sympy.nan), "lower end must be a number"),
        ("1/2", (None, 1), "lower end must be a number"),
        ("1/2", ([0], 1), "lower end must be a number"),
        ("1/2", (sympy.I, 1), "lower end must be a number"),
        (sympy.Function("f")(T), (0, 1), "must be a closed form in numbers"),
        (sympy.Integral(sympy.exp(-T * x), (x, 0, 1)), (0, 1), "must be a closed form in numbers"),
        (sympy.DiracDelta(T), (), "must be a closed form in numbers"),
    ],
)
def test_what_is_no_density(density: object, ends: tuple[object, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        laws.from_density(density, *ends)  # type: ignore[arg-type]


def test_an_end_is_no_code(tmp_path: Path) -> None:
    trap = tmp_path / "made"
    with pytest.raises(InputError, match="a formula is made of"):
        laws.from_density("exp(-x)", f"__import__('pathlib').Path('{trap}').mkdir() or 0", 1)
    assert not trap.exists()


def test_ends_and_the_distribution_function_as_text() -> None:
    law = laws.from_density("exp(-x)", "0", "oo", cdf="1 - exp(-x)")
    assert (law.lower, law.upper, law.cdf) == (0, sympy.oo, 1 - sympy.exp(-x))
    assert laws.from_density("exp(x)", "-oo", 0).lower == -sympy.oo
    whole = laws.from_density("1/4", 1, np.int64(5))
    assert whole.lower.is_Integer
    assert whole.upper.is_Integer
    assert laws.from_density("exp(-x)", 0.0, np.inf).upper == sympy.oo


def test_a_logarithm_below_1_stays_real() -> None:
    # h = ∫ log x · log(−log x) dx from 0 to 1 = γ − 1, by u = −log x: ∫ −u e^{−u} log u du = −ψ(2).
    law = laws.from_density("-log(x)", 0, 1)
    assert law.numeric.entropy == pytest.approx(np.euler_gamma - 1, abs=1e-12)


def test_the_score_is_shortened_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def forever(_: object) -> object:
        while True:
            sympy.expand((x + 1) ** 2)

    law = laws.from_density("exp(-x**2/2)/sqrt(2*pi)", name="in time")
    monkeypatch.setattr("eafo.laws.law._PATIENCE", 0.1)
    monkeypatch.setattr("sympy.simplify", forever)
    assert law.score is not None
    assert float(law.score.subs(x, 2)) == pytest.approx(-2)
