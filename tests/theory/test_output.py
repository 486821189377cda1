"""The law of an output: sheets, density, distribution function, quantiles, atoms and moments, against other routes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

import eafo
from eafo import laws
from eafo.activation import VARIABLE as x
from eafo.errors import InputError
from eafo.theory import output
from eafo.theory.function import direction
from eafo.theory.output import Output

LAWS = [
    "normal",
    "laplace",
    "logistic",
    "cauchy",
    "uniform",
    "gumbel",
    "0.5*normal(-2, 1) + 0.5*normal(2, 1)",
]
SHAPES = [
    "relu",
    "leaky_relu",
    "gelu",
    "silu",
    "hardtanh",
    "hardswish",
    "sinerelu",
    "srelu",
    "softplus",
    "relu_squared",
]


def of(name: str, law: str = "normal") -> Output:
    return output.of(eafo.get(name).concrete, laws.get(law).numeric)


# -- sheets ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "turns"),
    [
        ("identity", []),
        ("silu", [-1.278464542761]),
        ("gelu", [-0.751791524693]),
        ("mish", [-1.192431214515]),
        ("hardswish", [-1.5]),
        ("crrelu", [-1.0]),
        ("xielu", [-0.980829253012]),
        ("x**2", [0.0]),
        ("x**3 - x", [-math.sqrt(1 / 3), math.sqrt(1 / 3)]),
    ],
)
def test_turns(name: str, turns: list[float]) -> None:
    sheets = of(name).sheets
    found = [a.upper for a, b in itertools.pairwise(sheets) if a.rising != b.rising]
    assert found == pytest.approx(turns, abs=1e-9)
    for sheet in sheets:
        assert np.all(np.diff(sheet.x) > 0)
        assert np.all(np.diff(sheet.z) * (1 if sheet.rising else -1) >= 0)


@pytest.mark.parametrize(
    "name", ["silu", "gelu", "tanh", "softplus", "x**3 - x", "sin", "relu_squared", "srelu"]
)
@pytest.mark.parametrize("law", ["normal", "laplace"])
def test_roots_return(name: str, law: str) -> None:
    act = eafo.get(name)
    for sheet in of(name, law).sheets:
        z = sheet.least + (sheet.greatest - sheet.least) * np.array([1e-9, 0.01, 0.3, 0.7, 0.999])
        if not math.isfinite(sheet.greatest - sheet.least):
            continue
        roots = sheet.root(z)
        assert np.all((roots >= sheet.lower) & (roots <= sheet.upper))
        np.testing.assert_allclose(act(roots), z, rtol=1e-13, atol=1e-14 * max(1.0, abs(sheet.greatest)))


def test_a_root_outside_goes_to_the_end() -> None:
    (sheet,) = of("tanh", "uniform").sheets
    assert sheet.root(np.array([-5.0, 5.0])).tolist() == pytest.approx([-1.0, 1.0])


# -- density and distribution function -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("law", LAWS)
def test_distribution_function_against_quantiles(name: str, law: str) -> None:
    """P(f(X) ≤ z) by counting the quantiles of X at which f stays below z."""
    act, found = eafo.get(name), of(name, law)
    count = 200_000
    z = np.sort(act(laws.get(law).numeric.ppf((np.arange(count) + 0.5) / count)))
    at = np.unique(z[count // 50 :: count // 11])
    # Beside an atom, not on it: rounding would decide.
    at = np.concatenate([at + 1e-3, at - 1e-3])
    counted = np.searchsorted(z, at, side="right") / count
    np.testing.assert_allclose(found.cdf(at), counted, atol=40 / count)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("law", ["normal", "logistic(0, 0.3)", "uniform"])
def test_density_integrates_to_the_distribution_function(name: str, law: str) -> None:
    found = of(name, law)
    cuts = [v for v in found.special if abs(v) < 3]
    ends = sorted({*cuts, *(found.quantile(u) for u in (0.03, 0.5, 0.97))})
    atoms = [a.value for a in found.atoms]
    for a, b in itertools.pairwise(ends):
        if b - a < 1e-6:
            continue
        # Beside a fold q is infinite: a quarter power takes it up.
        inner, _ = scipy.integrate.quad(
            lambda t, a=a, b=b: float(found.density(np.array([_between(a, b, t)]))[0]) * _stretch(a, b, t),
            0, 1, limit=200, epsabs=1e-9,
        )  # fmt: skip
        jumps = sum(w.probability for w in found.atoms if a < w.value <= b)
        difference = float(found.cdf(np.array(b)) - found.cdf(np.array(a))) - jumps
        assert inner == pytest.approx(difference, abs=2e-7), (a, b, atoms)


def _between(a: float, b: float, t: float) -> float:
    return a + (b - a) * float(scipy.special.betainc(4, 4, t))


def _stretch(a: float, b: float, t: float) -> float:
    return (b - a) * float(scipy.stats.beta(4, 4).pdf(t))


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("level", [1e-9, 0.1, 0.5, 0.9, 1 - 1e-6])
def test_quantiles(name: str, level: float) -> None:
    found = of(name)
    z = found.quantile(level)
    # Beside a fold the distribution function rises like a root: by 1e-8 from one double to the next.
    step = 4e-16 * max(1.0, abs(z))
    assert found.cdf(np.array(z + step)) >= level - 1e-12
    assert found.cdf(np.array(z - step)) <= level + 1e-12


@pytest.mark.parametrize(
    ("expression", "peer"),
    [
        ("exp(x)", scipy.stats.lognorm(1)),
        ("x**2", scipy.stats.chi2(1)),
        ("abs(x)", scipy.stats.halfnorm()),
        ("3 - 2*x", scipy.stats.norm(3, 2)),
        ("1/(1 + exp(-x))", None),
    ],
)
def test_known_laws_of_a_normal_input(expression: str, peer) -> None:
    found, z = of(expression), np.array([0.05, 0.3, 0.6, 0.95])
    if peer is None:
        logit = scipy.special.logit(z)
        np.testing.assert_allclose(found.cdf(z), scipy.stats.norm.cdf(logit), rtol=1e-12)
        np.testing.assert_allclose(found.density(z), scipy.stats.norm.pdf(logit) / (z * (1 - z)), rtol=1e-11)
        return
    np.testing.assert_allclose(found.density(z), peer.pdf(z), rtol=1e-11)
    np.testing.assert_allclose(found.cdf(z), peer.cdf(z), rtol=1e-11)
    for level in (0.2, 0.7):
        assert found.quantile(level) == pytest.approx(float(peer.ppf(level)), rel=1e-10)
    assert found.moment(1) == pytest.approx(float(peer.mean()), rel=1e-10)
    assert found.moment(2, found.moment(1)) == pytest.approx(float(peer.var()), rel=1e-9)


# -- atoms -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "law", "atoms"),
    [
        ("relu", "normal", [(0.0, 0.5)]),
        ("relu", "laplace(1, 1)", [(0.0, math.exp(-1) / 2)]),
        ("hardtanh", "normal", [(-1.0, scipy.stats.norm.sf(1)), (1.0, scipy.stats.norm.sf(1))]),
        ("hardsigmoid", "logistic", [(0.0, scipy.stats.logistic.sf(3)), (1.0, scipy.stats.logistic.sf(3))]),
        ("srelu", "cauchy", [(0.0, scipy.stats.cauchy.sf(2.21))]),
        ("relu", "uniform(1, 2)", []),
        ("relu", "uniform(-2, -1)", [(0.0, 1.0)]),
        ("sign(x)", "normal", [(-1.0, 0.5), (1.0, 0.5)]),
        ("where(x > 1, 0, where(x > 0, x, 0))", "normal", [(0.0, 0.5 + scipy.stats.norm.sf(1))]),
        ("gelu", "normal", []),
    ],
)
def test_atoms(name: str, law: str, atoms: list[tuple[float, float]]) -> None:
    found = of(name, law)
    assert [a.value for a in found.atoms] == [a[0] for a in atoms]
    assert [a.probability for a in found.atoms] == pytest.approx([a[1] for a in atoms], rel=1e-12)
    assert found.mass == pytest.approx(1 - sum(a[1] for a in atoms), abs=1e-12)
    assert sum(found.values[1]) == pytest.approx(1.0, abs=1e-11)


def test_atoms_far_out_keep_their_digits() -> None:
    (low, high) = of("hardtanh", "normal(0, 0.05)").atoms
    assert high.probability == pytest.approx(float(scipy.stats.norm.sf(20)), rel=1e-10)
    assert low.probability == pytest.approx(high.probability, rel=1e-10)


# -- moments -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["relu", "silu", "gelu", "softplus", "hardtanh", "relu_squared", "sinerelu"])
@pytest.mark.parametrize("power", [1, 2, 3])
def test_moments(name: str, power: int) -> None:
    act = eafo.get(name)
    expected = sum(
        scipy.integrate.quad(lambda t: scipy.stats.norm.pdf(t) * float(act(t)) ** power, a, b, epsabs=1e-12)[
            0
        ]
        for a, b in itertools.pairwise((-12, -1, 0, 1, 12))
    )
    found = of(name)
    assert found.moment(power) == pytest.approx(expected, abs=1e-9)
    at_atoms = sum(a.probability * a.value**power for a in found.atoms)
    assert found.moment(power, atoms=False) == pytest.approx((expected - at_atoms) / found.mass, abs=1e-9)


def test_moments_that_diverge() -> None:
    assert of("relu", "cauchy").moment(1) == math.inf
    assert of("identity", "cauchy").moment(2) == math.inf
    assert of("tanh", "cauchy").moment(1) == pytest.approx(0.0, abs=1e-12)


# -- a step along a direction ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["silu", "softplus", "tanh", "leaky_relu"])
def test_moved_is_the_output_of_the_moved_function(name: str) -> None:
    phi, step = sympy.exp(-((x - 1) ** 2)), 0.05
    expression = eafo.get(name).concrete
    moved = of(name).moved(direction(phi), step)
    anew = output.of(expression + sympy.Rational(1, 20) * phi, laws.get("normal").numeric)
    z = np.array([moved.quantile(u) for u in (0.05, 0.3, 0.6, 0.95)])
    np.testing.assert_allclose(moved.density(z), anew.density(z), rtol=1e-9)
    np.testing.assert_allclose(moved.cdf(z), anew.cdf(z), rtol=1e-10)
    assert moved.log_likelihood.value == pytest.approx(anew.log_likelihood.value, abs=1e-9)


def test_flat_parts_stay() -> None:
    moved = of("relu").moved(direction(x * sympy.exp(-(x**2) / 2)), 0.3)
    assert [(a.value, a.probability) for a in moved.atoms] == [(0.0, 0.5)]


@settings(max_examples=25, deadline=None)
@given(
    a=st.floats(0.05, 20),
    b=st.floats(-20, 20),
    flip=st.booleans(),
    name=st.sampled_from(["silu", "tanh", "relu", "srelu"]),
)
def test_an_affine_change_moves_density_and_distribution(a: float, b: float, flip: bool, name: str) -> None:
    factor = -a if flip else a
    expression = eafo.get(name).concrete
    plain = of(name)
    changed = output.of(sympy.Float(factor) * expression + sympy.Float(b), laws.get("normal").numeric)
    # Off the atoms, where P(Z ≤ z) and P(Z ≥ z) differ.
    z = np.array([plain.quantile(u) for u in (0.55, 0.7, 0.9)]) + 1e-3
    np.testing.assert_allclose(changed.density(factor * z + b), plain.density(z) / a, rtol=1e-8)
    below = 1 - plain.cdf(z) if flip else plain.cdf(z)
    np.testing.assert_allclose(changed.cdf(factor * z + b), below, atol=1e-9)


def test_branch_identity() -> None:
    """−E[log q] = E[−log p + log |f′|] − E[branch entropy], term by term."""
    for name, law in itertools.product(("silu", "gelu", "x**3 - x", "sin"), ("normal", "logistic")):
        found = of(name, law)
        # The law's own entropy, or of a sine's that of the folded one.
        entropy = -sum(c.nodes.mean(found.law.logpdf(c.nodes.x)).value for c in found.cells)
        assert name == "sin" or entropy == pytest.approx(float(laws.get(law).numeric.entropy), abs=1e-9)
        inside = entropy + found.log_slope.value - found.branch_entropy.value
        assert -found.log_likelihood.value == pytest.approx(inside, abs=1e-8)
        assert 0 < found.branch_entropy.value < math.log(len(found.sheets))


def test_two_equal_branches_hide_one_bit() -> None:
    assert of("x**2").branch_entropy.value == pytest.approx(math.log(2), abs=1e-10)
    assert of("tanh").branch_entropy.value == pytest.approx(0.0, abs=1e-15)


def test_endless_seams_are_refused() -> None:
    with pytest.raises(InputError):
        of("max(0, sin(x))")
