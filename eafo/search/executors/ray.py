"""Trials as tasks of a Ray cluster, one processor and, where asked, a fraction of a GPU each."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import sys
from typing import TYPE_CHECKING, Any

from eafo.errors import EafoError, InputError, MissingDependencyError
from eafo.search.executors import Job, Result
from eafo.search.executors.messages import decode_result, encode_job
from eafo.search.executors.waiting import MOST_RETRIES, Waiting
from eafo.search.executors.worker import answer

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["RayExecutor"]

_MOST_WORKERS = 100_000
_ADDRESS = re.compile(r"(?:ray://)?(?P<host>[^\s/:]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})")
#: Seconds: between two looks at the cluster while nothing ends, and to reach it.
_LOOK, _REACH = 5.0, 5.0
_GONE = "start the cluster again, then the same command: a search goes on from there"


class RayExecutor(Waiting):
    """Tasks of a Ray cluster.

    A job goes as one line of JSON, with what a worker on another machine lacks: the driver's import path, for a task of the
    user's own, and the environment variables that begin with ``EAFO_``. Ray tries a job again whose worker or node died, at most
    three times. No more jobs are handed to Ray than run at a time, so that those waiting can be dropped.

    Args:
        workers: how many jobs at a time; where not given, as many as the cluster has room for.
        address: ``"HOST:PORT"`` of a cluster, or ``"ray://HOST:PORT"`` of its client server (which needs ``ray[client]``); where not
            given, the cluster that ``RAY_ADDRESS`` names or that runs on this machine, else one that is started for the time being.
        gpus: GPUs of each job, from 0: a whole number, or a fraction below 1.

    Raises:
        InputError: a wrong number or address; the cluster cannot be reached, or no node of it has room for a job.
        MissingDependencyError: Ray is not installed.
    """

    def __init__(self, workers: int | None = None, *, address: str | None = None, gpus: float = 0.0) -> None:
        _check(workers, gpus)
        self._ray = _imported()
        self._gpus = float(gpus)
        super().__init__()
        self._running: dict[Any, Job] = {}
        self._own = not self._ray.is_initialized()
        if self._own:
            _connect(self._ray, address)
        try:
            self._endpoint = _endpoint(address or self._ray.get_runtime_context().gcs_address)
            room = self._room()
            if not room:
                needed = f"a processor and {gpus:g} GPUs" if gpus else "a processor"
                raise InputError(f"a node of the Ray cluster must have {needed} for a job", "no such node")
        except BaseException:
            self.close()
            raise
        self._count = room if workers is None else workers
        self._train = self._ray.remote(num_cpus=1, num_gpus=self._gpus, max_retries=MOST_RETRIES)(_train)

    @property
    def workers(self) -> int:
        """How many jobs run at a time."""
        return self._count

    def next(self) -> Result:
        """Wait for the next job to end.

        Raises:
            InputError: there is no job to wait for.
            EafoError: the cluster is gone, or has no room for a job any more; a worker cannot import eafo.
        """
        self._start()
        if not self._running:
            raise InputError("an executor waits for a job that was submitted", "none")
        try:
            result = self._result(self._wait())
        except (self._ray.exceptions.RayError, ConnectionError) as error:
            raise _gone(error) from error
        self._start()
        return result

    def close(self) -> None:
        """End the jobs that still run, and a cluster that was started for them."""
        self._waiting.clear()
        with contextlib.suppress(Exception):  # Of a cluster that is gone nothing is left to be ended.
            for reference in self._running:
                self._ray.cancel(reference, force=True)
        self._running.clear()
        if self._own:
            self._ray.shutdown()

    # -- the cluster -------------------------------------------------------------------------------------------

    def _start(self) -> None:
        while self._waiting and len(self._running) < self._count:
            job = self._waiting.popleft()
            try:
                self._running[self._train.remote(encode_job(job), _surroundings())] = job
            except (self._ray.exceptions.RayError, ConnectionError) as error:
                raise _gone(error) from error

    def _wait(self) -> Any:
        """The reference of a job that has ended; Ray itself waits for lost clusters and nodes without end."""
        while True:
            ended, _ = self._ray.wait(list(self._running), num_returns=1, timeout=_LOOK)
            if ended:
                return ended[0]
            _reach(*self._endpoint, EafoError)
            if not self._room():
                raise EafoError(
                    "a node of the Ray cluster must have room for a job, but none is left", remedy=_GONE
                )

    def _room(self) -> int:
        """How many jobs the nodes that live could run at a time."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return sum(_slots(node.get("CPU", 0.0), node.get("GPU", 0.0), self._gpus) for node in nodes)

    def _result(self, reference: Any) -> Result:
        job = self._running.pop(reference)
        lost = self._ray.exceptions
        try:
            return decode_result(self._ray.get(reference), job)
        except (lost.WorkerCrashedError, lost.NodeDiedError, lost.ObjectLostError, lost.OutOfMemoryError):
            error = EafoError(f"the worker or its node was ended, {MOST_RETRIES + 1} times over")
            return Result(job, None, error, (error,) * len(job.further))
        except lost.RayTaskError as error:
            reason = str(error.cause or error).strip().splitlines()[-1]
            raise EafoError(
                f"a Ray worker must be able to run a training, but failed ({reason})",
                remedy="install the same eafo on every node",
            ) from error


def _train(job: str, surroundings: str) -> str:
    """What a worker does with a job."""
    given = json.loads(surroundings)
    os.environ.update(given["environment"])
    sys.path.extend(p for p in given["path"] if p not in sys.path)
    return answer(job)


def _surroundings() -> str:
    environment = {name: value for name, value in os.environ.items() if name.startswith("EAFO_")}
    return json.dumps({"environment": environment, "path": [p or os.getcwd() for p in sys.path]})


def _slots(processors: float, devices: float, gpus: float) -> int:
    """How many jobs a node has room for: a GPU is shared among jobs, a job's fraction is not among GPUs.

    >>> _slots(16, 2, 0.3), _slots(4, 2, 0.3), _slots(16, 3, 2), _slots(16, 0, 0)
    (6, 4, 1, 16)
    """
    if not gpus:
        return int(processors)
    # A quotient such as 1 / 0.1 must not be rounded down.
    shared = int(devices) * int(1 / gpus + 1e-9) if gpus < 1 else int(devices // gpus)
    return min(int(processors), shared)


def _check(workers: int | None, gpus: float) -> None:
    whole = isinstance(workers, int) and not isinstance(workers, bool)
    if workers is not None and not (whole and 1 <= workers <= _MOST_WORKERS):
        raise InputError(f"the number of workers must be a whole number from 1 to {_MOST_WORKERS}", workers)
    number = isinstance(gpus, int | float) and not isinstance(gpus, bool)
    if not number or not (0.0001 <= gpus < 1 or gpus in range(1025)):
        raise InputError("the GPUs of a job must be a whole number, or a fraction from 0.0001 below 1", gpus)


def _imported() -> ModuleType:
    # Nothing is sent to Ray's makers. Without the second, Ray 2 warns that it hides the GPUs from tasks that asked for none.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingDependencyError(
            f"trials on Ray need the package ray ({error})", remedy='pip install "eafo[ray]"'
        ) from error
    return ray


def _connect(ray: ModuleType, address: str | None) -> None:
    if address is not None:
        _reach(*_endpoint(address), InputError)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except ImportError as error:
        raise MissingDependencyError(
            f"an address ray://… needs Ray's client ({error})", remedy='pip install "eafo[ray]"'
        ) from error
    except (ray.exceptions.RayError, ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"a Ray cluster must be there or be started ({reason})",
            address or "none",
            "see `ray status`; one that asks for a token needs RAY_AUTH_MODE=token here too",
        ) from error


def _endpoint(address: str) -> tuple[str, int]:
    matched = _ADDRESS.fullmatch(address)
    if matched is None or int(matched["port"]) > 65535:
        raise InputError("a Ray cluster's address must be HOST:PORT or ray://HOST:PORT", address)
    return matched["host"].strip("[]"), int(matched["port"])


def _reach(host: str, port: int, kind: type[EafoError]) -> None:
    """Refuse at once where nobody listens: Ray tries for minutes, and ends the whole process then."""
    try:
        socket.create_connection((host, port), timeout=_REACH).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise kind(f"the Ray cluster must be reachable ({reason})", f"{host}:{port}", _GONE) from error


def _gone(error: Exception) -> EafoError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return EafoError(f"the Ray cluster must stay there, but is lost ({reason})", remedy=_GONE)
