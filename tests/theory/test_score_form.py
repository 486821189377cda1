"""The first variation in score form, against differences of the entropy, with folds, kinks, jumps of the density and ends."""

from __future__ import annotations

import numpy as np
import pytest
import sympy

from eafo import catalog, laws
from eafo.activation import VARIABLE as x
from eafo.theory import entropy, function, output, score_form
from eafo.theory.quadrature import QuadratureError

BUMP = function.direction(sympy.exp(-((x - sympy.Rational(1, 2)) ** 2)))


def of(name: str, law: str) -> output.Output:
    return output.of(catalog.get(name).concrete, laws.get(law).numeric)


@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("softplus", "normal"),
        ("silu", "normal"),  # a fold
        ("silu", "uniform"),  # the density does not vanish at the ends
        ("xielu", "normal"),  # a fold and a kink
        ("elu", "normal"),
        ("leaky_relu", "normal"),
        ("tanh", "laplace"),
        ("hardtanh", "normal"),  # atoms
        ("relu", "normal"),
        ("identity", "uniform"),
        ("prelu", "logistic"),
    ],
)
def test_against_differences_of_the_entropy(name: str, law: str) -> None:
    found, step = of(name, law), 1e-4
    above, below = (entropy.mixed(found.moved(BUMP, sign * step)).value for sign in (1, -1))
    assert score_form.first_variation(found, BUMP) == pytest.approx((above - below) / (2 * step), rel=1e-4)


def test_values_of_the_mathematics() -> None:
    assert score_form.first_variation(of("softplus", "normal"), BUMP) == pytest.approx(0.6267034719, abs=1e-9)
    assert score_form.first_variation(of("silu", "normal"), BUMP) == pytest.approx(1.3987, abs=2e-4)


def test_a_shift_changes_no_entropy() -> None:
    shift = function.direction(sympy.Integer(1) + 0 * x)
    for name in ("softplus", "silu"):
        assert score_form.first_variation(of(name, "normal"), shift) == pytest.approx(0.0, abs=1e-6)


def test_a_stretch_adds_one() -> None:
    for name, law in (("softplus", "normal"), ("sigmoid", "normal"), ("elu", "normal")):
        itself = function.direction(catalog.get(name).concrete)
        assert score_form.first_variation(of(name, law), itself) == pytest.approx(1.0, abs=1e-4)


def test_the_score_of_a_normal_output_is_linear() -> None:
    found = output.of(2 * x + 1, laws.get("normal").numeric)
    for cell, score in zip(found.cells, score_form.score_at_nodes(found), strict=True):
        np.testing.assert_allclose(score, -(cell.z - 1) / 4, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("sin", "one fold"), ("srelu", "must vanish at an end where f′ does"), ("gelu", "must converge")],
)
def test_where_the_score_form_does_not_apply(name: str, reason: str) -> None:
    with pytest.raises(QuadratureError, match=reason):
        score_form.first_variation(of(name, "normal"), BUMP)
