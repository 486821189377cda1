"""Errors are one line, and survive a trip between processes."""

from __future__ import annotations

import pickle

import pytest

from eafo.errors import BuildError, DataError, EafoError, InputError, MissingDependencyError, RefusedError


@pytest.mark.parametrize(
    "kind", [EafoError, InputError, DataError, RefusedError, MissingDependencyError, BuildError]
)
def test_message_and_pickle(kind: type[EafoError]) -> None:
    error = kind("the bounds must be in order", "1 0", "try --bounds 0 1")
    assert str(error) == "the bounds must be in order, but got '1 0'; try --bounds 0 1"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    bare = kind("no value here", remedy="do this")
    assert str(bare) == "no value here; do this"
    assert str(pickle.loads(pickle.dumps(bare))) == str(bare)


def test_long_values_are_cut_and_lines_joined() -> None:
    message = str(InputError("a rule", "y" * 1000 + "\n"))
    assert len(message) < 200
    assert "\n" not in message


def test_kinds() -> None:
    assert issubclass(RefusedError, InputError)
    assert issubclass(DataError, InputError)
    assert issubclass(InputError, ValueError)
    assert issubclass(MissingDependencyError, ImportError)
