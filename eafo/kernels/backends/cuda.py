"""Backend ``cuda``: CUDA C++ that includes no header, so that NVRTC compiles it without a toolkit.

Types: float32, float64, and float16 and bfloat16 that are computed in float32. Parameters are numbers by value, or read from
device memory in a type of their own, so that a launch waits for nothing. Their gradients take one launch: a slot a block, summed
by the last block, and written in the parameter's type.

What float32 and float64 compute is what the C++ backend does, written once in ``templates/math.j2``. In ``fast`` half
precisions use the processor's approximations of 2^x and 1/x, within 2^-22.
"""

from __future__ import annotations

from typing import Literal

from eafo.kernels.backends import c_family
from eafo.kernels.lower import Scalar
from eafo.kernels.program import Mode, Operation, Precision

__all__ = [
    "ABOUT",
    "AHEAD",
    "BUDGET",
    "COMMENT",
    "PRECISIONS",
    "SUFFIX",
    "THREADS",
    "Form",
    "is_light",
    "source",
]

SUFFIX = "cu"
COMMENT = "//"
ABOUT = "CUDA C++ for NVRTC or nvcc; no header needed"
#: What each precision promises.
PRECISIONS = {
    "fast": "fast: half precisions by the processor's approximations of 2^x and 1/x, float32 in float32",
    "exact": "exact: float32 computed in double and rounded once, half precisions in float32",
}
Form = Literal["plain", "gated", "channels", "code", "float8"]

#: Threads a block: with a value a channel a block adds many sums, and more threads make fewer blocks of them.
THREADS: dict[Form, int] = {"plain": 128, "gated": 128, "code": 128, "float8": 128, "channels": 256}
#: Packs of sixteen bytes a thread has on their way at once.
AHEAD = 2

#: About how many instructions an operation takes in half precisions and in float32. Those that are not here take many more.
_INSTRUCTIONS = {
    **dict.fromkeys((Operation.INPUT, Operation.CONST), (0, 0)),
    **dict.fromkeys(
        (
            Operation.ADD, Operation.SUB, Operation.MUL, Operation.FMA, Operation.PRODUCT_ERROR, Operation.SUM_ERROR,
            Operation.NEG, Operation.ABS, Operation.SIGN, Operation.MAX, Operation.MIN, Operation.LESS,
            Operation.LESS_EQUAL, Operation.EQUAL, Operation.AND, Operation.OR, Operation.NOT, Operation.SELECT,
        ),
        (1, 1),
    ),
    Operation.DIV: (4, 15),
    Operation.EXP: (5, 20),
    Operation.EXP_HEAD: (1, 16),
    Operation.EXP_TAIL: (1, 8),
    Operation.GATE: (6, 12),
    Operation.COGATE: (3, 12),
    Operation.SIGMOID: (8, 37),
    Operation.SOFTPLUS: (15, 39),
    Operation.EXPM1: (19, 22),
    Operation.TANH: (24, 27),
    Operation.ERF: (21, 23),
    Operation.ATAN: (19, 20),
    Operation.SIN_NEAR: (5, 5),
}  # fmt: skip
_MANY = (100, 100)
#: So many instructions an element an H200 has the time for while its memory moves what forward reads and writes.
BUDGET = {2: 31, 4: 62}

_Types = tuple[tuple[str, str], ...]
_SINGLE = (("float32", "float"),)
_DOUBLE = (("float64", "double"),)
_HALVES = (("float16", "float16_t"), ("bfloat16", "bfloat16_t"))

_PRECISE = c_family.Dialect("", c_family.SHARED, c_family.DECAYS)
_QUICK = c_family.Dialect(
    "",
    c_family.SHARED,
    {operation: name.replace("eafo", "quick") for operation, name in c_family.DECAYS.items()},
    {
        operation: f"quick_{operation}"
        for operation in (
            Operation.DIV, Operation.MAX, Operation.MIN, Operation.EXP, Operation.EXP_HEAD, Operation.EXP_TAIL,
            Operation.GATE, Operation.COGATE, Operation.SIGMOID, Operation.SOFTPLUS, Operation.TANH,
            Operation.ERFCX,
        )
    },
)  # fmt: skip


def _plan(exact: bool) -> list[tuple[Precision, Mode, c_family.Dialect, _Types]]:
    """What is computed how, and for which types."""
    careful = (Precision.FLOAT32, Mode.COMPENSATED, _PRECISE)
    double = (Precision.FLOAT64, Mode.FUSED, _PRECISE)
    if exact:
        return [(*careful, _HALVES), (*double, _SINGLE + _DOUBLE)]
    return [(*careful, _SINGLE), (Precision.FLOAT32, Mode.FUSED, _QUICK, _HALVES), (*double, _DOUBLE)]


def is_light(scalar: Scalar, size: int) -> bool:
    """Whether the instructions of f for elements of so many bytes leave the processor waiting for memory.

    Args:
        scalar: the function, in the precision ``fast``.
        size: 2 for half precisions, 4 for float32; larger ones are not known.
    """
    if size not in BUDGET:
        return False
    steps = scalar.forward(Precision.FLOAT32).instructions
    return sum(_INSTRUCTIONS.get(s.operation, _MANY)[size // 4] for s in steps) <= 0.6 * BUDGET[size]


def source(scalar: Scalar, exact: bool = False, form: Form = "plain") -> str:
    """Print the CUDA C++ of a function: ``eafo_forward_…`` and ``eafo_backward_…`` for four types.

    Args:
        scalar: the function.
        exact: compute float32 in double precision, and half precisions without approximations.
        form: ``plain`` for f(x) with one value a parameter; ``gated`` for f(x) b; ``channels`` for a value a channel;
            ``code`` keeps f′ in four bits; ``float8`` has eight bits as a result, and no backward.
    """
    plan = _plan(exact)
    joint = form in ("gated", "code")
    kernels = [c_family.describe(scalar, p, m, d, joint=joint) for p, m, d, _ in plan]
    operations = c_family.operations(scalar, [(p, m) for p, m, _, _ in plan])
    template = c_family.environment().get_template("cuda.j2")
    return template.render(
        form=f"cuda_{'plain' if form == 'gated' else form}.j2",
        gated=form == "gated",
        joint=joint,
        quick=not exact,
        kernels=[(k, types) for k, (_, _, _, types) in zip(kernels, plan, strict=True)],
        sums=len(scalar.learnable),
        takes_numbers=bool(scalar.parameters) or form == "float8",
        uses=c_family.uses(operations, kernels),
        threads=THREADS[form],
        ahead=AHEAD,
        inline="__device__ __forceinline__",
        constant="const",
        builtin="",
        device=True,
    )
