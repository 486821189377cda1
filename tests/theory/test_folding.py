"""A law folded onto a period: its numbers against sums over periods, and sines under heavy tails."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.special
import scipy.stats

import eafo
from eafo import laws
from eafo.theory import output
from eafo.theory.folding import folded
from eafo.theory.quadrature import QuadratureError

CAUCHY = laws.get("cauchy").numeric
BOTH = folded(CAUCHY, (-3.0, 2.0), (3.0, 2.0))


def test_density_is_a_sum_over_periods() -> None:
    x = np.array([-4.9, -3.2, -1.0, 0.0, 2.5, 3.001, 4.2, 4.999])
    # Σ_n 1/(π (1 + (x + 2n)²)) = Im ψ(x/2 + i/2)/(2π)
    sums = scipy.special.digamma((np.abs(x) + 1j) / 2).imag / (2 * math.pi)
    np.testing.assert_allclose(BOTH.pdf(x), np.where(np.abs(x) > 3, sums, CAUCHY.pdf(x)), rtol=1e-9)


def test_a_probability_law() -> None:
    x = np.linspace(-4.99, 4.99, 2001)
    assert scipy.integrate.trapezoid(
        BOTH.pdf(np.linspace(-5, 5, 40_001)[1:-1]), dx=10 / 40_000
    ) == pytest.approx(1.0, abs=2e-4)
    np.testing.assert_allclose(BOTH.cdf(x) + BOTH.sf(x), 1.0, atol=1e-12)
    np.testing.assert_allclose(BOTH.cdf(x), BOTH.sf(-x), atol=1e-12)
    assert np.all(np.diff(BOTH.cdf(x)) > 0)
    assert (BOTH.lower, BOTH.upper, BOTH.kinks) == (-5.0, 5.0, (-3.0, 3.0))


def test_score_is_the_slope_of_the_log_density() -> None:
    x = np.array([-4.5, -3.5, 0.4, 3.3, 4.7])
    h = 1e-5
    np.testing.assert_allclose(BOTH.score(x), (BOTH.logpdf(x + h) - BOTH.logpdf(x - h)) / (2 * h), rtol=1e-6)


def test_quantiles_return() -> None:
    u = np.concatenate([np.geomspace(1e-12, 0.5, 60), [0.95, 0.999, 1 - 1e-9]])
    # Of a folded tail what is left at its end is a difference.
    np.testing.assert_allclose(BOTH.cdf(BOTH.ppf(u)), u, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(BOTH.sf(BOTH.isf(u)), u, rtol=1e-9, atol=1e-15)


def test_one_side_alone() -> None:
    right = folded(CAUCHY, None, (3.0, 2.0))
    assert (right.lower, right.upper) == (-math.inf, 5.0)
    assert float(right.cdf(-10.0)) == pytest.approx(float(CAUCHY.cdf(-10.0)), rel=1e-12)
    left = folded(CAUCHY, (-3.0, 2.0), None)
    assert float(left.sf(4.0)) == pytest.approx(float(right.cdf(-4.0)), rel=1e-12)
    assert folded(CAUCHY, None, None) is CAUCHY


def test_a_tail_finer_than_a_period_is_refused() -> None:
    with pytest.raises(QuadratureError, match="smooth on the scale of the function's period, but got 50"):
        folded(laws.get("normal").numeric, None, (0.0, 50.0))


@pytest.mark.parametrize("law", ["cauchy", "cauchy(1, 20)", "student_t", "scipy.t(1.5)"])
def test_characteristic_functions(law: str) -> None:
    """E[sin X] and E[sin² X] = (1 − E[cos 2X])/2 are known where the tail is folded as where it is not."""
    found = output.of(eafo.get("sin").concrete, laws.get(law).numeric)
    shift, scale = (1.0, 20.0) if law == "cauchy(1, 20)" else (0.0, 1.0)

    def cosine(t: float) -> float:
        if law.startswith("cauchy"):
            return math.exp(-scale * t) * math.cos(shift * t)
        freedom = 1.5 if "1.5" in law else float(str(laws.get(law).numeric and _freedom(law)))
        r = math.sqrt(freedom) * t
        return float(
            scipy.special.kv(freedom / 2, r)
            * r ** (freedom / 2)
            / (math.gamma(freedom / 2) * 2 ** (freedom / 2 - 1))
        )

    expected = math.exp(-scale) * math.sin(shift) if law.startswith("cauchy") else 0.0
    assert found.moment(1) == pytest.approx(expected, abs=1e-8)
    assert found.moment(2) == pytest.approx((1 - cosine(2.0)) / 2, abs=1e-8)


def _freedom(law: str) -> float:
    ratio = float(laws.get(law).numeric.pdf(1.0) / laws.get(law).numeric.pdf(0.0))
    return float(scipy.optimize.brentq(lambda n: (1 + 1 / n) ** (-(n + 1) / 2) - ratio, 0.5, 100))


def test_a_sine_of_a_wide_law_is_an_arcsine_law() -> None:
    found = output.of(eafo.get("sin").concrete, laws.get("cauchy(0, 50)").numeric)
    z = np.array([-0.9, -0.2, 0.5, 0.99])
    np.testing.assert_allclose(found.density(z), scipy.stats.arcsine(-1, 2).pdf(z), rtol=1e-6)
    np.testing.assert_allclose(found.cdf(z), scipy.stats.arcsine(-1, 2).cdf(z), rtol=1e-6)
    # The entropy of an arcsine law on (−1, 1) is log(π/2).
    assert eafo.entropy("sin", "cauchy(0, 50)").value == pytest.approx(math.log(math.pi / 2), abs=1e-7)


@pytest.mark.parametrize(
    ("law", "shape", "scale"), [("scipy.gamma(0.5)", 0.5, 1.0), ("scipy.chi2(1)", 0.5, 2.0)]
)
def test_a_density_that_is_infinite_at_its_end_is_folded_further_out(
    law: str, shape: float, scale: float
) -> None:
    found = output.of(eafo.get("sin").concrete, laws.get(law).numeric)
    # E[e^{itX}] = (1 − i θ t)^{−k}
    assert found.moment(1) == pytest.approx(((1 - 1j * scale) ** -shape).imag, abs=1e-8)
    assert found.moment(2) == pytest.approx((1 - ((1 - 2j * scale) ** -shape).real) / 2, abs=1e-8)


def test_cosines_of_a_weibull_law_of_infinite_density_at_0() -> None:
    sample = np.cos(scipy.stats.weibull_min(0.5).rvs(400_000, random_state=1))
    found = output.of(eafo.get("cos(x)").concrete, laws.get("scipy.weibull_min(0.5)").numeric)
    assert found.moment(1) == pytest.approx(float(sample.mean()), abs=0.005)
    assert float(found.cdf(0.3)) == pytest.approx(float(np.mean(sample <= 0.3)), abs=0.005)
    assert math.isfinite(eafo.entropy("cos(x)", "scipy.weibull_min(0.5)").value)
