"""Formula text to SymPy expression and back, by a whitelist.

User text never meets ``eval``, ``sympify`` or ``parse_expr``: Python's own grammar reads it into a syntax tree
(which runs nothing), and this module turns the few allowed nodes into SymPy objects, one by one.

    x*tanh(log(1 + exp(x)))
    where(x > 0, x, alpha*(exp(x) - 1)); alpha=1

Numbers are kept exact: ``1.7`` is 17/10. Names other than ``x``, ``pi`` and ``e`` are parameters, and stand with
their defaults behind a semicolon.
"""

from __future__ import annotations

import ast
import decimal as decimal_module
import keyword
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import sympy
from sympy.printing.str import StrPrinter

from eafo.errors import InputError

__all__ = ["NAME", "VARIABLE", "parse", "parse_call", "parse_with_defaults", "to_text", "validate"]

#: The variable of every activation.
VARIABLE = sympy.Symbol("x", real=True)
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}")

_LONGEST_TEXT = 4000
_MOST_NODES = 3000
_MOST_DIGITS = 400
_MOST_ARGUMENTS = 8
_DEEPEST_EXPONENTIAL = 2
#: Reserved words of Python that are words of the formula language too.
_WORDS = {"and", "or", "not"}
_CONSTANTS = {"pi": sympy.pi, "e": sympy.E}


def _erf_cdf(u: sympy.Expr) -> sympy.Expr:
    return (1 + sympy.erf(u / sympy.sqrt(2))) / 2


_UNARY: dict[str, Callable[[Any], Any]] = {
    "abs": sympy.Abs,
    "arctan": sympy.atan,
    "atan": sympy.atan,
    "asinh": sympy.asinh,
    "cos": sympy.cos,
    "cosh": sympy.cosh,
    "erf": sympy.erf,
    # SymPy would turn erfc(-x) into 2 - erfc(x), and lose the left tail; kernels read 1 - erf(u) as erfc(u).
    "erfc": lambda u: sympy.erfc(u) if u.is_number else 1 - sympy.erf(u),
    "exp": sympy.exp,
    "expm1": lambda u: sympy.exp(u) - 1,
    "gelu": lambda u: u * _erf_cdf(u),
    "log": sympy.log,
    "log1p": lambda u: sympy.log(1 + u),
    "relu": lambda u: sympy.Max(0, u),
    "sigmoid": lambda u: 1 / (1 + sympy.exp(-u)),
    "sign": sympy.sign,
    "silu": lambda u: u / (1 + sympy.exp(-u)),
    "sin": sympy.sin,
    "sinh": sympy.sinh,
    "softplus": lambda u: sympy.log(1 + sympy.exp(u)),
    "sqrt": sympy.sqrt,
    "tan": sympy.tan,
    "tanh": sympy.tanh,
}
#: What grows no faster than its argument, and is computed without an exponential.
_SLOW = {"abs", "arctan", "asinh", "atan", "log", "log1p", "relu", "sign", "sqrt"}
_FUNCTIONS = sorted([*_UNARY, "max", "min", "where"])

#: What an expression may be built of, whoever built it.
_ALLOWED = (
    sympy.Add, sympy.Mul, sympy.Pow, sympy.Symbol, sympy.Number, sympy.NumberSymbol,
    sympy.exp, sympy.log, sympy.sin, sympy.cos, sympy.tan, sympy.tanh, sympy.sinh, sympy.cosh,
    sympy.atan, sympy.asinh, sympy.erf, sympy.erfc, sympy.Abs, sympy.sign, sympy.Max, sympy.Min,
    sympy.Piecewise, sympy.functions.elementary.piecewise.ExprCondPair,
    sympy.core.relational.Relational, sympy.And, sympy.Or, sympy.Not,
    sympy.logic.boolalg.BooleanAtom,
)  # fmt: skip
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: sympy.Lt,
    ast.LtE: sympy.Le,
    ast.Gt: sympy.Gt,
    ast.GtE: sympy.Ge,
    ast.Eq: sympy.Eq,
    ast.NotEq: sympy.Ne,
}


def _refuse(rule: str, value: object, remedy: str = "") -> InputError:
    return InputError(rule, value if isinstance(value, str) else ast.unparse(value), remedy)  # type: ignore[arg-type]


class _Reader:
    """Turns a syntax tree into an expression; knows the names that may occur."""

    def __init__(self, symbols: Mapping[str, sympy.Symbol], text: str) -> None:
        self.symbols, self.text = symbols, text

    def expression(self, node: ast.AST) -> Any:
        match node:
            case ast.Constant(value=bool()):
                raise _refuse("a formula is made of numbers, names and functions", node)
            case ast.Constant(value=int() | float()):
                return self.number(node)
            case ast.Name(id=name):
                return self.name(name)
            case ast.UnaryOp(op=ast.USub()) | ast.BinOp(op=ast.Mult() | ast.Div()):
                return sympy.Mul(*self.factors(node))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.expression(operand)
            case ast.BinOp():
                return self.operation(node)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self.call(name, args, node)
        hint = "write powers as **" if isinstance(node, ast.BinOp) else f"functions: {', '.join(_FUNCTIONS)}"
        raise _refuse("a formula is made of numbers, names, + - * / ** and known functions", node, hint)

    def number(self, node: ast.Constant) -> Any:
        """Read a literal exactly, as it was typed."""
        typed = (ast.get_source_segment(self.text, node) or repr(node.value)).replace("_", "")
        value = node.value
        if isinstance(value, int):
            if value.bit_length() > _MOST_DIGITS * 3:
                raise InputError(f"a number must have at most {_MOST_DIGITS} digits", typed)
            return sympy.Integer(value)
        assert isinstance(value, float)  # noqa: S101 - narrowed by the caller's pattern
        number = decimal_module.Decimal(typed)
        if (
            not -_MOST_DIGITS < number.adjusted() < _MOST_DIGITS
            or math.isinf(value)
            or (number and not value)
        ):
            raise InputError("a number must lie within double precision", typed)
        return sympy.Rational(typed)

    def name(self, name: str) -> Any:
        if name in self.symbols:
            return self.symbols[name]
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        raise InputError(
            "every name in a formula must be x, pi, e, a function or a declared parameter",
            name,
            f"declare a parameter with its default behind a semicolon, as in '…; {name}=1'",
        )

    def factors(self, node: ast.AST) -> list[Any]:
        """A whole product at once: SymPy would multiply a number into a sum that stands next to it, though not in its own products."""
        match node:
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return [sympy.S.NegativeOne, *self.factors(operand)]
            case ast.BinOp(op=ast.Mult(), left=left, right=right):
                return [*self.factors(left), *self.factors(right)]
            case ast.BinOp(op=ast.Div(), left=left, right=right):
                above, below = self.factors(left), self.factors(right)
                if 0 in below:
                    raise _refuse("a formula must not divide by zero", node)
                return [*above, *(1 / factor for factor in below)]
        return [self.expression(node)]

    def operation(self, node: ast.BinOp) -> Any:
        left, right = self.expression(node.left), self.expression(node.right)
        match node.op:
            case ast.Add():
                return left + right
            case ast.Sub():
                return left - right
            case ast.Pow():
                return _power(left, right, node)
        raise _refuse("the operators of a formula are + - * / **", node, "write powers as **")

    def call(self, name: str, args: list[ast.expr], node: ast.AST) -> Any:
        if name == "where" and len(args) == 3:
            condition = self.condition(args[0])
            return sympy.Piecewise((self.expression(args[1]), condition), (self.expression(args[2]), True))
        if name in ("max", "min") and 2 <= len(args) <= _MOST_ARGUMENTS:
            kind = sympy.Max if name == "max" else sympy.Min
            return kind(*map(self.expression, args))
        if name in _UNARY and len(args) == 1:
            return _applied(name, self.expression(args[0]), node)
        if name in _FUNCTIONS:
            some = f"two values or more, at most {_MOST_ARGUMENTS}"
            takes = {"where": "a condition and two values", "max": some, "min": some}
            raise _refuse(f"{name} takes {takes.get(name, 'one value')}", node)
        raise _refuse("a formula calls known functions only", name, f"known: {', '.join(_FUNCTIONS)}")

    def condition(self, node: ast.AST) -> Any:
        match node:
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                values = [self.expression(v) for v in (left, *comparators)]
                if not all(type(op) in _COMPARE for op in ops):
                    raise _refuse("conditions compare with < <= > >= == !=", node)
                pairs = zip(ops, values[:-1], values[1:], strict=True)
                return sympy.And(*(_COMPARE[type(op)](a, b) for op, a, b in pairs))
            case ast.BoolOp(op=ast.And(), values=parts):
                return sympy.And(*map(self.condition, parts))
            case ast.BoolOp(op=ast.Or(), values=parts):
                return sympy.Or(*map(self.condition, parts))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return sympy.Not(self.condition(operand))
        raise _refuse(
            "the first argument of where must be a comparison", node, "for example where(x > 0, x, 0)"
        )


def _applied(name: str, argument: Any, node: ast.AST) -> Any:
    """Apply a function; refuse a constant argument at which an exponential in it would leave every number format."""
    explodes = name not in _SLOW and argument.is_number and argument.is_real
    if explodes and not abs(argument.evalf(15)) < _MOST_DIGITS * math.log(10):
        raise _refuse(
            f"the constant argument of {name} must stay below {_MOST_DIGITS * math.log(10):.0f}", node
        )
    return _UNARY[name](argument)


def _power(base: Any, exponent: Any, node: ast.AST) -> Any:
    if base.is_number and exponent.is_number:
        if base == 0 and not exponent.is_nonnegative:
            raise _refuse("a formula must not divide by zero", node)
        size = abs(float(sympy.N(exponent, 15))) * abs(
            float(sympy.log(abs(base), 10).evalf(15)) if base != 0 else 0
        )
        if not size <= _MOST_DIGITS:
            raise _refuse(f"a constant power must stay below {_MOST_DIGITS} digits", node)
    if exponent.is_number and exponent.is_real and abs(exponent) > 1000:
        raise _refuse("an exponent must lie between -1000 and 1000", node)
    return base**exponent


def parse(text: str, symbols: Mapping[str, sympy.Symbol] | None = None) -> sympy.Expr:
    """Read formula text into a SymPy expression.

    Args:
        text: the formula, for example ``"x*sigmoid(1.7*x)"``.
        symbols: the names that may occur beside functions and constants; ``x`` alone where not given.

    Raises:
        InputError: the text is no formula, too large, or holds an unknown name.

    >>> parse("max(0, x) + 1.5")
    Max(0, x) + 3/2
    """
    if len(text) > _LONGEST_TEXT:
        raise InputError(
            f"a formula must be at most {_LONGEST_TEXT} characters long", f"{len(text)} characters"
        )
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        reserved = next((w for w in re.findall(NAME, text) if keyword.iskeyword(w) and w not in _WORDS), None)
        hint = "write powers as **" if "^" in text else "for example x*sigmoid(x)"
        hint = f"'{reserved}' is a reserved word: choose another name" if reserved else hint
        raise InputError("a formula must be one well-formed expression", text, hint) from error
    if sum(1 for _ in ast.walk(tree)) > _MOST_NODES:
        raise InputError(f"a formula must have at most {_MOST_NODES} parts", text)
    try:
        reader = _Reader(symbols if symbols is not None else {"x": VARIABLE}, text.strip())
        expression = reader.expression(tree.body)
    except RecursionError as error:
        raise InputError("a formula must not be nested so deeply", text) from error
    validate(expression, text)
    return expression


def parse_with_defaults(text: str) -> tuple[sympy.Expr, dict[str, float]]:
    """Read ``formula; name=default, …`` into an expression and the defaults of its parameters.

    >>> parse_with_defaults("x*sigmoid(beta*x); beta=1.5")
    (x/(1 + exp(-beta*x)), {'beta': 1.5})
    """
    body, _, tail = text.partition(";")
    defaults = parse_assignments(tail)
    for name in defaults:
        check_name(name)
    symbols = {name: sympy.Symbol(name, real=True) for name in defaults}
    expression = parse(body, {"x": VARIABLE, **symbols})
    unused = [n for n, s in symbols.items() if s not in expression.free_symbols]
    if unused:
        raise InputError("every declared parameter must occur in the formula", unused[0])
    return expression, defaults


def parse_assignments(text: str) -> dict[str, float]:
    """Read ``a=1, b=-2.5`` into numbers; empty text gives none."""
    values: dict[str, float] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, equals, value = (p.strip() for p in part.partition("="))
        try:
            number = float(parse(value, {}))
        except (InputError, TypeError) as error:
            raise InputError(
                "a parameter is given as name=number, and several with commas between",
                part,
                "for example t=1.5",
            ) from error
        if not equals or name in values or not math.isfinite(number):
            raise InputError("a parameter is given once, as name=number", part, "for example t=1.5")
        values[name] = number
    return values


def parse_call(text: str) -> tuple[str, list[str], dict[str, float]] | None:
    """Read ``name``, ``name(1, 2)`` or ``name(t=1.5)`` into name, positional texts and named numbers.

    Gives None where the text has another shape; a formula such as ``sin(x)`` has this one, with ``["x"]``.

    >>> parse_call("srelu(t=1.5)")
    ('srelu', [], {'t': 1.5})
    """
    match = re.fullmatch(rf"\s*({NAME.pattern})\s*(?:\(([^()]*)\))?\s*", text)
    if match is None:
        return None
    parts = [p.strip() for p in (match[2] or "").split(",") if p.strip()]
    positional = [p for p in parts if "=" not in p]
    named = [p for p in parts if re.fullmatch(rf"{NAME.pattern}\s*=[^=].*", p)]
    if len(positional) + len(named) != len(parts):
        return None
    return match[1], positional, parse_assignments(",".join(named))


def check_name(name: str) -> str:
    """Return the name of a parameter, or refuse it: it is printed into code later."""
    if not NAME.fullmatch(name) or name == "x" or name in _CONSTANTS or name in _FUNCTIONS:
        raise InputError(
            "a parameter's name must be letters, digits and _, at most 32, and no function, x, pi or e", name
        )
    return name


def _exponential_depth(expression: Any) -> int:
    deepest = max(map(_exponential_depth, expression.args), default=0)
    return deepest + isinstance(expression, (sympy.exp, sympy.sinh, sympy.cosh))


def validate(expression: sympy.Expr, shown: str | None = None) -> None:
    """Refuse an expression that holds anything but the whitelisted functions, real and finite.

    Raises:
        InputError: it names the part that is not allowed.
    """
    shown = shown if shown is not None else str(expression)
    if _exponential_depth(expression) > _DEEPEST_EXPONENTIAL:
        raise InputError(f"exponentials must not be nested more than {_DEEPEST_EXPONENTIAL} deep", shown)
    for count, part in enumerate(sympy.preorder_traversal(expression), 1):
        if count > _MOST_NODES:
            raise InputError(f"an expression must have at most {_MOST_NODES} parts", shown)
        if part in (sympy.oo, -sympy.oo, sympy.zoo, sympy.nan):
            raise InputError("the constants of an activation must be finite", f"{part} in {shown}")
        if part is sympy.I or (part.is_number and getattr(part, "is_real", None) is False):
            raise InputError("an activation must be real", f"{part} in {shown}")
        if not isinstance(part, _ALLOWED):
            raise InputError("an activation is built of elementary real functions", f"{part} in {shown}")


def decimal(number: sympy.Rational) -> str | None:
    """The exact finite decimal of a fraction with a long denominator; None where a fraction reads better.

    >>> decimal(sympy.Rational("0.0025")), decimal(sympy.Rational(1, 3)), decimal(sympy.Rational(1, 2))
    ('0.0025', None, None)
    """
    if number.q < 100 or (number.q % 2 and number.q % 5):
        return None
    rest = number.q
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest != 1:
        return None
    context = decimal_module.Context(prec=_MOST_DIGITS, traps=[decimal_module.Inexact])
    try:
        return str(context.divide(decimal_module.Decimal(number.p), decimal_module.Decimal(number.q)))
    except decimal_module.Inexact:
        return None


def with_decimals(expression: sympy.Basic) -> sympy.Basic:
    """The expression with its long fractions as symbols named by their decimals: for printing alone."""

    def name(number: Any) -> Any:
        shown = decimal(abs(number))
        return number if shown is None else sympy.sign(number) * sympy.Symbol(shown, positive=True)

    return expression.xreplace({number: name(number) for number in expression.atoms(sympy.Rational)})


class _TextPrinter(StrPrinter):
    """Prints an expression in the language that `parse` reads."""

    def _print_Max(self, expr: Any) -> str:
        return f"max({', '.join(map(self._print, expr.args))})"

    def _print_Min(self, expr: Any) -> str:
        return f"min({', '.join(map(self._print, expr.args))})"

    def _print_Abs(self, expr: Any) -> str:
        return f"abs({self._print(expr.args[0])})"

    def _print_Exp1(self, expr: Any) -> str:
        return "e"

    def _print_Float(self, expr: Any) -> str:
        return repr(float(expr))

    def _print_Piecewise(self, expr: Any) -> str:
        *pairs, (last, condition) = expr.args
        text = str(self._print(last))
        if condition != sympy.true:
            raise InputError("a piecewise expression must end in a branch for all other x", str(expr))
        for value, when in reversed(pairs):
            text = f"where({self._print(when)}, {self._print(value)}, {text})"
        return text

    def _print_And(self, expr: Any) -> str:
        return "(" + " and ".join(sorted(map(self._print, expr.args))) + ")"

    def _print_Or(self, expr: Any) -> str:
        return "(" + " or ".join(sorted(map(self._print, expr.args))) + ")"

    def _print_Not(self, expr: Any) -> str:
        return f"(not {self._print(expr.args[0])})"

    def _print_Relational(self, expr: Any) -> str:
        # SymPy turns x <= -t into t <= -x; the variable reads better on the left.
        if expr.rhs == -VARIABLE:
            expr = expr.reversedsign
        if expr.rhs == VARIABLE:
            expr = expr.reversed
        return f"{self._print(expr.lhs)} {expr.rel_op} {self._print(expr.rhs)}"


def to_text(expression: sympy.Expr) -> str:
    """Write an expression as formula text; `parse` reads it back.

    >>> to_text(sympy.Max(0, VARIABLE) + sympy.exp(-VARIABLE**2 / 2))
    'max(0, x) + exp(-x**2/2)'
    """
    return str(_TextPrinter().doprint(with_decimals(expression)))
