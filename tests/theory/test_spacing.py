"""The Monte Carlo route to entropy, against laws whose entropy is known and against the values of the theory."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

import eafo
from eafo.errors import InputError
from eafo.theory import spacing
from eafo.theory.spacing import Atom

SIZE = 100_000
LAWS = {
    "normal": scipy.stats.norm(1, 3),
    "uniform": scipy.stats.uniform(0, 2),
    "laplace": scipy.stats.laplace(),
    "exponential": scipy.stats.expon(),
    "logistic": scipy.stats.logistic(0, 2),
    "cauchy": scipy.stats.cauchy(),
    "student": scipy.stats.t(3),
    "gumbel": scipy.stats.gumbel_r(),
    "arcsine": scipy.stats.arcsine(),
}


def normal_sample(size: int = SIZE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(size)


@pytest.mark.parametrize("name", LAWS)
def test_known_laws(name: str) -> None:
    law = LAWS[name]
    found = spacing.entropy(law.rvs(SIZE, random_state=np.random.default_rng(7)))
    assert abs(found.value - law.entropy()) < 4 * found.error
    # Var[log p] is between 0 and 4.4 (Cauchy: π²/3) for these laws.
    assert found.error < 0.015
    assert (found.atoms, found.size, found.continuous) == ((), SIZE, found.value)
    if math.isfinite(law.std()):
        assert abs(found.scale_free - law.entropy() + math.log(law.std())) < 4 * found.scale_free_error


def test_a_mixture_of_normals() -> None:
    rng = np.random.default_rng(3)
    sample = np.where(rng.random(SIZE) < 0.3, rng.normal(-2, 0.5, SIZE), rng.normal(1, 1, SIZE))

    def density(x: float) -> float:
        return 0.3 * float(scipy.stats.norm.pdf(x, -2, 0.5)) + 0.7 * float(scipy.stats.norm.pdf(x, 1, 1))

    exact = scipy.integrate.quad(lambda x: -density(x) * math.log(density(x)), -8, 9, limit=200)[0]
    found = spacing.entropy(sample)
    assert abs(found.value - exact) < 4 * found.error


@pytest.mark.parametrize("name", ["normal", "uniform", "cauchy"])
@pytest.mark.parametrize("size", [500, 5_000])
def test_the_stated_error_is_the_error(name: str, size: int) -> None:
    law = LAWS[name]
    rng = np.random.default_rng(11)
    found = [spacing.entropy(law.rvs(size, random_state=rng)) for _ in range(80)]
    deviations = np.array([(f.value - law.entropy()) / f.error for f in found])
    assert abs(deviations.mean()) < 0.5
    assert 0.7 < math.sqrt(np.mean(deviations**2)) < 1.4


@pytest.mark.parametrize(
    ("name", "exact"),
    [
        ("silu", 0.108338274),
        ("softplus", 0.612879349857),
        ("erf(x/sqrt(2))", math.log(2)),
        ("crrelu", -1.637),
        ("crrelu(epsilon=0.001)", -2.790),
        ("identity", 0.5 * math.log(2 * math.pi * math.e)),
    ],
)
def test_values_of_the_theory(name: str, exact: float) -> None:
    found = spacing.entropy(eafo.get(name)(normal_sample(400_000)))
    assert abs(found.value - exact) < 4 * found.error + 5e-4 * (name.startswith("crrelu"))
    assert found.error < 0.01


def test_crrelu_on_the_positive_branch() -> None:
    positive = np.abs(normal_sample(400_000))
    for epsilon, value, shape in ((-0.1, 0.688407839, 1.203887727), (0.1, 0.759312194, 1.255409821)):
        found = spacing.entropy(eafo.get("crrelu", epsilon=epsilon)(positive))
        assert abs(found.value - value) < 4 * found.error < 0.01
        assert abs(found.scale_free - shape) < 4 * found.scale_free_error < 0.01


def test_relu_has_an_atom() -> None:
    found = spacing.entropy(eafo.get("relu")(normal_sample()))
    (atom,) = found.atoms
    assert atom.value == 0
    assert atom.share == pytest.approx(0.5, abs=0.01)
    assert found.continuous == pytest.approx(0.725791353, abs=0.015)
    assert abs(found.value - (math.log(2) + 0.725791353 / 2)) < 4 * found.error


def test_hardtanh_has_two_atoms_and_a_uniform_part() -> None:
    sample = np.clip(np.random.default_rng(5).uniform(-2, 2, SIZE), -1, 1)
    found = spacing.entropy(sample)
    assert [a.value for a in found.atoms] == [-1, 1]
    assert [a.share for a in found.atoms] == pytest.approx([0.25, 0.25], abs=0.01)
    exact = 1.5 * math.log(2) + 0.5 * math.log(2)
    assert abs(found.value - exact) < 4 * found.error


def test_a_discrete_sample_is_all_atoms() -> None:
    found = spacing.entropy(np.repeat([3, 1, 2, 1], 500))
    assert found.atoms == (Atom(1.0, 0.5), Atom(2.0, 0.25), Atom(3.0, 0.25))
    assert found.value == pytest.approx(1.5 * math.log(2), rel=1e-12)
    assert math.isnan(found.continuous)


def test_a_constant_sample_has_no_scale() -> None:
    found = spacing.entropy(np.full(1000, 2.5))
    assert (found.value, found.atoms) == (0.0, (Atom(2.5, 1.0),))
    assert math.isnan(found.scale_free)


def test_ties_by_rounding_are_no_atoms() -> None:
    sample = normal_sample(400_000).astype(np.float32)
    assert np.unique(sample).size < sample.size
    found = spacing.entropy(sample)
    assert found.atoms == ()
    assert abs(found.value - 0.5 * math.log(2 * math.pi * math.e)) < 4 * found.error


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-5, 5), flip=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_affine_changes(scale: float, shift: float, flip: bool, seed: int) -> None:
    sample = normal_sample(2_000, seed)
    before, after = (spacing.entropy(s) for s in (sample, (-scale if flip else scale) * (sample + shift)))
    assert after.value == pytest.approx(before.value + math.log(scale), abs=1e-7)
    assert after.scale_free == pytest.approx(before.scale_free, abs=1e-7)
    assert after.error == pytest.approx(before.error, rel=1e-5)


def test_the_order_of_a_sample_says_nothing() -> None:
    sample = normal_sample(10_000)
    found, ordered = spacing.entropy(sample), spacing.entropy(np.sort(sample).reshape(100, 100))
    assert ordered.value == found.value
    # In blocks of neighbouring values the error would be ten times as large.
    assert ordered.error == pytest.approx(found.error, rel=0.8)


@pytest.mark.parametrize("step", [0.05, 0.5, 3.0])
def test_entropy_at_a_resolution(step: float) -> None:
    edges = (np.arange(-400, 401) - 0.5) * step
    cells = np.diff(scipy.stats.norm.cdf(edges))
    exact = float(scipy.stats.entropy(cells)) + math.log(step)
    assert spacing.at_resolution(normal_sample(), step) == pytest.approx(exact, abs=0.01)


def test_at_a_resolution_every_function_is_finite() -> None:
    x = normal_sample()
    relu, crrelu = (spacing.at_resolution(eafo.get(n)(x), 0.01) for n in ("relu", "crrelu(epsilon=0.0001)"))
    assert crrelu == pytest.approx(relu, abs=0.01)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "at least 200 values, but got 0"),
        (np.zeros(199), "at least 200 values, but got 199"),
        ([math.nan, *range(300)], "must be finite, but got '1 of 301 that are not'"),
        (np.full(300, 1j), "an array of real numbers"),
        ("normal", "an array of real numbers"),
        ([[1.0], [1.0, 2.0]], "an array of real numbers"),
        (np.concatenate([np.zeros(1000), np.arange(1.0, 100.0)]), "200 values that do not repeat, or none, but got 99"),
    ],
)  # fmt: skip
def test_bad_samples(values: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        spacing.entropy(values)  # type: ignore[arg-type]


@pytest.mark.parametrize("step", [0.0, -1.0, math.nan, math.inf])
def test_bad_resolutions(step: float) -> None:
    with pytest.raises(InputError, match="a resolution must be a positive number"):
        spacing.at_resolution(normal_sample(1000), step)


def test_a_resolution_too_fine_for_the_sample() -> None:
    with pytest.raises(InputError, match="1000 values in 1000 cells"):
        spacing.at_resolution(np.arange(1000.0), 1.0)
