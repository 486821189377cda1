"""Formulas as people read them: well-formed MathML whose signs are the mathematician's."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
import sympy

import eafo
from eafo import catalog, laws
from eafo.rendering import latex, mathml, pretty, text

x, y = sympy.symbols("x y", real=True)
EXPRESSIONS = [
    *(catalog.get(name).expression for name in catalog.names()),
    *(catalog.get(name).diff().expression for name in catalog.names()),
    *(laws.get(name).density for name in laws.names()),
    *(laws.get(name).cdf_everywhere() for name in laws.names()),
]


def read(expression: sympy.Basic) -> str:
    """The MathML's text, without its invisible signs."""
    root = ET.fromstring(mathml(expression))
    return "".join(root.itertext()).replace("\u2062", "").replace("\u2061", "").replace("\u00a0", " ")


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=str)
def test_every_form_can_be_written(expression):
    root = ET.fromstring(mathml(expression))
    assert root.get("display") == "block"
    assert not re.search("[ⅆⅇ-]|piecewise|True", read(expression)), read(expression)
    assert text(expression)
    assert pretty(expression)
    assert latex(expression)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (-x, "−x"),
        (x - 1, "x−1"),
        (2 * x * sympy.exp(-x), "2xe−x"),
        (x / 2, "x2"),
        (sympy.Function("G")(x), "G(x)"),
        (sympy.Function("eta")(x), "η(x)"),
        (sympy.Symbol("epsilon"), "ε"),
        (sympy.Symbol("y''"), "y″".replace("″", "′′")),
        (sympy.Derivative(sympy.Function("p")(y), y), "ddyp(y)"),
        (sympy.Derivative(sympy.Function("p")(y), (y, 2)), "d2dy2p(y)"),
        (sympy.Integral(x, (x, 0, 1)), "∫01xdx"),
        (sympy.Piecewise((x, x > 0), (0, True)), "{xif x>00otherwise"),
        (sympy.Le(x, 1), "x≤1"),
        (3 * y * (x + 1), "3y(x+1)"),
    ],
)
def test_signs_and_names(expression, expected):
    assert read(expression) == expected


def test_an_exponential_stays_above_the_line():
    root = ET.fromstring(mathml(sympy.exp(-(x**2)) / 2))
    fraction = root.find(".//{*}mfrac")
    assert fraction is not None
    assert "".join(fraction[1].itertext()) == "2"


def test_names_of_markup_are_escaped():
    assert read(sympy.Symbol("<b>&")) == "<b>&"


def test_max_is_written_small_on_a_terminal():
    assert pretty(sympy.Max(0, x)) == "max(0, x)"
    assert pretty(sympy.Min(1, x)) == "min(1, x)"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1e-7*x", "10^{-7} x"),
        ("-1.5e-7*x", r"- 1.5 \cdot 10^{-7} x"),
        ("x/(1 + 2e-9*exp(x))", r"\frac{x}{2 \cdot 10^{-9} e^{x} + 1}"),
        ("1e-7**x", r"\left(10^{-7}\right)^{x}"),
        ("0.0025*x", "0.0025 x"),
    ],
)
def test_small_decimals_are_powers_of_ten(written: str, expected: str) -> None:
    act = eafo.get(written)
    assert act.latex() == expected
    assert "E-" not in mathml(act.expression)
