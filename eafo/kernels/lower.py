"""Lowering: {f, f′, ∂f/∂θ} to straight-line programs, common terms shared, constants folded."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import sympy

from eafo.activation import VARIABLE, Activation
from eafo.branching import derivative
from eafo.errors import InputError
from eafo.kernels import functions
from eafo.kernels.expansion import EXPANSIONS, LARGEST_PRODUCT, exponential
from eafo.kernels.program import Instruction, Mode, Operation, Precision, Program
from eafo.kernels.stabilise import finish, stabilise

__all__ = ["Scalar", "lower"]


#: No parameter of a user's, whatever its name.
_BIAS = sympy.Dummy("bias", real=True)


@dataclass(frozen=True)
class Scalar:
    """A stable scalar function with its parameters, free of names, defaults and provenance.

    Args:
        expression: what `stabilise` made of a formula, or a derivative of it.
        parameters: all parameters, in order.
        learnable: those of them that are differentiated.
        without: rules left out, for measuring them.
        shift: the parameter, among the others, that is added to x before anything else: a bias.
    """

    expression: sympy.Expr
    parameters: tuple[sympy.Symbol, ...] = ()
    learnable: tuple[sympy.Symbol, ...] = ()
    without: frozenset[str] = frozenset()
    shift: sympy.Symbol | None = None

    @classmethod
    def of(cls, activation: Activation, without: Collection[str] = ()) -> Scalar:
        """The stable form of an activation."""
        return cls(
            stabilise(activation.expression, without),
            tuple(p.symbol for p in activation.parameters),
            tuple(p.symbol for p in activation.learnable),
            frozenset(without),
        )

    def derivative(self, symbol: sympy.Symbol = VARIABLE) -> Scalar:
        """The derivative by x or by a parameter, as a function with the same parameters."""
        slope = derivative(self.expression, VARIABLE if symbol == self.shift else symbol)
        return Scalar(slope, self.parameters, self.learnable, self.without, self.shift)

    def shifted(self) -> Scalar:
        """f(x + bias), with the bias as the first parameter, learnable."""
        parameters, learnable = (_BIAS, *self.parameters), (_BIAS, *self.learnable)
        return Scalar(self.expression, parameters, learnable, self.without, _BIAS)

    def forward(self, precision: Precision, mode: Mode = Mode.PLAIN) -> Program:
        """Lower f."""
        return _forward(self, precision, mode)

    def backward(self, precision: Precision, mode: Mode = Mode.PLAIN) -> Program:
        """Lower f′ and ∂f/∂θ for each learnable θ to one program, terms shared."""
        return _backward(self, precision, mode)

    def joint(self, precision: Precision, mode: Mode = Mode.PLAIN) -> Program:
        """As `backward`, and f last: what the gradient of f(x) b needs."""
        return _joint(self, precision, mode)


@functools.lru_cache(maxsize=512)
def _forward(scalar: Scalar, precision: Precision, mode: Mode) -> Program:
    return _lowered(scalar, [], precision, mode, value=True)


@functools.lru_cache(maxsize=512)
def _backward(scalar: Scalar, precision: Precision, mode: Mode) -> Program:
    return _lowered(scalar, [VARIABLE, *scalar.learnable], precision, mode)


@functools.lru_cache(maxsize=512)
def _joint(scalar: Scalar, precision: Precision, mode: Mode) -> Program:
    return _lowered(scalar, [VARIABLE, *scalar.learnable], precision, mode, value=True)


def _lowered(
    scalar: Scalar, symbols: list[sympy.Symbol], precision: Precision, mode: Mode, *, value: bool = False
) -> Program:
    """Lower the derivatives by the symbols, and f after them where it is asked for."""
    results = {f"df/d{s.name}": scalar.derivative(s).expression for s in symbols}
    if value:
        results["f"] = scalar.expression
    finished = [finish(e, scalar.without) for e in results.values()]
    return lower(finished, scalar.parameters, precision, list(results), mode=mode, shift=scalar.shift)


def lower(
    expressions: Collection[sympy.Expr],
    parameters: Collection[sympy.Symbol],
    precision: Precision,
    names: Collection[str],
    *,
    mode: Mode = Mode.PLAIN,
    shift: sympy.Symbol | None = None,
) -> Program:
    """Lower expressions of x and the parameters to one program.

    Args:
        expressions: one a result, of elementary functions and those of `eafo.kernels.functions`.
        parameters: the symbols that may occur beside x, in the order of the program's inputs.
        precision: the format that constants are rounded to, once, from their exact values.
        names: one a result, for a reader.
        mode: which operations there are, and whether arguments of exponentials are computed to twice the digits.
        shift: the parameter that is added to x first.

    Raises:
        InputError: an expression holds a function that no operation stands for.

    >>> x = VARIABLE
    >>> print(lower([x * sympy.exp(x) + sympy.exp(x)], [], Precision.FLOAT64, ["f"]))
    float64 (x)
      v0 = x
      v1 = exp v0
      v2 = mul v0, v1
      v3 = add v1, v2
      f = v3
    """
    symbols = (VARIABLE, *parameters)
    builder = _Builder(symbols, precision, mode, _gates(expressions))
    if shift is not None:
        builder.shift(shift)
    outputs = [builder.value(e) for e in expressions]
    return _without_dead_code(
        Program(
            precision,
            tuple(s.name for s in symbols),
            tuple(builder.instructions),
            tuple(outputs),
            tuple(names),
        )
    )


def _gates(expressions: Collection[sympy.Expr]) -> Literal["single", "shared"]:
    """Whether a sigmoid stands alone; those of one argument, up to its sign, share their exponential."""
    scaled = any(e.has(functions.ScaledSigmoid) for e in expressions)
    found = set().union(*(e.atoms(functions.Sigmoid) for e in expressions))
    return "shared" if scaled or len(found) > 1 else "single"


def _without_dead_code(program: Program) -> Program:
    """Drop what no output needs; the inputs stay."""
    needed = set(range(len(program.inputs))) | set(program.outputs)
    for i in reversed(range(len(program.instructions))):
        if i in needed:
            needed.update(program.instructions[i].operands)
    place = {old: new for new, old in enumerate(sorted(needed))}
    kept = tuple(
        Instruction(s.operation, tuple(place[k] for k in s.operands), s.value)
        for s in (program.instructions[i] for i in sorted(needed))
    )
    outputs = tuple(place[k] for k in program.outputs)
    return Program(program.precision, program.inputs, kept, outputs, program.output_names)


_FUNCTIONS: dict[Any, Operation] = {
    sympy.Abs: Operation.ABS,
    sympy.sign: Operation.SIGN,
    sympy.exp: Operation.EXP,
    sympy.log: Operation.LOG,
    sympy.sin: Operation.SIN,
    sympy.cos: Operation.COS,
    sympy.tan: Operation.TAN,
    sympy.atan: Operation.ATAN,
    sympy.sinh: Operation.SINH,
    sympy.cosh: Operation.COSH,
    sympy.tanh: Operation.TANH,
    sympy.asinh: Operation.ASINH,
    sympy.erf: Operation.ERF,
    functions.Expm1: Operation.EXPM1,
    functions.Log1p: Operation.LOG1P,
    functions.NearSin: Operation.SIN_NEAR,
    functions.Softplus: Operation.SOFTPLUS,
    functions.Tanh: Operation.TANH,
}
_CHAINS: dict[Any, Operation] = {
    sympy.Max: Operation.MAX,
    sympy.Min: Operation.MIN,
    sympy.And: Operation.AND,
    sympy.Or: Operation.OR,
}
_RELATIONS: dict[Any, tuple[Operation, bool]] = {
    sympy.StrictLessThan: (Operation.LESS, False),
    sympy.LessThan: (Operation.LESS_EQUAL, False),
    sympy.StrictGreaterThan: (Operation.LESS, True),
    sympy.GreaterThan: (Operation.LESS_EQUAL, True),
    sympy.Equality: (Operation.EQUAL, False),
}
_COMMUTATIVE = frozenset({Operation.ADD, Operation.MUL, Operation.EQUAL, Operation.AND, Operation.OR})


_LARGEST_EXPONENT = 100_000
#: The digits that a constant's terms may lose against each other.
_CANCELLED = 1000


class _Builder:
    """Emits instructions, each only once."""

    def __init__(
        self,
        symbols: Collection[sympy.Symbol],
        precision: Precision,
        mode: Mode,
        gates: Literal["single", "shared"],
    ) -> None:
        self.precision, self.mode, self.gates = precision, mode, gates
        self.instructions: list[Instruction] = []
        self._known: dict[Instruction, int] = {}
        self._values: dict[Any, int] = {}
        self._pairs: dict[Any, tuple[int, int | None]] = {}
        for position, symbol in enumerate(symbols):
            self._values[symbol] = self._emit(Instruction(Operation.INPUT, (), position))

    def _emit(self, instruction: Instruction) -> int:
        if instruction not in self._known:
            self._known[instruction] = len(self.instructions)
            self.instructions.append(instruction)
        return self._known[instruction]

    def shift(self, by: sympy.Symbol) -> None:
        """Let x stand for the input plus a parameter."""
        self._values[VARIABLE] = self.op(Operation.ADD, self._values[VARIABLE], self._values[by])

    def op(self, operation: Operation, *operands: int) -> int:
        """An operation on earlier values."""
        if operation is Operation.ABS and self.instructions[operands[0]].operation is Operation.NEG:
            operands = self.instructions[operands[0]].operands
        if operation in _COMMUTATIVE:
            operands = tuple(sorted(operands))
        return self._emit(Instruction(operation, operands))

    def const(self, number: Any) -> int:
        """A number, rounded once to the program's precision."""
        # SymPy evaluates what it knows: 1 − erf(9/4) is an `Erfc` since it was made stable.
        exact = functions.elementary(sympy.sympify(number))
        _refuse_towers(exact)
        return self._emit(
            Instruction(Operation.CONST, (), self.round(float(sympy.N(exact, 40, maxn=_CANCELLED))))
        )

    def round(self, number: float) -> float:
        """The nearest number of the program's precision."""
        if self.precision is Precision.FLOAT64:
            return number
        with np.errstate(over="ignore"):
            return float(np.float32(number))

    def value(self, e: Any) -> int:
        """The position of an expression's value."""
        if e not in self._values:
            self._values[e] = self._build(e)
        return self._values[e]

    def pair(self, e: Any) -> tuple[int, int | None]:
        """The position of an expression's value, and in compensated float32 that of what rounding took from it.

        Sums, products and small powers are followed, with Knuth's two-sum and Dekker's product by a fused operation; for
        float64 the plain value is precise enough.
        """
        if self.mode is not Mode.COMPENSATED or self.precision is Precision.FLOAT64:
            return self.value(e), None
        if e not in self._pairs:
            self._pairs[e] = self._pair(e)
        return self._pairs[e]

    def _pair(self, e: Any) -> tuple[int, int | None]:
        if e.is_number:
            high = self.const(e)
            rest = sympy.N(functions.elementary(e), 40) - sympy.Float(self.instructions[high].value, 40)
            return high, self.const(rest) if abs(rest) > 0 else None
        if isinstance(e, sympy.Add):
            return functools.reduce(self._pair_sum, map(self.pair, e.args))
        if isinstance(e, sympy.Mul) and not any(
            f.is_Pow and f.exp.is_negative and not f.is_number for f in e.args
        ):
            # x², times what has no x: the square is then exact in its two parts.
            number = sympy.Mul(*(f for f in e.args if f.is_number))
            factors = sorted((f for f in e.args if not f.is_number), key=lambda f: not f.has(VARIABLE))
            factors += [number] if number != 1 else []
            return functools.reduce(self._pair_product, map(self.pair, factors))
        if e.is_Pow and e.exp.is_Integer and 1 < e.exp <= LARGEST_PRODUCT:
            return functools.reduce(self._pair_product, [self.pair(e.base)] * int(e.exp))
        return self.value(e), None

    def _pair_sum(self, a: tuple[int, int | None], b: tuple[int, int | None]) -> tuple[int, int | None]:
        total = self.op(Operation.ADD, a[0], b[0])
        rest = self.op(Operation.SUM_ERROR, a[0], b[0], total)
        for low in (a[1], b[1]):
            rest = rest if low is None else self.op(Operation.ADD, rest, low)
        return total, rest

    def _pair_product(self, a: tuple[int, int | None], b: tuple[int, int | None]) -> tuple[int, int | None]:
        product = self.op(Operation.MUL, a[0], b[0])
        terms = [self.op(Operation.MUL, k, low) for k, low in ((b[0], a[1]), (a[0], b[1])) if low is not None]
        if not any(self._is_power_of_two(k[0]) for k in (a, b)):
            terms.append(self.op(Operation.PRODUCT_ERROR, a[0], b[0], product))
        return product, functools.reduce(lambda p, q: self.op(Operation.ADD, p, q), terms) if terms else None

    def _is_power_of_two(self, position: int) -> bool:
        step = self.instructions[position]
        return step.operation is Operation.CONST and abs(math.frexp(step.value)[0]) == 0.5

    def _build(self, e: Any) -> int:  # noqa: PLR0911 - one case a kind of function
        if e.is_number and not e.is_Boolean:
            return self.const(e)
        if type(e) is sympy.exp and self.pair(e.args[0])[1] is not None:
            return self.op(Operation.MUL, *exponential(self, e.args[0]))
        if type(e) in _FUNCTIONS:
            return self.op(_FUNCTIONS[type(e)], self.value(e.args[0]))
        if type(e) in _CHAINS:
            first, *rest = (self.value(a) for a in e.args)
            return functools.reduce(lambda a, b: self.op(_CHAINS[type(e)], a, b), rest, first)
        if type(e) in _RELATIONS:
            operation, swapped = _RELATIONS[type(e)]
            left, right = self.value(e.lhs), self.value(e.rhs)
            return self.op(operation, right, left) if swapped else self.op(operation, left, right)
        if type(e) in EXPANSIONS:
            return EXPANSIONS[type(e)](self, e)
        return self._build_compound(e)

    def _build_compound(self, e: Any) -> int:  # noqa: PLR0911 - one case a kind of node
        match e:
            case sympy.Add():
                return self._sum(e)
            case sympy.Mul():
                return self._product(e)
            case sympy.Pow():
                return self._power(e.base, e.exp)
            case sympy.Piecewise():
                return self._branches(e)
            case sympy.Not():
                return self.op(Operation.NOT, self.value(e.args[0]))
            case sympy.Unequality():
                return self.op(Operation.NOT, self.op(Operation.EQUAL, self.value(e.lhs), self.value(e.rhs)))
            case sympy.ITE():
                when, chosen, other = e.args
                return self.value(sympy.Or(sympy.And(when, chosen), sympy.And(sympy.Not(when), other)))
        raise InputError("a kernel is built of known functions", str(e), "see eafo.kernels.program.Operation")

    def _sum(self, e: Any) -> int:
        """Left to right, positive terms first, so that a negative one becomes a subtraction."""
        constant, rest = e.as_coeff_Add()
        slope, factor = rest.as_coeff_Mul()
        if constant and not (_is_power_of_two(slope) or rest.is_Add) and _is_dyadic(constant / slope):
            # x/6 + 1/2 as (x + 3)/6: the sum is then exact where it is small.
            return self.op(Operation.MUL, self.value(factor + constant / slope), self.const(slope))
        terms = _numbers_first(e)
        positive = [t for t in terms if not t.could_extract_minus_sign()]
        negative = [t for t in terms if t.could_extract_minus_sign()]
        if not positive:
            return self.op(Operation.NEG, self.value(sympy.Add(*(-t for t in negative))))
        total = functools.reduce(
            lambda a, t: self.op(Operation.ADD, a, self.value(t)), positive[1:], self.value(positive[0])
        )
        return functools.reduce(lambda a, t: self.op(Operation.SUB, a, self.value(-t)), negative, total)

    def _product(self, e: Any) -> int:
        """Numbers folded into one, at most one division."""
        number = sympy.Mul(*(f for f in e.args if f.is_number))
        factors = [f for f in e.args if not f.is_number]
        below = [1 / f for f in factors if f.is_Pow and f.exp.could_extract_minus_sign()]
        above = [f for f in factors if not (f.is_Pow and f.exp.could_extract_minus_sign())]
        values = [self.value(f) for f in above]
        negate = number == -1
        if not (number == 1 or negate) or not values:
            values.insert(0, self.const(number))
            negate = False
        result = functools.reduce(lambda a, b: self.op(Operation.MUL, a, b), values)
        if below:
            bottom = functools.reduce(lambda a, b: self.op(Operation.MUL, a, b), map(self.value, below))
            if self.mode is not Mode.PLAIN and not any(f.has(VARIABLE) for f in below):
                # One division for all elements.
                over = self.op(Operation.DIV, self.const(1), bottom)
                result = self.op(Operation.MUL, result, over)
            else:
                result = self.op(Operation.DIV, result, bottom)
        return self.op(Operation.NEG, result) if negate else result

    def _power(self, base: Any, exponent: Any) -> int:
        if exponent.could_extract_minus_sign():
            return self.op(Operation.DIV, self.const(1), self.value(base**-exponent))
        if exponent.is_Integer and exponent <= LARGEST_PRODUCT:
            return self._integer_power(self.value(base), int(exponent))
        if exponent.is_Rational and exponent.q == 2 and exponent <= LARGEST_PRODUCT:
            root = self.op(Operation.SQRT, self.value(base))
            whole = int(exponent - sympy.Rational(1, 2))
            return (
                self.op(Operation.MUL, self._integer_power(self.value(base), whole), root) if whole else root
            )
        return self.op(Operation.POW, self.value(base), self.value(exponent))

    def _integer_power(self, base: int, n: int) -> int:
        if n == 1:
            return base
        half = self._integer_power(base, n // 2)
        square = self.op(Operation.MUL, half, half)
        return self.op(Operation.MUL, square, base) if n % 2 else square

    def _branches(self, e: Any) -> int:
        """A chain of selects: the value not chosen never reaches the result, NaN or not."""
        *pairs, (last, condition) = e.args
        if condition != sympy.true:
            pairs, last = list(e.args), sympy.nan
        result = (
            self._emit(Instruction(Operation.CONST, (), float("nan")))
            if last is sympy.nan
            else self.value(last)
        )
        for chosen, when in reversed(pairs):
            result = self.op(Operation.SELECT, self.value(when), self.value(chosen), result)
        return result


def _numbers_first(total: Any) -> list[Any]:
    """A sum's terms, its numbers added up: in the program's precision they might cancel."""
    numbers = [t for t in total.args if t.is_number]
    if len(numbers) < 2:
        return list(total.args)
    return [sympy.Add(*numbers), *(t for t in total.args if not t.is_number)]


def _refuse_towers(number: Any) -> None:
    """Refuse a number made of one far beyond every format: evaluating it to a few digits would take hours."""
    for part in sympy.postorder_traversal(number):
        if isinstance(part, sympy.exp | sympy.sinh | sympy.cosh):
            (exponent,) = part.args
        elif isinstance(part, sympy.Pow) and not part.exp.is_Rational:
            exponent = part.exp * sympy.log(sympy.Abs(part.base))
        else:
            continue
        if abs(sympy.N(exponent, 15)) > _LARGEST_EXPONENT:
            raise InputError("the constants of a kernel must be finite", str(part), "leave it out")


def _is_dyadic(number: Any) -> bool:
    return bool(
        number.is_Rational and number.q & (number.q - 1) == 0 and abs(number.p) < 2**20 and number.q < 2**20
    )


def _is_power_of_two(number: Any) -> bool:
    return _is_dyadic(number) and abs(number.p) & (abs(number.p) - 1) == 0
