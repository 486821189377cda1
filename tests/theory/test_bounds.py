"""Proved bounds: against known suprema, dense samples and SciPy; and what cannot be proved is refused."""

from __future__ import annotations

import math
import subprocess
import sys

import mpmath
import numpy as np
import pytest
import sympy
from flint import arb
from hypothesis import given, settings
from hypothesis import strategies as st

from eafo import catalog, laws
from eafo.activation import VARIABLE as x
from eafo.errors import InputError, RefusedError
from eafo.theory import bounds, branch_and_bound
from eafo.theory.correction import correct
from eafo.theory.enclosures import Evaluation
from eafo.theory.intervals import Interval, UndefinedError

BELL = x * sympy.exp(-(x**2) / 2)
HALF = sympy.Rational(1, 2)


def interval(low: float, high: float) -> Interval:
    return Interval(arb(low), arb(high))


# -- Proposition 2 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("reverse", "known"), [(False, 2.94633e-5), (True, 2.92579e-5)])
def test_proposition_2_to_one_percent(reverse: bool, known: float) -> None:
    bound = bounds.inverse_error(BELL, 0.01, 0, "oo", reverse=reverse)
    # The known values are rounded to six digits.
    assert known * (1 - 2e-6) <= bound.upper <= 1.01 * known
    assert bound.lower <= known * (1 + 2e-6) <= 1.01 * bound.lower
    assert bound.interval == (0.0, math.inf)
    assert bound.epsilon == 0.01


def test_the_bound_may_be_as_tight_as_asked() -> None:
    bound = bounds.inverse_error(BELL, 0.01, 0, "oo", relative=1e-7)
    assert bound.upper - bound.lower <= 1e-7 * bound.lower
    assert bound.upper == pytest.approx(2.94633e-5, rel=3e-6)
    epsilon, t = mpmath.mpf("0.01"), mpmath.mpf(bound.point)
    c = lambda u: u * mpmath.exp(-(u**2) / 2)  # noqa: E731
    f = t - epsilon * c(t)
    assert bound.lower <= abs(f + epsilon * c(f) - t) <= bound.upper


def test_the_leading_constant() -> None:
    bound = bounds.supremum(x * (x**2 - 1) * sympy.exp(-(x**2)), 0, "oo", relative=1e-9)
    # The known value is cut off after nine digits.
    assert 0.293604515 <= bound.upper <= 0.293604516 + 1e-9
    assert bound.upper - bound.lower < 1e-9
    assert bound.point == pytest.approx(0.468213192, abs=1e-4)


@pytest.mark.parametrize("epsilon", [-1.0, -0.3, 1e-5, 0.1, 0.5, 2.0])
def test_a_sample_never_exceeds_the_bound(epsilon: float) -> None:
    bound = bounds.inverse_error(BELL, epsilon)
    t = np.linspace(0.0, 12.0, 20001)
    c = lambda u: u * np.exp(-(u**2) / 2)  # noqa: E731
    f = t - epsilon * c(t)
    largest = float(np.max(np.abs(f + epsilon * c(f) - t)))
    assert largest <= bound.upper * (1 + 1e-12) + 4e-15
    assert bound.upper <= 1.011 * largest + 4e-15


def test_the_error_on_a_bounded_interval_is_smaller() -> None:
    assert bounds.inverse_error(BELL, 0.01, 2, 3).upper < 0.6 * bounds.inverse_error(BELL, 0.01).upper


# -- through another base ----------------------------------------------------------------------------------------------

SOFTPLUS = sympy.log(1 + sympy.exp(x))
HILL = sympy.exp(-((x - HALF) ** 2))


@pytest.mark.parametrize(
    ("base", "correction", "epsilon", "lower", "upper"),
    [
        (SOFTPLUS, HILL, 0.01, 0, "oo"),
        (SOFTPLUS, HILL, -0.02, -2, 3),
        (2 * x, BELL, 0.01, 0, "oo"),
        (sympy.sinh(x), BELL, 0.1, -2, 2),
        (sympy.tanh(x), BELL, 1e-6, -1, 1),
        (x / (1 + sympy.exp(-x)), BELL, 0.01, 0, 4),
    ],
    ids=str,
)
def test_the_error_through_a_base(
    base: sympy.Expr, correction: sympy.Expr, epsilon: float, lower: float, upper: float | str
) -> None:
    bound = bounds.inverse_error(correction, epsilon, lower, upper, base=base)
    assert bound.lower <= bound.upper <= 1.0101 * bound.lower
    largest = 0.0
    with mpmath.workdps(40):
        f, slope, c = (sympy.lambdify(x, e, "mpmath") for e in (base, sympy.diff(base, x), correction))
        for t in [bound.point, *np.linspace(lower + 0.01, 6.0 if upper == "oo" else upper, 13)]:  # type: ignore[list-item]
            start, e = mpmath.mpf(float(t)), mpmath.mpf(str(epsilon))
            y = mpmath.findroot(lambda u: f(u) - f(start) + e * c(start), start)  # noqa: B023 - used at once
            largest = max(largest, float(abs(y + e * c(y) / slope(y) - start)))
    assert bound.lower * (1 - 1e-12) <= largest <= bound.upper


def test_the_identity_both_ways() -> None:
    """The general route, given a base that is the identity in disguise, agrees with the special one."""
    plain = bounds.inverse_error(BELL, 0.01, 0, 6, relative=1e-4)
    general = bounds.inverse_error(BELL, 0.01, 0, 6, base=sympy.Float(1.0) * x + 0, relative=1e-4)
    assert general.upper == pytest.approx(plain.upper, rel=2e-4)


def test_bases_that_are_refused() -> None:
    with pytest.raises(InputError, match="must be smooth"):
        bounds.inverse_error(BELL, 0.01, 0, 1, base=sympy.Max(0, x))
    with pytest.raises(InputError, match="for the identity alone"):
        bounds.inverse_error(BELL, 0.01, 0, 1, base=2 * x, reverse=True)
    with pytest.raises(RefusedError, match="finite and real"):
        bounds.inverse_error(BELL, 0.01, -1, 1, base=x**2)


# -- suprema -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "lower", "upper", "known"),
    [
        (BELL, "-oo", "oo", math.exp(-0.5)),
        (sympy.exp(x) / (1 + sympy.exp(x)), "-oo", "oo", 1.0),
        (x * sympy.exp(2 * x) / (1 + sympy.exp(x)) ** 3, "-oo", "oo", None),
        (x * (x**6 - 5 * x**4 - x + 1) * sympy.exp(-x), 0, "oo", None),
        (x**2 * sympy.tanh(x) / sympy.cosh(x / 2) ** 2, "-oo", "oo", None),
        (x / sympy.sinh(x), 1, "oo", 1 / math.sinh(1)),
        (x**3 * sympy.exp(-x), 0, "oo", 27 * math.exp(-3)),
        (x**3 * sympy.exp(x), "-oo", 0, 27 * math.exp(-3)),
        (x / (1 + sympy.exp(x)), 0, "oo", 0.2784645427610738),
        (x / (1 + sympy.exp(-x)), "-oo", 0, 0.2784645427610738),
        (sympy.exp(-x - sympy.exp(-x)), "-oo", "oo", math.exp(-1)),
        (1 / (1 + x**2), "-oo", "oo", 1.0),
        (x / (1 + x**2) ** 2, "-oo", "oo", 3 * math.sqrt(3) / 16),
        (sympy.tanh(x), "-oo", "oo", 1.0),
        (sympy.erf(x) - sympy.tanh(x), "-oo", "oo", None),
        (sympy.sin(3 * x) + sympy.cos(x), -3, 3, None),
        (sympy.sqrt(x) * (1 - x), 0, 1, 2 / (3 * math.sqrt(3))),
        (sympy.atan(x) - x, -1, HALF, 1 - math.pi / 4),
        (sympy.log(x), 1, 3, math.log(3)),
        (sympy.sinh(x) - sympy.cosh(x) + sympy.asinh(x) + sympy.tan(x / 2), 0, 1, None),
        (sympy.Max(0, x) - sympy.Min(1, x) + sympy.Abs(x - 2), -2, 3, 6.0),
        (sympy.Piecewise((x**2, x < -1), (x + 2, x < HALF), (sympy.sign(x), True)), -2, 2, 4.0),
        (x**sympy.pi + 2**x, 0, 1, 3.0),
        (sympy.erfc(x) * x, 0, "oo", None),
        (x * (1 + sympy.erf(x / sympy.sqrt(2))) / 2, "-oo", 0, 0.16997120747990369),
        (x * (HALF - sympy.erf(x) / 2), 0, "oo", None),
        (sympy.S.Zero, -1, 1, 0.0),
    ],
    ids=str,
)
def test_suprema(expression: sympy.Expr, lower: object, upper: object, known: float | None) -> None:
    bound = bounds.supremum(expression, lower, upper)  # type: ignore[arg-type]
    ends = [{"oo": 30.0, "-oo": -30.0}.get(str(e), float(sympy.sympify(e))) for e in (lower, upper)]
    grid = np.linspace(*ends, 20003)[1:-1]
    values = np.abs(sympy.lambdify(x, expression, "scipy")(grid) * np.ones_like(grid))
    assert float(np.max(values)) <= bound.upper + 1e-14
    assert bound.lower <= bound.upper <= 1.01 * bound.lower + 1e-300
    if known is not None:
        assert bound.lower <= known * (1 + 1e-7)
        assert bound.upper >= known * (1 - 1e-7)


def test_a_seam_where_no_box_can_end() -> None:
    third = sympy.Rational(1, 3)
    bound = bounds.supremum(sympy.Piecewise((1 - x, x > third), (3 * x, True)), 0, 1)
    assert 1.0 - 1e-12 <= bound.upper <= 1.01


def test_an_isolated_branch_is_not_lost() -> None:
    isolated = sympy.Piecewise((0, sympy.Ne(x**2, 0)), (5, True), evaluate=False)
    assert bounds.supremum(isolated, -1, 1).upper >= 5.0


@pytest.mark.parametrize("here", [5, sympy.Rational(16), 20])
@pytest.mark.parametrize("included", [True, False])
def test_a_jump_far_out_in_a_tail_is_seen(here: sympy.Rational, included: bool) -> None:
    near = x <= here if included else x < here
    jump = x * sympy.Piecewise((sympy.exp(-x), near), (sympy.exp(30 - x), True))
    peak = float(here) * math.exp(30 - float(here))
    bound = bounds.supremum(jump, 1, "oo", relative=1e-6)
    assert peak * (1 - 1e-12) <= bound.upper <= peak * (1 + 1e-5)


def test_a_value_on_the_seam_alone_is_not_lost() -> None:
    spike = sympy.Piecewise((7, sympy.Eq(x, 0)), (x, True))
    assert bounds.supremum(spike, -1, 1).upper >= 7.0
    at_the_end = sympy.Piecewise((7, x <= 0), (x, True))
    assert bounds.supremum(at_the_end, -1, 1).lower == 7.0
    assert bounds.supremum(at_the_end, 0, 1).upper == 1.0
    # Each box beside the seam decides for its own side; the seam's value is neither's.
    for here in (sympy.S.Zero, HALF):
        three = sympy.Piecewise((1, x < here), (7, x <= here), (2, True))
        found = bounds.supremum(three, -1, 1)
        assert found.lower == found.upper == 7.0
        assert bounds.range_of(3 - three, -1, 1).infimum[0] <= -4.0
    assert bounds.supremum(1 - sympy.sign(x) ** 2, -1, 1).upper == 1.0


@pytest.mark.parametrize("start", [0, 1])
def test_a_value_at_the_end_of_a_tail_does_not_count(start: int) -> None:
    bell = sympy.Piecewise((7, x <= start), (x * sympy.exp(-x), True))
    found = bounds.supremum(bell, start, "oo")
    assert found.lower <= math.exp(-1) <= found.upper <= 1.01 * math.exp(-1)
    mirrored = sympy.Piecewise((7, x >= -start), (x * sympy.exp(x), True))
    assert bounds.supremum(mirrored, "-oo", -start).lower <= math.exp(-1)


@pytest.mark.parametrize("name", ["softplus", "gelu", "silu", "mish", "tanh", "elu", "srelu", "hardswish"])
def test_the_catalog_is_enclosed(name: str) -> None:
    activation = catalog.get(name)
    bound = bounds.supremum(activation.concrete, -4, 3)
    values = np.abs(activation(np.linspace(-4.0, 3.0, 20001)))
    assert np.max(values) * (1 - 1e-15) <= bound.upper <= 1.011 * np.max(values)


# -- enclosures --------------------------------------------------------------------------------------------------------

PARTS = st.sampled_from([
    sympy.exp(-(x**2) / 2), sympy.tanh(x), sympy.erf(x / 2), sympy.atan(2 * x), sympy.sin(3 * x), sympy.cos(x), x, x**2, x**3,
    1 / (1 + sympy.exp(-x)), sympy.log(1 + x**2), sympy.Abs(x - HALF), sympy.Max(0, x), sympy.Min(x, 1 - x),
    sympy.Piecewise((x, x > 0), (sympy.exp(x) - 1, True)), sympy.sqrt(1 + x**2), sympy.sinh(x), sympy.asinh(x),
])  # fmt: skip


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.tuples(PARTS, PARTS, PARTS), st.tuples(st.floats(-3, 3), st.floats(0, 2), st.floats(0, 1)))
def test_values_and_slopes_lie_in_their_enclosures(
    parts: tuple[sympy.Expr, ...], place: tuple[float, float, float]
) -> None:
    (a, b, c), (left, width, where) = parts, place
    expression = a * b + c.subs(x, a)
    box = interval(left, left + width)
    jet = Evaluation(box).of(expression)
    point = min(left + where * width, left + width)
    value = Evaluation(interval(point, point)).of(expression).value
    assert jet.value.lo <= value.lo
    assert value.hi <= jet.value.hi
    # The mean-value theorem, between the box's left end and the point.
    start = Evaluation(interval(left, left)).of(expression).value
    rise = start + jet.slope * interval(0.0, point - left)
    slack = arb("1e-12") * (1 + rise.magnitude())
    assert not rise.bounded or (rise.lo - slack <= value.hi and value.lo <= rise.hi + slack)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.floats(1, 8), st.integers(0, 5), st.floats(0.1, 3), st.floats(0, 20))
def test_tails_hold_beyond_their_start(start: float, power: int, rate: float, ahead: float) -> None:
    expression = x**power * sympy.exp(-sympy.Rational(rate) * x**2) / (1 + sympy.exp(-x))
    tail = Evaluation(Interval(arb(start), arb.pos_inf())).of(expression).value
    there = Evaluation(interval(start + ahead, start + ahead)).of(expression).value
    assert tail.lo <= there.lo
    assert there.hi <= tail.hi
    if 2 * rate * start**2 > power + start:
        assert tail.bounded


def test_what_a_tail_derives_may_be_beyond_enclosing() -> None:
    """The ratios of this sum's terms hold 1/0, the sum itself does not."""
    branch = sympy.Piecewise((x, x > 4), (0, True))
    total = x * (branch + x**2) / (1 + sympy.exp(-x))
    tail = Evaluation(Interval(arb(1), arb.pos_inf())).of(total).value
    assert 0 <= tail.lo <= 1 / (1 + arb(-1).exp())
    assert not tail.bounded


def test_a_product_is_rounded_outwards() -> None:
    third = Interval.ball(arb(1) / 3)
    product = third * interval(3.0, 3.0)
    assert product.lo <= 1 <= product.hi
    assert product.lo < product.hi
    low, high = third.floats()
    assert low <= 1 / 3 <= high


@pytest.mark.parametrize(
    "work",
    [
        lambda: interval(-1, 1).reciprocal(),
        lambda: interval(-1, 1).log(),
        lambda: interval(-1, 1).power(HALF),
        lambda: interval(1, 2).tan(),
    ],
)
def test_undefined_is_never_enclosed(work: object) -> None:
    with pytest.raises(UndefinedError):
        work()  # type: ignore[operator]


# -- ranges ------------------------------------------------------------------------------------------------------------


def test_a_range() -> None:
    found = bounds.range_of(x / (1 + sympy.exp(-x)), -10, 2, relative=1e-6)
    assert found.infimum[0] <= -0.2784645427610738 <= found.infimum[1]
    assert found.supremum[0] <= 2 / (1 + math.exp(-2)) + 1e-15
    assert found.supremum[1] >= 2 / (1 + math.exp(-2)) - 1e-15
    assert found.supremum[1] - found.supremum[0] < 4e-6


def test_where_crrelu_increases() -> None:
    low, high = bounds.monotone_range(x, BELL, 0, "oo")
    assert -1.0 <= low < -1 + 2e-6
    assert 2.240844535 * (1 - 2e-6) < high <= math.exp(1.5) / 2
    slope = bounds.range_of(1 + sympy.Rational(high) * sympy.diff(BELL, x), 0, "oo", 1e-9)
    assert slope.infimum[0] > -1e-8
    with pytest.raises(RefusedError, match="must increase"):
        bounds.monotone_range(x**2, BELL, -1, 1)


@pytest.mark.parametrize(
    ("name", "known"),
    [("relu", 1.0), ("hardtanh", 1.0), ("tanh", 1.0), ("silu", 1.0998393), ("gelu", 1.1289041), ("elu", 1.0)],
)
def test_lipschitz_constants(name: str, known: float) -> None:
    bound = bounds.lipschitz(catalog.get(name).concrete)
    assert known * (1 - 1e-7) <= bound.upper <= 1.0101 * known


def test_a_jump_has_no_lipschitz_constant() -> None:
    with pytest.raises(RefusedError, match="a function that jumps has no Lipschitz constant"):
        bounds.lipschitz(catalog.get("sinerelu").concrete, -1, 1)


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "lower", "upper", "kind", "message"),
    [
        (x, 0, "oo", RefusedError, "where the expression decays at infinity"),
        (1 / x, -1, 1, RefusedError, "finite and real, but got 'x near"),
        (sympy.log(x), -1, 1, RefusedError, "finite and real"),
        (sympy.gamma(x), 1, 2, RefusedError, "ball arithmetic encloses"),
        (sympy.Symbol("a") * x, 0, 1, InputError, "an expression of x alone, but got 'a'"),
        (x, 1, 1, InputError, "lower end must lie below its upper end"),
        (x, 0, math.nan, InputError, "must be a number, 'oo' or '-oo', but got nan"),
        (x, "zero", 1, InputError, "must be a number, 'oo' or '-oo', but got 'zero'"),
    ],
    ids=str,
)
def test_refusals(
    expression: sympy.Expr, lower: object, upper: object, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        bounds.supremum(expression, lower, upper)  # type: ignore[arg-type]


def test_a_tolerance_and_an_epsilon_are_checked() -> None:
    with pytest.raises(InputError, match="tolerance of a bound must be positive"):
        bounds.supremum(x, 0, 1, relative=0.0)
    with pytest.raises(InputError, match="epsilon must be a finite number"):
        bounds.inverse_error(BELL, math.inf)
    with pytest.raises(InputError, match="epsilon must be a finite number, but got 'small'"):
        bounds.inverse_error(BELL, "small")  # type: ignore[arg-type]


def test_too_many_boxes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(branch_and_bound, "_MOST_BOXES", 50)
    with pytest.raises(RefusedError, match="cannot be proved with 50 boxes: it lies between"):
        bounds.supremum(sympy.sin(x) ** 2 + sympy.cos(x) ** 3, -1000, 1000)


def test_printed_bounds_are_bounds() -> None:
    text = str(bounds.inverse_error(BELL, 0.01, relative=1e-4))
    assert text.startswith("sup |g(f(x)) − x| ≤ 2.946")
    assert "at ε = 0.01 on (0, ∞), proved by ball arithmetic" in text
    assert float(branch_and_bound._up(0.12345649)) >= 0.12345649
    assert float(branch_and_bound._down(0.12345651)) <= 0.12345651


def test_flint_is_loaded_only_where_a_bound_is_asked() -> None:
    # SymPy itself loads FLINT where it finds it; eafo's own ball arithmetic waits.
    code = "import sys, eafo.theory.bounds, eafo.derivation; sys.exit('eafo.theory.intervals' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_tiny_epsilon_keeps_the_leading_constant() -> None:
    bound = bounds.inverse_error(BELL, 1e-9)
    assert 0.2936045e-18 <= bound.upper <= 1.01 * 0.2936046e-18


def test_a_projection_is_bounded_on_a_half_line() -> None:
    """A Horner scheme of degree 15 under e^(−x²/2), against 200 001 points."""
    for base, law in (("relu", "laplace"), ("elu", "normal")):
        c = correct(catalog.get(base), laws.get(law)).shape
        bound = bounds.inverse_error(c, 0.01, 0, "oo", relative=1e-2)
        t = np.linspace(0, 12, 200_001)
        h = sympy.lambdify(x, c)
        moved = t - 0.01 * h(t)
        attained = float(np.max(np.abs(moved + 0.01 * h(moved) - t)))
        assert attained <= bound.upper <= 1.02 * attained
        assert bound.boxes < 5000
