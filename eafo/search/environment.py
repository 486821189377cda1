"""Where a study was driven from: versions, commit and machine, written down with what it found."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from eafo.kernels.build import processor_name

__all__ = ["commit", "environment"]

_PACKAGES = ("torch", "numpy", "scipy", "sympy", "optuna")
_PATIENCE = 10.0


def environment(device: str = "cpu", executor: str = "local") -> dict[str, str]:
    """What a result depends on beside its plan and seeds.

    Args:
        device: where trainings run; on a GPU its name is told too.
        executor: where they run; on a Ray cluster that is told too, for this is the driver's machine.

    Returns:
        ``date`` (UTC), ``eafo`` (its version, with the commit where it runs from a checkout), ``versions`` and ``machine``.

    >>> list(environment())
    ['date', 'eafo', 'versions', 'machine']
    """
    told = [f"{package} {_version(package)}" for package in _PACKAGES]
    parts = [processor_name(), f"{os.cpu_count()} processors", f"{platform.system()} {platform.machine()}"]
    if executor != "local":
        parts = [f"trainings on {executor} ({device}), driven from {parts[0]}", *parts[1:]]
    elif device != "cpu":
        parts.insert(0, _gpu(device))
    at = commit()
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "eafo": _version("eafo") + (f", commit {at}" if at else ""),
        "versions": ", ".join([f"Python {platform.python_version()}", *told]),
        "machine": ", ".join(parts),
    }


def commit(source: Path = Path(__file__)) -> str:
    """The commit of the checkout that a source file of eafo lies in, with "changed" where the package differs; empty where in none."""
    package = source.parents[1]
    # Installed in an environment inside somebody's checkout, it is no part of that.
    if not _git(package, "ls-files", "--", str(source)):
        return ""
    changed = _git(package, "status", "--porcelain", "--untracked-files=no", "--", ".")
    return _git(package, "rev-parse", "--short=12", "HEAD") + (", changed" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _gpu(device: str) -> str:
    import torch  # noqa: PLC0415 - only where a GPU is asked for

    try:
        return torch.cuda.get_device_name(device)
    except (RuntimeError, AssertionError, ValueError):
        return device
