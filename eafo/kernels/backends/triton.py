"""Backend ``triton``: Python that Triton compiles, for AMD's and Intel's GPUs and for readers of Triton.

Two kernels a precision, of plain operations: half precisions are loaded as float32 and rounded once. What Triton has no
accurate function for is libdevice's (OCML's on AMD). Parameters are read from device memory; each program writes its part of
a parameter's gradient to a place of its own.
"""

from __future__ import annotations

import math

from eafo.errors import InputError
from eafo.kernels.backends import c_family
from eafo.kernels.lower import Scalar
from eafo.kernels.program import Mode, Operation, Precision, Program

__all__ = ["ABOUT", "BLOCK", "COMMENT", "PRECISIONS", "SUFFIX", "source"]

SUFFIX = "py"
COMMENT = "#"
ABOUT = "Python for Triton"
PRECISIONS = {"fast": "", "exact": "exact: float32 computed in float64 and rounded once"}
#: Elements a program.
BLOCK = 1024

_INFIX: dict[Operation, str] = {
    Operation.ADD: "{0} + {1}",
    Operation.SUB: "{0} - {1}",
    Operation.MUL: "{0} * {1}",
    Operation.NEG: "-{0}",
    Operation.LESS: "{0} < {1}",
    Operation.LESS_EQUAL: "{0} <= {1}",
    Operation.EQUAL: "{0} == {1}",
    Operation.AND: "{0} & {1}",
    Operation.OR: "{0} | {1}",
    Operation.NOT: "{0} == 0",
    Operation.EXP_TAIL: "{0}",
    Operation.COGATE: "1.0 / {0}",
}
#: Functions of the template, of Triton, and of libdevice.
_OWN = frozenset(
    {
        Operation.DIV, Operation.SIGN, Operation.EXP_HEAD, Operation.GATE, Operation.SIGMOID, Operation.SOFTPLUS, Operation.MAX,
        Operation.MIN,
    }
)  # fmt: skip
_TRITON = {
    Operation.ABS: "tl.abs",
    Operation.SELECT: "tl.where",
    Operation.SQRT: "libdevice.sqrt",
    Operation.SIN_NEAR: "libdevice.sin",
}
_LIBDEVICE = frozenset(
    {
        Operation.EXP, Operation.EXPM1, Operation.LOG, Operation.LOG1P, Operation.SIN, Operation.COS, Operation.TAN,
        Operation.ATAN, Operation.SINH, Operation.COSH, Operation.TANH, Operation.ASINH, Operation.ERF, Operation.ERFC,
        Operation.ERFCX, Operation.POW,
    }
)  # fmt: skip


def source(scalar: Scalar, exact: bool = False) -> str:
    """Print ``forward_float32``, ``backward_float32`` and the same for float64, which load and store any floating type.

    Args:
        scalar: the function.
        exact: compute float32 in float64; then the kernels for float32 are for half precisions alone.
    """
    kernels = []
    for precision in Precision:
        forward, backward = (make(precision, Mode.PLAIN) for make in (scalar.forward, scalar.backward))
        kernels.append((str(precision), _body(forward), _body(backward)))
    template = c_family.environment().get_template("triton.j2")
    return template.render(
        kernels=kernels,
        inputs=[f"p{i}" for i in range(len(scalar.parameters))],
        exact=exact,
    )


def _body(program: Program) -> tuple[list[str], list[str]]:
    """The lines of a program, and the names of its results."""
    lines, shown = [], list[str]()
    real = f"tl.{program.precision}"
    for position, step in enumerate(program.instructions):
        if step.operation is Operation.INPUT:
            shown.append("x" if step.value == 0 else f"p{int(step.value) - 1}")
            continue
        if step.operation is Operation.CONST:
            # As a value of the type that computes: a bare number would be one of float32.
            shown.append(f"tl.full([], {_number(step.value)}, {real})")
            continue
        operands = [shown[k] for k in step.operands]
        lines.append(f"v{position} = {_text(step.operation, operands)}")
        shown.append(f"v{position}")
    return lines, [shown[k] for k in program.outputs]


def _text(operation: Operation, operands: list[str]) -> str:
    if operation in _INFIX:
        return _INFIX[operation].format(*operands)
    if operation in _OWN:
        called = f"eafo_{operation}"
    elif operation in _TRITON:
        called = _TRITON[operation]
    elif operation in _LIBDEVICE:
        called = f"libdevice.{operation}"
    else:
        raise InputError("the triton backend knows the operations of a plain program", str(operation))
    return f"{called}({', '.join(operands)})"


def _number(value: float) -> str:
    if math.isnan(value) or math.isinf(value):
        return f'float("{value}")'
    return repr(value)
