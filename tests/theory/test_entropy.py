"""The entropy of an output by routes that share nothing, its invariances, and the entropy at a resolution."""

from __future__ import annotations

import itertools
import math

import mpmath
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

import eafo
from eafo import catalog, laws
from eafo.errors import InputError
from eafo.theory import entropy, output, spacing
from eafo.theory.entropy import Measure

LAWS = [
    "normal",
    "laplace",
    "logistic",
    "cauchy",
    "uniform",
    "gumbel",
    "student_t",
    "exponential",
    "half_normal",
    "0.5*normal(-2, 1) + 0.5*normal(2, 1)",
    "scipy.gamma(2, scale=1)",
]
NORMAL_ENTROPY = 0.5 * math.log(2 * math.pi * math.e)


def of(name: str, law: str = "normal") -> output.Output:
    return output.of(eafo.get(name).concrete, laws.get(law).numeric)


def seams(name: str) -> tuple[float, ...]:
    act = eafo.get(name)
    at = {p.symbol: p.default for p in act.parameters}
    return tuple(float(p.upper.subs(at)) for p in act.pieces()[:-1])


# -- independent routes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "law",
    [
        law if law in ("normal", "laplace", "uniform") else pytest.param(law, marks=pytest.mark.slow)
        for law in LAWS
    ],
)
def test_catalog_against_the_polygon_through_quantiles(law: str, push_forward) -> None:
    """−∫ q log q dz of a piecewise linear stand-in, which has no roots, no folds and no quadrature."""
    compared = 0
    for name in catalog.names():
        found = entropy.of(name, law)
        peer = push_forward(eafo.get(name), laws.get(law).numeric, seams(name))
        atoms = sum(a.probability for a in found.atoms)
        if law == "cauchy" and name in ("sin", "sinerelu"):
            continue  # a period far out is finer than the quantiles
        # Where doubles no longer tell the function from a constant the polygon has an atom that is none.
        if abs(peer.atoms - atoms) < 1e-6:
            assert found.conditional == pytest.approx(peer.entropy, abs=3e-4), name
            compared += 1
        else:
            assert peer.atoms > atoms, name
            assert found.conditional < peer.entropy, name
    assert compared >= 12


@pytest.mark.parametrize(
    "name",
    ["relu", "softplus", "silu", "hardswish", "tanh", "x**3 - x", "leaky_relu", "elu"],
)
@pytest.mark.parametrize("law", ["normal", "logistic", "uniform"])
def test_functional_in_z_by_adaptive_quadrature(name: str, law: str) -> None:
    """−∫ q log q dz between the special values, z = a + (b − a) B(t), which takes up roots at both ends."""
    found = of(name, law)
    ends = sorted({*found.special, *(found.quantile(u) for u in (0.1, 0.5, 0.9, 0.999))})
    low = max(found.special[0], found.quantile(1e-14))
    ends = [low, *(e for e in ends if low < e < found.quantile(1 - 1e-14)), found.quantile(1 - 1e-14)]

    def inner(a: float, b: float) -> float:
        nodes, weights = np.polynomial.legendre.leggauss(120)
        t = 0.5 + 0.5 * nodes
        z = a + (b - a) * scipy.special.betainc(4, 4, t)
        q = found.density(z)
        with np.errstate(divide="ignore", invalid="ignore"):
            g = np.where(q > 0, -q * np.log(q), 0.0)
        return float(np.sum(0.5 * weights * g * (b - a) * scipy.stats.beta(4, 4).pdf(t)))

    total = sum(inner(a, b) for a, b in itertools.pairwise(ends) if b - a > 1e-9 * max(1.0, abs(a)))
    assert total == pytest.approx(-found.log_likelihood.value, abs=2e-5)


@pytest.mark.parametrize("name", ["softplus", "silu", "relu", "hardtanh", "elu", "sin", "xielu", "gelu_tanh"])
@pytest.mark.parametrize("law", ["normal", "laplace", "cauchy(0, 0.3)", "gumbel"])
def test_against_spacings_of_a_sample(name: str, law: str) -> None:
    sample = eafo.get(name)(laws.get(law).sample(100_000, seed=3))
    found, estimate = entropy.of(name, law), spacing.entropy(sample)
    if math.isinf(found.value) or name == "gelu_tanh":
        # The integrand of E[log f′] has no variance that a sample of this size would show.
        assert found.value < estimate.value + 5 * estimate.error
        return
    assert abs(found.value - estimate.value) < 5 * estimate.error


def test_by_mpmath() -> None:
    """H = h(X) + E[log f′] with 30 digits, for functions with an inverse."""
    cases = {
        ("softplus", "normal"): (lambda t: -mpmath.log1p(mpmath.exp(-t)), mpmath.npdf, NORMAL_ENTROPY),
        ("tanh", "logistic"): (
            lambda t: -2 * mpmath.log(mpmath.cosh(t)),
            lambda t: mpmath.sech(t / 2) ** 2 / 4,
            2.0,
        ),
        ("arctan", "laplace"): (
            lambda t: -mpmath.log1p(t * t),
            lambda t: mpmath.exp(-abs(t)) / 2,
            1 + math.log(2),
        ),
    }
    with mpmath.workdps(30):
        for (name, law), (log_slope, density, h) in cases.items():
            mean = mpmath.quad(
                lambda t, d=density, s=log_slope: d(t) * s(t), [-90, -20, -5, -1, 0, 1, 5, 20, 90]
            )
            assert entropy.of(name, law).value == pytest.approx(float(h + mean), abs=1e-10)


@pytest.mark.parametrize(
    ("name", "law", "value"),
    [
        # E[log f′] = log(2/√π) − E[X²], however flat the function is in doubles.
        ("erf", "laplace", 1 + math.log(2) + math.log(2 / math.sqrt(math.pi)) - 2),
        ("erf", "logistic", 2 + math.log(2 / math.sqrt(math.pi)) - math.pi**2 / 3),
        ("erf", "scipy.gamma(2, scale=1)", 1 + np.euler_gamma + math.log(2 / math.sqrt(math.pi)) - 6),
        ("x**2", "normal", float(scipy.stats.chi2(1).entropy())),
        ("exp(x)", "normal", NORMAL_ENTROPY),
        ("abs(x)", "cauchy", math.log(4 * math.pi) - math.log(2)),
        ("exp(-exp(x))", "normal", NORMAL_ENTROPY - math.exp(0.5)),
        ("sigmoid", "logistic", 0.0),
        ("softplus", "logistic", 1.0),
        ("2*arctan(x)/pi", "cauchy", math.log(2)),
        ("x**3", "normal", NORMAL_ENTROPY + math.log(3) - np.euler_gamma - math.log(2)),
    ],
)
def test_closed_forms(name: str, law: str, value: float) -> None:
    found = entropy.of(name, law)
    assert found.value == pytest.approx(value, abs=1e-8)
    assert found.kind == "differential"
    assert abs(found.value - value) <= found.error + 1e-9


@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("sigmoid", "cauchy"),
        ("softplus", "cauchy"),
        ("erf", "cauchy"),
        ("gelu_tanh", "student_t(3)"),
        ("elu", "cauchy"),
    ],
)
def test_minus_infinity_is_said(name: str, law: str) -> None:
    found = entropy.of(name, law)
    assert found.value == -math.inf
    assert math.isfinite(entropy.of(name, law, resolution="bf16").value)


def test_the_same_function_twice_has_one_entropy() -> None:
    for first, second in (
        ("silu", "swish"),
        ("elu", "celu"),
        ("relu", "max(x, 0)"),
        ("tanh", "2/(1 + exp(-2*x)) - 1"),
    ):
        assert entropy.of(first).value == pytest.approx(entropy.of(second).value, abs=1e-10)


# -- invariances ---------------------------------------------------------------------------------------------------------


AFFINE = st.tuples(st.floats(0.01, 100), st.floats(-50, 50), st.booleans())


@settings(max_examples=25, deadline=None)
@given(change=AFFINE, name=st.sampled_from(["softplus", "silu", "tanh", "leaky_relu", "x**3 - x"]))
def test_an_affine_change_of_the_output(change: tuple[float, float, bool], name: str) -> None:
    a, b, flip = change
    factor = sympy.Float(-a if flip else a)
    expression = eafo.get(name).concrete
    before, after = (
        entropy.of(name),
        entropy.of(eafo.Activation("changed", factor * expression + sympy.Float(b))),
    )
    # A shift that is large beside a·f costs digits near a fold, and the stated error says how many.
    assert after.value == pytest.approx(before.value + math.log(a), abs=1e-9 + after.error)
    assert after.scale_free == pytest.approx(before.scale_free, abs=1e-9 + after.error)
    assert after.error < 1e-5


@settings(max_examples=25, deadline=None)
@given(change=AFFINE, name=st.sampled_from(["softplus", "silu", "tanh", "relu"]))
def test_an_affine_change_of_the_law_is_a_composition(change: tuple[float, float, bool], name: str) -> None:
    a, b, flip = min(change[0], 10.0), change[1] / 10, change[2]
    a, b = round(a, 6), round(b, 6)
    act = eafo.get(name)
    # Y = ±a X + b has the law normal(b, a).
    inner = sympy.Rational(str(-a if flip else a)) * act.variable + sympy.Rational(str(b))
    composed = eafo.Activation("composed", act.concrete.subs(act.variable, inner))
    left, right = entropy.of(composed), entropy.of(act, f"normal({b}, {a})")
    assert left.value == pytest.approx(right.value, rel=1e-7, abs=1e-7)
    assert left.kind == right.kind


@pytest.mark.parametrize("name", ["softplus", "silu", "relu", "crrelu", "sinerelu"])
@pytest.mark.parametrize("law", ["normal", "laplace", "cauchy", "uniform"])
def test_a_symmetric_law_does_not_know_left_from_right(name: str, law: str) -> None:
    act = eafo.get(name)
    mirrored = eafo.Activation("mirrored", act.concrete.subs(act.variable, -act.variable))
    one, other = entropy.of(act, law), entropy.of(mirrored, law)
    assert other.value == pytest.approx(one.value, abs=1e-8)
    assert other.conditional == pytest.approx(one.conditional, abs=1e-8)


@pytest.mark.parametrize("law", ["normal", "laplace", "gumbel"])
def test_a_mirrored_law_and_a_mirrored_function(law: str) -> None:
    numbers = laws.get(law).numeric
    act = eafo.get("silu")
    mirrored = act.concrete.subs(act.variable, -act.variable)
    one = output.of(act.concrete, numbers).log_likelihood.value
    assert output.of(mirrored, numbers.affine(-1.0, 0.0)).log_likelihood.value == pytest.approx(one, abs=1e-9)


@pytest.mark.parametrize(("name", "law"), [("softplus", "normal"), ("tanh", "laplace"), ("arctan", "gumbel")])
def test_a_uniform_input_of_the_same_ranks(name: str, law: str) -> None:
    """f(X) is f(F⁻¹(U)): the entropy is E[log (f∘F⁻¹)′(U)]."""
    numbers, slope = laws.get(law).numeric, eafo.get(name).diff()

    def integrand(t: float) -> float:
        point = float(numbers.ppf(t)) if t < 0.5 else float(numbers.isf(1 - t))
        return math.log(max(float(slope(point)), 1e-300)) - float(numbers.logpdf(point))

    value = sum(
        scipy.integrate.quad(integrand, a, b, limit=200)[0] for a, b in ((1e-13, 0.5), (0.5, 1 - 1e-12))
    )
    assert entropy.of(name, law).value == pytest.approx(value, abs=1e-7)


# -- atoms -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", ["normal", "laplace", "uniform", "logistic"])
def test_mixed_entropy_of_relu(law: str) -> None:
    found = entropy.of("relu", law)
    # Half at 0, and of the rest the entropy of |X| = h(X) − log 2.
    conditional = float(laws.get(law).entropy) - math.log(2)
    assert found.kind == "mixed"
    assert found.conditional == pytest.approx(conditional, abs=1e-9)
    assert found.value == pytest.approx(math.log(2) + 0.5 * conditional, abs=1e-9)


def test_nothing_but_atoms() -> None:
    found = entropy.of("sign(x)")
    assert found.value == pytest.approx(math.log(2), abs=1e-12)
    assert math.isnan(found.conditional)
    assert entropy.of("relu", "uniform(-2, -1)").value == 0.0


def test_no_atom_where_the_law_has_no_mass() -> None:
    found = entropy.of("relu", "exponential")
    assert (found.kind, found.atoms) == ("differential", ())
    assert found.value == pytest.approx(1.0, abs=1e-10)


# -- scale ------------------------------------------------------------------------------------------------------------------


def test_scale_is_the_standard_deviation() -> None:
    found = entropy.of("relu")
    assert found.scale == pytest.approx(math.sqrt(0.5 - 1 / (2 * math.pi)), rel=1e-10)
    assert found.scale_free == pytest.approx(found.value - math.log(found.scale), abs=1e-12)
    assert entropy.of("identity").scale_free == pytest.approx(NORMAL_ENTROPY, abs=1e-10)


def test_scale_where_there_is_no_deviation() -> None:
    found = entropy.of("identity", "cauchy(0, 3)")
    width = scipy.stats.cauchy(0, 3).ppf(scipy.stats.norm.cdf(1))
    assert found.scale == pytest.approx(width, rel=1e-9)
    assert entropy.of("3*x - 7", "cauchy").scale_free == pytest.approx(
        entropy.of("identity", "cauchy").scale_free
    )


# -- at a resolution -------------------------------------------------------------------------------------------------------


def quantised(name: str, law: str, delta: float, count: int = 400_000) -> float:
    """The entropy of the rounded values at a fine grid of quantiles."""
    z = eafo.get(name)(laws.get(law).numeric.ppf((np.arange(count) + 0.5) / count))
    _, counts = np.unique(np.rint(z / delta), return_counts=True)
    return float(scipy.stats.entropy(counts)) + math.log(delta)


@pytest.mark.parametrize("name", [*catalog.names(), "sign(x)", "0.5*x + 3"])
@pytest.mark.parametrize("delta", [0.31, 0.0173])
def test_brute_force(name: str, delta: float) -> None:
    # A step on which no atom and no seam falls between two bins.
    assert entropy.of(name, resolution=delta).value == pytest.approx(
        quantised(name, "normal", delta), abs=2e-3
    )


@pytest.mark.parametrize(
    "law", ["laplace", "logistic", "uniform", "gumbel", "0.5*normal(-2, 1) + 0.5*normal(2, 1)"]
)
@pytest.mark.parametrize("name", ["relu", "silu", "tanh", "crrelu"])
def test_brute_force_under_other_laws(name: str, law: str) -> None:
    assert entropy.of(name, law, resolution=0.0173).value == pytest.approx(
        quantised(name, law, 0.0173), abs=3e-3
    )


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "hardtanh", "sin", "arctan"])
def test_brute_force_under_a_heavy_tail(name: str) -> None:
    assert entropy.of(name, "cauchy", resolution=0.0173).value == pytest.approx(
        quantised(name, "cauchy", 0.0173), abs=5e-3
    )


def test_far_bins_of_a_heavy_tail() -> None:
    # 10⁵ scales lie within one part in 10⁵ of the mass; their bins are not counted one by one.
    found = entropy.of("identity", "cauchy", resolution=0.01)
    assert found.value == pytest.approx(math.log(4 * math.pi), abs=1e-4)


@pytest.mark.parametrize("name", ["softplus", "silu", "tanh", "leaky_relu", "gelu", "x**3 - x"])
def test_tends_to_the_differential_entropy(name: str) -> None:
    exact = entropy.of(name).value
    gaps = [entropy.of(name, resolution=d).value - exact for d in (0.3, 0.03, 0.003)]
    assert abs(gaps[2]) < abs(gaps[1]) + 1e-9 < abs(gaps[0]) + 2e-9
    # Beside a fold q grows like a root, and the gap shrinks like one.
    assert abs(gaps[2]) < 0.07


@pytest.mark.parametrize("name", ["identity", "softplus", "silu", "tanh", "gelu", "mish"])
@pytest.mark.parametrize("delta", [1.0, 0.2, 0.05])
def test_never_below_the_differential_entropy(name: str, delta: float) -> None:
    """H_δ is the entropy of q averaged over each bin, so it is never less (Jensen)."""
    assert entropy.of(name, resolution=delta).value >= entropy.of(name).value - 1e-9


@pytest.mark.parametrize("name", ["hardtanh", "tanh", "silu", "relu", "sin"])
def test_bins_taken_together(name: str) -> None:
    """A resolution so fine that only runs of bins are counted: the mixed entropy, each atom weighed by log δ."""
    found = entropy.of(name)
    atoms = sum(a.probability for a in found.atoms)
    for delta in (1e-5, 1e-7):
        fine = entropy.of(name, resolution=delta).value
        assert fine == pytest.approx(found.value + atoms * math.log(delta), abs=40 * math.sqrt(delta))


def test_formats() -> None:
    scale = entropy.of("silu").scale
    for name, step in (("fp16", 2**-10), ("bf16", 2**-7), ("fp8", 2**-3)):
        found = entropy.of("silu", resolution=name)
        assert found.resolution == pytest.approx(step * scale)
        assert found.value == entropy.of("silu", resolution=step * scale).value
        assert found.kind == "at a resolution"
    # A format's step goes with the output's scale, so the scale-free value does not.
    one, other = (entropy.of(f, resolution="bf16").scale_free for f in ("silu", "8*x/(1 + exp(-x))"))
    assert one == pytest.approx(other, abs=1e-9)


def test_offsets_move_the_bins() -> None:
    found = of("silu")
    whole = entropy.at_resolution(found, 0.2).value
    assert entropy.at_resolution(found, 0.2, 0.2).value == pytest.approx(whole, abs=1e-9)
    assert entropy.at_resolution(found, 0.2, 0.1).value != pytest.approx(whole, abs=1e-4)


# -- what a correction lowers, and words -------------------------------------------------------------------------------------


def test_measures() -> None:
    found = of("relu")
    assert Measure().of(found) == pytest.approx(0.725791353, abs=1e-9)
    # Given X > 0: the deviation of a half-normal law.
    deviation = math.sqrt(1 - 2 / math.pi)
    assert Measure(scale_free=True).of(found) == pytest.approx(0.725791353 - math.log(deviation), abs=1e-9)
    assert [str(Measure(*m)) for m in ((), (True,), (False, 0.01), (True, 0.01))] == [
        "H",
        "H − log of the scale",
        "H_δ, δ = 0.01",
        "H_δ, δ = 0.01 − log of the scale",
    ]
    fine = Measure(resolution=0.001).of(of("softplus"))
    assert fine == pytest.approx(entropy.of("softplus").value, abs=1e-5)


def test_forms() -> None:
    found = entropy.of("silu")
    assert float(found) == found.value
    assert str(found).startswith("0.108338274 nats (differential); scale-free ")
    assert "δ = 0.1)" in str(entropy.of("silu", resolution=0.1))
    assert eafo.entropy("silu") == found


@pytest.mark.parametrize("resolution", [0.0, -1.0, math.nan, math.inf, "fp4", "", True])
def test_bad_resolutions(resolution: float | str) -> None:
    with pytest.raises(
        InputError, match="a resolution must be a positive number or one of fp16, bf16, fp8, but got"
    ):
        entropy.of("silu", resolution=resolution)


def test_an_atom_alone_has_no_scale() -> None:
    for name, law in (("0*x + 1", "normal"), ("relu", "uniform(-3,0)"), ("sign(x)", "exponential")):
        found = entropy.of(name, law, resolution=0.1)
        assert found.value == pytest.approx(math.log(0.1), abs=1e-12)
        assert math.isnan(found.scale_free)
    with pytest.raises(InputError, match=r"needs an output with a scale, but got 0\.0"):
        entropy.of("relu", "uniform(-3,0)", resolution="bf16")


@pytest.mark.parametrize(
    ("name", "law", "exact"),
    [
        # X = cos of a uniform angle: H = log(π/2), and its modulus and square are arcsine laws too.
        ("identity", "scipy.arcsine(-1, 2)", math.log(math.pi / 2)),
        ("2*x", "scipy.arcsine(-1, 2)", math.log(math.pi)),
        ("abs(x)", "scipy.arcsine(-1, 2)", math.log(math.pi / 4)),
        ("x**2", "scipy.arcsine(-1, 2)", math.log(math.pi / 4)),
        ("identity", "scipy.beta(0.5, 0.5)", math.log(math.pi / 4)),
        ("identity", "scipy.rdist(1.6)", float(scipy.stats.rdist(1.6).entropy())),
    ],
)
def test_a_density_without_bound_at_an_end(name: str, law: str, exact: float) -> None:
    found = entropy.of(name, law)
    assert abs(found.value - exact) <= found.error + 1e-9
    assert found.error < 1e-6


@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("tanh", "student_t(1.1)"),
        ("tanh", "student_t(1.2)"),
        ("erf", "student_t(2.1)"),
        ("erf", "student_t(2.2)"),
    ],
)
def test_saturation_under_a_heavy_tail(name: str, law: str) -> None:
    # H = h + E[log |f′|], and the second is an integral of a slow tail.
    freedom = float(law[10:-1])
    density = scipy.stats.t(freedom).pdf
    if name == "erf":
        # log f′ = log(2/√π) − x²
        mean = math.log(2 / math.sqrt(math.pi)) - freedom / (freedom - 2)
    else:
        # log f′ = −2 log cosh x, which is 2 log 2 − 2|x| but for next to nothing beyond 20.
        near = scipy.integrate.quad(lambda v: 2 * density(v) * -2 * math.log(math.cosh(v)), 0, 20, limit=200)[
            0
        ]
        constant = math.gamma((freedom + 1) / 2) / (math.sqrt(freedom * math.pi) * math.gamma(freedom / 2))
        beyond = constant * freedom / (freedom - 1) * (1 + 400 / freedom) ** ((1 - freedom) / 2)
        mean = near + 2 * (2 * math.log(2) * scipy.stats.t(freedom).sf(20) - 2 * beyond)
    exact = float(scipy.stats.t(freedom).entropy()) + mean
    found = entropy.of(name, law)
    assert abs(found.value - exact) <= found.error + 1e-6 * abs(exact)


@pytest.mark.parametrize(
    ("name", "law", "exact"),
    [
        ("identity", "student_t(2.2)", math.sqrt(11)),
        ("exp(0.45*x)", "exponential", math.sqrt(10 - (1 / 0.55) ** 2)),
        ("x**9", "normal", math.sqrt(34459425)),
        ("x**3", "normal(0, 20)", 8000 * math.sqrt(15)),
        ("x**9", "normal(0, 20)", 20**9 * math.sqrt(34459425)),
        ("relu_squared", "normal(0, 100)", 1e4 * math.sqrt(1.25)),
        ("identity", "uniform(-1e5, 1e5)", 1e5 / math.sqrt(3)),
        ("exp(3*x)", "normal", math.sqrt(math.exp(18) - math.exp(9))),
        ("identity", "scipy.lognorm(3)", math.sqrt(math.exp(18) - math.exp(9))),
        # Without a second moment: half the width of the central 68.27 %.
        ("identity", "student_t(2)", float(scipy.stats.t(2).ppf(scipy.stats.norm.cdf(1)))),
    ],
)
def test_the_scale_is_the_deviation_however_large(name: str, law: str, exact: float) -> None:
    assert entropy.of(name, law).scale == pytest.approx(exact, rel=1e-9)


def test_no_rescaling_changes_the_scale_free_entropy() -> None:
    for name in ("relu", "relu_squared"):
        found = [entropy.of(name, f"normal(0,{s})", resolution="bf16").scale_free for s in (1, 60, 100, 1e4)]
        assert found == pytest.approx([found[0]] * 4, abs=1e-8)


def test_a_steep_function_has_a_finite_entropy() -> None:
    # E[log |f′|] is −E[x²⁰] + E[log |1 − 20 x²⁰|], E[x²⁰] = 19!! = 654,729,075.
    found = entropy.of("x*exp(-x**20)")
    assert found.value == pytest.approx(-654729075, rel=1e-7)


@pytest.mark.parametrize(
    ("law", "step"),
    [
        ("0.5*normal(-2, 0.01) + 0.5*normal(2, 0.01)", 1e-4),
        ("0.4*normal(-2, 0.01) + 0.6*normal(2, 0.01)", 1e-4),
        ("0.5*normal(-1, 0.05) + 0.5*normal(1, 0.05)", 1e-4),
        ("laplace", 1e-3),
        ("normal(3, 0.002)", 1e-6),
    ],
)
def test_at_a_fine_resolution_every_bin_counts(law: str, step: float) -> None:
    numeric = laws.get(law).numeric
    edges = (np.arange(round(-40 / step), round(40 / step)) - 0.5) * step if step > 1e-6 else None
    if edges is None:
        edges = (np.arange(2_970_000, 3_030_000) - 0.5) * step
    # The nearer tail of each bin tells its probability without a loss.
    below, above = np.asarray(numeric.cdf(edges)), np.asarray(numeric.sf(edges))
    p = np.where(below[:-1] < 0.5, np.diff(below), -np.diff(above))
    exact = -float(np.sum(scipy.special.xlogy(p, p))) + math.log(step)
    found = entropy.of("identity", law, resolution=step)
    assert abs(found.value - exact) <= found.error + 1e-9
    assert found.error < 1e-6


@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("erf(x)**2", "logistic(0,3)"),
        ("erf(x)**2", "laplace(0,3)"),
        ("erf(x)**2", "normal(0,4)"),
        ("tanh(x)**2", "student_t(2)"),
    ],
)
def test_an_even_function_that_saturates(name: str, law: str) -> None:
    # Both sheets bear half: one knows nothing of the sign, H = h(f(|X|)), and |X| has the entropy h − log 2.
    numeric = laws.get(law).numeric
    log_slope = (
        (lambda x: math.log(4 / math.sqrt(math.pi) * math.erf(x)) - x * x)
        if name.startswith("erf")
        else (lambda x: math.log(2 * math.tanh(x)) + 2 * (math.log(2) - x - math.log1p(math.exp(-2 * x))))
    )
    panels = [0.0, 0.1, 1.0, 3.0, 10.0, 40.0, 150.0, 1e3, 1e5, 1e8]
    mean = sum(
        scipy.integrate.quad(lambda x: 2 * float(numeric.pdf(x)) * log_slope(x), a, b, limit=400)[0]
        for a, b in itertools.pairwise(panels)
    )
    found = entropy.of(name, law)
    assert found.value == pytest.approx(numeric.entropy - math.log(2) + mean, abs=1e-4)
    assert found.error < 1e-5


@pytest.mark.parametrize("place", [-1.279, -1.278])
def test_a_turn_beside_a_kink_of_the_law(place: float) -> None:
    found, beside = (entropy.of("silu", f"laplace({c},1)") for c in (place, -1.2785))
    # It turns at −1.27846: nothing jumps there.
    assert found.value == pytest.approx(beside.value, abs=4e-4)
    assert found.error < 1e-6


def test_a_turn_beside_the_end_of_a_part() -> None:
    for law in ("laplace(1,2)", "0.5*uniform(-2,-1)+0.5*uniform(1,2)"):
        assert math.isfinite(entropy.of("crrelu(epsilon=100)", law).value)


@pytest.mark.parametrize(
    ("name", "law", "message"), [("nosuch", "normal", "catalog name"), ("relu", "nosuch", "a law must be")]
)
def test_bad_names(name: str, law: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        entropy.of(name, law)
