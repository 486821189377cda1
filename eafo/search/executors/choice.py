"""An executor by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eafo.errors import InputError
from eafo.search.executors.local import LocalExecutor
from eafo.search.executors.ray import RayExecutor

if TYPE_CHECKING:
    from eafo.search.executors import Executor

__all__ = ["make_executor"]


def make_executor(executor: str = "local", workers: int | None = None, gpus: float = 0.0) -> Executor:
    """Start the executor of this name.

    Args:
        executor: ``"local"``: processes on this machine; ``"ray"``: the Ray cluster that ``RAY_ADDRESS`` names or that runs here,
            else one started for the time being; or a cluster's address, ``"HOST:PORT"`` or ``"ray://HOST:PORT"``.
        workers: how many jobs at a time; as many as there is room for where not given.
        gpus: GPUs of each job, which Ray shares out; a fraction lets jobs share one.

    Raises:
        InputError: no such executor; GPUs without Ray; a wrong number; the cluster cannot be reached.
        MissingDependencyError: Ray is not installed.
    """
    if executor == "local":
        if gpus:
            raise InputError("GPUs are shared out by Ray alone", gpus, "choose the executor ray")
        return LocalExecutor(workers)
    if executor != "ray" and ":" not in executor:
        raise InputError("an executor must be local, ray, HOST:PORT or ray://HOST:PORT", executor)
    return RayExecutor(workers, address=None if executor == "ray" else executor, gpus=gpus)
