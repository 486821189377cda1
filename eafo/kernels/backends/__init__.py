"""Backends: each prints a scalar program in one language. None of them imports torch.

To add a backend:

1. write ``eafo/kernels/backends/NAME.py``, a module that is a `Backend`: a table from `Operation` to its text, and
   ``source``; put longer text in ``templates/NAME.j2``;
2. name it in `eafo.kernels.emission`, which adds the header comment;
3. write ``eafo/kernels/launch/NAME.py``: a `Runner` that computes forward and backward on tensors;
4. name it in `eafo.kernels.computation`, which asks it what devices and types it serves;
5. the contract tests of ``tests/kernels`` then run over it: every catalog activation against the oracle, against
   torch, through gradcheck, and every operation through the battery.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eafo.kernels.lower import Scalar

__all__ = ["Backend"]


class Backend(Protocol):
    """What a backend's module offers."""

    @property
    def SUFFIX(self) -> str:
        """The end of a source file's name."""
        ...

    @property
    def COMMENT(self) -> str:
        """What a line of comment starts with."""
        ...

    @property
    def ABOUT(self) -> str:
        """The language and what it needs, for a reader."""
        ...

    @property
    def PRECISIONS(self) -> Mapping[str, str]:
        """The precisions it is written in, ``fast`` among them, and what each promises; empty where nothing is."""
        ...

    def source(self, scalar: Scalar, exact: bool = False) -> str:
        """Print the forward and backward kernels of a function; an operation it lacks is an `InputError`."""
        ...
