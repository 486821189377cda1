"""Where trials run. One contract, `Executor`; here it is met by worker processes on this machine.

A job is plain data (an activation, a task's name, a seed, a number of epochs), so that it can go to any process on any
machine; a worker that dies is the executor's business, not the driver's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from eafo.tasks import Setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eafo.activation import Activation
    from eafo.errors import EafoError
    from eafo.tasks import Outcome

__all__ = ["Executor", "Job", "Result"]


@dataclass(frozen=True)
class Job:
    """One training to be done.

    Args:
        owner: the number of the trial or arm it belongs to.
        activation: what is trained.
        task: the task's name, or ``"module:object"``.
        seed: its seed.
        epochs: its length.
        setting: on what it runs, and what it keeps.
        further: seeds that are trained beside it, as one stack.
    """

    owner: int
    activation: Activation
    task: str
    seed: int
    epochs: int
    setting: Setting = field(default_factory=Setting)
    further: tuple[int, ...] = ()


@dataclass(frozen=True)
class Result:
    """What became of a job: an outcome, or the error that ended it; and of its further seeds, in their order."""

    job: Job
    outcome: Outcome | None
    error: EafoError | None = None
    further: tuple[Outcome | EafoError, ...] = ()


class Executor(Protocol):
    """Runs jobs in workers; a context manager that ends them.

    An executor retries a job whose worker was killed, a few times, and then reports it as failed: each submitted job
    comes back from `next` exactly once, unless it is cancelled.
    """

    @property
    def workers(self) -> int:
        """How many jobs run at a time."""

    def submit(self, job: Job) -> None:
        """Take a job; returns at once."""

    def cancel(self, owner: int) -> Sequence[Job]:
        """Drop this owner's jobs that have not started, and say which."""

    def next(self) -> Result:
        """Wait for the next job to end."""

    def close(self) -> None:
        """End the workers; jobs that still run are lost."""

    def __enter__(self) -> Executor: ...

    def __exit__(self, *args: object) -> None: ...
