"""The time limit: work that ends in time, work that does not, and work that swallows the alarm."""

from __future__ import annotations

import contextlib
import signal
import threading

import pytest
import sympy

from eafo.limits import within


def in_a_thread(work):
    """The result of some work in a thread of its own."""
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join(60)
    return found[0]


def forever() -> int:
    while True:
        pass


def test_work_that_ends_in_time_gives_its_result() -> None:
    assert within(60.0, lambda: 3, 0) == 3


def test_work_that_does_not_end_gives_the_other_answer() -> None:
    assert within(0.05, forever, -1) == -1


def test_what_sympy_cannot_do_gives_the_other_answer() -> None:
    def refused() -> int:
        raise NotImplementedError

    assert within(60.0, refused, -1) == -1


def test_errors_of_the_work_come_through() -> None:
    with pytest.raises(ZeroDivisionError):
        within(60.0, lambda: 1 // 0, -1)


def test_work_that_swallows_the_alarm_leaves_none_behind() -> None:
    def swallowing() -> str:
        # As SymPy does in places.
        with contextlib.suppress(Exception):
            forever()
        return "done"

    before = signal.getsignal(signal.SIGALRM)
    for _ in range(20):
        assert within(0.01, swallowing, "up") in ("done", "up")
    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_callers_own_timer_goes_on() -> None:
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 1000.0)
    try:
        assert within(0.05, forever, -1) == -1
        assert 900 < signal.getitimer(signal.ITIMER_REAL)[0] <= 1000
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_symbolic_work_ends_in_time() -> None:
    x = sympy.Symbol("x", real=True)
    hard = x * sympy.tanh(sympy.log(1 + sympy.exp(x)))
    assert within(0.2, lambda: sympy.solve(sympy.diff(hard, x), x), "not told") == "not told"


def test_a_number_too_large_for_sympy_is_what_sympy_cannot_do() -> None:
    def overflow() -> str:
        raise OverflowError("exponent too large")

    assert within(5.0, overflow, "otherwise") == "otherwise"


def test_the_limit_holds_in_any_thread() -> None:
    assert in_a_thread(lambda: within(60.0, lambda: 3, 0)) == 3
    assert in_a_thread(lambda: within(0.05, forever, -1)) == -1
    x = sympy.Symbol("x", real=True)
    hard = sympy.diff(x * sympy.tanh(sympy.log(1 + sympy.exp(x))), x)
    assert in_a_thread(lambda: within(0.2, lambda: sympy.solve(hard, x), "not told")) == "not told"


def test_in_a_thread_too_no_alarm_is_left_behind() -> None:
    def swallowing() -> str:
        with contextlib.suppress(Exception):
            forever()
        return "done"

    def often() -> int:
        told = [within(0.001, swallowing, "up") for _ in range(20)]
        # An alarm that comes late would be raised here.
        return sum(t in ("done", "up") for t in told) + 0 * sum(range(10**6))

    assert in_a_thread(often) == 20


def test_one_limit_inside_another() -> None:
    def inner() -> int:
        return within(60.0, forever, -1)

    assert in_a_thread(lambda: within(0.1, inner, -2)) in (-1, -2)
