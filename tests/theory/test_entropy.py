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
    with pytest.raises(InputError, match=r"needs an output with a scale, but got 0\.0"):
        entropy.of("0*x + 1", resolution=0.1)


@pytest.mark.parametrize(
    ("name", "law", "message"), [("nosuch", "normal", "catalog name"), ("relu", "nosuch", "a law must be")]
)
def test_bad_names(name: str, law: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        entropy.of(name, law)
