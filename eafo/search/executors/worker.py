"""A worker process: reads jobs from standard input, writes results to standard output, ends with its driver."""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
from typing import TYPE_CHECKING

from eafo import tasks
from eafo.search.executors.messages import READY, decode_job, encode_result

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["answer", "main"]


def _read(source: TextIO, jobs: queue.SimpleQueue[str]) -> None:
    for line in source:
        jobs.put(line)
    # Standard input ends when the driver does, however it ended; a training in progress is of no use to anyone then.
    os._exit(0)


def answer(line: str) -> str:
    """Do a job, and say what became of it; both as one line of `messages`."""
    job = decode_job(line)
    seeds = (job.seed, *job.further)
    try:
        task = tasks.get(job.task)
        if job.further:
            return encode_result(tasks.run_stacked(task, job.activation, seeds, job.epochs, job.setting))
        return encode_result([tasks.run(task, job.activation, job.seed, job.epochs, job.setting)])
    except Exception as error:
        return encode_result([error] * len(seeds))


def main() -> None:
    """Work until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # What a task prints must not mix with the answers.
    os.dup2(2, 1)
    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin, jobs), daemon=True).start()
    with contextlib.suppress(BrokenPipeError):  # The driver was killed while the last job ran.
        print(READY, file=answers, flush=True)
        while True:
            print(answer(jobs.get()), file=answers, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
