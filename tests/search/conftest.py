"""Small tasks of the tests' own: a score in microseconds, written down each time it is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

_MODULE = '''
import os, signal, time
from pathlib import Path
from types import MappingProxyType

from eafo.tasks import DivergedError, Outcome

LOG = Path(os.environ["EAFO_TEST_LOG"])


class Toy:
    """Scores highest at epsilon = 0.3; keeps a line for every training."""

    name, description = "toy", "a parabola in epsilon"
    epochs = MappingProxyType({"tiny": 1, "short": 2, "full": 3})

    def prepare(self):
        pass

    def run(self, activation, seed, epochs):
        with LOG.open("a") as log:
            log.write(f"{activation.to_json()}|{seed}\\n")
        value = activation.defaults.get("epsilon", 0.0)
        self.before(value, seed)
        score = 90 - 10 * (value - 0.3) ** 2 + 0.1 * seed
        return Outcome(seed, score, (score,) * epochs, (0.1,) * epochs, steps=epochs)

    def before(self, value, seed):
        pass


class WithProblem(Toy):
    """Has features: those of a small network that is never trained."""

    def problem(self, setting):
        from eafo import tasks

        return tasks.get("mnist1d-mlp").problem(tasks.Setting(examples=200))


class Diverging(Toy):
    def before(self, value, seed):
        if value > 0 and seed == 1:
            raise DivergedError("the loss must stay finite", float("nan"))


class Broken(Toy):
    def before(self, value, seed):
        raise ZeroDivisionError("a slip in the task")


class NotFinite(Toy):
    def run(self, activation, seed, epochs):
        return Outcome(seed, float("inf"))


class Chatty(Toy):
    def before(self, value, seed):
        print("words on standard output")


class KilledOnce(Toy):
    """Its worker is killed in the first training of each seed."""

    def before(self, value, seed):
        mark = LOG.with_name(f"killed-{seed}")
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class KilledAlways(Toy):
    def before(self, value, seed):
        if value > 0:
            os.kill(os.getpid(), signal.SIGKILL)
'''


class Toys:
    """Where the toy tasks lie, and what they wrote down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"

    @property
    def lines(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toys:
    module = tmp_path / "toys"
    module.mkdir()
    (module / "toy_tasks.py").write_text(_MODULE)
    found = Toys(tmp_path)
    monkeypatch.setenv("EAFO_TEST_LOG", str(found.log))
    monkeypatch.syspath_prepend(module)
    monkeypatch.delitem(__import__("sys").modules, "toy_tasks", raising=False)
    monkeypatch.chdir(tmp_path)
    return found


class Counter:
    """A Progress that writes down what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def started(self, total: int, done: int) -> None:
        self.calls.append(("started", total, done))

    def advanced(self, count: int, best: str) -> None:
        self.calls.append(("advanced", count, best))

    def finished(self) -> None:
        self.calls.append(("finished",))


@pytest.fixture
def counter() -> Counter:
    return Counter()
