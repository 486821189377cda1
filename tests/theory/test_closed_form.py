"""The closed form of a correction: what it is on D, and what stands against its use."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sympy

import eafo
from eafo import laws
from eafo.activation import VARIABLE as x
from eafo.theory import closed_form
from eafo.theory.closed_form import ClosedForm

POINTS = np.linspace(-6, 6, 601)


def of(name: str, law: str, metric: str = "output", normal: tuple[float, float] | None = None) -> ClosedForm:
    given, act = laws.get(law), eafo.get(name)
    free = [p for p in act.pieces() if x in p.expression.free_symbols]
    lower = max(float(free[0].lower), float(given.lower))
    upper = min(float(free[-1].upper), float(given.upper))
    pieces = closed_form.contiguous(act, given, lower, upper)
    inside = POINTS[(lower < POINTS) & (upper > POINTS)]
    return closed_form.find(pieces, given, inside, metric, normal)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "law", "direction"),
    [
        ("relu", "normal", x * sympy.exp(-(x**2) / 2) / sympy.sqrt(2 * sympy.pi)),
        ("identity", "logistic", sympy.tanh(x / 2) / (4 * sympy.cosh(x / 2) ** 2)),
        ("tanh", "normal", (x - 2 * sympy.tanh(x)) * sympy.exp(-(x**2) / 2) / sympy.sqrt(2 * sympy.pi)),
        ("exp(x)", "normal", (1 + x) * sympy.exp(-(x**2) / 2) / sympy.sqrt(2 * sympy.pi)),
    ],
)
def test_direction(name: str, law: str, direction: sympy.Expr) -> None:
    found = of(name, law)
    t = np.array([0.2, 0.9, 2.2])
    np.testing.assert_allclose(
        sympy.lambdify(x, found.direction)(t), sympy.lambdify(x, direction)(t), rtol=1e-10
    )


@pytest.mark.parametrize(
    ("name", "law", "obstacle"),
    [
        ("relu", "normal", ""),
        ("tanh", "normal", ""),
        (
            "relu",
            "laplace",
            r"η does not vanish at the seam x = 0 \(c = 0.5\): the branch would lose its end",
        ),
        ("leaky_relu", "normal", "f′ jumps by 0.99 at x = 0, where EL holds a Dirac term"),
        ("identity", "laplace", "c jumps by 1 at x = 0"),
        ("softplus", "uniform", "η does not vanish at the seam x = -1"),
        ("erf", "normal", "c′/f′ grows without bound"),
        ("elu", "normal", "c jumps by -0.3989 at x = 0"),
    ],
)
def test_obstacles(name: str, law: str, obstacle: str) -> None:
    import re

    found = of(name, law)
    assert re.match(obstacle, found.obstacle) if obstacle else found.obstacle == ""
    assert found.dirac == ("Dirac" in obstacle or "without bound" in obstacle)
    assert not found.worst


@pytest.mark.parametrize(
    ("name", "law"), [("sigmoid", "logistic"), ("relu", "uniform"), ("2/pi*arctan(x)", "cauchy")]
)
def test_worst(name: str, law: str) -> None:
    found = of(name, law)
    assert found.worst
    assert found.direction == 0
    assert found.obstacle == ""


@pytest.mark.parametrize("metric", ["output", "input", "probability"])
def test_metrics_differ_by_a_weight(metric: str) -> None:
    found, plain = of("softplus", "normal", metric), of("softplus", "normal")
    weight = {"output": 1, "input": 1 / sympy.diff(found.function, x), "probability": None}[metric]
    if weight is None:
        weight = 1 / (found.density * sympy.diff(found.function, x))
    t = np.array([-1.5, 0.3, 2.0])
    ratio = sympy.lambdify(x, found.direction / (plain.direction * weight))(t)
    np.testing.assert_allclose(ratio, 1.0, rtol=1e-10)


@pytest.mark.parametrize("rounding", [0.0, -2.8e-17, 3e-13])
def test_relative_to_a_normal_law_rounding_is_no_direction(rounding: float) -> None:
    found = of("identity", "normal", normal=(rounding, 1.0 + rounding))
    assert found.worst
    shifted = of("3*x - 2", "normal", normal=(-2.0 + rounding, 9.0))
    assert shifted.worst


def test_relative_to_a_normal_law() -> None:
    mean, variance = 0.8, 0.4
    found, plain = of("softplus", "normal", normal=(mean, variance)), of("softplus", "normal")
    t = np.array([-1.0, 0.0, 1.7])
    slope = 1 / (1 + np.exp(-t))
    p = np.exp(-(t**2) / 2) / math.sqrt(2 * math.pi)
    # −p f′ (f − μ)/σ² beside −p f′ s.
    extra = -p * slope**1 * (np.logaddexp(0, t) - mean) / variance
    difference = sympy.lambdify(x, found.direction - plain.direction)(t)
    np.testing.assert_allclose(difference, extra, rtol=1e-8)


def test_pieces_are_cut_to_the_support() -> None:
    act, law = eafo.get("hardtanh"), laws.get("uniform(-3, 0.5)")
    (piece,) = closed_form.contiguous(act, law, -1.0, 0.5)
    assert (piece.expression, piece.lower, piece.upper) == (x, -1, sympy.Rational(1, 2))
