"""Expressions as people read them: plain text, a terminal's Unicode, LaTeX and MathML."""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ET
from typing import Any

import sympy
from sympy.printing.mathml import MathMLPresentationPrinter

from eafo import formula
from eafo.errors import EafoError

__all__ = ["latex", "mathml", "pretty", "text"]


def text(expression: sympy.Basic) -> str:
    """One line of text: formula text where the expression is an activation's, else SymPy's own.

    >>> text(sympy.Max(0, sympy.Symbol("x")))
    'max(0, x)'
    """
    try:
        return formula.to_text(expression)
    except EafoError:
        return str(expression)


def pretty(expression: sympy.Basic) -> str:
    """Several lines of Unicode for a terminal."""
    return str(sympy.pretty(formula.with_decimals(expression), use_unicode=True, wrap_line=False))


def latex(expression: sympy.Basic) -> str:
    """LaTeX, without dollar signs; long fractions as decimals."""
    return str(sympy.latex(formula.with_decimals(expression)))


class _Printer(MathMLPresentationPrinter):
    """SymPy's printer, which builds a DOM tree; the settings that make it readable in a browser."""

    def __init__(self) -> None:
        super().__init__({"mul_symbol": None, "fold_func_brackets": False})


def mathml(expression: sympy.Basic, *, display: bool = True) -> str:
    """A ``<math>`` element of presentation MathML.

    >>> mathml(sympy.Symbol("x"), display=False)
    '<math xmlns="http://www.w3.org/1998/Math/MathML"><mi>x</mi></math>'
    """
    printer = _Printer()
    body: Any = printer._print(formula.with_decimals(expression))
    namespace = "http://www.w3.org/1998/Math/MathML"
    block = ' display="block"' if display else ""
    # SymPy leaves comparison signs bare, and writes HTML's named entities, which XML does not know.
    tree = re.sub(r"<mo>(<|<=|>=|>)</mo>", lambda m: f"<mo>{html.escape(m[1])}</mo>", body.toxml())
    markup = re.sub(r"&(?!lt;|gt;|amp;|quot;)\w+;", lambda m: html.unescape(m[0]), tree)
    result = f'<math xmlns="{namespace}"{block}>{markup}</math>'
    ET.fromstring(result)  # noqa: S314 - our own output: malformed MathML must not leave this room
    return result
