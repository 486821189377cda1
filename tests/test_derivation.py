"""Derivations: CRReLU from ReLU, with each step, its forms and its findings."""

from __future__ import annotations

import json
import math
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
    assert "<math" in derivation._repr_html_()


def test_the_parameter_gets_a_free_name() -> None:
    act = eafo.derive("where(x > 0, x, epsilon*x); epsilon=0.5").activation
    assert [p.name for p in act.parameters] == ["epsilon", "epsilon_1"]
    assert [p.learnable for p in act.parameters] == [True, True]


def test_names_are_escaped() -> None:
    name = "<script>alert(1)</script>"
    act = Activation(name, x)
    derivation = eafo.derive(act)
    assert "<script>" not in derivation.html()
    assert "<script>" not in derivation._repr_html_()


@pytest.mark.parametrize(("base", "law", "kind"), [
    ("nosuch", "normal", InputError),
    ("relu", "nosuch", InputError),
    ("sign(x)", "normal", RefusedError),
    ("relu", "uniform(-3, -1)", RefusedError),
])  # fmt: skip
def test_bad_input(base: str, law: str, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        eafo.derive(base, law)
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
