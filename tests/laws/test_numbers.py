"""The numbers of every family against SciPy, mpmath and differences."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from eafo import laws
from eafo.activation import VARIABLE as x

FORMS = [
    *laws.names(),
    "normal(1, 2)",
    "laplace(2, 3)",
    "cauchy(5, 0.25)",
    "uniform(0, 3)",
    "gumbel(1, 2)",
    "exponential(3, -1)",
    "half_normal(0.5, 2)",
    "student_t(1)",
    "student_t(2.5, 1, 3)",
    "student_t(40)",
]
LEVELS = np.concatenate([10.0 ** -np.arange(1, 16), np.linspace(0.02, 0.98, 97)])


@pytest.mark.parametrize("form", FORMS)
def test_the_numbers_are_scipys(form: str) -> None:
    law = laws.get(form)
    mine, peer = law.numeric, law.frozen()
    points = np.concatenate([peer.ppf(LEVELS), peer.isf(LEVELS)])
    np.testing.assert_allclose(mine.ppf(LEVELS), peer.ppf(LEVELS), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(mine.isf(LEVELS), peer.isf(LEVELS), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(mine.pdf(points), peer.pdf(points), rtol=1e-11)
    np.testing.assert_allclose(mine.logpdf(points), peer.logpdf(points), rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(mine.cdf(points), peer.cdf(points), rtol=1e-10)
    np.testing.assert_allclose(mine.sf(points), peer.sf(points), rtol=1e-10)
    assert mine.entropy == pytest.approx(float(peer.entropy()), rel=1e-9, abs=1e-9)
    assert mine.entropy == pytest.approx(float(law.entropy), rel=1e-13, abs=1e-14)
    assert 0 < mine.entropy_error < 1e-13


@pytest.mark.parametrize("form", FORMS)
def test_the_score_is_the_symbolic_one(form: str) -> None:
    law = laws.get(form)
    points = law.numeric.ppf([0.003, 0.2, 0.41, 0.77, 0.999])
    expected = [float(law.score.subs(x, sympy.Float(p, 30))) for p in points]
    np.testing.assert_allclose(law.numeric.score(points), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("form", "at", "log_density", "score"),
    [
        ("normal", 60.0, lambda z: -z * z / 2 - mpmath.log(2 * mpmath.pi) / 2, -60.0),
        ("logistic", 1000.0, lambda z: -z - 2 * mpmath.log1p(mpmath.exp(-z)), -1.0),
        ("laplace", 2000.0, lambda z: -z - mpmath.log(2), -1.0),
        ("cauchy", 1e200, lambda z: -mpmath.log(mpmath.pi * (1 + z * z)), -2e-200),
        ("gumbel", 900.0, lambda z: -z - mpmath.exp(-z), -1.0),
        (
            "student_t(3)",
            1e200,
            lambda z: mpmath.log(2 * mpmath.sqrt(3) / (3 * mpmath.pi)) - 2 * mpmath.log1p(z * z / 3),
            -4e-200,
        ),
        (
            "0.5*normal(-1, 1)+0.5*normal(1, 1)",
            60.0,
            lambda z: -((z - 1) ** 2) / 2 - mpmath.log(8 * mpmath.pi) / 2,
            -59.0,
        ),
    ],
)
def test_beyond_underflow(form: str, at: float, log_density: object, score: float) -> None:
    numbers = laws.get(form).numeric
    assert numbers.pdf(at) <= 5e-300
    with mpmath.workdps(40):
        expected = float(log_density(mpmath.mpf(at)))  # type: ignore[operator]
    assert float(numbers.logpdf(at)) == pytest.approx(expected, rel=1e-14)
    assert float(numbers.score(at)) == pytest.approx(score, rel=1e-14)


def test_far_quantiles_of_students_law() -> None:
    numbers = laws.get("student_t(2.5)").numeric
    with mpmath.workdps(30):
        for level in (1e-280, 1e-150, 1e-40, 1e-12):
            t = mpmath.mpf(float(numbers.ppf(level)))
            n = mpmath.mpf(5) / 2
            ratio = n / (n + t * t)
            # I_r(a, 1/2) = r^a (1/(a B) + O(r)): the first two terms suffice where r is below 1e-9.
            a = n / 2
            tail = ratio**a / (2 * mpmath.beta(a, 0.5)) * (1 / a + ratio / (2 * (a + 1)))
            assert float(tail / level - 1) == pytest.approx(0, abs=1e-11)


@pytest.mark.parametrize("form", FORMS)
def test_outside_the_support(form: str) -> None:
    numbers = laws.get(form).numeric
    if numbers.lower > -np.inf:
        below = numbers.lower - 1.0
        assert (numbers.pdf(below), numbers.cdf(below), numbers.sf(below), numbers.score(below)) == (
            0,
            0,
            1,
            0,
        )
        assert numbers.ppf(0.0) == numbers.isf(1.0) == numbers.lower
    if numbers.upper < np.inf:
        above = numbers.upper + 1.0
        assert (numbers.pdf(above), numbers.cdf(above), numbers.sf(above), numbers.score(above)) == (
            0,
            1,
            0,
            0,
        )
        assert numbers.ppf(1.0) == numbers.isf(0.0) == numbers.upper
    assert np.isnan(numbers.ppf([-0.1, 1.1, np.nan])).all()


def test_shapes_are_kept() -> None:
    numbers = laws.get("laplace(1, 2)").numeric
    block = np.linspace(0.1, 0.9, 12).reshape(3, 4)
    for function in (
        numbers.pdf,
        numbers.logpdf,
        numbers.score,
        numbers.cdf,
        numbers.sf,
        numbers.ppf,
        numbers.isf,
    ):
        assert function(block).shape == (3, 4)
        assert np.shape(function(0.5)) == ()
    assert numbers.kinks == (1.0,)


@settings(max_examples=60, deadline=None)
@given(
    form=st.sampled_from([*FORMS, "0.3*laplace(-2,1)+0.7*normal(1,0.5)"]),
    scale=st.floats(0.01, 100) | st.floats(-100, -0.01),
    location=st.floats(-100, 100),
    level=st.floats(1e-6, 1 - 1e-6),
)
def test_affine_changes(form: str, scale: float, location: float, level: float) -> None:
    law = laws.get(form)
    moved, plain = law.affine(scale, location).numeric, law.numeric
    point = float(plain.ppf(level))
    there = scale * point + location
    size = abs(scale) + abs(location) + abs(there)
    expected = there if scale > 0 else scale * float(plain.isf(level)) + location
    assert float(moved.ppf(level)) == pytest.approx(expected, rel=1e-9, abs=1e-9 * size)
    assert moved.entropy == pytest.approx(plain.entropy + np.log(abs(scale)), abs=1e-12)
    inner = scale * float(plain.ppf(0.37)) + location
    back = (inner - location) / scale
    assert float(moved.pdf(inner)) == pytest.approx(float(plain.pdf(back)) / abs(scale), rel=1e-9)
    assert float(moved.score(inner)) == pytest.approx(float(plain.score(back)) / scale, rel=1e-9, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(
    form=st.sampled_from([*FORMS, "0.5*normal(-1,1)+0.5*normal(1,1)", "0.2*cauchy+0.8*uniform(-3,3)"]),
    power=st.floats(-280, -0.31),
)
def test_quantiles_invert(form: str, power: float) -> None:
    numbers, level = laws.get(form).numeric, 10.0**power
    # Next to an end that is not 0, and for a small mass in a wide one, doubles are coarser than the mass.
    point, upper = float(numbers.ppf(level)), float(numbers.isf(level))
    for at, mass in ((point, float(numbers.cdf(point))), (upper, float(numbers.sf(upper)))):
        grain = float(numbers.pdf(at)) * np.spacing(abs(at)) / level
        assert mass == pytest.approx(level, rel=2e-12 + 4 * grain)


@pytest.mark.parametrize(
    "form", ["0.5*normal(-1,1)+0.5*normal(1,1)", "0.2*cauchy+0.8*laplace(2,1)", "scipy.gamma(2.5)"]
)
def test_no_quantile_of_many_is_lost(form: str) -> None:
    numbers, levels = laws.get(form).numeric, np.exp(-np.linspace(0.7, 20, 20_001))
    np.testing.assert_allclose(numbers.sf(numbers.isf(levels)), levels, rtol=1e-11)
    np.testing.assert_allclose(numbers.cdf(numbers.ppf(levels)), levels, rtol=1e-11)


@settings(max_examples=30, deadline=None)
@given(
    form=st.sampled_from(
        ["normal", "logistic(1, 2)", "cauchy", "gumbel", "student_t(3)", "0.4*normal(-2,1)+0.6*logistic"]
    ),
    scale=st.floats(0.01, 100) | st.floats(-100, -0.01),
    location=st.floats(-100, 100),
)
def test_the_score_integrates_to_zero(form: str, scale: float, location: float) -> None:
    """E[(log p)′] = ∫ p′ = 0 where p vanishes at both ends."""
    numbers = laws.get(form).affine(scale, location).numeric
    t, w = np.polynomial.legendre.leggauss(20)
    # In x = sinh(v), so that a power's tail is an exponential's; in 400 panels.
    panels = np.linspace(-40, 40, 401)
    v = (panels[:-1, None] + 0.1 * (1 + t)).ravel()
    points = location + scale * np.sinh(v)
    weights = np.tile(0.1 * w, 400) * np.cosh(v) * abs(scale) * numbers.pdf(points)
    some = weights > 0
    total = float(np.sum(weights[some] * scale * numbers.score(points[some])))
    assert total == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize(
    "form", ["normal", "exponential(3, -1)", "0.5*normal(-1,1)+0.5*normal(1,1)", "student_t(3)"]
)
def test_samples_repeat_and_follow_the_law(form: str) -> None:
    law = laws.get(form)
    drawn = law.sample(40_000, seed=3)
    np.testing.assert_array_equal(drawn, law.sample(40_000, seed=3))
    levels = np.sort(law.numeric.cdf(drawn))
    assert np.max(np.abs(levels - (np.arange(40_000) + 0.5) / 40_000)) < 1.95 / 200


@pytest.mark.parametrize("freedom", [1000.5, 20_001.0, 1e6, 1e8, 1e99])
def test_many_degrees_of_freedom(freedom: float) -> None:
    law = laws.get("student_t", freedom=freedom)
    with mpmath.workdps(250):
        n = mpmath.mpf(freedom)
        front = mpmath.loggamma((n + 1) / 2) - mpmath.loggamma(n / 2) - mpmath.log(n * mpmath.pi) / 2
        entropy = (n + 1) / 2 * (mpmath.digamma((n + 1) / 2) - mpmath.digamma(n / 2)) - front
        expected = [float(front - (n + 1) / 2 * mpmath.log1p(mpmath.mpf(z) ** 2 / n)) for z in (-3.0, 0.5)]
    assert law.numeric.entropy == pytest.approx(float(entropy), rel=1e-15)
    assert float(law.entropy) == pytest.approx(float(entropy), rel=1e-15)
    np.testing.assert_allclose(law.numeric.logpdf([-3.0, 0.5]), expected, rtol=1e-14)
    if freedom >= 1e8:
        # F differs from the normal law's by (z³ + z) p(z)/4ν.
        np.testing.assert_allclose(
            law.numeric.cdf([-3.0, -1.0, 0.5]), special.ndtr([-3.0, -1.0, 0.5]), rtol=1e-6
        )
        np.testing.assert_allclose(
            law.numeric.ppf([1e-3, 0.2]), special.ndtri([1e-3, 0.2]), rtol=1e-6 if freedom < 1e9 else 1e-14
        )


@pytest.mark.parametrize("form", [*FORMS, "0.5*gumbel+0.5*cauchy", "scipy.gamma(2)", "scipy.moyal"])
def test_infinity_and_what_is_no_number(form: str) -> None:
    numbers = laws.get(form).numeric
    for point, mass in ((-np.inf, 0.0), (np.inf, 1.0)):
        values = [f(point) for f in (numbers.pdf, numbers.cdf, numbers.sf, numbers.score)]
        assert [float(v) for v in values] == [0.0, mass, 1 - mass, 0.0]
    for function in (numbers.pdf, numbers.logpdf, numbers.cdf, numbers.sf, numbers.score, numbers.ppf):
        assert np.isnan(function(np.nan))


def test_a_part_without_a_share_does_not_spoil_the_score() -> None:
    numbers = laws.get("0.5*gumbel + 0.5*cauchy(3, 0.001)").numeric
    points = np.array([-1e20, -800.0])
    np.testing.assert_allclose(numbers.score(points), -2 / (points - 3), rtol=1e-10)
