"""What a call holds of memory, and an allocator that keeps its pages."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import itertools
import os
import platform
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch

__all__ = ["kept", "pages_kept", "peak"]


def kept(call: Callable[[], object]) -> int:
    """Bytes of the storages that autograd keeps for backward while a call runs."""
    found: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        call()
    return sum(found.values())


def peak(call: Callable[[], object], device: torch.device) -> int:
    """The most bytes that a call holds at once beside its inputs; −1 where the profiler does not tell them."""
    if device.type != "cuda":
        return _peak_on_cpu(call)
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    call()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def _peak_on_cpu(call: Callable[[], object]) -> int:
    """The running sum of torch's allocations, at its highest; −1 where the profiler does not tell them."""
    gc.collect()
    activities = [torch.profiler.ProfilerActivity.CPU]
    with _silenced(), torch.profiler.profile(activities=activities, profile_memory=True) as profiler:
        call()
    results: Any = profiler.profiler.kineto_results if profiler.profiler else None
    if results is None:
        return -1
    events = [e for e in results.events() if e.name() == "[memory]"]
    events.sort(key=lambda e: e.start_ns())
    return max(itertools.accumulate((e.nbytes() for e in events), initial=0))


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Keep the traces that some builds of torch's profiler print off standard error."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextlib.contextmanager
def pages_kept() -> Iterator[None]:
    """Let glibc's allocator keep what is freed; elsewhere do nothing."""
    m_trim_threshold, m_mmap_max = -1, -4
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if platform.libc_ver()[0] == "glibc" else None
    if mallopt is None:
        yield
        return
    mallopt(m_mmap_max, 0)
    mallopt(m_trim_threshold, -1)
    try:
        yield
    finally:
        mallopt(m_mmap_max, 65536)
        mallopt(m_trim_threshold, 128 * 1024)
