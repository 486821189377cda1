"""wafbc for every law and every constraint: the output has the law of greatest entropy, by routes that did not make it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import sympy

import eafo
from eafo import laws
from eafo.activation import Activation
from eafo.errors import InputError, RefusedError
from eafo.theory import worst

FORMS = [
    *laws.names(),
    "normal(1, 2)",
    "gumbel(-1, 0.5)",
    "laplace(2, 3)",
    "student_t(4, 1, 2)",
    "0.3*normal(-2, 1) + 0.7*normal(1, 0.5)",
    "scipy.gamma(2.5)",
]
CONSTRAINTS = {
    "range": ({"bounds": (-1.0, 2.0)}, scipy.stats.uniform(-1, 3)),
    "mean": ({"mean": 2.0}, scipy.stats.expon(scale=2)),
    "variance": ({"variance": 4.0, "output_mean": 1.0}, scipy.stats.norm(1, 2)),
}
CASES = [(form, name) for form in FORMS for name in CONSTRAINTS]


def draw(form: str, size: int) -> np.ndarray:
    """A sample by SciPy, which knows nothing of the law's own numbers, wherever SciPy has the law."""
    law = laws.get(form)
    if law.source is None:
        return law.sample(size, seed=11)
    return law.frozen().rvs(size, random_state=np.random.default_rng(11))


@pytest.mark.slow
@pytest.mark.parametrize(("form", "constraint"), CASES)
def test_a_million_outputs_have_the_law_of_greatest_entropy(form: str, constraint: str) -> None:
    given, law = CONSTRAINTS[constraint]
    outputs = eafo.wafbc(form, **given)(draw(form, 1_000_000))
    assert scipy.stats.kstest(outputs, law.cdf).statistic < 0.002


@pytest.mark.parametrize(
    ("form", "constraint"),
    [("logistic", "mean"), ("gumbel", "variance"), ("cauchy", "mean"), ("half_normal", "range")],
)
def test_outputs_have_the_law_of_greatest_entropy(form: str, constraint: str) -> None:
    given, law = CONSTRAINTS[constraint]
    outputs = eafo.wafbc(form, **given)(draw(form, 100_000))
    # The 0.1 % point of the Kolmogorov distribution.
    assert scipy.stats.kstest(outputs, law.cdf).statistic < 1.95 / math.sqrt(100_000)


# -- first variations ----------------------------------------------------------------------------------------------

#: The constraint's own functions of z: perturbations keep their means, as they keep the mass.
KEPT = {
    "range": [],
    "mean": [lambda z: z],
    "variance": [lambda z: z, lambda z: z**2],
}
DIRECTIONS = [lambda u: u * (1 - u), lambda u: np.sin(2 * np.pi * u), lambda u: u**2 * (1 - u) ** 3]


def _nodes() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights in u = F(x), dense at both ends by the double-exponential substitution."""
    t = np.linspace(-3.2, 3.2, 16001)
    e = np.pi / 2 * np.sinh(t)
    u = 1 / (1 + np.exp(-2 * e))
    weights = np.pi * np.cosh(t) * u * (1 - u) * (t[1] - t[0])
    inside = (u > 2e-4) & (u < 1 - 2e-4)
    return u[inside], weights[inside]


def variations(u: np.ndarray, weights: np.ndarray, z: np.ndarray, constraint: str) -> list[float]:
    """dH/dε = E[φ′/f′] along f + ε φ, for bumps φ that keep the constraint's moments to first order: E[g′(Z) φ] = 0."""

    def shape(direction):
        # A double zero at both cuts, so that nothing is lost beyond them; of size 1.
        w = (u - u[0]) / (u[-1] - u[0])
        bump = direction(w) * (w * (1 - w)) ** 2
        return bump / np.max(np.abs(bump))

    basis = np.array([shape(d) for d in (*DIRECTIONS, np.ones_like, lambda w: w)])
    moments = [np.gradient(k(z), z, edge_order=2) for k in KEPT[constraint]]
    free = np.eye(len(basis))
    if moments:
        conditions = np.array([[np.sum(weights * b * m) for b in basis] for m in moments])
        free = np.linalg.svd(conditions)[2][len(moments) :]
    slope = np.gradient(z, u, edge_order=2)
    return [float(np.sum(weights * np.gradient(c @ basis, u, edge_order=2) / slope)) for c in free]


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize(
    "form",
    [
        form
        if form in ("logistic", "gumbel", "normal(1, 2)", "laplace")
        else pytest.param(form, marks=pytest.mark.slow)
        for form in FORMS
    ],
)
def test_first_variations_that_keep_the_constraint_vanish(form: str, constraint: str) -> None:
    given, _ = CONSTRAINTS[constraint]
    u, weights = _nodes()
    z = eafo.wafbc(form, **given)(laws.get(form).numeric.ppf(u))
    assert max(map(abs, variations(u, weights, z, constraint))) < 1e-6


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_first_variations_of_another_activation_do_not_vanish(constraint: str) -> None:
    u, weights = _nodes()
    z = np.sinh(laws.get("logistic").numeric.ppf(u) / 8)
    assert max(map(abs, variations(u, weights, z, constraint))) > 1e-3


# -- forms ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "given", "name"),
    [
        ("logistic", {"mean": 1}, "softplus"),
        ("exponential", {"mean": 1}, "relu"),
        ("exponential(2)", {"mean": 2}, "relu"),
        ("normal", {"variance": 1}, "identity"),
        ("normal(3, 2)", {"variance": 4, "output_mean": 3}, "identity"),
        ("logistic", {}, "sigmoid"),
        ("uniform", {"bounds": (-1, 1)}, "hardtanh"),
        ("uniform(-3, 3)", {"bounds": (0, 1)}, "hardsigmoid"),
    ],
)
def test_known_activations(form: str, given: dict, name: str) -> None:
    act = eafo.wafbc(form, **given)
    assert act.name == name
    assert act.expression == eafo.get(name).expression
    assert "by SymPy" in act.provenance.steps[-1]


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("normal", "-log(1/2 - erf(sqrt(2)*x/2)/2)"),
        ("gumbel", "-log(1 - exp(-exp(-x)))"),
        ("laplace", "where(x > 0, x + log(2), -log(1 - exp(x)/2))"),
    ],
)
def test_closed_forms_under_a_mean(form: str, text: str) -> None:
    assert str(eafo.wafbc(form, mean=1)) == text


def test_a_symbolic_law_gives_parameters() -> None:
    s, mu = sympy.Symbol("s", positive=True), sympy.Symbol("mu", real=True)
    law = laws.get("logistic", mean=mu, scale=s)
    act = eafo.wafbc(law, mean=1)
    assert act.defaults == {"mu": 0.0, "s": 1.0}
    assert act.parameters[1].domain.lower == 0.0
    points = np.linspace(-5, 5, 11)
    expected = np.logaddexp(0, (points - 0.5) / 2)
    np.testing.assert_allclose(act(points, mu=0.5, s=2.0), expected, rtol=1e-13)
    assert Activation.from_json(act.to_json()) == act
    sigma = laws.get("normal", deviation=sympy.Symbol("sigma", positive=True))
    assert str(eafo.wafbc(sigma, variance=9)) == "3*x/sigma"
    with pytest.raises(RefusedError, match="law of numbers alone, but got"):
        eafo.wafbc(law, variance=1)


@pytest.mark.parametrize(
    "form", ["cauchy", "uniform", "laplace", "gumbel", "exponential", "student_t(4, 1, 2)"]
)
def test_without_a_closed_form(form: str) -> None:
    act, law = eafo.wafbc(form, variance=4, output_mean=1), laws.get(form).numeric
    assert Activation.from_json(act.to_json()) == act
    assert len(str(act)) <= 4000
    u = np.linspace(1e-3, 1 - 1e-3, 999)
    # SciPy's normal quantile, two deviations wide: an error of 1e-6 of the scale.
    assert np.max(np.abs(act(law.ppf(u)) - scipy.stats.norm(1, 2).ppf(u))) < 2.1e-6
    approximation = worst.under_variance(laws.get(form), 4, 1).approximation
    assert approximation is not None
    assert approximation.smooth
    assert len(approximation.pieces) <= 8
    assert all(p.increasing for p in approximation.pieces)
    assert min(approximation.slopes) > 0


def test_a_numeric_law_under_every_constraint() -> None:
    """A law whose distribution function is known in numbers alone."""
    law = laws.get("student_t(2.5)")
    assert law.cdf is None
    x = scipy.stats.t(2.5).ppf(np.linspace(1e-4, 1 - 1e-4, 501))
    u = scipy.stats.t(2.5).cdf(x)
    np.testing.assert_allclose(eafo.wafbc(law, (-1, 1))(x), 2 * u - 1, atol=2.1e-6)
    np.testing.assert_allclose(eafo.wafbc(law, mean=1)(x), -np.log1p(-u), atol=1.1e-6)
    far = np.array([-1e30, -1e6, 1e6, 1e30])
    assert eafo.wafbc(law, (-1, 1))(far).tolist() == [-1, -1, 1, 1]
    assert eafo.wafbc(law, mean=1)(far)[:2].tolist() == [0, 0]


def test_every_step_is_told() -> None:
    steps = eafo.wafbc("gumbel", variance=1).provenance.steps
    for number, word in enumerate(
        ["greatest entropy", "multipliers", "distribution function", "F(x)", "Sturm", "own numbers"]
    ):
        assert word in steps[number]
    source = eafo.wafbc("logistic", mean=1).provenance.source
    assert source.startswith("worst activation of the law logistic on z ≥ 0 with the mean 1")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mean": 1, "variance": 1}, "exactly one constraint"),
        ({"bounds": (0, 1), "mean": 1}, "exactly one constraint"),
        ({"mean": 0}, "the mean must be between 1e-100 and 1e100"),
        ({"mean": -2.0}, "the mean must be between 1e-100 and 1e100"),
        ({"mean": math.nan}, "the mean must be between 1e-100 and 1e100"),
        ({"mean": math.inf}, "the mean must be between 1e-100 and 1e100"),
        ({"mean": "a"}, "the mean must be a number"),
        ({"variance": -1}, "the variance must be between 1e-100 and 1e100"),
        ({"variance": 1, "output_mean": math.nan}, "the output's mean must be a finite number"),
        ({"variance": 1, "output_mean": "a"}, "the output's mean must be a number"),
        ({"output_mean": 2.0}, "an output mean goes with a variance"),
    ],
)
def test_bad_constraints(given: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        eafo.wafbc("normal", **given)


@pytest.mark.parametrize(
    ("form", "given", "expected"),
    [
        ("laplace(800, 1)", {}, lambda u: u),
        ("laplace(1e3, 1e-3)", {"bounds": (-1, 1)}, lambda u: 2 * u - 1),
        ("gumbel(800, 1)", {}, lambda u: u),
        ("exponential(1, 800)", {}, lambda u: u),
        ("logistic(800, 1)", {"mean": 1}, lambda u: -np.log1p(-u)),
        ("laplace(800, 1)", {"mean": 1}, lambda u: -np.log1p(-u)),
    ],
)
def test_a_far_location_overflows_nothing(form: str, given: dict, expected) -> None:
    torch = pytest.importorskip("torch")
    act = eafo.wafbc(form, **given)
    u = np.linspace(0.01, 0.99, 99)
    x = laws.get(form).frozen().ppf(u)
    found = eafo.nn.Module(act)(torch.tensor(x)).detach().numpy()
    # An ulp of x, seen through the law's scale.
    np.testing.assert_allclose(found, expected(u), rtol=1e-6)


@pytest.mark.parametrize(
    "form",
    [
        "scipy.pareto(2)",
        "scipy.lognorm(1)",
        "scipy.weibull_min(1.5)",
        "0.5*scipy.pareto(2) + 0.5*normal",
        "0.5*scipy.pareto(2) + 0.5*scipy.weibull_min(1.5)",
        "0.5*uniform + 0.5*scipy.pareto(2)",
    ],
)
@pytest.mark.parametrize("given", [{"bounds": (-1, 2)}, {"mean": 1}])
def test_a_formula_that_turns_or_ends_outside_the_support(form: str, given: dict) -> None:
    """1 − 1/x² falls for x < 0, and log x has no value there: neither may be clipped at the support's end."""
    act, law = eafo.wafbc(form, **given), laws.get(form).numeric
    x = np.array([-1e6, -3.0, -0.1, 0.0, 0.7, 1.5, 3.0])
    expected = -1 + 3 * law.cdf(x) if "bounds" in given else -np.log(law.sf(x))
    np.testing.assert_allclose(act(x), expected, atol=1e-12)
    assert np.all(act.diff()(x) >= 0)


@pytest.mark.parametrize(
    ("form", "given"),
    [
        ("scipy.gamma(0.5)", {"mean": 1}),
        ("scipy.lognorm(1)", {"variance": 1}),
        ("student_t(0.5)", {"mean": 1}),
        ("laplace", {"variance": 1}),
    ],
)
def test_rational_pieces_keep_their_digits_in_single_precision(form: str, given: dict) -> None:
    """An x far smaller than its piece must not be lost in the piece's own variable."""
    torch = pytest.importorskip("torch")
    act, numbers = eafo.wafbc(form, **given), laws.get(form).numeric
    levels = np.geomspace(1e-3, 0.5, 500)
    x = np.concatenate([numbers.ppf(levels), numbers.isf(levels)]).astype(np.float32)
    found = eafo.nn.Module(act)(torch.from_numpy(x)).detach().numpy()
    expected = act(x.astype(np.float64))
    assert np.max(np.abs(found - expected) / np.maximum(1, np.abs(expected))) < 3e-6


def test_a_closed_form_beyond_the_formula_language_is_none() -> None:
    act = eafo.wafbc("scipy.beta(2, 2)", (0, 1))
    np.testing.assert_allclose(
        act([-1.0, 0.25, 2.0]), scipy.stats.beta(2, 2).cdf([-1.0, 0.25, 2.0]), atol=2e-6
    )
    with pytest.raises(RefusedError, match="without a closed form"):
        eafo.wafbc("scipy.arcsine", (0, 1))


@pytest.mark.parametrize(
    "form",
    [
        "0.3*normal(-2, 1) + 0.7*normal(1, 0.5)",
        "0.5*laplace(0, 1) + 0.5*normal(3, 1)",
        "0.5*gumbel(0, 1) + 0.5*gumbel(3, 1)",
        "0.3*logistic(-5, 1) + 0.7*logistic(5, 2)",
    ],
)
def test_a_mixture_under_a_mean_stays_finite(form: str) -> None:
    torch = pytest.importorskip("torch")
    act, law = eafo.wafbc(form, mean=1), laws.get(form).numeric
    assert "along its tangent" in act.provenance.steps[-2]
    assert eafo.properties(act).continuous
    x = np.concatenate([law.isf(np.array([0.5, 1e-2, 1.1e-4])), [20.0, 1e3, 1e6]])
    for dtype in (torch.float32, torch.float64):
        at = torch.tensor(x).to(dtype).requires_grad_()
        y = eafo.nn.Module(act)(at)
        (slope,) = torch.autograd.grad(y.sum(), at)
        assert torch.isfinite(y).all()
        assert (slope > 0).all()
        # Single precision has three digits of a tail of 1e-4.
        digits = 1e-3 if dtype is torch.float32 else 1e-10
        np.testing.assert_allclose(y.detach()[:3], -np.log(law.sf(x[:3])), rtol=digits)


def test_a_numeric_law_over_twenty_decades() -> None:
    """Half a degree of freedom: the bulk runs from −1e12 to 1e12."""
    act, law = eafo.wafbc("student_t(0.5)", variance=1), scipy.stats.t(0.5)
    u = np.linspace(0.01, 0.99, 99)
    np.testing.assert_allclose(act(law.ppf(u)), scipy.stats.norm.ppf(u), atol=2e-4)


# -- as kernels ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["laplace", "exponential"])
def test_rational_pieces_compile_as_any_other(form: str) -> None:
    torch = pytest.importorskip("torch")
    act = eafo.wafbc(form, variance=1)
    for backend in ("aten", "cpp"):
        assert eafo.kernels.verify(act, backend=backend, points=41).ok
    module = eafo.nn.Module(act)
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        # Beyond it the tangent's slope itself, up to 6e4, leaves the format.
        largest = torch.finfo(dtype).max / 6e4
        sizes = 10.0 ** np.linspace(-30, math.log10(largest), 400)
        x = torch.tensor(np.concatenate([-sizes, [0.0], sizes])).to(dtype).requires_grad_()
        y = module(x)
        (slope,) = torch.autograd.grad(y.sum(), x)
        assert torch.isfinite(y).all()
        assert torch.isfinite(slope).all()
        assert (slope > 0).all()
        order = torch.argsort(x.detach())
        assert (torch.diff(y.detach()[order]) >= 0).all()


def test_bounds_of_sympy_stay_exact() -> None:
    act = eafo.wafbc("cauchy", bounds=(-sympy.pi / 2, sympy.pi / 2))
    assert act.name == "arctan"
    assert "bounds -pi/2 and pi/2: A = -pi/2, B = pi" in act.provenance.steps
    assert str(eafo.wafbc("cauchy", bounds=(0, sympy.Rational(1, 3)))) == "atan(x)/(3*pi) + 1/6"


@pytest.mark.parametrize(
    ("form", "given", "to"),
    [
        ("cauchy", {"variance": 1.0}, 1e-6),
        ("cauchy(1000, 2)", {"variance": 4.0, "output_mean": 3.0}, 1e-6),
        ("student_t(2)", {"variance": 1.0}, 1e-6),
        ("student_t(0.5)", {"variance": 1.0}, 1e-4),
        ("scipy.pareto(0.8)", {"variance": 2.0}, 1e-4),
        ("student_t(0.5)", {"mean": 1.0}, 1e-6),
        ("student_t(2)", {"mean": 1.0}, 1e-6),
        ("0.5*exponential + 0.5*cauchy", {"mean": 1.0}, 1e-4),
    ],
)
def test_the_constraint_holds_under_a_heavy_tail(form: str, given: dict, to: float) -> None:
    """The moment by the trapezoid rule in −log of the probability of each tail, out to e^−250."""
    act, numbers = eafo.wafbc(form, **given), laws.get(form).numeric
    edges = np.linspace(math.log(2), 250, 200_001)
    level = np.exp(-(edges[1:] + edges[:-1]) / 2)
    weight = level * np.diff(edges)
    outputs = [act(quantile(level)) for quantile in (numbers.ppf, numbers.isf)]
    if "mean" in given:
        assert sum(float(z @ weight) for z in outputs) == pytest.approx(given["mean"], rel=2 * to)
    else:
        level_of_output = given.get("output_mean", 0.0)
        moments = [float((z - level_of_output) ** 2 @ weight) for z in outputs]
        assert sum(moments) == pytest.approx(given["variance"], rel=2 * to)
    far = numbers.isf(np.array([1e-8, 1e-20, 1e-60]))
    exact = (
        -given["mean"] * np.log([1e-8, 1e-20, 1e-60])
        if "mean" in given
        else given.get("output_mean", 0.0)
        + math.sqrt(given["variance"]) * scipy.stats.norm.isf([1e-8, 1e-20, 1e-60])
    )
    np.testing.assert_allclose(act(far), exact, rtol=0.05)
    told = " ".join(act.provenance.steps)
    assert "since along a tangent a power tail would break the constraint" in told
    assert "the constraint's moment of the output is kept to" in told


def test_a_light_tail_goes_on_along_its_tangent() -> None:
    for form in ("student_t(4)", "laplace"):
        told = " ".join(eafo.wafbc(form, variance=1).provenance.steps)
        assert "the tangents beyond" in told
        assert "the constraint's moment of the output is kept to" in told


def test_a_continuation_has_the_value_and_the_slope_of_the_pieces() -> None:
    expression = eafo.wafbc("cauchy(1000, 2)", variance=4, output_mean=3).expression
    x = sympy.Symbol("x", real=True)
    cases = []
    while isinstance(expression, sympy.Piecewise):
        cases.append(expression.args[0][0])
        expression = expression.args[-1][0]
    left, first, *_, last, right = *cases, expression
    for before, after, at in ((left, first, -63_000), (last, right, 65_000)):
        for order in (0, 1):
            one, other = (float(sympy.diff(e, x, order).subs(x, at).evalf(30)) for e in (before, after))
            assert one == pytest.approx(other, rel=1e-12)


def test_the_continuations_of_a_heavy_tail_compile() -> None:
    torch = pytest.importorskip("torch")
    for given in ({"variance": 1}, {"mean": 1}):
        act = eafo.wafbc("student_t(2)", **given)
        for backend in ("aten", "cpp"):
            assert eafo.kernels.verify(act, backend=backend, points=41).ok
        module = eafo.nn.Module(act)
        for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
            sizes = 10.0 ** np.linspace(-30, math.log10(0.99 * torch.finfo(dtype).max), 400)
            x = torch.tensor(np.concatenate([-sizes, [0.0], sizes])).to(dtype).requires_grad_()
            y = module(x)
            (slope,) = torch.autograd.grad(y.sum(), x)
            assert torch.isfinite(y).all()
            assert torch.isfinite(slope).all()
            assert (slope >= 0).all()
