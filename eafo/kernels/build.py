"""Compiling sources to libraries, kept in a directory of the user's own and named by what went into them."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shutil
import stat
import subprocess
import tempfile
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from eafo.errors import BuildError

__all__ = [
    "KernelWarning",
    "cache_directory",
    "cached",
    "content",
    "find_compiler",
    "load_cpp",
    "streams",
    "warn_once",
]

#: Never -ffast-math: it would undo the compensated sums and the treatment of NaN.
_FLAGS = (
    "-O3",
    "-march=native",
    "-std=c++17",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fPIC",
    "-shared",
    "-x",
    "c++",
)
_OPENMP = ("-fopenmp",)
# glibc's vector forms of sin, erf and their like; --no-undefined makes their absence an error of the linker.
_LIBMVEC = ("-DEAFO_LIBMVEC", "-Wl,--no-undefined")
_LIBMVEC_LIBRARIES = ("-lmvec", "-lm")
# GCC else joins sin and cos of one argument to a call that has no vector form.
_SIN_AND_COS_APART = ("-fdisable-tree-sincos",)
# Peeling a loop for alignment would make the order of a sum depend on the address of the data.
_GCC_ONLY = ("--param", "vect-max-peeling-for-alignment=0")
# Whole registers where the processor has AVX-512: a fifth to a half less time, measured on CRReLU, tanh and SReLU.
_X86_ONLY = ("-mprefer-vector-width=512",)
_COMPILE_SECONDS = 120
_DIGEST = hashlib.sha256().digest_size

_lock = threading.Lock()
_warned: set[str] = set()


class KernelWarning(UserWarning):
    """A kernel runs by plain torch operations, because a faster backend is not to be had."""


def warn_once(message: str) -> None:
    """Warn of a missing backend, once a process and message."""
    if message not in _warned:
        _warned.add(message)
        warnings.warn(message, KernelWarning, stacklevel=2)


def cache_directory() -> Path:
    """The directory of compiled kernels: ``$EAFO_CACHE``, or the user's cache directory.

    Raises:
        BuildError: it cannot be made, belongs to another user, or is writable by others: what is loaded from it runs.
    """
    path = Path(os.environ.get("EAFO_CACHE") or platformdirs.user_cache_dir("eafo"))
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except OSError as error:
        raise BuildError(
            "the kernel cache must be a directory", str(path), "set EAFO_CACHE to another"
        ) from error
    if hasattr(os, "getuid") and found.st_uid != os.getuid():
        raise BuildError(
            "the kernel cache must belong to you", str(path), "set EAFO_CACHE to a directory of yours"
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise BuildError("the kernel cache must be writable by you alone", str(path), f"chmod 700 {path}")
    return path


def cached(key: str, suffix: str, make: Callable[[Path], None]) -> Path:
    """Give the file of a key, made where it is missing or damaged.

    A file ends in the digest of what stands before it. It is made under a temporary name and renamed, so that two
    processes may make it at once.

    Args:
        key: everything that went into the file.
        suffix: the end of its name, with the dot.
        make: writes the file to the path it is given.

    Raises:
        BuildError: the directory is not to be trusted, or cannot be written.
    """
    path = cache_directory() / (hashlib.sha256(key.encode()).hexdigest()[:32] + suffix)
    if path.is_file() and _is_whole(path):
        return path
    try:
        handle, name = tempfile.mkstemp(suffix=suffix, dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise BuildError(
            "the kernel cache must be writable", str(path.parent), "set EAFO_CACHE to another"
        ) from error
    made = Path(name)
    try:
        make(made)
        with made.open("ab") as file:
            file.write(_digest(memoryview(made.read_bytes())))
        made.replace(path)
    except OSError as error:
        raise BuildError(
            "the kernel cache must take a compiled kernel",
            f"{path.parent}: {error.strerror or error}",
            "make room, or set EAFO_CACHE to another",
        ) from error
    finally:
        made.unlink(missing_ok=True)
    return path


def content(path: Path) -> bytes:
    """Give what `make` wrote to a file of the cache: all but the digest at its end."""
    return path.read_bytes()[:-_DIGEST]


def _is_whole(path: Path) -> bool:
    data = memoryview(path.read_bytes())
    return len(data) > _DIGEST and _digest(data[:-_DIGEST]) == data[-_DIGEST:]


def _digest(data: memoryview) -> bytes:
    return hashlib.sha256(data).digest()


def find_compiler() -> str | None:
    """The C++ compiler: ``$CXX``, c++, g++ or clang++, whichever is found first; None where there is none."""
    named = os.environ.get("CXX")
    for name in ([named] if named else []) + ["c++", "g++", "clang++"]:
        found = shutil.which(name)
        if found:
            return found
    return None


@dataclass(frozen=True)
class _Attempt:
    """One way of calling the compiler: options before the source, libraries after it."""

    options: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()


def _attempts(source: str, version: str) -> tuple[_Attempt, ...]:
    """With all there is; then without vector forms of functions, then without OpenMP."""
    flags = (*_FLAGS, *(() if "clang" in version else _GCC_ONLY))
    if platform.machine().lower() in ("x86_64", "amd64"):
        flags = (*flags, *_X86_ONLY)
    plain = _Attempt((*flags, *_OPENMP)), _Attempt(flags)
    if "EAFO_LIBMVEC" not in source:
        return plain
    vectors = (*flags, *_OPENMP, *_LIBMVEC)
    apart = _Attempt((*vectors, *_SIN_AND_COS_APART), _LIBMVEC_LIBRARIES)
    return apart, _Attempt(vectors, _LIBMVEC_LIBRARIES), *plain


def load_cpp(source: str) -> ctypes.CDLL:
    """Compile C++ and load it; from the cache where it was compiled before.

    Raises:
        BuildError: no compiler, no cache, or the compiler refuses the source.
    """
    compiler = find_compiler()
    if compiler is None:
        raise BuildError("the cpp backend needs a C++ compiler", "none", "install g++ or clang++, or set CXX")
    version = _version(compiler)
    attempts = _attempts(source, version)
    key = "\n".join([source, compiler, version, repr(attempts), _processor()])
    with _lock:
        path = cached(key, ".so", functools.partial(_compile, compiler, attempts, source))
        try:
            return ctypes.CDLL(str(path))
        except OSError as error:
            raise BuildError("a compiled kernel must load", str(error), f"remove {path}") from error


def _compile(compiler: str, attempts: tuple[_Attempt, ...], source: str, target: Path) -> None:
    """Compile in the first way that the compiler accepts."""
    errors = ""
    for attempt in attempts:
        command = [compiler, *attempt.options, "-", "-o", str(target), *attempt.libraries]
        try:
            done = subprocess.run(
                command, input=source.encode(), capture_output=True, timeout=_COMPILE_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BuildError("the C++ compiler must run", str(error), "set CXX to another") from error
        if done.returncode == 0:
            return
        errors = done.stderr.decode(errors="replace")
    raise BuildError(
        "the C++ compiler must accept the kernel", errors.strip().splitlines()[0] if errors else compiler
    )


@functools.lru_cache(maxsize=8)
def _version(compiler: str) -> str:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run([compiler, "--version"], capture_output=True, timeout=20, check=False)
        return done.stdout.decode(errors="replace")
    return "unknown"


def processor_name() -> str:
    """What the processor calls itself."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@functools.cache
def _processor() -> str:
    """What -march=native depends on."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        told = [line for line in lines if line.lower().startswith(("vendor_id", "flags", "features"))]
        if told:
            return "\n".join(dict.fromkeys(told))
    return f"{platform.machine()} {platform.processor()}"


def streams() -> bool:
    """Whether to store large results past the caches: with GCC on AMD processors that have AVX-512.

    Measured there alone (EPYC, 2^24 float32, forward and backward): 2 % more to a fifth less time. On other processors one thread's stores past
    the caches may be the slower ones.
    """
    compiler = find_compiler()
    return (
        compiler is not None
        and "clang" not in _version(compiler)
        and "AuthenticAMD" in _processor()
        and "avx512f" in _processor().split()
    )
