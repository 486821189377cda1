"""Every number and every row of every table of the project's mathematics, section by section, each reproduced anew.

Where a number can be had in two ways, the test takes one that is not the library's own and holds the library against it.
"""

from __future__ import annotations

import itertools
import math

import mpmath
import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.special
import scipy.stats
import sympy
from numpy.polynomial import hermite_e

import eafo
from eafo import laws
from eafo.activation import VARIABLE as x
from eafo.errors import RefusedError
from eafo.theory import bounds, correction, entropy, inverse, maximum_entropy, output, projection, variation
from eafo.theory.entropy import Measure
from eafo.theory.function import direction
from eafo.theory.variation import U, V, W, Z

NORMAL = laws.get("normal")
BELL = x * sympy.exp(-(x**2) / 2)
#: The direction of section 4's checks.
BUMP = sympy.exp(-((x - sympy.Rational(1, 2)) ** 2))
WHOLE = (-np.inf, np.inf)


def quad(function, lower=-np.inf, upper=np.inf):
    value, error = scipy.integrate.quad(function, lower, upper, epsabs=1e-13, epsrel=1e-13, limit=400)
    assert error < 1e-8
    return value


def output_of(name: str, law: laws.Law = NORMAL) -> output.Output:
    return output.of(eafo.get(name).concrete, law.numeric)


def on_the_branch(epsilon: float) -> entropy.Entropy:
    """CRReLU of a positive input: the law conditional on the branch."""
    return entropy.of(eafo.get("crrelu").with_parameters(epsilon=epsilon), "half_normal")


# -- 1. Setting ------------------------------------------------------------------------------------------------


def log1pexp(t):
    return np.logaddexp(0.0, t)


#: Log f′, in a form that holds far out.
LOG_SLOPES = {
    "softplus": lambda t: -log1pexp(-t),
    "sigmoid": lambda t: -log1pexp(t) - log1pexp(-t),
    "tanh": lambda t: math.log(4) - 2 * log1pexp(2 * t) + 2 * t,
    "arctan": lambda t: -np.log1p(t * t),
    "softsign": lambda t: -2 * np.log1p(abs(t)),
    "erf": lambda t: math.log(2 / math.sqrt(math.pi)) - t * t,
    "elu": lambda t: min(t, 0.0),
}


@pytest.mark.parametrize("name", LOG_SLOPES)
@pytest.mark.parametrize("law", ["normal", "logistic", "laplace", "gumbel"])
def test_1_entropy_by_the_slope(name: str, law: str) -> None:
    given = laws.get(law)
    log_slope, log_density = LOG_SLOPES[name], given.frozen().logpdf
    cuts = (-200, -30, -5, 0, 5, 30, 200)
    mean = sum(
        quad(lambda t: math.exp(log_density(t)) * log_slope(t), a, b) for a, b in itertools.pairwise(cuts)
    )
    found = entropy.of(name, law)
    assert found.value == pytest.approx(float(given.entropy) + mean, abs=1e-8)
    assert abs(found.value - float(given.entropy) - mean) <= found.error + 1e-9


def test_1_density_of_the_output() -> None:
    # q(z) = p(y(z)) y′(z), y = log(eᶻ − 1) for softplus.
    z = np.array([0.05, 0.5, 1.0, 3.0])
    y = np.log(np.expm1(z))
    expected = scipy.stats.norm.pdf(y) / -np.expm1(-z)
    np.testing.assert_allclose(output_of("softplus").density(z), expected, rtol=1e-12)


# -- 2. First variation, extremum, kind of extremum ------------------------------------------------------------------


def test_2_functional_and_its_variation() -> None:
    general, p = variation.general(), variation.P(U)
    assert sympy.simplify(general.lagrangian + p * V * sympy.log(p * V)) == 0
    assert sympy.simplify(general.euler_lagrange - sympy.diff(p, U) * V - p * W / V) == 0
    assert sympy.simplify(general.first_integral - p * V) == 0
    assert sympy.simplify(general.legendre + p / V) == 0
    assert general.legendre.is_negative


@pytest.mark.parametrize(("a", "b"), [(0.0, 1.0), (-1.0, 1.0), (-2.0, 3.0)])
def test_2_no_output_in_a_range_has_more_entropy_than_the_uniform_one(a: float, b: float) -> None:
    assert entropy.of(eafo.wafbc("normal", (a, b)), "normal").value == pytest.approx(
        math.log(b - a), abs=1e-9
    )
    other = eafo.get(f"{a} + {b - a}/(1 + exp(-x))")
    assert entropy.of(other, "normal").value < math.log(b - a) - 0.05


@pytest.mark.parametrize("law", ["normal", "laplace", "logistic", "cauchy", "gumbel", "uniform"])
def test_2_worst_is_the_distribution_function(law: str) -> None:
    points = np.linspace(-4, 4, 41)
    f = laws.get(law).frozen().cdf(points)
    np.testing.assert_allclose(eafo.wafbc(law, (-3, 2))(points), -3 + 5 * f, atol=1e-12)
    np.testing.assert_allclose(eafo.wafbc(law, (-2, 2))(points), 4 * (f - 0.5), atol=1e-12)


def test_2_a_uniform_input_gives_a_clipped_line_and_a_normal_one_an_error_function() -> None:
    points = np.linspace(-4, 4, 41)
    np.testing.assert_allclose(eafo.wafbc("uniform", (-1, 1))(points), np.clip(points, -1, 1), atol=1e-15)
    np.testing.assert_allclose(
        eafo.wafbc("normal", (-1, 1))(points), scipy.special.erf(points / math.sqrt(2)), atol=1e-15
    )


#: Activation, bounds, and the law for which it is the worst, as SciPy has it.
WORST = [
    ("sigmoid", (0, 1), "logistic", scipy.stats.logistic()),
    ("tanh", (-1, 1), "logistic(0, 0.5)", scipy.stats.logistic(0, 0.5)),
    ("erf(x/sqrt(2))", (-1, 1), "normal", scipy.stats.norm()),
    ("2/pi*arctan(x)", (-1, 1), "cauchy", scipy.stats.cauchy()),
    ("hardtanh", (-1, 1), "uniform", scipy.stats.uniform(-1, 2)),
    ("softsign", (-1, 1), "law of softsign", None),
    ("exp(-exp(-x))", (0, 1), "gumbel", scipy.stats.gumbel_r()),
]


@pytest.mark.parametrize(("name", "ends", "law", "peer"), WORST, ids=[w[0] for w in WORST])
def test_2_which_law_makes_it_the_worst(name: str, ends: tuple[int, int], law: str, peer: object) -> None:
    found = eafo.worst_law(name)
    assert found.name == law
    points = np.array([-3.0, -0.9, -0.2, 0.4, 0.8, 2.5])
    density = 0.5 / (1 + np.abs(points)) ** 2 if peer is None else peer.pdf(points)  # type: ignore[attr-defined]
    np.testing.assert_allclose(found.numeric.pdf(points), density, rtol=1e-9)
    slope = eafo.get(name).diff()(points) / (ends[1] - ends[0])
    np.testing.assert_allclose(found.numeric.pdf(points), slope, rtol=1e-9)
    np.testing.assert_allclose(eafo.wafbc(found, ends)(points), eafo.get(name)(points), atol=1e-12)
    assert entropy.of(name, found).value == pytest.approx(math.log(ends[1] - ends[0]), abs=1e-8)


OTHER = [
    ("logistic", {"bounds": (0, 1)}, "sigmoid"),
    ("logistic", {"mean": 1}, "softplus"),
    ("normal", {"variance": 1}, "identity"),
]


@pytest.mark.parametrize(("law", "constraint", "name"), OTHER)
def test_2_other_boundary_conditions(law: str, constraint: dict[str, object], name: str) -> None:
    assert eafo.wafbc(law, **constraint).name == name  # type: ignore[arg-type]


@pytest.mark.parametrize("law", ["normal", "laplace", "cauchy", "gumbel"])
def test_2_worst_activations_are_quantiles_of_the_maximum_entropy_law(law: str) -> None:
    peer = laws.get(law).frozen()
    points = peer.ppf(np.linspace(1e-4, 1 - 1e-4, 25))
    under_mean = eafo.wafbc(law, mean=2)
    np.testing.assert_allclose(under_mean(points), -2 * peer.logsf(points), rtol=1e-7)
    under_variance = eafo.wafbc(law, variance=4, output_mean=1)
    expected = 1 + 2 * scipy.stats.norm.ppf(peer.cdf(points))
    np.testing.assert_allclose(under_variance(points), expected, atol=3e-6)


@pytest.mark.parametrize(
    ("found", "density"),
    [
        (maximum_entropy.under_range(sympy.Integer(-1), sympy.Integer(3)), scipy.stats.uniform(-1, 4)),
        (maximum_entropy.under_mean(sympy.Integer(2)), scipy.stats.expon(0, 2)),
        (maximum_entropy.under_variance(sympy.Integer(4)), None),
    ],
)
def test_2_maximum_entropy_laws(found: maximum_entropy.MaximumEntropy, density: object) -> None:
    (z,) = found.density.free_symbols or {Z}
    points = (0.3, 1.7)
    if density is None:
        # Of any mean: a normal law of variance 4.
        score = sympy.diff(sympy.log(found.density), z, 2)
        assert sympy.simplify(score + sympy.Rational(1, 4)) == 0
        return
    for point in points:
        assert float(found.density.subs(z, point)) == pytest.approx(density.pdf(point), rel=1e-12)  # type: ignore[attr-defined]


# -- 3. The EAFO correction --------------------------------------------------------------------------------------------


def test_3_eta_of_relu_and_a_normal_law() -> None:
    eta = -variation.along(NORMAL.density, Z)
    assert sympy.simplify(eta - Z * sympy.exp(-(Z**2) / 2) / sympy.sqrt(2 * sympy.pi)) == 0
    derived = eafo.derive("relu", law="normal")
    assert derived.correction == BELL
    assert derived.constant == 1 / sympy.sqrt(2 * sympy.pi)
    assert derived.activation == eafo.get("crrelu")
    assert derived.activation.defaults == {"epsilon": 0.01}
    assert [p.name for p in derived.activation.learnable] == ["epsilon"]


def test_3_descent_is_minus_the_square_of_el() -> None:
    # dH/dε = −∫ EL² dz along η, on the branch z > 0 of mass one half.
    el = sympy.lambdify(Z, variation.along(NORMAL.density, Z))
    found = correction.correct(eafo.get("relu"), NORMAL)
    along_eta = projection.slope(found.output, Measure(), direction(found.constant * found.shape))
    # As the activation is written, +c raises; per unit of the whole law's mass, the branch holds one half.
    assert 0.5 * along_eta == pytest.approx(quad(lambda z: el(z) ** 2, 0, np.inf), rel=1e-10)


def test_3_sign_of_epsilon() -> None:
    exact = 1 / (2 * math.sqrt(2))
    assert exact == pytest.approx(0.353553, abs=5e-7)
    branch = scipy.stats.halfnorm
    assert quad(lambda t: branch.pdf(t) * (1 - t * t) * math.exp(-t * t / 2), 0, np.inf) == pytest.approx(
        exact
    )
    assert eafo.derive("relu").slope == pytest.approx(exact, rel=1e-12)
    h = 1e-4
    difference = (on_the_branch(h).value - on_the_branch(-h).value) / (2 * h)
    assert difference == pytest.approx(exact, abs=1e-8)


ON_THE_BRANCH = [
    (-0.1, 0.688407839, 1.203887727),
    (-0.01, 0.722236477, 1.229355475),
    (0.0, 0.725791353, 1.231944120),
    (0.01, 0.729307737, 1.234486992),
    (0.1, 0.759312194, 1.255409821),
]


@pytest.mark.parametrize(("epsilon", "value", "shape"), ON_THE_BRANCH)
def test_3_entropies_on_the_branch(epsilon: float, value: float, shape: float) -> None:
    found = on_the_branch(epsilon)
    assert found.value == pytest.approx(value, abs=1e-9)
    assert found.scale_free == pytest.approx(shape, abs=1e-9)
    derived = {e.epsilon: e for e in eafo.derive("relu").entropies}[epsilon]
    assert derived.entropy == pytest.approx(value, abs=1e-9)
    assert derived.shape == pytest.approx(shape, abs=1e-9)
    # h(|X|) + E[log f′(|X|)], without the library.
    branch = scipy.stats.halfnorm
    mean = quad(lambda t: branch.pdf(t) * math.log1p(epsilon * (1 - t * t) * math.exp(-t * t / 2)), 0, np.inf)
    assert float(branch.entropy()) + mean == pytest.approx(value, abs=1e-9)


def test_3_monotone_range() -> None:
    high = math.exp(1.5) / 2
    assert high == pytest.approx(2.240844535, abs=5e-10)
    assert correction.monotone_range(correction.correct(eafo.get("relu"), NORMAL)) == pytest.approx(
        (-1.0, high), abs=1e-9
    )
    proved = bounds.monotone_range(x, BELL, 0, "oo")
    assert -1.0 <= proved[0] < -1 + 1e-5
    assert high - 1e-5 < proved[1] <= high
    slope = 1 + sympy.diff(BELL, x) * sympy.Symbol("e")
    at = sympy.lambdify((x, sympy.Symbol("e")), slope)
    t = np.linspace(0, 12, 100_001)
    assert at(t, -1.0).min() >= 0 > at(t, -1.001).min()
    assert at(t, high).min() >= -1e-9 > at(t, high + 1e-3).min()


@pytest.mark.parametrize("epsilon", [-0.9, -0.01, -1e-6, 1e-6, 0.01, 2.0])
def test_3_on_the_whole_line_never_monotone(epsilon: float) -> None:
    found = output.of(eafo.get("crrelu").with_parameters(epsilon=epsilon).concrete, NORMAL.numeric)
    assert {s.rising for s in found.sheets} == {False, True}
    assert not eafo.properties(eafo.get("crrelu").with_parameters(epsilon=epsilon)).monotone


def test_3_at_the_seam() -> None:
    eta = {law: -variation.along(laws.get(law).density, Z) for law in ("normal", "laplace")}
    assert eta["normal"].subs(Z, 0) == 0
    assert float(eta["laplace"].subs(Z, sympy.Rational(1, 10**12))) == pytest.approx(0.5, abs=1e-11)
    found = correction.correct(eafo.get("relu"), laws.get("laplace"))
    assert "does not vanish at the seam x = 0" in found.why
    assert found.shape.subs(x, 0) == 0
    # Following eq. 7 all the same, η = e^{−z}/2, f = x − ε e^{−x}/2: H = h + E[log(1 + ε e^{−x}/2)] rises.
    rise = quad(lambda t: math.exp(-t) * math.log1p(0.01 * math.exp(-t) / 2), 0, np.inf)
    assert rise == pytest.approx(0.01 / 4, rel=0.01)
    assert correction.descent_slope(found) > 0


@pytest.mark.parametrize(("reverse", "known"), [(False, 2.94633e-5), (True, 2.92579e-5)])
def test_3_proposition_2_at_one_hundredth(reverse: bool, known: float) -> None:
    t = np.linspace(0, 12, 2_000_001)
    sign = 1 if reverse else -1
    first = t + sign * 0.01 * t * np.exp(-(t**2) / 2)
    missed = np.max(np.abs(first - sign * 0.01 * first * np.exp(-(first**2) / 2) - t))
    assert missed == pytest.approx(known, abs=6e-11)
    proved = bounds.inverse_error(BELL, 0.01, 0, "oo", reverse=reverse, relative=1e-5)
    assert missed * (1 - 1e-6) <= proved.upper <= missed * (1 + 2e-5)
    if not reverse:
        assert eafo.derive("relu").error_bound(0.01).upper == pytest.approx(known, rel=2e-3)


def test_3_proposition_2_tight() -> None:
    leading = x * (x**2 - 1) * sympy.exp(-(x**2))
    second = sympy.series((x - Z * BELL) + Z * BELL.subs(x, x - Z * BELL) - x, Z, 0, 3).removeO().coeff(Z, 2)
    assert sympy.simplify(second - leading) == 0
    t = 0.468213192
    assert abs(float(leading.subs(x, t))) == pytest.approx(0.293604515, abs=1e-9)
    assert float(sympy.diff(leading, x).subs(x, t)) == pytest.approx(0, abs=1e-8)
    proved = bounds.supremum(leading, 0, "oo", relative=1e-8)
    assert proved.upper == pytest.approx(0.293604515, abs=5e-9)


def test_3_inverse_to_any_order() -> None:
    e = sympy.Symbol("epsilon", real=True)
    found = sympy.expand(inverse.series(BELL, 2))
    assert sympy.simplify(found.coeff(e, 1) + BELL) == 0
    assert sympy.simplify(found.coeff(e, 2) - x * (1 - x**2) * sympy.exp(-(x**2))) == 0
    f = sympy.lambdify((x, e), inverse.series(BELL, 6))
    points = np.linspace(0.1, 4, 14)
    exact = inverse.of(eafo.get("crrelu").with_parameters(epsilon=0.1))(points)
    np.testing.assert_allclose(f(points, 0.1), exact, atol=2e-6)
    np.testing.assert_allclose(exact + 0.1 * exact * np.exp(-(exact**2) / 2), points, rtol=1e-14)


# -- 4. The score form ---------------------------------------------------------------------------------------------------


def score_of_softplus(t: float) -> float:
    """s(f) = (p′/p − f″/f′)/f′ at softplus(t), X normal."""
    rise = scipy.special.expit(t)
    return (-t - (1 - rise)) / rise


def test_4_softplus() -> None:
    assert entropy.of("softplus").value == pytest.approx(0.612879349857, abs=1e-11)
    with mpmath.workdps(30):
        mean = mpmath.quad(lambda t: mpmath.npdf(t) * mpmath.log1p(mpmath.exp(-t)), [-38, -5, 0, 5, 38])
        peer = mpmath.log(2 * mpmath.pi * mpmath.e) / 2 - mean
    assert float(peer) == pytest.approx(0.612879349857, abs=1e-12)


def test_4_softplus_along_a_bump() -> None:
    bump = lambda t: math.exp(-((t - 0.5) ** 2))  # noqa: E731
    score = -quad(lambda t: scipy.stats.norm.pdf(t) * score_of_softplus(t) * bump(t), -20, 20)
    assert score == pytest.approx(0.6267034719, abs=1e-10)
    found, phi = output_of("softplus"), direction(BUMP)
    assert projection.slope(found, Measure(), phi) == pytest.approx(0.6267034719, abs=1e-10)
    h = 1e-3
    difference = [entropy.conditional(found.moved(phi, k * h)) for k in (-2, -1, 1, 2)]
    fourth_order = (difference[0] - 8 * difference[1] + 8 * difference[2] - difference[3]) / (12 * h)
    assert fourth_order == pytest.approx(0.6267034719, abs=1e-9)


def test_4_score_of_the_output_in_numbers() -> None:
    # (log q)′ by differences of the library's own density.
    found, t = output_of("softplus"), np.array([-2.0, -0.3, 0.8, 2.0])
    z = np.logaddexp(0, t)
    h = 1e-4 * z
    slope = (np.log(found.density(z + h)) - np.log(found.density(z - h))) / (2 * h)
    np.testing.assert_allclose(slope, [score_of_softplus(v) for v in t], rtol=1e-6)


def test_4_a_uniform_law_has_all_of_its_slope_from_the_bracket() -> None:
    # dH/dε of x + εx is 1, though the score is zero.
    found = output.of(x, laws.get("uniform").numeric)
    assert projection.slope(found, Measure(), direction(x)) == pytest.approx(1.0, abs=1e-12)
    assert entropy.of("1.5*x", "uniform").value == pytest.approx(math.log(3), abs=1e-12)
    bracket = 0.5 * 1 - 0.5 * (-1)
    assert bracket == 1.0


def test_4_metrics_for_relu_and_a_normal_law() -> None:
    found = {
        m: correction.correct(eafo.get("relu"), NORMAL, metric=m) for m in ("output", "input", "probability")
    }
    # Up to sign, L²(p) gives −x, a mere shrinking; the other two agree where f′ = 1.
    assert found["probability"].shape == x
    assert found["output"].shape == found["input"].shape == BELL
    assert found["output"].constant == found["input"].constant


@pytest.mark.parametrize("base", ["softplus", "tanh", "arctan"])
def test_4_score_of_an_increasing_function(base: str) -> None:
    act = eafo.get(base)
    t = np.array([-1.3, 0.2, 0.9])
    first, second = act.diff()(t), act.diff(2)(t)
    s = (-t - second / first) / first
    p = scipy.stats.norm.pdf(t)
    for metric, expected in (("output", -p * first * s), ("input", -p * s), ("probability", -s)):
        found = correction.correct(act, NORMAL, metric=metric)  # type: ignore[arg-type]
        assert found.closed is not None
        c = sympy.lambdify(x, found.closed.direction)(t)
        np.testing.assert_allclose(c, expected, rtol=1e-10)


def test_4_wafbc_of_a_normal_law() -> None:
    act = eafo.wafbc("normal", (-1, 1))
    assert act.expression == sympy.erf(x / sympy.sqrt(2))
    assert entropy.of(act).value == pytest.approx(math.log(2), abs=1e-12)


SILU_FOLD = scipy.optimize.brentq(lambda t: 1 + t * scipy.special.expit(-t), -2, -1, xtol=1e-15)


def silu(t):
    return t * scipy.special.expit(t)


def silu_slope(t):
    return scipy.special.expit(t) * (1 + t * scipy.special.expit(-t))


def silu_curvature(t):
    return scipy.special.expit(t) * scipy.special.expit(-t) * (2 - t * np.tanh(t / 2))


def silu_roots(z: float) -> list[float]:
    roots = [scipy.optimize.brentq(lambda t: silu(t) - z, SILU_FOLD, 60, xtol=1e-15, rtol=1e-15)]
    if z < 0:
        roots.append(scipy.optimize.brentq(lambda t: silu(t) - z, -700, SILU_FOLD, xtol=1e-15, rtol=1e-15))
    return roots


def test_4_silu_with_its_branch_entropy() -> None:
    assert entropy.of("silu").value == pytest.approx(0.108338274, abs=1e-9)

    def term(t: float) -> float:
        shares = [scipy.stats.norm.pdf(r) / abs(silu_slope(r)) for r in silu_roots(silu(t))]
        own = scipy.stats.norm.pdf(t) / abs(silu_slope(t)) / sum(shares)
        return scipy.stats.norm.pdf(t) * (math.log(abs(silu_slope(t))) + math.log(own))

    nodes, weights = np.polynomial.legendre.leggauss(40)
    value = 0.5 * math.log(2 * math.pi * math.e)
    # x = x₀ ± u³ on each side of the fold, where the integrand has a logarithm.
    for side, ends in ((-1, (0.0, 1.0, 2.5)), (1, (0.0, 0.5, math.cbrt(-SILU_FOLD), 1.5, 2.5))):
        for a, b in itertools.pairwise(ends):
            u = (a + b) / 2 + (b - a) / 2 * nodes
            terms = [3 * v * v * term(SILU_FOLD + side * v**3) for v in u]
            value += (b - a) / 2 * float(np.sum(weights * terms))
    assert value == pytest.approx(0.108338274, abs=2e-7)


def test_4_silu_along_a_bump_is_a_principal_value() -> None:
    """dH/dε = −∫ q′(z) E[φ(X) − φ(x₀) | z] dz: at equal z both sides of the fold cancel, which is the principal value.

    With z = f(x₀) + t² the integrand is smooth at the fold. The mathematics states 1.3987; both routes here agree on 1.39883.
    """
    bump = lambda t: np.exp(-((t - 0.5) ** 2))  # noqa: E731
    least = silu(SILU_FOLD)

    def integrand(t: float) -> float:
        r = np.array(silu_roots(least + t * t))
        p, slope = scipy.stats.norm.pdf(r), silu_slope(r)
        q = p / np.abs(slope)
        q_slope = (-r * p / np.abs(slope) - p * silu_curvature(r) * np.sign(slope) / slope**2) / slope
        mean = np.sum(q * (bump(r) - bump(SILU_FOLD))) / np.sum(q)
        return float(-np.sum(q_slope) * mean * 2 * t)

    seam = math.sqrt(-least)
    nodes, weights = np.polynomial.legendre.leggauss(60)
    value = 0.0
    for a, b in ((0, 0.3), (0.3, 0.5), (0.5, seam), (seam, 1.2), (1.2, 4.0)):
        at = (a + b) / 2 + (b - a) / 2 * nodes
        value += (b - a) / 2 * float(np.sum(weights * [integrand(t) for t in at]))
    found, phi = output_of("silu"), direction(BUMP)
    h = 1e-3
    difference = (entropy.conditional(found.moved(phi, h)) - entropy.conditional(found.moved(phi, -h))) / (
        2 * h
    )
    assert value == pytest.approx(difference, abs=2e-5)
    assert value == pytest.approx(1.3987, abs=2e-4)


def test_4_a_shift_changes_no_entropy() -> None:
    found = output_of("silu")
    moved = found.moved(direction(sympy.Integer(1) + 0 * x), 0.7)
    assert entropy.conditional(moved) == pytest.approx(entropy.conditional(found), abs=1e-10)


@pytest.mark.parametrize(("epsilon", "value"), [(1e-2, -1.637), (1e-3, -2.790), (1e-4, -3.942)])
def test_4_nearly_flat(epsilon: float, value: float) -> None:
    act = eafo.get("crrelu").with_parameters(epsilon=epsilon)
    assert entropy.of(act).value == pytest.approx(value, abs=5e-4)


def test_4_crrelu_falls_like_half_the_logarithm() -> None:
    values = [entropy.of(eafo.get("crrelu").with_parameters(epsilon=10.0**-k)).value for k in (4, 5, 6)]
    steps = np.diff(values)
    np.testing.assert_allclose(steps, -0.5 * math.log(10), atol=2e-3)


def test_4_relu_is_mixed() -> None:
    found = entropy.of("relu")
    assert found.kind == "mixed"
    assert found.value == pytest.approx(1.0560, abs=5e-5)
    assert found.value == pytest.approx(math.log(2) / 2 + 0.5 * (math.log(2) + 0.725791353), abs=1e-9)
    assert found.conditional == pytest.approx(0.725791353, abs=1e-9)
    assert [(a.value, a.probability) for a in found.atoms] == [(0.0, 0.5)]


@pytest.mark.parametrize("name", ["relu", "hardtanh", "crrelu", "silu", "sigmoid", "srelu"])
@pytest.mark.parametrize("law", ["normal", "cauchy"])
def test_4_at_a_resolution_every_function_is_finite(name: str, law: str) -> None:
    assert math.isfinite(entropy.of(name, law, resolution="bf16").value)


def test_4_minus_infinity_can_be_genuine() -> None:
    assert entropy.of("sigmoid", "cauchy").value == -math.inf
    found = entropy.of("sigmoid", "cauchy", resolution=0.01)
    edges = np.clip(0.01 * (np.arange(102) - 0.5), 0, 1)
    p = np.diff(scipy.stats.cauchy.cdf(scipy.special.logit(edges)))
    assert found.value == pytest.approx(float(scipy.stats.entropy(p)) + math.log(0.01), abs=1e-9)


def test_4_scale_free_direction() -> None:
    # φ⊥ = s(f) + (f − μ)/σ² vanishes exactly for a normal output, and leaves the scale alone elsewhere.
    t = np.linspace(-3, 3, 7)
    np.testing.assert_allclose(-t + (t - 0) / 1, 0.0, atol=0)
    found = correction.correct(eafo.get("identity"), NORMAL, scale_free=True)
    assert found.closed is not None
    assert found.closed.direction == 0
    assert projection.slope(found.output, Measure(scale_free=True), direction(BELL)) == pytest.approx(
        0, abs=1e-12
    )


def test_4_inner_products_of_the_score() -> None:
    # Where q vanishes at both ends E[s] = 0 and E[s (f − μ)] = −1: softplus, by quadrature.
    p = scipy.stats.norm.pdf
    mean = quad(lambda t: p(t) * np.logaddexp(0, t), -30, 30)
    assert quad(lambda t: p(t) * score_of_softplus(t), -30, 30) == pytest.approx(0, abs=1e-9)
    product = quad(lambda t: p(t) * score_of_softplus(t) * (np.logaddexp(0, t) - mean), -30, 30)
    assert product == pytest.approx(-1, abs=1e-9)


# -- 5. Input laws -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        "normal",
        "laplace",
        "logistic",
        "student_t",
        "cauchy",
        "uniform",
        "gumbel",
        "0.5*normal(-1, 1) + 0.5*normal(1, 1)",
    ],
)
def test_5_symbolic_laws(form: str) -> None:
    law = laws.get(form)
    assert law.density is not None
    density = sympy.lambdify(x, law.density)
    assert float(density(0.3)) == pytest.approx(float(law.numeric.pdf(0.3)), rel=1e-10)


def test_5_hermite_functions() -> None:
    points, weights = np.polynomial.legendre.leggauss(400)
    t, w = 14 * points, 14 * weights
    basis = np.array([sympy.lambdify(x, projection.hermite_function(n))(t) for n in range(9)])
    np.testing.assert_allclose((basis * w) @ basis.T, np.eye(9), atol=1e-12)
    # CRReLU's term is ψ₁.
    assert (projection.hermite_function(1) / BELL).is_number
    for n in (1, 3, 5, 7):
        assert projection.hermite_function(n).subs(x, 0) == 0
    for n in (0, 2, 4, 6, 8):
        assert projection.hermite_function(n).subs(x, 0) != 0


def test_5_odd_hermite_functions_are_complete_on_the_half_line() -> None:
    # On x > 0 the odd ones have the norm 1/√2, and x e^{−x} is approached.
    points, weights = np.polynomial.legendre.leggauss(600)
    t, w = 20 + 20 * points, 20 * weights
    target = t * np.exp(-t)
    missed = []
    for count in (2, 4, 8):
        orders = range(1, 2 * count, 2)
        basis = np.array([sympy.lambdify(x, projection.hermite_function(n))(t) for n in orders])
        np.testing.assert_allclose((basis * w) @ basis.T, 0.5 * np.eye(count), atol=1e-12)
        weighed = 2 * (basis * w) @ target
        missed.append(float(np.sum(w * (target - weighed @ basis) ** 2)))
    assert 4 * missed[2] < 2 * missed[1] < missed[0] < 0.02


def test_5_probabilists_functions_are_not_orthogonal() -> None:
    points, weights = np.polynomial.legendre.leggauss(400)
    t, w = 14 * points, 14 * weights
    basis = np.array([hermite_e.hermeval(t, [0] * n + [1]) * np.exp(-(t**2) / 2) for n in range(9)])
    basis /= np.sqrt(np.sum(w * basis**2, axis=1))[:, None]
    assert np.linalg.cond((basis * w) @ basis.T) == pytest.approx(1.4e3, rel=0.03)


def test_5_a_measured_law_shows_its_fit() -> None:
    law = laws.measure(np.random.default_rng(5).normal(0.5, 2.0, 4000))
    assert law.fit is not None
    t = np.array([-2.0, 0.5, 3.0])
    # A usable score: close to that of the normal law that was drawn from.
    np.testing.assert_allclose(law.numeric.score(t), -(t - 0.5) / 4, atol=0.15)


# -- 7. Other activations ------------------------------------------------------------------------------------------------


def test_7_srelu() -> None:
    act, t = eafo.get("srelu"), 2.21
    assert act.defaults == {"t": t}
    points = np.array([-5.0, -t, -1.0, 0.0, 0.7, t, 4.0])
    expected = np.select(
        [points <= -t, points < t], [0.0, points * (np.sin(np.pi * points / (2 * t)) + 1) / 2], points
    )
    np.testing.assert_allclose(act(points), expected, atol=1e-15)
    near = 1e-7
    for seam, slope in ((-t, 0.0), (t, 1.0)):
        assert act(seam + near) == pytest.approx(float(act(seam - near)), abs=3e-7)
        np.testing.assert_allclose(act.diff()([seam - near, seam + near]), slope, atol=1e-6)
    assert eafo.properties("srelu").smoothness == 1


@pytest.mark.parametrize("epsilon", [0.0025, 0.025])
def test_7_sinerelu_jumps(epsilon: float) -> None:
    act = eafo.get("sinerelu")
    assert act.defaults == {"epsilon": 0.0025}
    act = act.with_parameters(epsilon=epsilon)
    points = np.array([-3.0, -0.5, 0.0, 2.0])
    expected = np.where(points > 0, points, epsilon * (np.sin(points) - np.cos(points)))
    np.testing.assert_allclose(act(points), expected, atol=1e-16)
    found = eafo.properties(act)
    assert not found.continuous
    assert [(j.x, j.left, j.right) for j in found.jumps] == [(0.0, -epsilon, 0.0)]


def test_7_the_analysis_says_that_sinerelu_jumps() -> None:
    findings = " ".join(eafo.derive("sinerelu", orders=(1, 3)).findings)
    assert "The base jumps by 0.0025 at x = 0" in findings


@pytest.mark.parametrize(
    "name",
    [
        "relu",
        "leaky_relu",
        "prelu",
        "elu",
        "celu",
        "selu",
        "gelu",
        "gelu_tanh",
        "silu",
        "swish",
        "mish",
        "softplus",
        "sigmoid",
        "tanh",
        "softsign",
        "arctan",
        "erf",
        "sin",
        "hardtanh",
        "hardsigmoid",
        "hardswish",
        "relu_squared",
        "leaky_relu_squared",
        "xielu",
    ],
)
def test_7_baselines(name: str) -> None:
    assert name in eafo.names()
    assert np.isfinite(eafo.get(name)(np.linspace(-20, 20, 81))).all()


def test_7_leaky_relu_squared() -> None:
    np.testing.assert_allclose(eafo.get("leaky_relu_squared")([-2.0, 3.0]), [1.0, 9.0])


@pytest.mark.parametrize(("alpha_p", "alpha_n"), [(0.8, 0.8), (0.3, 1.7)])
def test_7_xielu_is_what_its_gradient_integrates_to(alpha_p: float, alpha_n: float) -> None:
    act = eafo.get("xielu").with_parameters(alpha_p=alpha_p, alpha_n=alpha_n)
    assert act.defaults["beta"] == 0.5
    assert {p.name for p in act.learnable} == {"alpha_p", "alpha_n"}

    def slope(t: float) -> float:
        return 2 * alpha_p * t + 0.5 if t > 0 else alpha_n * math.expm1(t) + 0.5

    for point in (-4.0, -1.0, 0.0, 0.6, 3.0):
        assert float(act(point)) == pytest.approx(quad(slope, 0, point), abs=1e-12)
        assert float(act.diff()(point)) == pytest.approx(slope(point), abs=1e-14)
    points = np.array([0.5, 2.0])
    np.testing.assert_allclose(act(points), alpha_p * points**2 + 0.5 * points, rtol=1e-14)
    np.testing.assert_allclose(
        act(-points), alpha_n * (np.expm1(-points) + points) - 0.5 * points, rtol=1e-13
    )


def test_refusal_is_an_error_of_input() -> None:
    assert issubclass(RefusedError, ValueError)
