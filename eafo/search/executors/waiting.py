"""What all executors do alike: keep jobs that have not started, and end with their block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

    from eafo.search.executors import Job

__all__ = ["MOST_RETRIES", "Waiting"]

#: So often a job is tried again whose worker was killed.
MOST_RETRIES = 3


class Waiting(ABC):
    """The jobs that wait for a worker."""

    def __init__(self) -> None:
        self._waiting: deque[Job] = deque()

    def submit(self, job: Job) -> None:
        """Take a job; returns at once."""
        self._waiting.append(job)
        self._start()

    def cancel(self, owner: int) -> tuple[Job, ...]:
        """Drop this owner's jobs that have not started, and say which."""
        dropped = tuple(job for job in self._waiting if job.owner == owner)
        self._waiting = deque(job for job in self._waiting if job.owner != owner)
        return dropped

    @abstractmethod
    def close(self) -> None:
        """End the workers; jobs that still run are lost."""

    @abstractmethod
    def _start(self) -> None:
        """Give waiting jobs to workers, as far as there is room."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()
