"""Measured laws on samples of known ones."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
import scipy.stats

from eafo import laws
from eafo.errors import InputError
from eafo.laws import em, spline
from eafo.laws.goodness import kolmogorov_smirnov, spacing_entropy

SIZE = 20_000
BIMODAL = "0.5*normal(-1, 0.5) + 0.5*normal(1, 0.5)"
#: The law, then the largest relative error of the score over the middle 90 %: by mixture and by spline. A sample of this size
#: tells the distribution function to 1.36/√n = 0.01 (95 %), and a corner such as Laplace's is no smooth score's to have.
TRUTHS = [
    ("normal(3, 2)", 0.05, 0.15),
    (BIMODAL, 0.08, 0.2),
    ("logistic", 0.1, 0.2),
    ("student_t(3)", 0.15, 0.15),
    ("gumbel", 0.2, 0.35),
    ("laplace", 0.4, 0.4),
    ("cauchy", 0.3, 0.15),
]


@pytest.mark.parametrize("method", ["mixture", "spline"])
@pytest.mark.parametrize(("form", "by_mixture", "by_spline"), TRUTHS)
def test_the_law_of_a_sample(form: str, by_mixture: float, by_spline: float, method: str) -> None:
    truth = laws.get(form)
    law = laws.measure(truth.sample(SIZE, seed=1), method)
    levels = np.linspace(0.0005, 0.9995, 999)
    assert np.max(np.abs(law.numeric.cdf(truth.numeric.ppf(levels)) - levels)) < 0.01
    bulk = truth.numeric.ppf(np.linspace(0.05, 0.95, 91))
    expected = truth.numeric.score(bulk)
    miss = np.sqrt(np.mean((law.numeric.score(bulk) - expected) ** 2) / np.mean(expected**2))
    assert miss < (by_mixture if method == "mixture" else by_spline)
    assert law.numeric.entropy == pytest.approx(truth.numeric.entropy, abs=0.03)
    fit = law.fit
    assert fit is not None
    assert (fit.method, fit.size, fit.used, fit.distinct, fit.atoms) == (method, SIZE, SIZE, SIZE, ())
    assert fit.p_value > 0.01
    assert fit.distance < 0.03
    # The mean log-likelihood is minus the entropy, to the noise of 4000 values.
    assert fit.held_out == pytest.approx(-truth.numeric.entropy, abs=0.08)
    assert fit.entropy == law.numeric.entropy
    assert fit.sample_entropy == pytest.approx(truth.numeric.entropy, abs=0.06)
    assert fit.order == min(fit.criterion, key=lambda row: row[1])[0]


@pytest.mark.parametrize("method", ["mixture", "spline"])
def test_the_numbers_belong_together(method: str) -> None:
    numbers = laws.measure(laws.get("gumbel(1, 3)").sample(3000, seed=2), method).numeric
    levels = np.array([1e-200, 1e-12, 0.01, 0.3, 0.5])
    np.testing.assert_allclose(numbers.cdf(numbers.ppf(levels)), levels, rtol=1e-11)
    np.testing.assert_allclose(numbers.sf(numbers.isf(levels)), levels, rtol=1e-11)
    points, h = numbers.ppf(np.linspace(0.01, 0.99, 25)), 1e-4
    np.testing.assert_allclose(
        (numbers.cdf(points + h) - numbers.cdf(points - h)) / (2 * h), numbers.pdf(points), rtol=1e-6
    )
    slope = (numbers.logpdf(points + h) - numbers.logpdf(points - h)) / (2 * h)
    np.testing.assert_allclose(slope, numbers.score(points), rtol=1e-5, atol=1e-6)
    assert numbers.entropy_error < 1e-9
    assert numbers.kinks == ()


def test_a_mixture_is_closed_and_reads_back() -> None:
    law = laws.measure(laws.get(BIMODAL).sample(5000, seed=4))
    assert [len(law.components), law.fit.order] == [2, 2]  # type: ignore[union-attr]
    assert law.density is not None
    again = laws.get(law.name)
    assert again.density == law.density
    assert laws.measure(laws.get(BIMODAL).sample(5000, seed=4), name="layer 3").name == "layer 3"
    means = sorted(float(c.numeric.ppf(0.5)) for _, c in law.components)
    np.testing.assert_allclose(means, [-1, 1], atol=0.06)


def test_where_a_spline_has_no_closed_form_it_says_so() -> None:
    law = laws.measure(laws.get("normal").sample(500, seed=0), "spline")
    assert (law.density, law.cdf, law.survival, law.quantile, law.entropy, law.score) == (None,) * 6
    assert law.cdf_everywhere() is None
    assert law.name == "log-spline of 500 values"
    assert law.sample(10, seed=1).shape == (10,)
    travelled = pickle.loads(pickle.dumps(law))
    assert travelled.numeric.cdf(0.3) == law.numeric.cdf(0.3)
    assert travelled.fit == law.fit


def test_heavy_tails() -> None:
    sample = laws.get("cauchy").sample(SIZE, seed=5)
    power = laws.measure(sample, "spline")
    assert "|x|^-" in power.fit.tails  # type: ignore[union-attr]
    assert "heavy tails: the sample reaches" in str(power.fit)
    # Far beyond the data, where nothing was seen, the tail is still the Cauchy law's to a factor.
    assert 0.2 < float(power.numeric.sf(1e7) / laws.get("cauchy").numeric.sf(1e7)) < 5
    normals = laws.measure(sample)
    assert "beyond the data normal tails" in normals.fit.tails  # type: ignore[union-attr]
    assert abs(normals.numeric.entropy - np.log(4 * np.pi)) < 0.05
    one = np.append(laws.get("normal").sample(1000, seed=6), 1e12)
    for method in ("mixture", "spline"):
        assert abs(float(laws.measure(one, method).numeric.ppf(0.5))) < 0.15


@pytest.mark.parametrize("method", ["mixture", "spline"])
def test_the_tails_of_light_samples_are_not_heavy(method: str) -> None:
    fit = laws.measure(laws.get("normal").sample(5000, seed=8), method).fit
    assert "heavy" not in str(fit)
    assert str(fit).startswith(f"{method} of ")
    assert "(p = " in str(fit)


def test_atoms_are_stated_and_left_out() -> None:
    values = laws.get("normal").sample(SIZE, seed=9)
    values[: SIZE // 4] = 0.0
    values[-SIZE // 10 :] = 2.5
    law = laws.measure(values)
    assert law.fit is not None
    np.testing.assert_allclose(law.fit.atoms, [(0.0, 0.25), (2.5, 0.1)], atol=1e-12)
    assert "without the atoms: 25.0% at 0, 10.0% at 2.5" in str(law.fit)
    assert abs(float(law.numeric.cdf(1.0)) - laws.get("normal").numeric.cdf(1.0)) < 0.01
    relu = np.maximum(laws.get("normal").sample(SIZE, seed=10), 0)
    assert laws.measure(relu).fit.atoms[0][1] == pytest.approx(0.5, abs=0.02)  # type: ignore[union-attr]


def test_rounded_values_are_no_atoms() -> None:
    values = np.round(laws.get("normal").sample(SIZE, seed=11) * 16) / 16
    fit = laws.measure(values).fit
    assert fit is not None
    assert fit.atoms == ()
    assert f"rounded to {fit.distinct} distinct values" in str(fit)
    assert fit.sample_entropy == pytest.approx(laws.get("normal").numeric.entropy, abs=0.05)


def test_any_location_and_scale() -> None:
    values = laws.get("normal").sample(2000, seed=12)
    plain = laws.measure(values).numeric
    for scale, shift in ((1e-30, 0.0), (1e30, 0.0), (1e-3, 1e6), (-2.0, 5.0)):
        moved = laws.measure(scale * values + shift).numeric
        assert moved.entropy == pytest.approx(plain.entropy + np.log(abs(scale)), abs=1e-3)


def test_em_never_loses_likelihood_and_finds_the_truth() -> None:
    values = np.sort(laws.get("0.3*normal(-2,0.4)+0.7*normal(1,0.8)").sample(4000, seed=13))
    now = em.Normals(np.array([0.5, 0.5]), np.array([-1.0, 1.0]), np.array([1.0, 1.0]))
    likelihoods = []
    for _ in range(30):
        likelihoods.append(float(now.log_density(values).mean()))
        now = em._climbed(now, em._binned(values), 1)[0]
    # Binned, so that the last digits may differ.
    assert all(b >= a - 1e-6 for a, b in itertools.pairwise(likelihoods))
    found = em.fitted(values, 2)
    order = np.argsort(found.means)
    np.testing.assert_allclose(found.weights[order], [0.3, 0.7], atol=0.03)
    np.testing.assert_allclose(found.means[order], [-2, 1], atol=0.06)
    np.testing.assert_allclose(found.deviations[order], [0.4, 0.8], atol=0.04)


def test_bins_lose_nothing_that_matters() -> None:
    values = np.sort(laws.get("student_t(3)").sample(50_000, seed=14))
    bins = em._binned(values)
    assert bins.means.size < 2000
    assert bins.shares.sum() == pytest.approx(1, abs=1e-12)
    assert bins.shares @ bins.means == pytest.approx(values.mean(), abs=1e-12)
    second = bins.shares @ (bins.means**2 + bins.variances)
    assert second == pytest.approx(np.mean(values**2), rel=1e-12)
    np.testing.assert_array_equal(bins.means[:300], values[:300])


@pytest.mark.parametrize("warped", [False, True])
def test_the_spline_is_at_its_maximum(warped: bool) -> None:
    values = np.sort(laws.get("logistic").sample(2000, seed=15))
    best = spline.fitted(values, 6, warped=warped)

    def likelihood(heights: np.ndarray) -> float:  # type: ignore[type-arg]
        other = spline.LogSpline(best.knots, heights, warped)
        grid = np.linspace(-60, 60, 240_001)
        mass = float(np.sum(np.exp(other.log_density(grid))) * (grid[1] - grid[0]))
        return float(other.log_density(values).mean()) - np.log(mass)

    top = likelihood(best.heights)
    for i in range(6):
        for step in (-0.02, 0.02):
            assert likelihood(best.heights + step * np.eye(6)[i]) < top


def test_kolmogorov_smirnov_is_scipys() -> None:
    values = np.sort(laws.get("normal").sample(400, seed=16))
    distance, p = kolmogorov_smirnov(values, laws.get("normal(0.05, 1)").numeric.cdf)
    peer = scipy.stats.kstest(values, scipy.stats.norm(0.05, 1).cdf)
    assert distance == pytest.approx(peer.statistic, rel=1e-12)
    assert p == pytest.approx(peer.pvalue, abs=1e-2)


@pytest.mark.parametrize("form", ["normal(0, 3)", "uniform(0, 4)", "cauchy"])
def test_the_entropy_of_spacings(form: str) -> None:
    law = laws.get(form)
    found = np.mean([spacing_entropy(np.sort(law.sample(10_000, seed))) for seed in range(5)])
    assert found == pytest.approx(law.numeric.entropy, abs=0.05)


def test_an_unknown_method() -> None:
    with pytest.raises(InputError, match="a method must be one of mixture, spline, but got 'kde'"):
        laws.measure(np.arange(100.0), "kde")
