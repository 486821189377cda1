"""Inverses: the Lagrange series against its residual's order, and the iteration against closed forms, SciPy and mpmath."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import scipy.optimize
import scipy.special
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from eafo import catalog
from eafo.activation import VARIABLE as x
from eafo.errors import InputError, RefusedError
from eafo.theory import inverse

BELL = x * sympy.exp(-(x**2) / 2)
SOFTPLUS = sympy.log(1 + sympy.exp(x))
epsilon = sympy.Symbol("epsilon", real=True)


def exact(function: sympy.Expr, value: float, guess: float) -> mpmath.mpf:
    """The root of function = value with 50 digits."""
    with mpmath.workdps(50):
        f = sympy.lambdify(x, function - sympy.Float(value, 50), "mpmath")
        return mpmath.findroot(f, mpmath.mpf(guess))


# -- closed forms ------------------------------------------------------------------------------------------------------


def test_closed_forms() -> None:
    z = inverse.closed_form(SOFTPLUS, 1.0)
    assert z is not None
    assert float(z.subs(next(iter(z.free_symbols)), 2)) == pytest.approx(math.log(math.exp(2) - 1))
    assert inverse.closed_form(sympy.Max(0, x) + sympy.Abs(x), 1.0) is None


# -- series ------------------------------------------------------------------------------------------------------------


def test_the_first_two_terms_of_crrelu() -> None:
    e = inverse.series(BELL, 2)
    first, second = -x * sympy.exp(-(x**2) / 2), x * (1 - x**2) * sympy.exp(-(x**2))
    assert sympy.expand(e - (x + epsilon * first + epsilon**2 * second)) == 0
    assert inverse.series(BELL, 0) == x


@pytest.mark.parametrize("order", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("at", ["0.4", "1.3", "2.2"])
def test_the_residual_is_of_the_next_order(order: int, at: str) -> None:
    inv = sympy.lambdify((x, epsilon), inverse.series(BELL, order), "mpmath")
    with mpmath.workdps(60):
        t = mpmath.mpf(at)

        def residual(e: mpmath.mpf) -> mpmath.mpf:
            z = inv(t, e)
            return abs(z + e * z * mpmath.exp(-(z**2) / 2) - t)

        e = mpmath.mpf("1e-4")
        measured = mpmath.log(residual(e) / residual(e / 2), 2)
    assert float(measured) == pytest.approx(order + 1, abs=0.05)


def test_the_series_meets_the_exact_inverse() -> None:
    e = 0.05
    value = sympy.lambdify(x, inverse.series(BELL, 12, sympy.Rational(1, 20)), "numpy")
    t = np.linspace(0.0, 6.0, 601)
    found = inverse.newton(
        lambda z: z + e * z * np.exp(-(z**2) / 2), lambda z: 1 + e * (1 - z**2) * np.exp(-(z**2) / 2), t, 0.0
    )
    assert np.max(np.abs(value(t) - found)) < 2e-15


@pytest.mark.parametrize(
    ("base", "solve"),
    [
        (SOFTPLUS, lambda v: mpmath.log(mpmath.exp(v) - 1)),
        (sympy.tanh(x), mpmath.atanh),
        (sympy.sinh(x), mpmath.asinh),
    ],
)
@pytest.mark.parametrize("order", [1, 2, 4])
def test_other_bases(base: sympy.Expr, solve: object, order: int) -> None:
    """G = y + ε η with η = h∘y and y = f⁻¹ in closed form; the series knows nothing of y."""
    h = sympy.exp(-((x - 1) ** 2))
    inv = sympy.lambdify((x, epsilon), inverse.series(h, order, base=base), "mpmath")
    with mpmath.workdps(60):
        t = mpmath.mpf("0.7")

        def residual(e: mpmath.mpf) -> mpmath.mpf:
            y = solve(inv(t, e))  # type: ignore[operator]
            return abs(y + e * mpmath.exp(-((y - 1) ** 2)) - t)

        e = mpmath.mpf("1e-5")
        measured = mpmath.log(residual(e) / residual(e / 2), 2)
    assert float(measured) == pytest.approx(order + 1, abs=0.05)


def test_the_first_order_of_another_base_is_the_correction() -> None:
    c = sympy.exp(-((x - sympy.Rational(1, 2)) ** 2))
    found = inverse.series(c / sympy.diff(SOFTPLUS, x), 1, base=SOFTPLUS)
    assert sympy.simplify(found - (SOFTPLUS - epsilon * c)) == 0


@pytest.mark.parametrize(
    ("h", "order", "message"),
    [
        (BELL, -1, "a whole number from 0 to 30, but got -1"),
        (BELL, 2.0, "a whole number from 0 to 30, but got 2.0"),
        (BELL, True, "a whole number from 0 to 30, but got True"),
        (sympy.Abs(x), 2, "the direction of a Lagrange series must be smooth"),
    ],
)
def test_bad_series(h: sympy.Expr, order: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        inverse.series(h, order)


# -- iteration ---------------------------------------------------------------------------------------------------------


def ulps(found: np.ndarray, known: np.ndarray) -> float:
    return float(np.max(np.abs(found - known) / np.spacing(np.abs(known))))


@pytest.mark.parametrize(
    ("f", "slope", "back", "values"),
    [
        (np.sinh, np.cosh, np.arcsinh, np.linspace(-50, 50, 10001)),
        (np.exp, np.exp, np.log, np.geomspace(1e-300, 1e300, 10001)),
        (np.cbrt, lambda u: np.cbrt(u) / (3 * u), lambda v: v**3, np.linspace(-9, 9, 999)),
        (lambda u: u**3, lambda u: 3 * u**2, np.cbrt, np.linspace(-9, 9, 998)),
        (lambda u: -np.expm1(u), lambda u: -np.exp(u), lambda v: np.log1p(-v), np.linspace(-9, 0.9, 998)),
        (scipy.special.erf, lambda u: 2 / math.sqrt(math.pi) * np.exp(-u * u), scipy.special.erfinv,
         np.linspace(-0.5, 0.5, 998)),
        (np.arctan, lambda u: 1 / (1 + u * u), np.tan, np.linspace(-0.78, 0.78, 998)),
    ],
)  # fmt: skip
def test_four_ulp(f: object, slope: object, back: object, values: np.ndarray) -> None:
    found = inverse.newton(f, slope, values)  # type: ignore[arg-type]
    assert ulps(found, back(values)) <= 4  # type: ignore[operator]


@pytest.mark.parametrize("t", [0.001, 0.3, 1.0, 1.7, 4.0, 30.0])
@pytest.mark.parametrize("size", [-1.0, -0.01, 0.01, 0.5, 2.2408])
def test_crrelu_against_mpmath(t: float, size: float) -> None:
    """Where the slope vanishes nearly, the root is as exact as the value allows."""
    found = float(
        inverse.newton(
            lambda z: z + size * z * np.exp(-(z**2) / 2),
            lambda z: 1 + size * (1 - z**2) * np.exp(-(z**2) / 2),
            t,
            0.0,
        )
    )
    known = exact(x + sympy.Rational(str(size)) * BELL, t, found)
    # An ulp of the larger summand, carried over by the slope.
    condition = max(t, found) / (1 + size * (1 - found**2) * math.exp(-(found**2) / 2)) / found
    assert abs(found - float(known)) <= 4 * max(1.0, condition) * np.spacing(found)


@pytest.mark.parametrize(
    ("name", "values", "back"),
    [
        ("softplus", np.geomspace(1e-3, 600.0, 999), lambda v: v + np.log(-np.expm1(-v))),
        ("tanh", np.linspace(-0.99, 0.99, 999), np.arctanh),
        ("sigmoid", np.linspace(0.001, 0.999, 998), scipy.special.logit),
        ("relu", np.linspace(0.0, 9.0, 10), lambda v: v),
        ("softsign", np.linspace(-0.9, 0.9, 998), lambda v: v / (1 - np.abs(v))),
        ("elu", np.linspace(-0.9, 5.0, 998), lambda v: np.where(v > 0, v, np.log1p(np.minimum(v, 0)))),
    ],
)
def test_the_catalog_against_closed_forms(name: str, values: np.ndarray, back: object) -> None:
    found = inverse.of(name)(values)
    assert np.allclose(found, back(values), rtol=2e-13, atol=2e-15)  # type: ignore[operator]


@pytest.mark.parametrize("name", ["gelu", "silu", "mish", "crrelu", "hardswish"])
def test_branches_without_a_closed_form(name: str) -> None:
    activation = catalog.get(name)
    right = inverse.of(name)
    t = np.linspace(0.05, 8.0, 4001)
    found = right(activation(t))
    # Near hardswish's seam at 3 the slope jumps; both sides are hit.
    assert np.max(np.abs(activation(found) - activation(t)) / activation(t)) < 5e-16
    brent = scipy.optimize.brentq(lambda u: float(activation(u)) - 0.5, 0.0, 3.0, xtol=1e-15)
    assert float(right(0.5)) == pytest.approx(brent, rel=1e-14)


def test_a_falling_stretch() -> None:
    left = inverse.of("silu", near=-3.0)
    found = left([-0.2, -0.1, -1e-5, -0.3, 0.1])
    assert np.allclose(catalog.get("silu")(found[:3]), [-0.2, -0.1, -1e-5], rtol=1e-13)
    assert np.all(found[:3] < -1.27)
    assert np.isnan(found[3:]).all()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sampled_from(["softplus", "tanh", "sigmoid", "elu", "arctan", "softsign", "crrelu", "xielu", "leaky_relu"]),
       st.lists(st.floats(0.01, 8.0), min_size=1, max_size=20))  # fmt: skip
def test_composition_with_the_inverse(name: str, points: list[float]) -> None:
    activation, t = catalog.get(name), np.array(points)
    values = activation(t)
    again = activation(inverse.of(name)(values))
    assert np.max(np.abs(again - values) / np.abs(values)) <= 1e-15


def test_out_of_range_and_not_a_number() -> None:
    found = inverse.of("tanh")([-1.5, 0.0, math.nan, math.inf, 1.5])
    assert np.isnan(found[[0, 2, 3, 4]]).all()
    assert found[1] == 0.0
    assert inverse.of("softplus")(np.empty((0, 3))).shape == (0, 3)
    assert inverse.of("softplus")(np.ones((2, 3))).shape == (2, 3)
    assert inverse.of("softplus")(1.0).shape == ()


def test_a_stretch_ends_at_a_jump() -> None:
    found = inverse.of("where(x > 0, x + 1, x)")([0.5, 1.5])
    assert np.isnan(found[0])
    assert found[1] == 0.5


def test_a_wrong_slope_costs_steps_only() -> None:
    values = np.linspace(-5, 5, 101)
    for slope in (np.zeros_like, lambda u: -np.cosh(u), lambda u: np.full_like(u, np.nan)):
        assert ulps(inverse.newton(np.sinh, slope, values), np.arcsinh(values)) <= 4


def test_flat_in_the_middle() -> None:
    found = inverse.newton(lambda u: np.sign(u) * np.maximum(np.abs(u) - 1, 0), np.sign, [-1.0, 0.0, 2.0])
    assert found[0] == -2.0
    assert -1 <= found[1] <= 1
    assert found[2] == 3.0


@pytest.mark.parametrize(
    ("work", "kind", "message"),
    [
        (lambda: inverse.of("relu", near=-1.0), RefusedError, "relu has no inverse around x = -1, where it is flat"),
        (lambda: inverse.of("relu", near=math.nan), InputError, "a finite point inside it, but got nan"),
        (lambda: inverse.newton(np.sinh, np.cosh, 1.0, 2.0, 2.0), InputError, "must lie below its upper end"),
        (lambda: inverse.newton(np.zeros_like, np.zeros_like, 0.0, 0.0, 1.0), InputError, "more than one value"),
    ],
)  # fmt: skip
def test_refusals(work: object, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        work()  # type: ignore[operator]


def test_the_largest_and_the_least_values() -> None:
    assert ulps(inverse.of("identity")([1e308, -1e308]), np.array([1e308, -1e308])) <= 4
    assert ulps(inverse.of("relu")([1.7e308, 5e-324]), np.array([1.7e308, 5e-324])) <= 4
    # So flat at 0 that the root is 500 halvings away from 1.
    assert ulps(inverse.of("relu_squared")([1e-300, 1e-200]), np.array([1e-150, 1e-100])) <= 4
    assert ulps(inverse.newton(lambda u: u**3, lambda u: 3 * u**2, [1e-300, -1e300]), [1e-100, -1e100]) <= 4


def test_a_million_points() -> None:
    values = np.abs(np.random.default_rng(0).normal(size=1_000_000)) * 3
    found = inverse.of("crrelu")(values)
    again = catalog.get("crrelu")(found)
    assert np.max(np.abs(again - values) / values) < 5e-16
