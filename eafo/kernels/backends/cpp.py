"""Backend ``cpp``: C++ for GCC and Clang that includes no header, called with plain pointers.

The loops are written to be vectorised: exp and what follows from it are branch-free polynomials, defined in the
template. The other functions are the C library's; where it is glibc, ``EAFO_LIBMVEC`` lets the compiler call its vector
forms, which are within 4 ULP everywhere.
"""

from __future__ import annotations

from typing import Literal

from eafo.kernels.backends import c_family
from eafo.kernels.lower import Scalar
from eafo.kernels.program import Mode, Precision

__all__ = ["ABOUT", "CHUNK", "CHUNKS_ON_STACK", "COMMENT", "PRECISIONS", "SUFFIX", "Form", "source"]

SUFFIX = "cpp"
COMMENT = "//"
ABOUT = "C++17 for GCC and Clang, four types; no header needed"
#: What each precision promises, measured over the catalog on numbers of all magnitudes.
PRECISIONS = {
    "fast": "fast: float32 within 8 ULP of the largest term, half precisions within 1",
    "exact": "exact: float32 computed in double and rounded once, half precisions within 1 ULP",
}
#: Elements whose parameter gradients share one slot.
CHUNK = 16384
#: Results of so many bytes are stored past the caches where that is asked: with an operation after that reads them, no
#: slower from 2^24 bytes and faster from 2^25, measured on a processor with 32 MiB of cache.
_STREAMED_BYTES = 2**25
#: The caller lends memory for the slots of more chunks than these.
CHUNKS_ON_STACK = 64

#: How values are stored: the end of a function's name, the type, and that of the sums of parameter gradients.
_SINGLE = (("float32", "float", "float"),)
_DOUBLE = (("float64", "double", "double"),)
_HALVES = (("bfloat16", "bfloat16_t", "float"), ("float16", "float16_t", "float"))
Form = Literal["plain", "gated", "channels", "code"]
_Types = tuple[tuple[str, str, str], ...]


def _plan(scalar: Scalar, exact: bool) -> list[tuple[Precision, Mode, _Types]]:
    """What is computed how, and for which types."""
    if exact:
        return [(Precision.FLOAT32, Mode.FUSED, _HALVES), (Precision.FLOAT64, Mode.FUSED, _SINGLE + _DOUBLE)]
    double = (Precision.FLOAT64, Mode.FUSED, _DOUBLE)
    fused, compensated = (
        (scalar.forward(Precision.FLOAT32, m), scalar.backward(Precision.FLOAT32, m))
        for m in (Mode.FUSED, Mode.COMPENSATED)
    )
    if fused == compensated:
        return [(Precision.FLOAT32, Mode.FUSED, _SINGLE + _HALVES), double]
    single = (Precision.FLOAT32, Mode.COMPENSATED, _SINGLE)
    return [single, (Precision.FLOAT32, Mode.FUSED, _HALVES), double]


_DIALECT = c_family.Dialect("__builtin_", c_family.SHARED, c_family.DECAYS)


def source(scalar: Scalar, exact: bool = False, form: Form = "plain", *, streamed: bool = False) -> str:
    """Print the C++ of a function: ``eafo_forward_…`` and ``eafo_backward_…`` for four types.

    Args:
        scalar: the function.
        exact: compute float32 in double precision too, and round once.
        form: ``plain`` for f(x) with one value a parameter; ``gated`` for f(x) b; ``channels`` for a value a channel;
            ``code`` keeps f′ in four bits.
        streamed: store large results in float32 past the caches, in the plain and the gated form; for GCC and AVX-512.
    """
    streamed = streamed and not exact and form in ("plain", "gated")
    plan = _plan(scalar, exact)
    joint = form in ("gated", "code")
    kernels = [c_family.describe(scalar, p, m, _DIALECT, joint=joint) for p, m, _ in plan]
    operations = c_family.operations(scalar, [(p, m) for p, m, _ in plan])
    template = c_family.environment().get_template("cpp.j2")
    return template.render(
        form=f"cpp_{'plain' if form == 'gated' else form}.j2",
        gated=form == "gated",
        kernels=[(k, types) for k, (_, _, types) in zip(kernels, plan, strict=True)],
        uses=c_family.uses(operations, kernels),
        library=_DIALECT.library(operations),
        binary=("pow",),
        inline="inline",
        constant="const",
        builtin="__builtin_",
        device=False,
        chunk=CHUNK,
        streamed=_STREAMED_BYTES if streamed else 0,
        on_stack=CHUNKS_ON_STACK,
    )
