"""How a search tells what it is doing: a small protocol, and a bar on standard error."""

from __future__ import annotations

import sys
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Column

__all__ = ["Progress", "RichProgress", "SilentProgress"]


class Progress(Protocol):
    """What `run` and `compare` call while they work, from the thread that called them."""

    def started(self, total: int, done: int) -> None:
        """Work begins: so many trainings in all, so many of them done earlier."""

    def advanced(self, count: int, best: str) -> None:
        """So many more trainings are done, or need not be; and the best so far, ``""`` where there is none."""

    def finished(self) -> None:
        """Work has ended, also by an error or Ctrl-C."""


class SilentProgress:
    """Says nothing."""

    def started(self, total: int, done: int) -> None:
        """Nothing."""

    def advanced(self, count: int, best: str) -> None:
        """Nothing."""

    def finished(self) -> None:
        """Nothing."""


class RichProgress:
    """A bar on standard error with the best so far.

    Args:
        label: what stands before the bar.
        force: draw it even where standard error is no terminal.
    """

    def __init__(self, label: str = "", *, force: bool = False) -> None:
        console = Console(file=sys.stderr, force_terminal=True if force else None)
        self._bar = Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn(
                "{task.fields[best]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")
            ),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(label, total=None, best="")

    def started(self, total: int, done: int) -> None:
        """Draw the bar."""
        self._bar.update(self._task, total=total, completed=done)
        self._bar.start()

    def advanced(self, count: int, best: str) -> None:
        """Move it."""
        self._bar.update(self._task, advance=count, best=best)

    def finished(self) -> None:
        """Leave it as it stands."""
        self._bar.stop()
