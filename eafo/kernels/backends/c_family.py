"""What the C++ and the CUDA backend share: a program as a sequence of C statements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import jinja2

from eafo.errors import InputError
from eafo.kernels.lower import Scalar
from eafo.kernels.program import Instruction, Mode, Operation, Precision, Program

__all__ = [
    "DECAYS",
    "SHARED",
    "Dialect",
    "Kernel",
    "Statement",
    "Uses",
    "describe",
    "environment",
    "operations",
    "statements",
    "uses",
]

_NAN = "eafo_nan()"
_INFINITY = "eafo_infinity()"
_REAL = {Precision.FLOAT32: "float", Precision.FLOAT64: "double"}

_INFIX: dict[Operation, str] = {
    Operation.ADD: "{0} + {1}",
    Operation.SUB: "{0} - {1}",
    Operation.MUL: "{0} * {1}",
    Operation.DIV: "{0} / {1}",
    Operation.NEG: "-{0}",
    Operation.LESS: "{0} < {1}",
    Operation.LESS_EQUAL: "{0} <= {1}",
    Operation.EQUAL: "{0} == {1}",
    Operation.AND: "{0} && {1}",
    Operation.OR: "{0} || {1}",
    Operation.NOT: "!{0}",
    Operation.SELECT: "{0} ? {1} : {2}",
}
#: Operations of the C library, by name.
_LIBRARY: dict[Operation, str] = {
    Operation.ABS: "fabs",
    Operation.SQRT: "sqrt",
    Operation.EXP: "exp",
    Operation.EXPM1: "expm1",
    Operation.LOG: "log",
    Operation.LOG1P: "log1p",
    Operation.SIN: "sin",
    Operation.COS: "cos",
    Operation.TAN: "tan",
    Operation.ATAN: "atan",
    Operation.SINH: "sinh",
    Operation.COSH: "cosh",
    Operation.TANH: "tanh",
    Operation.ASINH: "asinh",
    Operation.ERF: "erf",
    Operation.ERFC: "erfc",
    Operation.ERFCX: "erfcx",
    Operation.POW: "pow",
}
_INSTRUCTIONS = frozenset({Operation.ABS, Operation.SQRT})
#: Operations that a template defines as ``eafo_NAME`` for both types.
_DEFINED = frozenset(
    {
        Operation.FMA, Operation.PRODUCT_ERROR, Operation.SUM_ERROR, Operation.EXP_HEAD, Operation.EXP_TAIL,
        Operation.GATE, Operation.COGATE, Operation.SIGMOID, Operation.SOFTPLUS, Operation.MAX, Operation.MIN,
        Operation.SIGN, Operation.SIN_NEAR,
    }
)  # fmt: skip


#: Operations for which ``templates/math.j2`` has functions of its own, and those of them for arguments up to 0.
SHARED = frozenset({Operation.EXP, Operation.EXPM1, Operation.TANH, Operation.ERFCX})
DECAYS = {
    Operation.EXP: "eafo_decay",
    Operation.EXP_HEAD: "eafo_decay_head",
    Operation.EXP_TAIL: "eafo_decay_tail",
}


@dataclass(frozen=True)
class Uses:
    """Which functions of ``templates/math.j2`` a source needs, those that others call included."""

    nan: bool
    infinity: bool
    sign: bool
    sigmoid: bool
    gate: bool
    softplus: bool
    tanh: bool
    expm1: bool
    exp: bool
    erfcx: bool
    sin_near: bool


@dataclass(frozen=True)
class Statement:
    """``type name = text;``."""

    type: str
    name: str
    text: str


@dataclass(frozen=True)
class Kernel:
    """One scalar function in one precision, ready for a template.

    Args:
        real: the C type.
        name: the end of each function's name: precision and mode.
        inputs: names of the parameters, p0, p1, …
        forward: the statements of f.
        value: the name of f's result.
        backward: the statements of f′ and ∂f/∂θ.
        slope: the name of f′.
        by_parameter: the names of ∂f/∂θ, for each learnable θ.
        joint_value: the name of f among the backward statements, where they compute it too.
    """

    real: str
    name: str
    inputs: tuple[str, ...]
    forward: tuple[Statement, ...]
    value: str
    backward: tuple[Statement, ...]
    slope: str
    by_parameter: tuple[str, ...]
    joint_value: str


@dataclass(frozen=True)
class Dialect:
    """How a language calls a function of the C library, and which ones its template defines itself.

    Args:
        builtin: the prefix of fabs and sqrt, which are single instructions.
        defined: operations that the template defines as ``eafo_NAME``.
        decays: exponentials for which the template defines a function of arguments up to 0.
        renamed: operations that it defines by another name.
    """

    builtin: str = ""
    defined: frozenset[Operation] = frozenset()
    decays: Mapping[Operation, str] = field(default_factory=dict)
    renamed: Mapping[Operation, str] = field(default_factory=dict)

    def call(self, operation: Operation, precision: Precision) -> str:
        """The name of the function that computes an operation."""
        if operation in self.renamed:
            return self.renamed[operation]
        if operation in _DEFINED or operation in self.defined:
            return f"eafo_{operation}"
        if operation not in _LIBRARY:
            raise InputError("a C backend knows the operations of a program", str(operation))
        prefix = self.builtin if operation in _INSTRUCTIONS else ""
        return prefix + _LIBRARY[operation] + ("f" if precision is Precision.FLOAT32 else "")

    def library(self, operations: frozenset[Operation]) -> tuple[str, ...]:
        """The functions of the C library that a source calls, by their names in double precision."""
        called = operations & _LIBRARY.keys() - _INSTRUCTIONS - self.defined
        return tuple(sorted(_LIBRARY[operation] for operation in called))


def describe(
    scalar: Scalar, precision: Precision, mode: Mode, dialect: Dialect, *, joint: bool = False
) -> Kernel:
    """Print both programs of a function in one precision and mode; jointly, the second computes f too."""
    backward = scalar.joint(precision, mode) if joint else scalar.backward(precision, mode)
    forward_lines, (value,) = statements(scalar.forward(precision, mode), dialect)
    backward_lines, (slope, *by_parameter) = statements(backward, dialect)
    joint_value = by_parameter.pop() if joint else ""
    inputs = tuple(f"p{i}" for i in range(len(scalar.parameters)))
    return Kernel(
        _REAL[precision],
        f"{precision}_{mode}",
        inputs,
        forward_lines,
        value,
        backward_lines,
        slope,
        tuple(by_parameter),
        joint_value,
    )


def statements(program: Program, dialect: Dialect) -> tuple[tuple[Statement, ...], tuple[str, ...]]:
    """Print a program: its statements, and the names of its outputs."""
    lines, shown = [], []
    for position, step in enumerate(program.instructions):
        if step.operation is Operation.INPUT:
            shown.append("x" if step.value == 0 else f"p{int(step.value) - 1}")
            continue
        if step.operation is Operation.CONST:
            shown.append(_number(step.value, program.precision))
            continue
        operands = [shown[k] for k in step.operands]
        if step.operation in _INFIX and step.operation not in dialect.renamed:
            text = _INFIX[step.operation].format(*operands)
        else:
            called = dialect.call(step.operation, program.precision)
            if step.operation in dialect.decays and program.is_nonpositive(_exponent(step)):
                called = dialect.decays[step.operation]
            text = f"{called}({', '.join(operands)})"
        real = "bool" if step.operation.is_logical else _REAL[program.precision]
        lines.append(Statement(real, f"v{position}", text))
        shown.append(f"v{position}")
    return tuple(lines), tuple(shown[k] for k in program.outputs)


def _exponent(step: Instruction) -> int:
    return step.operands[1 if step.operation is Operation.EXP_TAIL else 0]


def operations(scalar: Scalar, modes: Sequence[tuple[Precision, Mode]]) -> frozenset[Operation]:
    """Which operations a function's programs use."""
    programs = [make(p, m) for p, m in modes for make in (scalar.forward, scalar.backward, scalar.joint)]
    return frozenset(step.operation for program in programs for step in program.instructions)


def uses(operations: frozenset[Operation], kernels: list[Kernel]) -> Uses:
    """Which functions of ``templates/math.j2`` the operations of some kernels need."""
    sigmoid, softplus = Operation.SIGMOID in operations, Operation.SOFTPLUS in operations
    tanh = Operation.TANH in operations
    expm1 = tanh or Operation.EXPM1 in operations
    exp = (
        expm1 or sigmoid or softplus or bool({Operation.EXP, Operation.EXP_HEAD, Operation.GATE} & operations)
    )
    return Uses(
        nan=_holds(_NAN, kernels),
        infinity=_holds(_INFINITY, kernels),
        sign=Operation.SIGN in operations,
        sigmoid=sigmoid,
        gate=sigmoid or Operation.GATE in operations,
        softplus=softplus,
        tanh=tanh,
        expm1=expm1,
        exp=exp,
        erfcx=Operation.ERFCX in operations,
        sin_near=Operation.SIN_NEAR in operations,
    )


def _holds(constant: str, kernels: list[Kernel]) -> bool:
    """Whether a kernel holds a constant for which C has no literal."""
    return any(constant in text for k in kernels for text in _texts(k))


def _texts(kernel: Kernel) -> tuple[str, ...]:
    computed = (s.text for s in (*kernel.forward, *kernel.backward))
    return (*computed, kernel.value, kernel.slope, *kernel.by_parameter)


def environment() -> jinja2.Environment:
    """Give the environment of the templates: an undefined name is an error, nothing is escaped."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("eafo.kernels.backends"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - C++, not HTML; only generated names and numbers reach a template
    )


def _number(value: float, precision: Precision) -> str:
    """A literal; a negative one in brackets, so that it may follow any operator."""
    if math.isnan(value):
        return _NAN
    if math.isinf(value):
        # Cast, so that both arguments of a maximum are of one type.
        literal = ("(float)" if precision is Precision.FLOAT32 else "") + _INFINITY
        return literal if value > 0 else f"(-{literal})"
    text = repr(value) + ("f" if precision is Precision.FLOAT32 else "")
    return f"({text})" if text.startswith("-") else text
