"""Running the command: arguments in, exit status out; every failure becomes one line."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Any

import typer

from eafo.cli.app import app
from eafo.cli.output import Interrupted, note, one_line
from eafo.errors import EafoError, InputError

__all__ = ["main", "run"]

_DONE, _FAILED, _USAGE, _INTERRUPTED, _PIPE_CLOSED = 0, 1, 2, 130, 141


def main() -> None:
    """Run the command with the arguments of this process and leave with its status."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run the command.

    Args:
        arguments: as in ``sys.argv[1:]``.

    Returns:
        The exit status.

    >>> run(["wafbc", "logistic"])
    1/(1 + exp(-x))
    0
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            status = app(args=list(arguments), prog_name="eafo", standalone_mode=False)
            sys.stdout.flush()
        except BaseException as error:
            return _report(error)
    if status == _INTERRUPTED:
        note("interrupted")
    return status if isinstance(status, int) else _DONE


def _report(error: BaseException) -> int:
    """Say in one line what went wrong, and give the status that belongs to it."""
    if os.environ.get("EAFO_DEBUG", "") not in ("", "0"):
        traceback.print_exception(error, file=sys.stderr)
    if isinstance(error, (BrokenPipeError, SystemExit)):
        return _leave_quietly(error)
    if isinstance(error, (Interrupted, KeyboardInterrupt, typer.Abort)):
        note(str(error) if isinstance(error, Interrupted) else "interrupted")
        return _INTERRUPTED
    usage = getattr(error, "format_message", None)
    if isinstance(error, InputError) or usage is not None:
        note(str(error) if usage is None else _usage_line(usage()))
        return _USAGE
    if isinstance(error, EafoError):
        note(str(error))
    else:
        note(f"{type(error).__name__}: {one_line(str(error))} (EAFO_DEBUG=1 shows the traceback)")
    return _FAILED


def _usage_line(message: str) -> str:
    """A message of the argument parser, with the way to the help behind it."""
    # The parser puts the kind of its own error before what was wrong.
    text = one_line(message).replace(": Value error, ", ": ").rstrip(".")
    return f"{text[:1].lower()}{text[1:]}; see `eafo --help`"


def _leave_quietly(error: BaseException) -> int:
    # The interpreter flushes standard output once more when it ends; that must not fail a second time.
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    code = getattr(error, "code", _FAILED)
    return code if isinstance(code, int) else _FAILED


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    note(f"note: {one_line(str(message))}")
