"""Source text of kernels, with a header that says what it is; the same text every time."""

from __future__ import annotations

from eafo import formula
from eafo.activation import Activation
from eafo.catalog import ActivationLike, get
from eafo.errors import InputError
from eafo.kernels.backends import Backend, aten, cpp, cuda, triton
from eafo.kernels.lower import Scalar
from eafo.kernels.program import Precision

__all__ = ["emit", "suffix", "targets"]


_TARGETS: dict[str, Backend] = {"aten": aten, "cpp": cpp, "cuda": cuda, "triton": triton}


def targets() -> tuple[str, ...]:
    """Give the languages that `emit` writes.

    >>> targets()
    ('aten', 'cpp', 'cuda', 'triton')
    """
    return tuple(_TARGETS)


def suffix(target: str) -> str:
    """Give the end of a source file's name, without the dot.

    >>> suffix("cuda")
    'cu'
    """
    return _target(target).SUFFIX


def emit(activation: ActivationLike, target: str = "cuda", precision: str = "fast") -> str:
    """Write an activation's forward and backward kernels as source text.

    Args:
        activation: any text form, a SymPy expression or an `Activation`.
        target: ``aten``, ``cpp``, ``cuda`` or ``triton``.
        precision: ``fast`` or ``exact``, as in `eafo.kernels.compile_kernel`.

    Raises:
        InputError: no such activation or target, or a precision that the target is not written in.

    >>> print(emit("relu", "aten").splitlines()[0])
    # relu: max(0, x)
    """
    chosen = _target(target)
    if precision not in chosen.PRECISIONS:
        raise InputError(f"the precisions of {target} are: {', '.join(chosen.PRECISIONS)}", precision)
    act = get(activation)
    promise = chosen.PRECISIONS[precision]
    about = f"{chosen.ABOUT}. {promise}" if promise else chosen.ABOUT
    source = chosen.source(Scalar.of(act), precision == "exact")
    header = "".join(f"{chosen.COMMENT} {_plain(line)}\n" for line in _header(act, about))
    return f"{header}\n{source}"


def _target(target: str) -> Backend:
    if target not in _TARGETS:
        raise InputError(f"the targets are: {', '.join(_TARGETS)}", target)
    return _TARGETS[target]


def _header(activation: Activation, about: str) -> list[str]:
    scalar = Scalar.of(activation)
    count = [p.operations for p in (scalar.forward(Precision.FLOAT64), scalar.backward(Precision.FLOAT64))]
    parameters = [
        f"p{i} = {p.name}, {p.default:g} at the start, in {p.domain}, {'learnable' if p.learnable else 'fixed'}"
        for i, p in enumerate(activation.parameters)
    ]
    source = [f"from: {activation.provenance.source}"] if activation.provenance.source else []
    return [
        f"{activation.name}: {formula.to_text(activation.expression)}",
        *parameters,
        *source,
        f"{about}.",
        "Written by eafo from the formula: rewritten to stay finite and accurate, differentiated, lowered once.",
        f"Operations an element: {count[0]} forward, {count[1]} backward (f' and the learnable parameters).",
    ]


def _plain(text: str) -> str:
    """Give one line that no language reads as more than a comment: no backslash, no control or odd character."""
    return "".join(c if c.isalnum() or c in " +-*/().,;:_=<>'^|&%∂²" else "?" for c in text)
