"""Properties of the catalog: what the literature says of each, and what it gets wrong."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

import eafo
from eafo.errors import InputError
from eafo.theory.properties import Jump, Kink, Properties

INF = math.inf


@functools.cache
def of(name: str) -> Properties:
    return eafo.properties(name)


def test_sinerelu_is_not_continuous() -> None:
    found = of("sinerelu")
    assert not found.continuous
    assert found.jumps == (Jump(0.0, -0.0025, 0.0),)
    assert found.smoothness == -1
    assert found.lipschitz == INF
    assert not found.zero_at_zero
    assert str(found.jumps[0].size) == "epsilon"
    assert [p.lower for p in found.pieces[-2:]] == pytest.approx([-math.pi / 4, 0])
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
    found = of(name)
    pieces = found.pieces
    # Where they are endless, those near 0 are listed.
    assert (pieces[0].lower == -INF) != found.endless[0]
    assert (pieces[-1].upper == INF) != found.endless[1]
    assert all(a.upper == b.lower for a, b in itertools.pairwise(pieces))
    assert pieces[0].lower < -90
    assert pieces[-1].upper > 90
    act = eafo.get(name)
    for piece in pieces:
        x = np.linspace(max(piece.lower, -30), min(piece.upper, 30), 1001)[1:-1]
        if not np.all(np.diff(x) > 0):
            continue
        steps = np.diff(act(x))
        kinds = {"increasing": steps >= -1e-12, "decreasing": steps <= 1e-12, "flat": steps == 0}
        assert np.all(kinds[piece.kind])


@dataclass(frozen=True)
class Fact:
    """What is known of a function: pieces as their signs, limits, growth, zero at zero, fixed points."""

    pieces: str
    limits: tuple[float, float]
    growth: tuple[float, float]
    zero: bool = True
    fixed: tuple[float, ...] = (0.0,)
    parity: str = ""


#: W(1/e), the Lambert function: SiLU's minimum is −W(1/e).
OMEGA = float(scipy.special.lambertw(math.exp(-1)).real)
FACTS = {
    "arctan": Fact("+", (-math.pi / 2, math.pi / 2), (0, 0), parity="odd"),
    "celu": Fact("+", (-1, INF), (0, 1), fixed=()),
    "crrelu": Fact("-+", (0, INF), (0, 1)),
    "elu": Fact("+", (-1, INF), (0, 1), fixed=()),
    "erf": Fact("+", (-1, 1), (0, 0), fixed=(-0.6174468790806067, 0.0, 0.6174468790806067), parity="odd"),
    "gelu": Fact("-+", (0, INF), (0, 1)),
    "gelu_tanh": Fact("-+", (0, INF), (0, 1)),
    "hardsigmoid": Fact("0+0", (0, 1), (0, 0), zero=False, fixed=(0.6,)),
    "hardswish": Fact("0-+", (0, INF), (0, 1)),
    "hardtanh": Fact("0+0", (-1, 1), (0, 0), fixed=(), parity="odd"),
    "identity": Fact("+", (-INF, INF), (1, 1), fixed=(), parity="odd"),
    "leaky_relu": Fact("+", (-INF, INF), (0.01, 1), fixed=()),
    "leaky_relu_squared": Fact("-+", (INF, INF), (-INF, INF), fixed=(0, 1)),
    "mish": Fact("-+", (0, INF), (0, 1)),
    "prelu": Fact("+", (-INF, INF), (0.25, 1), fixed=()),
    "relu": Fact("0+", (0, INF), (0, 1), fixed=()),
    "relu_squared": Fact("0+", (0, INF), (0, INF), fixed=(0, 1)),
    "selu": Fact("+", (-1.7580993408473766, INF), (0, 1.0507009873554805), fixed=(-1.2588171640638233, 0)),
    "sigmoid": Fact("+", (0, 1), (0, 0), zero=False, fixed=(0.6590460684074066,)),
    "silu": Fact("-+", (0, INF), (0, 1)),
    "sin": Fact("-+" * 31 + "-", (math.nan, math.nan), (0, 0), parity="odd"),
    "sinerelu": Fact("-+" * 16 + "+", (math.nan, INF), (0, 1), zero=False, fixed=(-0.002506257786250195,)),
    "softplus": Fact("+", (0, INF), (0, 1), zero=False, fixed=()),
    "softsign": Fact("+", (-1, 1), (0, 0), parity="odd"),
    "srelu": Fact("0-+", (0, INF), (0, 1)),
    "swish": Fact("-+", (0, INF), (0, 1)),
    "tanh": Fact("+", (-1, 1), (0, 0), parity="odd"),
    "xielu": Fact("-+", (INF, INF), (-0.3, INF), fixed=(0, 0.625)),
}


@pytest.mark.parametrize("name", eafo.names())
def test_known_facts(name: str) -> None:
    found, fact = of(name), FACTS[name]
    signs = {"increasing": "+", "decreasing": "-", "flat": "0"}
    assert "".join(signs[p.kind] for p in found.pieces) == fact.pieces
    assert found.limits == pytest.approx(fact.limits, nan_ok=True)
    assert found.growth == pytest.approx(fact.growth)
    assert found.zero_at_zero == fact.zero
    assert found.fixed_points == pytest.approx(fact.fixed, abs=1e-12)
    assert found.parity == fact.parity
    assert found.monotone == ("-" not in fact.pieces)
    assert found.continuous == (name != "sinerelu")
    assert found.law == "normal"


def test_a_sine_has_no_end_of_pieces() -> None:
    found = of("sin")
    assert found.endless == (True, True)
    assert found.periods == pytest.approx((2 * math.pi, 2 * math.pi))
    assert "turns without end towards −∞ with the period 6.28319" in found.notes[0]
    half = of("sinerelu")
    assert half.endless == (True, False)
    assert math.isnan(half.periods[1])
    # −ε√2, not the −2ε of sine and cosine taken one by one.
    assert half.range == pytest.approx((-0.0025 * math.sqrt(2), INF), rel=1e-12)
    fast = eafo.properties("sin(1000*x)")
    assert fast.periods == pytest.approx((math.pi / 500, math.pi / 500))
    assert fast.lipschitz == pytest.approx(1000, rel=1e-9)
    growing = eafo.properties("x*sin(x)")
    assert growing.endless == (True, True)
    assert growing.range == (-INF, INF)
    assert growing.lipschitz == INF


def test_a_derivative_with_a_period_need_not_change_its_sign() -> None:
    found = eafo.properties("x + sin(x)")
    assert found.endless == (False, False)
    assert [p.kind for p in found.pieces] == ["increasing"]
    assert found.fixed_points == pytest.approx([k * math.pi for k in range(-31, 32)], abs=1e-9)
    assert found.lipschitz == pytest.approx(2, rel=1e-12)


@pytest.mark.parametrize(
    ("formula", "steepest", "span"),
    [
        ("tanh(2000*(x - 0.3011))", 2000.0, (-1.0, 1.0)),
        ("exp(-100000000*(x - 0.30001)**2)", 1e4 * math.sqrt(2 / math.e), (0.0, 1.0)),
    ],
)
def test_what_is_narrower_than_the_grid_is_found(
    formula: str, steepest: float, span: tuple[float, float]
) -> None:
    told = of(formula)
    assert told.lipschitz == pytest.approx(steepest, rel=1e-9)
    assert told.range == pytest.approx(span, abs=1e-9)


def test_turns_that_grow_dense_are_all_listed() -> None:
    # sin(x²) turns at 0 and where x² = π/2 + kπ: at 3183 points on either side of 0 within ±100.
    expected = int((1e4 - math.pi / 2) // math.pi) + 1
    assert sum(p.upper > 0 and p.lower >= 0 for p in of("sin(x**2)").pieces) == expected


def test_turns_beyond_double_precision_are_endless() -> None:
    assert of("sin(x)*exp(-x)").endless == (True, False)


def test_fixed_points_that_are_not_listed_are_noted() -> None:
    for formula in ("x + sin(x)", "10*sin(50*x)"):
        assert sum("f(x) = x has solutions" in note for note in of(formula).notes) == 2
    assert not any(
        "f(x) = x" in note for name in ("sin", "sinerelu", "200*tanh(x)") for note in of(name).notes
    )


def test_at_a_jump_the_value_decides_whether_it_is_a_fixed_point() -> None:
    assert of("where(x >= 0, 1, 0)").fixed_points == (1.0,)
    assert of("where(x > 0, 1, 0)").fixed_points == (0.0, 1.0)
    assert of("sign(x)").fixed_points == (-1.0, 0.0, 1.0)


def test_what_lies_far_out_is_told() -> None:
    found = eafo.properties("(x - 300)**2")
    assert [(p.kind, p.lower, p.upper) for p in found.pieces] == [
        ("decreasing", -INF, pytest.approx(300)),
        ("increasing", pytest.approx(300), INF),
    ]
    assert found.range == (0, INF)
    far = eafo.properties("where(x > 20000, x - 20000, 0)")
    assert [p.kind for p in far.pieces] == ["flat", "increasing"]


@pytest.mark.parametrize(
    ("name", "low", "lipschitz"),
    [("hardswish", "-3/8", "3/2"), ("crrelu", "-exp(-1/2)/100", "101/100"), ("xielu", "-1/2 - 3*log(3/8)/10", "oo"),
     ("sinerelu", "-sqrt(2)/400", "oo"), ("sin", "-1", "1"), ("erf", "-1", "2/sqrt(pi)"), ("sigmoid", "0", "1/4")],
)  # fmt: skip
def test_closed_forms(name: str, low: str, lipschitz: str) -> None:
    found = of(name)
    assert str(found.exact_range[0]) == low
    assert str(found.exact_lipschitz) == lipschitz
    assert float(found.exact_range[0]) == pytest.approx(found.range[0], rel=1e-12)
    assert float(found.exact_lipschitz) == pytest.approx(found.lipschitz, rel=1e-12)


def test_minima_by_the_lambert_function() -> None:
    assert of("silu").range[0] == pytest.approx(-OMEGA, rel=1e-12)
    assert of("silu").pieces[0].upper == pytest.approx(-1 - OMEGA, rel=1e-9)


def test_saturation_under_the_law() -> None:
    outside = 2 * float(scipy.special.ndtr(-1))
    assert of("hardtanh").saturation == pytest.approx(outside, rel=1e-12)
    assert of("hardtanh").sparsity == 0
    assert of("relu").saturation == pytest.approx(0.5)
    assert eafo.properties("hardtanh", law="uniform(-2, 2)").saturation == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("formula", "parity"),
    [("sinh(x)", "odd"), ("cosh(x)", "even"), ("abs(x)", "even"), ("x*abs(x)", "odd"), ("where(x > 1e6, 1, 0)", ""),
     ("exp(x)", ""), ("1", "even"), ("sign(x)", "odd"), ("x**2 + x", "")],
)  # fmt: skip
def test_parity(formula: str, parity: str) -> None:
    assert eafo.properties(formula).parity == parity


@pytest.mark.parametrize("power", [1, 2, 5, 8])
def test_the_order_of_a_seam_is_found(power: int) -> None:
    assert eafo.properties(f"where(x > 1, (x - 1)**{power}, 0)").smoothness == power - 1


def test_a_seam_smoother_than_was_asked_is_noted() -> None:
    found = eafo.properties("where(x > 0, x**12, 0)")
    assert found.smoothness == 8
    assert "the derivatives agree up to order 8" in found.notes[0]


REFLECTED = (
    "relu",
    "crrelu(epsilon=0.3)",
    "hardswish",
    "elu(alpha=2)",
    "relu_squared",
    "xielu",
    "softsign",
    "selu",
)


@settings(max_examples=12, deadline=None)
@given(name=st.sampled_from(REFLECTED), shift=st.integers(-3, 3), scale=st.sampled_from([0.5, 1, 2, 3]))
def test_reflection_and_affine_changes(name: str, shift: int, scale: float) -> None:
    act = eafo.get(name)
    before = of(name)
    changed = act.expression.subs(act.variable, -act.variable) * sympy.Rational(scale) + shift
    at_default = {p.symbol: sympy.Rational(repr(p.default)) for p in act.parameters}
    after = eafo.properties(changed.xreplace(at_default))
    turned = {"increasing": "decreasing", "decreasing": "increasing", "flat": "flat"}
    assert [p.kind for p in after.pieces] == [turned[p.kind] for p in reversed(before.pieces)]
    ends = [-p.upper for p in reversed(before.pieces)]
    assert [p.lower for p in after.pieces] == pytest.approx(ends, abs=1e-9)
    assert after.range == pytest.approx([scale * v + shift for v in before.range], rel=1e-12)
    assert after.lipschitz == pytest.approx(scale * before.lipschitz, rel=1e-12)
    assert after.smoothness == before.smoothness
    assert after.limits == pytest.approx([scale * v + shift for v in reversed(before.limits)])
    assert after.growth == pytest.approx([-scale * v for v in reversed(before.growth)])
    assert [k.x for k in after.kinks] == pytest.approx([-k.x for k in reversed(before.kinks)])


@pytest.mark.parametrize("t", [0.7, 5.0])
def test_srelu_at_other_parameters(t: float) -> None:
    srelu = eafo.properties(eafo.get("srelu", t=t))
    assert srelu.smoothness == 1
    assert [p.kind for p in srelu.pieces] == ["flat", "decreasing", "increasing"]
    assert srelu.pieces[0].upper == pytest.approx(-t)
    # srelu(x; t) = t srelu(x/t; 1): the slopes are the same.
    assert srelu.lipschitz == pytest.approx(of("srelu").lipschitz, rel=1e-9)


@settings(max_examples=4, deadline=None)
@given(epsilon=st.floats(-0.9, 2), alpha=st.floats(0.05, 3))
def test_other_parameters(epsilon: float, alpha: float) -> None:
    crrelu = eafo.properties(eafo.get("crrelu", epsilon=epsilon))
    assert crrelu.continuous
    slopes = [pytest.approx(epsilon), pytest.approx(1 + epsilon)]
    assert [k.left_slope for k in crrelu.kinks] + [k.right_slope for k in crrelu.kinks] == slopes
    elu = eafo.properties(eafo.get("elu", alpha=alpha))
    assert elu.limits[0] == pytest.approx(-alpha)
    assert elu.lipschitz == pytest.approx(max(1, alpha))


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("1/x", "a pole at x = 0"),
        ("log(x)", "real and finite"),
        ("x**0.5*sigmoid(x)", "not real"),
        ("tan(x)", "real and finite"),
        ("tan(x)", "but got 'the poles of a tangent'"),
        ("max(0, sin(x))", "finitely many"),
        ("max(x, tanh(x))", "finitely many"),
        ("sin(x)*sigmoid(5000*x + 1)", "slopes that double precision can tell"),
    ],
)
def test_what_cannot_be_told_is_refused(formula: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        eafo.properties(formula)


def test_values_that_take_forever_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eafo.theory.properties.SECONDS", 0.2)
    with pytest.raises(InputError, match="values that can be computed, but got 'huge numbers'"):
        eafo.properties("x**x**x**x")


def test_vertical_tangents_and_jumps_to_infinity_are_seen() -> None:
    root = eafo.properties("sqrt(abs(x))")
    assert root.smoothness == 0
    assert root.kinks == (Kink(0.0, -INF, INF),)
    assert eafo.properties("sign(x)").monotone
    assert eafo.properties("where(x > 200, 1, 0) + x").monotone


def test_a_limit_is_believed_only_where_values_bear_it_out() -> None:
    found = eafo.properties("x*(erf(x*tanh(x)) + 1)")
    assert found.range != (0.0, 0.0)
    assert all(map(math.isnan, eafo.properties("sin(x)*sin(1.7*x)*x/(1 + abs(x))").range))


@pytest.mark.parametrize(
    ("formula", "jumps", "span"),
    [
        ("where(x == 0, 5, x)", (Jump(0.0, 0.0, 5.0), Jump(0.0, 5.0, 0.0)), (-INF, INF)),
        ("where(x > 0, x, where(x < 0, -x, 3))", (Jump(0.0, 0.0, 3.0), Jump(0.0, 3.0, 0.0)), (0.0, INF)),
        ("where(x == 0, 7, tanh(x)**2)", (Jump(0.0, 0.0, 7.0), Jump(0.0, 7.0, 0.0)), (0.0, 7.0)),
        ("where(x > 0, 1, where(x < 0, -1, -4))", (Jump(0.0, -1.0, -4.0), Jump(0.0, -4.0, 1.0)), (-4.0, 1.0)),
        ("where(x >= 0 and x <= 0, -2, abs(x))", (Jump(0.0, 0.0, -2.0), Jump(0.0, -2.0, 0.0)), (-2.0, INF)),
        ("where(x != 2, x**2, 5)", (Jump(2.0, 4.0, 5.0), Jump(2.0, 5.0, 4.0)), (0.0, INF)),
    ],
)
def test_the_value_of_a_single_point_is_a_jump(
    formula: str, jumps: tuple[Jump, ...], span: tuple[float, float]
) -> None:
    found = of(formula)
    assert found.jumps == jumps
    assert not found.continuous
    assert found.smoothness == -1
    assert found.lipschitz == INF
    assert not found.monotone
    assert found.range == span


def test_a_single_point_counts_for_fixed_points_and_the_identity() -> None:
    found = of("where(x == 0, 5, x)")
    assert found.identity == ((-INF, 0.0), (0.0, INF))
    assert found.fixed_points == ()
    assert of("where(x == 1, 0, x**2)").fixed_points == (0.0,)
    assert str(of("where(x == sqrt(2), a, x**2); a=3").jumps[0].size) == "a - 2"


def test_a_single_point_that_fills_a_hole_is_none() -> None:
    assert of("where(x == 3, 9, x**2)").smoothness == INF
    sinc = of("where(x == 0, 1, sin(x)/x)")
    assert sinc.continuous
    assert sinc.smoothness == INF
    best = scipy.optimize.minimize_scalar(np.sinc, bounds=(1, 2), method="bounded")
    assert sinc.range == pytest.approx((best.fun, 1.0), rel=1e-9)
    # f′ is steepest where x² = 2 (1 − x cot x).
    steepest = scipy.optimize.brentq(lambda t: t * t - 2 + 2 * t / math.tan(t), 1.5, 2.5)
    slope = math.cos(steepest) / steepest - math.sin(steepest) / steepest**2
    assert sinc.lipschitz == pytest.approx(-slope, rel=1e-12)
    # 1/12 at 0, which differences of doubles lose.
    bernoulli = of("where(x == 0, 1/2, 1/(exp(x) - 1) - 1/x + 1)")
    assert bernoulli.lipschitz == pytest.approx(1 / 12, rel=1e-12)
    assert [p.kind for p in bernoulli.pieces] == ["increasing"]
    assert of("where(x == 0, 0, x/(1 + exp(1/x)))").kinks == (Kink(0.0, 1.0, 0.0),)
    with pytest.raises(InputError, match="real and finite"):
        of("sin(x)/x")


@pytest.mark.parametrize(
    ("formula", "steepest"),
    [
        ("tanh(10000*x)", "10000"),
        ("tanh(12345.678*x)", "6172839/500"),
        ("sigmoid(10000*x)", "2500"),
        # A polynomial of a degree that SymPy is not asked for.
        ("tanh(x) + tanh(10000*x)", "None"),
    ],
)
def test_exponentials_of_large_multiples(formula: str, steepest: str) -> None:
    found = of(formula)
    x = np.linspace(-1e-3, 1e-3, 400_001)
    slopes = np.diff(eafo.get(formula)(x)) / np.diff(x)
    assert found.lipschitz == pytest.approx(float(np.max(slopes)), rel=1e-4)
    assert str(found.exact_lipschitz) == steepest


def test_several_waves_have_no_known_range() -> None:
    found = of("sin(x) + sin(sqrt(2)*x)")
    assert found.endless == (True, True)
    assert all(map(math.isnan, (*found.range, *found.limits, found.lipschitz)))
    assert found.growth == (0.0, 0.0)


@pytest.mark.parametrize(
    "formula",
    [
        "where(x > 0, x*sin(1/x), 0)",
        "where(x == 0, 0, x**4*cos(1/x**2))",
        "where(x > 0, x*sin(log(x)), 0)",
    ],
)
def test_turns_without_end_next_to_a_point_are_refused(formula: str) -> None:
    message = (
        r"turns finitely often near each point, but got 'turns without end next to x = 0'; give it another"
    )
    with pytest.raises(InputError, match=message):
        eafo.properties(formula)


def test_a_wave_of_a_bounded_argument_is_not_refused() -> None:
    assert of("where(x > 0, sin(sin(x)/x), 1)").jumps == (Jump(0.0, 1.0, pytest.approx(math.sin(1))),)


def test_turns_within_rounding_of_zero_are_noted() -> None:
    # f′ = (cos x − 2x sin x) e^(−x²) vanishes near 2π, where e^(−x²) is 10⁻¹⁸.
    assert "as near x = 6.36, are not listed" in of("sin(x)*exp(-x**2)").notes[0]
    assert "as near x = 25.9, are not listed" in of("where(x > 0, sin(x)*exp(-x), x)").notes[0]
    for name in ("sin", "sinerelu", "srelu", "x + sin(x)", "10*sin(50*x)", "tanh(1000*x)"):
        assert not any("10⁻¹⁴" in note for note in of(name).notes)


def test_multiple_roots_and_limits_that_sympy_stumbles_over() -> None:
    turns = [p.upper for p in of("sin(x)**4").pieces if 0 <= p.upper < 7]
    assert turns == pytest.approx([k * math.pi / 2 for k in range(5)], abs=1e-4)
    found = of("sin(x)*sigmoid(x)")
    assert found.limits[0] == 0.0
    assert math.isnan(found.limits[1])


#: SiLU's least value and its steepest slope, which no scaling of x and f changes but by its factors.
STEEPEST = 1.0998393201288668


@pytest.mark.parametrize(
    ("formula", "low", "lipschitz"),
    [
        ("swish(beta=1e-4)", -1e4 * OMEGA, STEEPEST),
        ("srelu(t=20000)", -1671.426926794256, 1.1955039227279385),
        ("gelu(x/1e4)", -0.16997120747990366, 1.1289041451851549e-4),
        ("1e-12*silu(x)", -1e-12 * OMEGA, 1e-12 * STEEPEST),
        ("1 + 1e-12*silu(x)", 1 - 1e-12 * OMEGA, 1e-12 * STEEPEST),
    ],
)
def test_minima_far_out_and_small_ones(formula: str, low: float, lipschitz: float) -> None:
    found = of(formula)
    assert [p.kind for p in found.pieces if p.kind != "flat"] == ["decreasing", "increasing"]
    assert not found.monotone
    assert found.range == pytest.approx((low, INF), rel=1e-12)
    assert found.lipschitz == pytest.approx(lipschitz, rel=1e-12)
    if found.exact_range[0] is not None:
        assert float(found.exact_range[0]) == pytest.approx(low, rel=1e-15)


@pytest.mark.parametrize(
    ("formula", "span", "lipschitz"),
    [
        ("sigmoid(1e-5*x)", (0, 1), "1/400000"),
        ("erf(x/1e5)", (-1, 1), "1/(50000*sqrt(pi))"),
        ("tanh((x - 20000)/5000)", (-1, 1), "1/5000"),
        ("1e-15*tanh(x)", (-1e-15, 1e-15), "1/1000000000000000"),
        ("1e-15*sin(x)", (-1e-15, 1e-15), "1/1000000000000000"),
        ("sin(1e-5*x)", (-1, 1), "1/100000"),
        ("exp(-(x - 1000)**2)", (0, 1), "sqrt(2)*exp(-1/2)"),
    ],
)
def test_slopes_far_out_and_small_ones(formula: str, span: tuple[float, float], lipschitz: str) -> None:
    found = of(formula)
    assert found.range == pytest.approx(span, rel=1e-12, abs=0)
    assert [float(e) for e in found.exact_range if e is not None] == pytest.approx(span, rel=1e-12, abs=0)
    assert str(found.exact_lipschitz) == lipschitz
    assert found.lipschitz == pytest.approx(float(sympy.sympify(lipschitz)), rel=1e-12, abs=0)


def test_a_function_that_is_zero_wherever_it_is_asked_has_no_parity() -> None:
    assert of("exp(-(x - 1000)**2)").parity == ""
    assert of("1e-15*silu(x)").parity == ""
    assert of("1e-15*tanh(x)").parity == "odd"


def test_what_is_too_far_out_is_noted_and_not_exact() -> None:
    found = of("swish(beta=1e-17)")
    assert "the formula's numbers point beyond ±1e+09" in found.notes[0]
    assert found.exact_range == (None, None)
    assert found.exact_lipschitz is None
    assert found.parity == ""
    assert not any("point beyond" in note for name in eafo.names() for note in of(name).notes)


def test_jumps_and_kinks_of_small_functions() -> None:
    assert of("1e-13*relu(x)").kinks == (Kink(0.0, 0.0, 1e-13),)
    assert of("where(x > 0, 1e-13, 0)").jumps == (Jump(0.0, 0.0, 1e-13),)
    assert len(of("where(x > 0, 1e-13, 0)").pieces) == 2
    assert of("1e-14*where(x > 0, x, exp(x) - 1)").smoothness == 1
