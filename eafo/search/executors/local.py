"""Trials in worker processes on this machine, one thread each."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import IO

from eafo.errors import EafoError, InputError
from eafo.search.executors import Job, Result
from eafo.search.executors.messages import READY, decode_result, encode_job
from eafo.search.executors.waiting import MOST_RETRIES, Waiting

__all__ = ["LocalExecutor", "default_workers"]

_MOST_WORKERS = 1024
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def default_workers() -> int:
    """One worker for each processor that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


@dataclass(eq=False)
class _Worker:
    process: subprocess.Popen[str]
    job: Job | None = None
    ready: bool = False


class LocalExecutor(Waiting):
    """Worker processes on this machine.

    A worker is a fresh interpreter of its own rather than a child of `multiprocessing`, which would import the user's
    script anew and so run an unguarded one without end. One that dies takes only its own job with it: a new worker
    takes its place and the job is tried again, at most three times.

    Args:
        workers: how many; one for each processor where not given.

    Raises:
        InputError: the number is not a whole number from 1 to 1024.
    """

    def __init__(self, workers: int | None = None) -> None:
        count = default_workers() if workers is None else workers
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= _MOST_WORKERS:
            raise InputError(f"the number of workers must be a whole number from 1 to {_MOST_WORKERS}", count)
        self._count = count
        super().__init__()
        self._workers: list[_Worker] = []
        self._retries: dict[Job, int] = {}
        self._events: queue.SimpleQueue[tuple[_Worker, str | None]] = queue.SimpleQueue()

    @property
    def workers(self) -> int:
        """How many jobs run at a time."""
        return self._count

    @property
    def processes(self) -> tuple[int, ...]:
        """The process ids of the workers that have been started."""
        return tuple(w.process.pid for w in self._workers)

    def next(self) -> Result:
        """Wait for the next job to end.

        Raises:
            InputError: there is no job to wait for.
            EafoError: worker processes cannot be started.
        """
        while True:
            self._start()
            if not any(w.job for w in self._workers):
                raise InputError("an executor waits for a job that was submitted", "none")
            result = self._event(*self._events.get())
            if result is not None:
                self._retries.pop(result.job, None)
                self._start()
                return result

    def _event(self, worker: _Worker, line: str | None) -> Result | None:
        """What a line from a worker, or its end (None), means."""
        if line is not None and line.strip() == READY:
            worker.ready = True
            return None
        job, worker.job = worker.job, None
        if line is None:
            return self._bury(worker, job)
        return decode_result(line, job) if job else None

    def close(self) -> None:
        """End the workers; jobs that still run are lost."""
        self._waiting.clear()
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.wait()
            for pipe in (worker.process.stdin, worker.process.stdout):
                _close(pipe)
        self._workers.clear()

    # -- the workers -------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Give waiting jobs to idle workers, new ones where there is room."""
        while self._waiting:
            worker = next((w for w in self._workers if w.job is None), None)
            if worker is None and len(self._workers) < self._count:
                worker = self._hire()
            if worker is None:
                return
            worker.job = self._waiting.popleft()
            _tell(worker, encode_job(worker.job))

    def _hire(self) -> _Worker:
        # The driver's import path and no more (-P keeps the working folder out), so that a task of the user's own is found
        # in the workers too.
        path = os.pathsep.join(p or os.getcwd() for p in sys.path)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "eafo.search.executors.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, **_ONE_THREAD, "PYTHONPATH": path},
            # Ctrl-C reaches a whole process group; the driver alone decides what it means.
            process_group=0,
        )
        worker = _Worker(process)
        self._workers.append(worker)
        threading.Thread(target=_listen, args=(worker, self._events), daemon=True).start()
        return worker

    def _bury(self, worker: _Worker, job: Job | None) -> Result | None:
        """Take leave of a dead worker; its job goes back to the head of the queue, or has failed too often."""
        self._workers.remove(worker)
        status = worker.process.wait()
        for pipe in (worker.process.stdin, worker.process.stdout):
            _close(pipe)
        if not worker.ready and status > 0:
            raise EafoError(
                f"a worker process must start, but ended by status {status}",
                remedy="its own words stand above; `python -m eafo.search.executors.worker` shows them again",
            )
        if job is None:
            return None
        self._retries[job] = self._retries.get(job, 0) + 1
        if self._retries[job] <= MOST_RETRIES:
            self._waiting.appendleft(job)
            return None
        how = f"signal {-status}" if status < 0 else f"status {status}"
        error = EafoError(f"the worker was ended by {how}, {MOST_RETRIES + 1} times over")
        return Result(job, None, error, (error,) * len(job.further))


def _tell(worker: _Worker, line: str) -> None:
    try:
        assert worker.process.stdin is not None  # noqa: S101 - opened as a pipe
        worker.process.stdin.write(line + "\n")
        worker.process.stdin.flush()
    except OSError:
        pass  # It has just died, which its listener reports.


def _listen(worker: _Worker, events: queue.SimpleQueue[tuple[_Worker, str | None]]) -> None:
    assert worker.process.stdout is not None  # noqa: S101 - opened as a pipe
    try:
        for line in worker.process.stdout:
            events.put((worker, line))
    except ValueError:
        pass  # The driver has closed the pipe.
    events.put((worker, None))


def _close(pipe: IO[str] | None) -> None:
    try:
        if pipe is not None:
            pipe.close()
    except OSError:
        pass  # What was still to be written has no reader any more.
