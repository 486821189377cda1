"""Backend ``cuda``: CUDA C++ that includes no header, so that NVRTC compiles it without a toolkit.

Types: float32, float64, and float16 and bfloat16 that are computed in float32. Parameters are read from device memory,
so that a launch waits for nothing. Parameter gradients take one launch: a slot a block, summed by the last block.
"""

from __future__ import annotations

from dataclasses import dataclass

from eafo.kernels.backends import c_family
from eafo.kernels.lower import Scalar
from eafo.kernels.program import Mode, Operation, Precision

__all__ = ["ABOUT", "COMMENT", "SUFFIX", "THREADS", "source"]

SUFFIX = "cu"
COMMENT = "//"
ABOUT = "CUDA C++ for NVRTC or nvcc; no header needed"
#: Threads a block.
THREADS = 256

_DIALECT = c_family.Dialect()
_TYPES = (
    ("float32", "float", "float"),
    ("float64", "double", "double"),
    ("float16", "float16_t", "float"),
    ("bfloat16", "bfloat16_t", "float"),
)


@dataclass(frozen=True)
class _Uses:
    """Which helpers a source needs."""

    nan: bool
    infinity: bool
    halves: bool
    gate: bool
    sigmoid: bool
    softplus: bool


def source(scalar: Scalar) -> str:
    """Print the CUDA C++ of a function: ``eafo_forward_TYPE`` and ``eafo_backward_TYPE`` for four types."""
    plan = [(p, Mode.PLAIN) for p in Precision]
    kernels = [c_family.describe(scalar, p, m, _DIALECT) for p, m in plan]
    operations = c_family.operations(scalar, plan)
    uses = _Uses(
        c_family.holds_nan(kernels),
        c_family.holds_infinity(kernels),
        Operation.EXP_HEAD in operations,
        Operation.GATE in operations,
        Operation.SIGMOID in operations,
        Operation.SOFTPLUS in operations,
    )
    template = c_family.environment().get_template("cuda.j2")
    return template.render(kernels=kernels, uses=uses, types=_TYPES, threads=THREADS)
