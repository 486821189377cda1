"""A time limit for symbolic work, which can take forever."""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

    In the main thread of a Unix process a timer's signal interrupts the work, elsewhere another thread does.

    >>> within(5.0, lambda: 1 + 1, 0)
    2
    """
    ours = {"sympy", "mpmath", "eafo", work.__module__.partition(".")[0]}

    def interruptible(frame: FrameType | None) -> bool:
        # Raised inside a finaliser or a garbage collector's callback it would be printed and lost; the alarm comes again
        # soon after, when the work itself runs. In the frames of this file the work is over.
        if frame is None or frame.f_code.co_filename == __file__ or frame.f_code.co_name == "__del__":
            return False
        return str(frame.f_globals.get("__name__", "")).partition(".")[0] in ours

    signals = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    alarm = _by_signal if signals else _by_thread
    try:
        with alarm(seconds, interruptible):
            return work()
    except (_TimeUpError, *_CANNOT):
        return otherwise


@contextmanager
def _by_signal(seconds: float, interruptible: Callable[[FrameType | None], bool]) -> Iterator[None]:
    def up(signum: int, frame: FrameType | None) -> None:
        if interruptible(frame):
            raise _TimeUpError

    before = signal.signal(signal.SIGALRM, up)
    pending = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if pending[0]:
            # The caller's own timer goes on where it stood; what ran in between does not count for it.
            signal.setitimer(signal.ITIMER_REAL, *pending)


@contextmanager
def _by_thread(seconds: float, interruptible: Callable[[FrameType | None], bool]) -> Iterator[None]:
    worker, over, lock = threading.get_ident(), threading.Event(), threading.Lock()

    def raise_there(error: type[Exception] | None) -> None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(worker), error and ctypes.py_object(error))

    def watch() -> None:
        pause = seconds
        while not over.wait(pause):
            pause = _AGAIN
            with lock:
                # The work stands still as long as this thread runs.
                if not over.is_set() and interruptible(sys._current_frames().get(worker)):
                    raise_there(_TimeUpError)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        try:
            over.set()
        except _TimeUpError:
            over.set()
            raise
        finally:
            # What was raised and not yet met.
            with lock:
                raise_there(None)
            watcher.join()
