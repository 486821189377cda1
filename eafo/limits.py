"""A time limit for symbolic work, which can take forever."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

__all__ = ["within"]

_AGAIN = 0.05
_CANNOT = (NotImplementedError, OverflowError)
T = TypeVar("T")


class _TimeUpError(Exception):
    """Raised inside the work when its time is up."""


def within(seconds: float, work: Callable[[], T], otherwise: T) -> T:
    """The result of `work`, or `otherwise` where it fails to end in time, or SymPy cannot do it or meets a number too large for it.

    The limit holds in the main thread of a Unix process, where a timer's signal can interrupt the work; elsewhere the
    work runs to its end.

    >>> within(5.0, lambda: 1 + 1, 0)
    2
    """
    ours = {"sympy", "mpmath", "eafo", work.__module__.partition(".")[0]}

    def up(signum: int, frame: FrameType | None) -> None:
        # Raised inside a finaliser or a garbage collector's callback it would be printed and lost; the timer fires again
        # soon after, when the work itself runs. In this function's own frame the work is over.
        module = str(frame.f_globals.get("__name__", "")) if frame else ""
        own = frame is None or frame.f_code is within.__code__ or frame.f_code.co_name == "__del__"
        if not own and module.partition(".")[0] in ours:
            raise _TimeUpError

    timed = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if not timed:
        try:
            return work()
        except _CANNOT:
            return otherwise
    before = signal.signal(signal.SIGALRM, up)
    pending = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        return work()
    except (_TimeUpError, *_CANNOT):
        return otherwise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if pending[0]:
            # The caller's own timer goes on where it stood; what ran in between does not count for it.
            signal.setitimer(signal.ITIMER_REAL, *pending)
