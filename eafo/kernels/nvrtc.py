"""Compiling CUDA C++ to cubins by NVRTC, through cuda-core; no toolkit and no driver needed."""

from __future__ import annotations

import functools
import importlib.metadata
import re
from pathlib import Path
from typing import Any

from eafo.errors import BuildError, InputError, MissingDependencyError
from eafo.kernels import build

__all__ = ["available", "compile_cubin", "require"]

_REMEDY = 'pip install "eafo[cuda]"'


def require() -> Any:
    """Give the package cuda.core, loaded when first needed.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import cuda.core  # noqa: PLC0415 - optional
    except ImportError as error:
        raise MissingDependencyError("CUDA kernels need cuda-core and NVRTC", remedy=_REMEDY) from error
    return cuda.core


def available() -> bool:
    """Whether CUDA sources can be compiled here."""
    try:
        require()
        _version()
    except MissingDependencyError:
        return False
    return True


@functools.cache
def _version() -> str:
    """The versions that a cubin depends on."""
    try:
        return " ".join(importlib.metadata.version(p) for p in ("cuda-core", "nvidia-cuda-nvrtc"))
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingDependencyError("CUDA kernels need cuda-core and NVRTC", remedy=_REMEDY) from error


def compile_cubin(source: str, architecture: str) -> bytes:
    """Compile CUDA C++ for one architecture; from the cache where it was compiled before.

    Args:
        source: what `eafo.kernels.emit` wrote for the target ``cuda``.
        architecture: for example ``sm_90``.

    Raises:
        InputError: the architecture is not of that form.
        MissingDependencyError: ``eafo[cuda]`` is not installed.
        BuildError: NVRTC refuses the source or the architecture.
    """
    if not re.fullmatch(r"sm_\d{2,3}[af]?", architecture):
        raise InputError("an architecture must look like sm_90", architecture)
    core, version = require(), _version()

    def make(target: Path) -> None:
        options = core.ProgramOptions(arch=architecture, std="c++17")
        try:
            target.write_bytes(core.Program(source, code_type="c++", options=options).compile("cubin").code)
        except Exception as error:
            # cuda-core raises kinds of its own, which move between its versions.
            lines = str(error).strip().splitlines() or [type(error).__name__]
            found = next((line for line in lines if "error:" in line), lines[0])
            raise BuildError("NVRTC must compile the kernel", found) from error

    path = build.cached("\n".join([source, architecture, version]), ".cubin", make)
    return build.content(path)
