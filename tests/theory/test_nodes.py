"""Quadrature nodes: moments against SciPy's, far tails, what diverges and what is not a number."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from eafo import laws
from eafo.theory.nodes import Mean, Nodes, between
from eafo.theory.quadrature import QuadratureError

LAWS = [
    *laws.names(),
    "normal(3, 0.01)",
    "laplace(-1, 50)",
    "0.5*normal(-2, 1) + 0.5*normal(2, 1)",
    "scipy.gamma(2)",
]


def whole(form: str) -> tuple[laws.Numbers, list[Nodes]]:
    law = laws.get(form).numeric
    ends = [law.lower, *law.kinks, law.upper]
    return law, [between(law, a, b) for a, b in itertools.pairwise(ends)]


def mean(nodes: list[Nodes], function) -> Mean:
    return sum((n.mean(function(n.x)) for n in nodes), Mean(0.0, 0.0))


@pytest.mark.parametrize("form", LAWS)
def test_weights_sum_to_the_probability(form: str) -> None:
    _, nodes = whole(form)
    assert sum(n.weight.sum() for n in nodes) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("form", LAWS)
@pytest.mark.parametrize(("low", "high"), [(0.1, 0.3), (0.4, 0.8), (0.97, 0.999)])
def test_part_of_a_law(form: str, low: float, high: float) -> None:
    law = laws.get(form).numeric
    nodes = between(law, *law.ppf([low, high]))
    assert nodes.weight.sum() == pytest.approx(high - low, rel=1e-10)
    slack = 1e-9 * (law.ppf(high) - law.ppf(low))
    assert np.all((nodes.x > law.ppf(low) - slack) & (nodes.x < law.ppf(high) + slack))


@pytest.mark.parametrize(
    ("form", "peer"),
    [
        ("normal", scipy.stats.norm()),
        ("laplace", scipy.stats.laplace()),
        ("logistic", scipy.stats.logistic()),
        ("gumbel", scipy.stats.gumbel_r()),
        ("exponential", scipy.stats.expon()),
        ("half_normal", scipy.stats.halfnorm()),
        ("uniform", scipy.stats.uniform(-1, 2)),
        ("normal(3, 0.01)", scipy.stats.norm(3, 0.01)),
        ("scipy.gamma(2)", scipy.stats.gamma(2)),
    ],
)
@pytest.mark.parametrize("power", [1, 2, 4])
def test_moments(form: str, peer, power: int) -> None:
    _, nodes = whole(form)
    found = mean(nodes, lambda x: x**power)
    assert found.value == pytest.approx(float(peer.moment(power)), rel=1e-10, abs=1e-11)
    assert abs(found.value - float(peer.moment(power))) <= found.error + 1e-9 * max(1.0, abs(found.value))


@pytest.mark.parametrize("form", LAWS)
def test_entropy_of_the_law(form: str) -> None:
    law, nodes = whole(form)
    assert -mean(nodes, law.logpdf).value == pytest.approx(law.entropy, abs=1e-9)


def test_heavy_tails() -> None:
    law, nodes = whole("cauchy")
    # E[log(1 + X²)] = log 4, E|X|^½ = √2.
    assert mean(nodes, lambda x: np.log1p(x * x)).value == pytest.approx(math.log(4), abs=1e-10)
    assert mean(nodes, lambda x: np.sqrt(np.abs(x))).value == pytest.approx(math.sqrt(2), rel=1e-9)
    # Something at the scale of 1 is seen under a law a million times as wide.
    wide = laws.get("cauchy(0, 1e6)").numeric
    found = between(wide, -np.inf, np.inf)
    expected = float(wide.pdf(0.0)) * math.sqrt(2 * math.pi)
    assert found.mean(np.exp(-(found.x**2) / 2)).value == pytest.approx(expected, rel=1e-6)
    assert law.lower == -np.inf


@pytest.mark.parametrize("power", [1.0, 2.0, 7.0])
def test_what_diverges_is_infinite(power: float) -> None:
    _, nodes = whole("cauchy")
    with np.errstate(over="ignore"):
        assert mean(nodes, lambda x: np.abs(x) ** power).value == math.inf
        assert mean(nodes, lambda x: -(np.abs(x) ** power)).value == -math.inf


def test_no_value_without_a_sign() -> None:
    nodes = between(laws.get("cauchy").numeric, -np.inf, np.inf)
    with pytest.raises(
        QuadratureError, match=r"an integral must converge, but got '.* of it in the far tail'"
    ):
        nodes.mean(nodes.x)


def test_not_a_number() -> None:
    nodes = between(laws.get("normal").numeric, 1.0, 2.0)
    values = np.ones_like(nodes.x)
    values[nodes.x.size // 2] = np.nan
    with pytest.raises(QuadratureError, match="the integrand must be a number, but got 'NaN at x = 1"):
        nodes.mean(values)


def test_singular_at_an_end() -> None:
    # ∫₀^∞ x^{−1/2} e^{−x²/2} dx = 2^{−3/4} Γ(1/4): at the median a level does not tell points apart below 1e−17.
    nodes = between(laws.get("normal").numeric, 0.0, np.inf)
    exact = 2**-0.75 * math.gamma(0.25) / math.sqrt(2 * math.pi)
    assert nodes.mean(1 / np.sqrt(nodes.x)).value == pytest.approx(exact, abs=1e-6)
    # E[log |X|] = −(γ + log 2)/2
    log = nodes.mean(np.log(nodes.x)).value
    assert 2 * log == pytest.approx(-(np.euler_gamma + math.log(2)) / 2, abs=1e-11)
    # At the support's own end nothing is lost: E[X^{−1/2}] = √π for an exponential law.
    low = between(laws.get("exponential").numeric, 0.0, np.inf)
    assert low.mean(low.x**-0.5).value == pytest.approx(math.sqrt(math.pi), rel=1e-9)


def test_the_error_is_the_change_by_half_of_the_points() -> None:
    nodes = between(laws.get("normal").numeric, -np.inf, np.inf)
    smooth, rough = nodes.mean(np.cos(nodes.x)), nodes.mean(np.abs(np.sin(9 * nodes.x)))
    assert smooth.value == pytest.approx(math.exp(-0.5), abs=1e-13)
    assert smooth.error < 1e-8 < rough.error
    assert (smooth + rough).error == smooth.error + rough.error


def test_an_empty_interval() -> None:
    nodes = between(laws.get("normal").numeric, 60.0, 70.0)
    assert nodes.x.size == 0
    assert nodes.mean(np.empty(0)) == Mean(0.0, 0.0)


def test_a_tail_that_falls_slowly() -> None:
    nodes = between(laws.get("exponential").numeric, 0.0, np.inf)
    # ∫ e^{a t} e^{−t} dt = 1/(1 − a).
    for rate in (0.5, 0.9, 0.96):
        found = nodes.mean(np.exp(rate * nodes.x))
        assert abs(found.value - 1 / (1 - rate)) <= found.error + 1e-9
    with pytest.raises(
        QuadratureError, match=r"an integral must converge, but got 'inf of it in the far tail'"
    ):
        nodes.mean(np.exp(0.99 * nodes.x))
    assert nodes.mean(np.exp(nodes.x)).value == math.inf


def test_large_values_are_no_divergence() -> None:
    nodes = between(laws.get("normal").numeric, -np.inf, np.inf)
    assert nodes.mean(nodes.x**18).value == pytest.approx(34459425, rel=1e-9)
    assert nodes.mean(1e12 * nodes.x**2).value == pytest.approx(1e12, rel=1e-9)
    right = between(laws.get("normal").numeric, 0.0, np.inf)
    assert right.mean(right.x**-2.0).value == math.inf
