"""The few kinds of error that eafo raises, each of one line: the rule, the value, the remedy."""

from __future__ import annotations

__all__ = ["BuildError", "DataError", "EafoError", "InputError", "MissingDependencyError", "RefusedError"]

_MISSING = object()
_LONGEST_VALUE = 120


class EafoError(Exception):
    """Base of all errors raised by eafo.

    Args:
        rule: what must hold, as a sentence without its full stop.
        value: what was found instead; left out of the message where not given.
        remedy: what the reader can do about it.

    >>> raise InputError("the number of seeds must be at least 1", 0, "pass --seeds 5")
    Traceback (most recent call last):
        ...
    eafo.errors.InputError: the number of seeds must be at least 1, but got 0; pass --seeds 5
    """

    def __init__(self, rule: str, value: object = _MISSING, remedy: str = "") -> None:
        self.rule, self.remedy = rule, remedy
        self.has_value = value is not _MISSING
        self.value = value if self.has_value else None
        # The arguments as given, so that the error survives a trip between processes.
        super().__init__(*((rule, value, remedy) if self.has_value else (self._message(),)))

    def _message(self) -> str:
        text = self.rule
        if self.has_value:
            shown = self.value if isinstance(self.value, str) else repr(self.value)
            shown = f"'{shown}'" if isinstance(self.value, str) else shown
            text += f", but got {shown if len(shown) <= _LONGEST_VALUE else shown[:_LONGEST_VALUE] + '…'}"
        if self.remedy:
            text += f"; {self.remedy}"
        return " ".join(text.split())

    def __str__(self) -> str:
        return self._message()


class InputError(EafoError, ValueError):
    """The user's input is wrong: a name, a formula, a number, a plan."""


class DataError(InputError):
    """A data set is missing or damaged."""


class RefusedError(InputError):
    """The request is well formed, but the mathematics refuses it; the message says why."""


class MissingDependencyError(EafoError, ImportError):
    """An optional package is not installed."""


class BuildError(EafoError, RuntimeError):
    """A kernel could not be compiled or loaded."""
