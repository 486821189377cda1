"""Kernels: one formula to code that runs: stable, lowered once, printed by each backend, seen by torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eafo.kernels.op import Kernel, compile_kernel

__all__ = ["Kernel", "compile_kernel"]

# Printing code needs no torch, so each name loads its own module when first used.
_HOME = {
    "Kernel": "eafo.kernels.op",
    "compile_kernel": "eafo.kernels.op",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'eafo.kernels' has no attribute {name!r}")
