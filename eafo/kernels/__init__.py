"""Kernels: one formula to code that runs: stable, lowered once, printed by each backend, seen by torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eafo.kernels.build import KernelWarning
    from eafo.kernels.emission import emit, suffix, targets
    from eafo.kernels.library import operator
    from eafo.kernels.op import Kernel, compile_kernel
    from eafo.kernels.verification import Sweep, Verification, sweep, verify

__all__ = [
    "Kernel",
    "KernelWarning",
    "Sweep",
    "Verification",
    "compile_kernel",
    "emit",
    "operator",
    "suffix",
    "sweep",
    "targets",
    "verify",
]

# Printing code needs no torch, so each name loads its own module when first used.
_HOME = {
    "Kernel": "op",
    "KernelWarning": "build",
    "Sweep": "verification",
    "Verification": "verification",
    "compile_kernel": "op",
    "emit": "emission",
    "operator": "library",
    "suffix": "emission",
    "sweep": "verification",
    "targets": "emission",
    "verify": "verification",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"eafo.kernels.{_HOME[name]}"), name)
    raise AttributeError(f"module 'eafo.kernels' has no attribute {name!r}")
