"""Program: a straight-line scalar computation in static single assignment form, which every backend prints."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Instruction", "Mode", "Operation", "Precision", "Program"]


class Precision(StrEnum):
    """The floating-point format a program computes in."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"


class Mode(StrEnum):
    """How a program is written: of plain operations; of fused ones too; or with arguments of exponentials in two parts."""

    PLAIN = "plain"
    FUSED = "fused"
    COMPENSATED = "compensated"


class Operation(StrEnum):
    """The closed set of operations; a backend that lacks one raises."""

    INPUT = "input"
    CONST = "const"
    ADD = "add"
    SUB = "sub"
    MUL = "mul"
    DIV = "div"
    #: ab + c, rounded once.
    FMA = "fma"
    #: What rounding took from p = ab, and from s = a + b: of a, b and the result.
    PRODUCT_ERROR = "product_error"
    SUM_ERROR = "sum_error"
    NEG = "neg"
    ABS = "abs"
    SIGN = "sign"
    SQRT = "sqrt"
    EXP = "exp"
    #: Two factors of exp(u + v), of half its exponent each: `EXP_HEAD` of u and perhaps a small v, `EXP_TAIL` of that and u.
    EXP_HEAD = "exp_head"
    EXP_TAIL = "exp_tail"
    EXPM1 = "expm1"
    LOG = "log"
    LOG1P = "log1p"
    SIN = "sin"
    #: The sine of an argument within a quarter turn of 0.
    SIN_NEAR = "sin_near"
    COS = "cos"
    TAN = "tan"
    ATAN = "atan"
    SINH = "sinh"
    COSH = "cosh"
    TANH = "tanh"
    ASINH = "asinh"
    ERF = "erf"
    ERFC = "erfc"
    #: exp(u²) erfc(u) for u ≥ 0, which neither underflows nor overflows there.
    ERFCX = "erfcx"
    #: Two factors a and b with sigmoid(u) = a/(a + b) and sigmoid(−u) = b/(a + b): `GATE` of u, `COGATE` of that and u,
    #: and perhaps a small v, for sigmoid(u + v).
    GATE = "gate"
    COGATE = "cogate"
    SIGMOID = "sigmoid"
    SOFTPLUS = "softplus"
    POW = "pow"
    MAX = "max"
    MIN = "min"
    LESS = "less"
    LESS_EQUAL = "less_equal"
    EQUAL = "equal"
    AND = "and"
    OR = "or"
    NOT = "not"
    SELECT = "select"

    @property
    def is_logical(self) -> bool:
        """Whether the result is a truth value."""
        return self in _LOGICAL


_LOGICAL = frozenset(
    {Operation.LESS, Operation.LESS_EQUAL, Operation.EQUAL, Operation.AND, Operation.OR, Operation.NOT}
)


@dataclass(frozen=True)
class Instruction:
    """One operation on earlier instructions.

    Args:
        operation: what is computed.
        operands: positions of earlier instructions; for `SELECT` the condition, then, otherwise.
        value: the number of a `CONST`, the position of an `INPUT`.
    """

    operation: Operation
    operands: tuple[int, ...] = ()
    value: float = 0.0


@dataclass(frozen=True)
class Program:
    """Inputs, instructions and outputs of one scalar computation.

    Args:
        precision: the format of every real value.
        inputs: ``x`` first, then the parameters by their names, used or not.
        instructions: in an order in which every operand comes first; the inputs stand at the front.
        outputs: positions of the results.
        output_names: what each result is, for a reader.
    """

    precision: Precision
    inputs: tuple[str, ...]
    instructions: tuple[Instruction, ...]
    outputs: tuple[int, ...]
    output_names: tuple[str, ...]

    @property
    def operations(self) -> int:
        """How many operations are computed for one element: all but inputs and constants."""
        return sum(i.operation not in (Operation.INPUT, Operation.CONST) for i in self.instructions)

    def is_nonpositive(self, position: int) -> bool:
        """Whether a value is seen to be at most 0: −|v|, −v², or a negative number times v²."""
        step = self.instructions[position]
        if step.operation is Operation.NEG:
            return self._is_nonnegative(step.operands[0])
        if step.operation is Operation.MUL:
            factors = [self.instructions[k] for k in step.operands]
            negative = [f.operation is Operation.CONST and f.value < 0 for f in factors]
            return any(
                n and self._is_nonnegative(k) for n, k in zip(negative, step.operands[::-1], strict=True)
            )
        return False

    def _is_nonnegative(self, position: int) -> bool:
        step = self.instructions[position]
        is_square = step.operation is Operation.MUL and step.operands[0] == step.operands[1]
        return is_square or step.operation is Operation.ABS

    def __str__(self) -> str:
        lines = [f"{self.precision} ({', '.join(self.inputs)})"]
        for i, step in enumerate(self.instructions):
            if step.operation is Operation.INPUT:
                shown = self.inputs[int(step.value)]
            elif step.operation is Operation.CONST:
                shown = repr(step.value)
            else:
                shown = f"{step.operation} " + ", ".join(f"v{k}" for k in step.operands)
            lines.append(f"  v{i} = {shown}")
        lines += [f"  {name} = v{k}" for name, k in zip(self.output_names, self.outputs, strict=True)]
        return "\n".join(lines)
