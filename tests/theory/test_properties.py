"""Properties of the catalog: what the literature says of each, and what it gets wrong."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.optimize
import scipy.special

import eafo
from eafo.errors import InputError
from eafo.theory.properties import Jump, Kink, Properties

INF = math.inf


def of(name: str) -> Properties:
    return eafo.properties(name)


def test_sinerelu_is_not_continuous() -> None:
    found = of("sinerelu")
    assert not found.continuous
    assert found.jumps == (Jump(0.0, -0.0025, 0.0),)
    assert found.smoothness == -1
    assert found.lipschitz == INF
    assert not found.zero_at_zero
    assert of("sinerelu(epsilon=0.025)").jumps == (Jump(0.0, -0.025, 0.0),)


def test_srelu_is_once_differentiable() -> None:
    found = of("srelu")
    assert found.continuous
    assert found.kinks == ()
    assert found.smoothness == 1
    assert [p.kind for p in found.pieces] == ["flat", "decreasing", "increasing"]


@pytest.mark.parametrize(
    ("name", "smoothness"),
    [("relu", 0), ("elu", 1), ("elu(alpha=2)", 0), ("celu(alpha=2)", 1), ("selu", 0), ("hardswish", 0), ("relu_squared", 1),
     ("gelu", INF), ("mish", INF), ("softsign", 1), ("crrelu", 0), ("xielu", 1)],
)  # fmt: skip
def test_smoothness(name: str, smoothness: float) -> None:
    assert of(name).smoothness == smoothness


def test_kinks() -> None:
    assert of("relu").kinks == (Kink(0.0, 0.0, 1.0),)
    assert of("crrelu").kinks == (Kink(0.0, 0.01, 1.01),)
    assert of("hardtanh").kinks == (Kink(-1.0, 0.0, 1.0), Kink(1.0, 1.0, 0.0))


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("tanh", -1, 1), ("sigmoid", 0, 1), ("relu", 0, INF), ("softplus", 0, INF), ("hardswish", -0.375, INF), ("sin", -1, 1),
     ("identity", -INF, INF), ("leaky_relu_squared", 0, INF), ("arctan", -math.pi / 2, math.pi / 2)],
)  # fmt: skip
def test_range(name: str, low: float, high: float) -> None:
    assert of(name).range == pytest.approx((low, high), abs=1e-12)


@pytest.mark.parametrize("name", ["gelu", "silu", "mish", "srelu", "crrelu", "gelu_tanh"])
def test_minimum_against_scipy(name: str) -> None:
    act = eafo.get(name)
    best = scipy.optimize.minimize_scalar(
        lambda t: float(act(t)), bounds=(-3, 0), method="bounded", options={"xatol": 1e-12}
    )
    found = of(name)
    assert found.range[0] == pytest.approx(best.fun, rel=1e-9)
    lowest = next(p.lower for p in found.pieces if p.kind == "increasing")
    assert lowest == pytest.approx(best.x, abs=1e-6)


@pytest.mark.parametrize(
    "name", [n for n in eafo.names() if n not in ("sinerelu", "relu_squared", "leaky_relu_squared", "xielu")]
)
def test_lipschitz_bounds_every_slope(name: str) -> None:
    bound = of(name).lipschitz
    x = np.linspace(-20, 20, 40_001)
    values = eafo.get(name)(x)
    steepest = float(np.max(np.abs(np.diff(values) / np.diff(x))))
    assert steepest <= bound * (1 + 1e-9)
    assert steepest >= bound * (1 - 1e-3)


def test_known_lipschitz_constants() -> None:
    assert of("sigmoid").lipschitz == pytest.approx(0.25, rel=1e-12)
    assert of("erf").lipschitz == pytest.approx(2 / math.sqrt(math.pi), rel=1e-12)
    # GELU's steepest slope is at √2: Φ(√2) + √2 φ(√2).
    r = math.sqrt(2)
    assert of("gelu").lipschitz == pytest.approx(
        scipy.special.ndtr(r) + r * math.exp(-1) / math.sqrt(2 * math.pi), rel=1e-12
    )
    assert of("relu_squared").lipschitz == INF


def test_limits_and_growth() -> None:
    found = of("mish")
    assert found.limits == (0.0, INF)
    assert found.growth == (0.0, 1.0)
    assert of("xielu").growth == pytest.approx((-0.3, INF))
    assert all(map(math.isnan, of("sin").limits))
    assert of("sin").growth == (0.0, 0.0)


def test_sparsity_under_the_law() -> None:
    assert of("relu").sparsity == pytest.approx(0.5)
    assert of("srelu").sparsity == pytest.approx(float(scipy.special.ndtr(-2.21)), rel=1e-12)
    assert of("gelu").sparsity == 0.0
    wide = eafo.properties("hardswish", law="uniform(-6, 6)")
    assert wide.sparsity == pytest.approx(0.25)


def test_fixed_points() -> None:
    assert of("relu").identity == ((0.0, INF),)
    assert of("relu").fixed_points == ()
    assert of("relu_squared").fixed_points == (0.0, 1.0)
    assert of("sigmoid").fixed_points == pytest.approx((0.659046068407408,), rel=1e-12)
    assert of("xielu").fixed_points == pytest.approx((0.0, 0.625), abs=1e-12)


@pytest.mark.parametrize("name", eafo.names())
def test_pieces_cover_the_line_and_hold(name: str) -> None:
    pieces = of(name).pieces
    assert pieces[0].lower == -INF
    assert pieces[-1].upper == INF
    assert all(a.upper == b.lower for a, b in itertools.pairwise(pieces))
    act = eafo.get(name)
    for piece in pieces:
        x = np.linspace(max(piece.lower, -30), min(piece.upper, 30), 1001)[1:-1]
        if not np.all(np.diff(x) > 0):
            continue
        steps = np.diff(act(x))
        kinds = {"increasing": steps >= -1e-12, "decreasing": steps <= 1e-12, "flat": steps == 0}
        assert np.all(kinds[piece.kind])


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("1/x", "a pole at x = 0"),
        ("log(x)", "real and finite"),
        ("x**0.5*sigmoid(x)", "not real"),
        ("max(0, sin(x))", "finitely many"),
        ("max(x, tanh(x))", "finitely many"),
    ],
)
def test_what_cannot_be_told_is_refused(formula: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        eafo.properties(formula)


def test_vertical_tangents_and_jumps_to_infinity_are_seen() -> None:
    root = eafo.properties("sqrt(abs(x))")
    assert root.smoothness == 0
    assert root.kinks == (Kink(0.0, -INF, INF),)
    assert eafo.properties("sign(x)").monotone
    assert eafo.properties("where(x > 200, 1, 0) + x").monotone


def test_a_limit_is_believed_only_where_values_bear_it_out() -> None:
    found = eafo.properties("x*(erf(x*tanh(x)) + 1)")
    assert found.range != (0.0, 0.0)
    assert all(map(math.isnan, eafo.properties("x*sin(x)").range))
    assert eafo.properties("x + sin(x)").fixed_points == pytest.approx(
        [k * math.pi for k in range(-31, 32)], abs=1e-9
    )
