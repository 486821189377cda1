"""Expressions as people read them: plain text, a terminal's Unicode, LaTeX and MathML."""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ET
from typing import Any
from xml.dom import minidom

import sympy
from sympy.core.function import AppliedUndef
from sympy.printing.latex import LatexPrinter
from sympy.printing.mathml import MathMLPresentationPrinter
from sympy.printing.precedence import PRECEDENCE
from sympy.printing.pretty.pretty import PrettyPrinter

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
    printer = _Pretty({"use_unicode": True, "wrap_line": False})
    return str(printer.doprint(formula.with_decimals(expression)))


class _Pretty(PrettyPrinter):
    """SymPy's printer, with max and min as everybody writes them."""

    def _print_Max(self, largest: sympy.Max) -> Any:
        return self._print_Function(largest, func_name="max")

    def _print_Min(self, smallest: sympy.Min) -> Any:
        return self._print_Function(smallest, func_name="min")


def latex(expression: sympy.Basic) -> str:
    r"""LaTeX, without dollar signs; long fractions as decimals.

    >>> latex(sympy.Symbol("x") / 10**7)
    '10^{-7} x'
    """
    return str(_Latex().doprint(formula.with_decimals(expression)))


def _scientific(name: str) -> tuple[str, str] | None:
    """1.5 and 7 of a decimal such as 1.5E-7, the first empty where it is 1; None for other names."""
    found = re.fullmatch(r"(\d[\d.]*)E-(\d+)", name)
    return ("" if found[1] == "1" else found[1], found[2]) if found else None


class _Latex(LatexPrinter):
    """SymPy's printer, with powers of ten where a decimal has an exponent."""

    def _print_Symbol(self, symbol: sympy.Symbol, style: str = "plain") -> str:
        if shown := _scientific(symbol.name):
            mantissa, exponent = shown
            return (rf"{mantissa} \cdot " if mantissa else "") + f"10^{{-{exponent}}}"
        return str(super()._print_Symbol(symbol, style))

    def _print_Pow(self, power: sympy.Pow) -> str:
        if isinstance(power.base, sympy.Symbol) and _scientific(power.base.name):
            return rf"\left({self._print(power.base)}\right)^{{{self._print(power.exp)}}}"
        return str(super()._print_Pow(power))


#: SymPy writes minus as a hyphen, and the differential in a letter that few fonts have.
_REPAIRS = (
    (r"<(mo|mn)>-", r"<\1>−"),
    (r"<mo>ⅆ</mo>", '<mspace width="0.17em"/><mi mathvariant="normal">d</mi>'),
)


class _Printer(MathMLPresentationPrinter):
    """SymPy's printer, which builds a DOM tree, with the signs and spaces that mathematicians write."""

    def __init__(self) -> None:
        super().__init__({"mul_symbol": None, "fold_func_brackets": False})
        self.dom.createTextNode = self._text

    def _text(self, data: str) -> minidom.Text:
        # SymPy's own leaves text unescaped, for the sake of the HTML entities that it writes.
        made = minidom.Text()
        made.data, made.ownerDocument = html.unescape(data), self.dom
        return made

    def _element(self, kind: str, *children: Any, **attributes: str) -> Any:
        made = self.dom.createElement(kind)
        for child in children:
            made.appendChild(self.dom.createTextNode(child) if isinstance(child, str) else child)
        for name, value in attributes.items():
            made.setAttribute(name, value)
        return made

    def _print_Exp1(self, _: Any) -> Any:
        return self._element("mi", "e")

    def _print_Symbol(self, symbol: sympy.Symbol, style: str = "plain") -> Any:
        if shown := _scientific(symbol.name):
            mantissa, exponent = shown
            ten = self._element("msup", self._element("mn", "10"), self._element("mn", f"−{exponent}"))
            if not mantissa:
                return ten
            return self._element("mrow", self._element("mn", mantissa), self._element("mo", "·"), ten)
        name = symbol.name.rstrip("'")
        if primes := len(symbol.name) - len(name):
            mark = self._element("mo", "′" * primes, lspace="0", rspace="0")
            return self._element("mrow", super()._print_Symbol(sympy.Symbol(name)), mark)
        return super()._print_Symbol(symbol, style)

    def _print_Function(self, applied: Any) -> Any:
        # SymPy sets the names of undefined functions in lower case, and Greek ones in Latin letters.
        if isinstance(applied, AppliedUndef):
            name = self._print_Symbol(sympy.Symbol(applied.func.__name__))
            return self._element("mrow", name, self._paren_comma_separated(*applied.args))
        return super()._print_Function(applied)

    def _print_Piecewise(self, cases: sympy.Piecewise) -> Any:
        table = self._element("mtable")
        for value, condition in cases.args:
            always = condition == sympy.true
            when = [self._element("mtext", "otherwise" if always else "if\u00a0")]
            when += [] if always else [self._print(condition)]
            cells = (self._print(value), self._element("mrow", *when))
            # Browsers take the alignment from CSS, not from the table's attribute.
            row = (self._element("mtd", cell, style="text-align: left; padding-right: 1em") for cell in cells)
            table.appendChild(self._element("mtr", *row))
        return self._element("mrow", self._element("mo", "{", stretchy="true"), table)

    def _print_Mul(self, product: sympy.Expr) -> Any:
        if product.could_extract_minus_sign():
            return self._element("mrow", self._element("mo", "−"), self._signless(-product))
        return self._signless(product)

    def _signless(self, product: sympy.Expr) -> Any:
        # exact: exp(-x) stays a factor and does not go below the line as exp(x).
        above, below = sympy.fraction(product, exact=True)
        if below != 1:
            return self._element("mfrac", self._factors(above), self._factors(below))
        return self._factors(product)

    def _factors(self, product: sympy.Expr) -> Any:
        factors = product.as_ordered_factors()
        if len(factors) == 1:
            return self._print(product)
        row = self._element("mrow")
        for number, factor in enumerate(factors):
            if number:
                spaced = isinstance(factor, sympy.Function) and not isinstance(
                    factor, (AppliedUndef, sympy.exp)
                )
                row.appendChild(self._space() if spaced else self._element("mo", "\u2062"))
            row.appendChild(self.parenthesize(factor, PRECEDENCE["Mul"]))
        return row

    def _space(self) -> Any:
        return self._element("mspace", width="0.17em")

    def _print_Derivative(self, derivative: sympy.Derivative) -> Any:
        sign = "∂" if len(derivative.expr.free_symbols) > 1 else "d"
        below = self._element("mrow")
        for symbol, order in derivative.variable_count:
            below.appendChild(self._element("mi", sign, mathvariant="normal"))
            below.appendChild(self._raised(self._print(symbol), order))
        order = sum(int(count) for _, count in derivative.variable_count)
        above = self._raised(self._element("mi", sign, mathvariant="normal"), order)
        inner = self.parenthesize(derivative.expr, PRECEDENCE["Mul"])
        return self._element("mrow", self._element("mfrac", above, below), self._space(), inner)

    def _raised(self, base: Any, order: Any) -> Any:
        return base if order == 1 else self._element("msup", self._element("mrow", base), self._print(order))


def mathml(expression: sympy.Basic, *, display: bool = True) -> str:
    """A ``<math>`` element of presentation MathML.

    >>> mathml(sympy.Symbol("x"), display=False)
    '<math xmlns="http://www.w3.org/1998/Math/MathML"><mi>x</mi></math>'
    """
    printer = _Printer()
    body: Any = printer._print(formula.with_decimals(expression))
    namespace = "http://www.w3.org/1998/Math/MathML"
    block = ' display="block"' if display else ""
    tree = body.toxml()
    for pattern, replacement in _REPAIRS:
        tree = re.sub(pattern, replacement, tree)
    result = f'<math xmlns="{namespace}"{block}>{tree}</math>'
    ET.fromstring(result)  # noqa: S314 - our own output: malformed MathML must not leave this room
    return result
