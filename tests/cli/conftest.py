"""Running the command in this process, in an empty folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from eafo.cli.running import run


@dataclass(frozen=True)
class Ran:
    """What a command left: its status and what it wrote."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        assert self.status == 0, self.err
        return json.loads(self.out)


@pytest.fixture
def eafo(tmp_path, monkeypatch, capsys) -> Callable[..., Ran]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EAFO_DEBUG", raising=False)
    monkeypatch.setenv("EAFO_CACHE", str(tmp_path / "cache"))

    def call(*arguments: str) -> Ran:
        capsys.readouterr()
        status = run(arguments)
        written = capsys.readouterr()
        return Ran(status, written.out, written.err)

    return call
