"""Backend ``aten``: plain torch operations, for any device, and what ``torch.compile`` sees."""

from __future__ import annotations

import math

from eafo.errors import InputError
from eafo.kernels.lower import Scalar
from eafo.kernels.program import Instruction, Operation, Precision, Program

__all__ = ["ABOUT", "COMMENT", "HELPERS", "PRECISIONS", "SUFFIX", "body", "module", "source"]

SUFFIX = "py"
COMMENT = "#"
ABOUT = "Python for torch, elementwise; constants as for float64"
PRECISIONS = {"fast": "", "exact": ""}

#: What the printed functions call.
HELPERS = """\
import torch


def _sigmoid(u):
    e = torch.exp(-torch.abs(u))
    return torch.where(u >= 0, 1.0, e) / (1.0 + e)


def _gate(u):
    most = 170.0 if u.dtype == torch.float32 else 1400.0
    return torch.exp(0.5 * torch.clamp(u, -most, most))


def _softplus(u):
    return torch.clamp(u, min=0.0) + torch.log1p(torch.exp(-torch.abs(u)))


def _sign(u):
    return torch.where(torch.isnan(u), u, torch.sign(u))


def _erfcx(u):
    # From 0, in float32. torch's own is one call of the library an element where torch.compile would fuse it: there, the quotient
    # of the C++ backend, within 2^-26 up to 13.4. Beyond, what it is multiplied by is 0.
    if not torch.compiler.is_compiling():
        return torch.special.erfcx(u)
    t = torch.clamp(u, max=13.4)
    s = (t - 2.25) / (t + 2.25)
    q = 8.838652138365433e-05
    for c in (0.00020608946215361357, -0.0004880942578893155, -0.0015338597586378455, 0.0033602993935346603,
              0.007927591912448406, -0.0374506451189518, 0.047454431653022766, 0.03502030298113823,
              -0.23574011027812958, 0.8177838921546936):
        q = q * s + c
    return q / (1.128379225730896 * t + 1.0)
"""

_FORMS: dict[Operation, str] = {
    Operation.ADD: "{0} + {1}",
    Operation.SUB: "{0} - {1}",
    Operation.MUL: "{0} * {1}",
    Operation.DIV: "{0} / {1}",
    Operation.NEG: "-{0}",
    Operation.ABS: "torch.abs({0})",
    Operation.SIGN: "_sign({0})",
    Operation.SQRT: "torch.sqrt({0})",
    Operation.EXP: "torch.exp({0})",
    # Without an exponent to take apart, both are exp(u/2).
    Operation.EXP_HEAD: "torch.exp(0.5 * {0})",
    Operation.EXP_TAIL: "{0}",
    Operation.EXPM1: "torch.expm1({0})",
    Operation.LOG: "torch.log({0})",
    Operation.LOG1P: "torch.log1p({0})",
    Operation.SIN: "torch.sin({0})",
    Operation.SIN_NEAR: "torch.sin({0})",
    Operation.COS: "torch.cos({0})",
    Operation.TAN: "torch.tan({0})",
    Operation.ATAN: "torch.atan({0})",
    Operation.SINH: "torch.sinh({0})",
    Operation.COSH: "torch.cosh({0})",
    Operation.TANH: "torch.tanh({0})",
    Operation.ASINH: "torch.asinh({0})",
    Operation.ERF: "torch.erf({0})",
    Operation.ERFC: "torch.erfc({0})",
    Operation.ERFCX: "_erfcx({0})",
    Operation.GATE: "_gate({0})",
    Operation.COGATE: "1.0 / {0}",
    Operation.SIGMOID: "_sigmoid({0})",
    Operation.SOFTPLUS: "_softplus({0})",
    Operation.POW: "torch.pow({0}, {1})",
    Operation.MAX: "torch.maximum({0}, {1})",
    Operation.MIN: "torch.minimum({0}, {1})",
    Operation.LESS: "{0} < {1}",
    Operation.LESS_EQUAL: "{0} <= {1}",
    Operation.EQUAL: "{0} == {1}",
    Operation.AND: "{0} & {1}",
    Operation.OR: "{0} | {1}",
    Operation.NOT: "~{0}",
    Operation.SELECT: "torch.where({0}, {1}, {2})",
}


def body(program: Program, name: str) -> str:
    """Print a Python function of ``x`` and ``p0, p1, …`` that returns the program's results, one tensor each."""
    lines, shown = [], []
    for position, step in enumerate(program.instructions):
        if step.operation is Operation.INPUT:
            shown.append("x" if step.value == 0 else f"p{int(step.value) - 1}")
        elif step.operation is Operation.CONST:
            shown.append(_number(step.value))
        else:
            shown.append(f"v{position}")
            lines.append(f"    v{position} = {_form(step, program, shown)}")
    results = [
        f"torch.full_like(x, {shown[k]})" if _is_const(program, k) else shown[k] for k in program.outputs
    ]
    inputs = ["x", *(f"p{i}" for i in range(len(program.inputs) - 1))]
    return "\n".join([f"def {name}({', '.join(inputs)}):", *lines, f"    return {', '.join(results)},", ""])


def source(scalar: Scalar, exact: bool = False) -> str:
    """Print ``forward`` and ``backward`` in torch operations; they compute in the type of what they are given, exact or not."""
    return module(scalar, Precision.FLOAT64)


def module(scalar: Scalar, precision: Precision) -> str:
    """Print the module that `eafo.kernels.launch.aten` runs: ``forward`` and ``backward``, elementwise."""
    forward, backward = (
        body(scalar.forward(precision), "forward"),
        body(scalar.backward(precision), "backward"),
    )
    return "\n\n".join([HELPERS, forward, backward])


def _is_const(program: Program, position: int) -> bool:
    return program.instructions[position].operation is Operation.CONST


def _form(step: Instruction, program: Program, shown: list[str]) -> str:
    operands = [shown[k] for k in step.operands]
    const = [_is_const(program, k) for k in step.operands]
    if step.operation is Operation.SELECT and const[1] and const[2]:
        # Two Python numbers would give a tensor of the default type, whatever the type of x.
        operands[1] = f"x.new_full((), {operands[1]})"
    if step.operation in (Operation.MAX, Operation.MIN) and any(const):
        number, tensor = operands if const[0] else operands[::-1]
        bound = "min" if step.operation is Operation.MAX else "max"
        return f"torch.clamp({tensor}, {bound}={number})"
    if step.operation not in _FORMS:
        raise InputError("the aten backend knows the operations of a program", str(step.operation))
    return _FORMS[step.operation].format(*operands)


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else f'float("{value}")'
