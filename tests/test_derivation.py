"""Derivations: CRReLU from ReLU, with each step, its forms and its findings."""

from __future__ import annotations

import json
import math
import re
import runpy
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import sympy

import eafo
from eafo import rendering
from eafo.activation import Activation
from eafo.errors import InputError, RefusedError

x = sympy.Symbol("x", real=True)
FOLDER = Path(__file__).parents[1] / "derivations"


def test_relu_and_normal_give_crrelu() -> None:
    derivation = eafo.derive("relu", law="normal")
    assert derivation.correction == x * sympy.exp(-(x**2) / 2)
    assert derivation.constant == 1 / sympy.sqrt(2 * sympy.pi)
    assert derivation.activation == eafo.get("crrelu")
    assert derivation.slope == pytest.approx(1 / (2 * math.sqrt(2)), rel=1e-12)
    names = [s.name for s in derivation.steps]
    assert names == [
        "Base activation",
        "Input law",
        "Entropy functional",
        "Euler–Lagrange expression",
        "First integral",
        "Legendre condition",
        "Inverse",
        "Steepest descent",
        "Steepest descent, in x",
        "Ends",
        "Perturbed inverse",
        "Its inverse, to first order",
        "Activation",
        "Sign",
    ]
    assert all(s.justification and s.verification for s in derivation.steps)


def test_the_sign_is_shown() -> None:
    derivation = eafo.derive("relu")
    at = {e.epsilon: e.entropy for e in derivation.entropies}
    assert at[-0.01] < at[0.0] < at[0.01]  # type: ignore[operator]
    finding = derivation.findings[0]
    assert "falls for ε < 0" in finding
    assert "H(0) = 0.725791353" in finding
    assert "H(+0.01) = 0.729307737" in finding
    assert derivation.steps[-1].formula.rhs == sympy.sqrt(2) / 4


def test_proposition_2_is_of_second_order() -> None:
    step = eafo.derive("relu").steps[11]
    assert "2.9463e-05" in step.verification  # 2.94633e-5, known independently


@pytest.mark.parametrize(
    ("base", "law"),
    [
        ("relu", "normal"),
        ("relu", "laplace"),
        ("softplus", "logistic"),
        ("elu", "normal"),
        ("tanh", "laplace"),
    ],
)
def test_forms(base: str, law: str) -> None:
    derivation = eafo.derive(base, law)
    data = json.loads(json.dumps(derivation.to_dict()))
    assert Activation.from_json(json.dumps(data["activation"])) == derivation.activation
    assert len(data["steps"]) == len(derivation.steps)
    ET.fromstring(f"<div>{derivation.html()}</div>")
    assert derivation.text().count("✓") == len(derivation.steps)
    assert derivation.latex().startswith(r"\begin{align*}")
    assert "<math" in derivation.html()
    notebook = derivation._repr_markdown_()
    assert notebook.count("\n$$ ") == len(derivation.steps)
    assert all(f"$$ {rendering.latex(step.formula)} $$" in notebook for step in derivation.steps)


def test_the_parameter_gets_a_free_name() -> None:
    act = eafo.derive("where(x > 0, x, epsilon*x); epsilon=0.5").activation
    assert [p.name for p in act.parameters] == ["epsilon", "epsilon_1"]
    assert [p.learnable for p in act.parameters] == [True, True]


def test_names_are_escaped() -> None:
    name = "<script>alert(1)</script>"
    act = Activation(name, x)
    derivation = eafo.derive(act)
    assert "<script>" not in derivation.html()
    assert "\\<script\\>" in derivation._repr_markdown_()
    assert not re.search(r"(?<!\\)<script", derivation._repr_markdown_())


#: One of each route: through the inverse, score form, projected, differenced, second order, at a resolution, scale-free.
ROUTES = [
    ("relu", "normal", {}, "symbolic"),
    ("softplus", "logistic", {}, "symbolic"),
    ("softplus", "normal", {"metric": "input"}, "symbolic"),
    ("relu", "laplace", {}, "numeric"),
    ("leaky_relu", "normal", {}, "numeric"),
    ("silu", "normal", {}, "numeric"),
    ("hardtanh", "normal", {}, "numeric"),
    ("sigmoid", "logistic", {}, "numeric"),
    ("sigmoid", "cauchy", {}, "numeric"),
    ("relu", "scipy.norminvgauss(2, 0.5)", {}, "numeric"),
    ("softplus", "normal", {"scale_free": True}, "symbolic"),
    ("identity", "normal", {"scale_free": True}, "numeric"),
]


@pytest.mark.parametrize(("base", "law", "options", "route"), ROUTES)
def test_every_step_passes_its_check_again(
    base: str, law: str, options: dict[str, object], route: str
) -> None:
    derivation = eafo.derive(base, law, **options)  # type: ignore[arg-type]
    told = derivation.verify()
    assert [str(v) for v in told if not v.ok] == []
    assert len(told) >= 6
    by_name = {s.name: s for s in derivation.steps}
    assert ("Projection" in by_name) == (route == "numeric")
    for name, step in by_name.items():
        numeric = name == "Projection" or (name == "Input law" and derivation.law.density is None)
        assert step.route == ("numeric" if numeric else "symbolic"), name
    assert derivation.activation.defaults["epsilon"] == 0.01
    assert derivation.slope >= 0


def test_a_numeric_derivation_in_every_form() -> None:
    derivation = eafo.derive("silu", orders=(1, 3))
    assert "(numerical)" in derivation.text()
    assert derivation.latex().endswith(r"\end{align*}")
    ET.fromstring(f"<div>{derivation.html()}</div>")
    data = json.loads(json.dumps(derivation.to_dict()))
    assert "numeric" in {s["route"] for s in data["steps"]}
    again = Activation.from_json(json.dumps(data["activation"]))
    assert float(again(1.3)) == float(derivation.activation(1.3))


def test_findings() -> None:
    def told(base: str, law: str = "normal", **options: object) -> str:
        return " ".join(eafo.derive(base, law, **options).findings)  # type: ignore[arg-type]

    assert "The base jumps by 0.0025 at x = 0" in told("sinerelu", orders=(1, 3))
    relu = told("relu")
    assert "The sign of ε." in relu
    assert "Monotone. The branch stays increasing for -1 ≤ ε ≤ 2.24084454." in relu
    assert "Beyond D the base is flat" in relu
    assert "At a resolution. The differential entropy of the output is −∞" in told("sigmoid", "cauchy")
    assert "At a maximum already." in told("sigmoid", "logistic")
    assert "Projected: f has no inverse: it turns at x = -1.278" in told("silu", orders=(1,))
    free = told("softplus", scale_free=True)
    assert "J = H − log of the scale" in free
    assert "H(0)" not in free


def test_proved_error_of_the_first_order_inverse() -> None:
    bound = eafo.derive("relu").error_bound(0.01)
    assert 2.94633e-5 * (1 - 2e-6) <= bound.upper <= 1.001 * 2.94634e-5
    with pytest.raises(RefusedError, match="must lie inside one branch of relu"):
        eafo.derive("relu").error_bound(0.01, interval=(-1, 1))
    with pytest.raises(
        RefusedError, match=r"where the base increases, but got '\(-oo, 0\), where relu is flat'"
    ):
        eafo.derive("relu").error_bound(0.01, interval=("-oo", 0))


@pytest.mark.parametrize(("base", "law", "options", "kind", "message"), [
    ("nosuch", "normal", {}, InputError, "catalog name"),
    ("relu", "nosuch", {}, InputError, "a law must be"),
    ("relu", "normal", {"metric": "no"}, InputError, "a metric must be one of"),
    ("relu", "normal", {"orders": (2,)}, InputError, "must be odd and positive"),
    ("relu", "uniform(-2, -1)", {}, RefusedError, "must not be flat"),
    ("1", "normal", {}, RefusedError, "must not be flat"),
])  # fmt: skip
def test_bad_input(
    base: str, law: str, options: dict[str, object], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        eafo.derive(base, law, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda p: p.stem)
def test_worked_derivations_run(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(path), run_name="__main__")
    assert len(capsys.readouterr().out.splitlines()) > 5


def test_rendering() -> None:
    expression = sympy.Piecewise((x, x > 0), (sympy.Rational("0.0118645") * x, True))
    ET.fromstring(rendering.mathml(expression))
    assert "0.0118645" in rendering.mathml(expression)
    assert "0.0118645" in rendering.latex(expression)
    assert rendering.text(expression) == "where(x > 0, x, 0.0118645*x)"
    assert rendering.text(sympy.Function("p")(x)) == "p(x)"


#: What went wrong once: exponents too large for SymPy's polynomials, an inverse of one half of D only, quantiles outside D, slopes
#: beyond doubles, a zero of f′ without a turn, one at the end of the support, an inverse by Lambert's W, a lost quantile, an
#: infinite score at the end of the support, an f within a rounding of its limits at most quantiles.
HARD = [
    ("x**3", "0.4*normal(-1.185875, 0.917475) + 0.6*normal(1.005781, 0.43189)"),
    ("x**3", "normal(0.3, 2)"),
    ("where(x > 1, x, 0)", "normal"),
    ("exp(x)", "student_t(2)"),
    ("cosh(x)", "student_t(2)"),
    ("exp(exp(x))", "normal(0.3, 2)"),
    ("x + sin(x)", "normal"),
    ("crrelu", "uniform"),
    ("silu", "uniform"),
    ("sin", "0.5*normal(-1,1)+0.5*normal(1,1)"),
    ("x + sin(x)**2", "normal"),
    ("x**3", "exponential"),
    ("x**3", "uniform(0, 1)"),
    ("x**4", "exponential"),
    ("erf", "laplace(0, 2)"),
    ("tanh", "normal(0, 20)"),
]


@pytest.mark.parametrize(("base", "law"), HARD)
def test_hard_cases_end_in_an_activation(base: str, law: str) -> None:
    derivation = eafo.derive(base, law)
    assert [v for v in derivation.verify() if not v.ok] == []
    entropies = {e.epsilon: e.entropy for e in derivation.entropies}
    if entropies[-0.01] is not None:
        assert entropies[-0.01] < entropies[0.0]


def test_an_infinite_entropy_is_refused() -> None:
    with pytest.raises(RefusedError, match="the entropy of the output must not be \\+∞"):
        eafo.derive("sinh(x)", "cauchy")
