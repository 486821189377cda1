"""Workers, drivers, nodes of a cluster and a database server that are killed at random moments of a study.

Every training of the study knocks at a gate of the test before it starts, so that the test knows which process does what, and
chooses whom it kills. A killed training is tried again at most three times; the schedule keeps to that: in the life of one driver
a training is chosen at most once, and at most one kill comes late, when the worker may already have another training, and one takes a node.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from eafo.search import load, run
from eafo.search.storage import find, opened

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Postgres, Toys

pytestmark = [
    pytest.mark.xdist_group("servers"),
    pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs pidfd_open"),
]

SEED = 20_240_520
PATIENCE = 120

# Each trial's parameters follow from its number, so that the studies of other lives and without any kill are the same.
_SAMPLER = """
import numpy as np
import optuna


class Numbered(optuna.samplers.BaseSampler):
    def infer_relative_search_space(self, study, trial):
        return {}

    def sample_relative(self, study, trial, search_space):
        return {}

    def sample_independent(self, study, trial, name, distribution):
        if isinstance(distribution, optuna.distributions.CategoricalDistribution):
            return distribution.choices[0]
        return np.random.default_rng(trial.number).uniform(distribution.low, distribution.high)
"""
_DRIVER = """
import sys
from eafo.errors import EafoError
from eafo.search import run
from numbered import Numbered

plan, storage, executor = sys.argv[1:]
try:
    run(plan, storage=storage, executor=executor, workers=2, sampler=Numbered())
except EafoError as error:
    sys.exit(f"eafo: {error}")
"""

#: A training: epsilon and seed.
Unit = tuple[float, int]


@dataclass
class Knock:
    """A training that is about to start."""

    door: socket.socket
    process: int
    unit: Unit

    def answer(self) -> None:
        with contextlib.suppress(OSError):  # Its process has been killed.
            self.door.sendall(b".")
        self.door.close()


@dataclass
class Campaign:
    """A study under fire.

    Args:
        folder: where plan and modules lie.
        storage: a file or URL.
        executor: as for `run`.
        rng: what is random.
        cluster: the Ray cluster whose second node is killed.
        server: the database server that is killed.
    """

    folder: Path
    storage: str
    executor: str
    rng: np.random.Generator
    cluster: Any = None
    server: Postgres | None = None
    counts: dict[str, int] = field(default_factory=dict)
    life: int = 0

    def __post_init__(self) -> None:
        self.gate = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.kept: dict[tuple[int, str], str] = {}
        self.finished: set[Unit] = set()
        self.node = None if self.cluster is None else self.cluster.add_node(num_cpus=1)
        self._born()

    # -- the driver's lives --------------------------------------------------------------------------------

    def _born(self) -> None:
        self.life += 1
        self.chosen: set[Unit] = set()
        self.late = False
        self.processes: list[int] = []
        environment = {"EAFO_TEST_GATE": str(self.gate.getsockname()[1]), "EAFO_TEST_LIFE": str(self.life)}
        with (self.folder / "driver.err").open("ab") as words:
            self.driver = subprocess.Popen(
                [sys.executable, "-c", _DRIVER, "plan.toml", self.storage, self.executor],
                cwd=self.folder,
                stdout=subprocess.DEVNULL,
                stderr=words,
                env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        self.handle = os.pidfd_open(self.driver.pid)

    def _dead(self) -> None:
        """The driver has ended: so do its workers; and what it had stored is there."""
        self.driver.wait()
        os.close(self.handle)
        for handle in self.processes:
            assert select.select([handle], [], [], PATIENCE)[0] == [handle]
            os.close(handle)
        found = stored(self.storage)
        assert self.kept.items() <= found[0].items()
        self.kept, self.finished = found

    def knock(self) -> Knock | None:
        """The next training of this life; None where the driver has ended."""
        while True:
            ready, _, _ = select.select([self.gate, self.handle], [], [], PATIENCE)
            assert ready, f"stuck in life {self.life}: {self._words()}"
            if self.gate not in ready:
                return None
            door, _ = self.gate.accept()
            door.settimeout(PATIENCE)
            try:
                life, pid, value, seed = door.makefile().readline().split()
            except (OSError, ValueError):  # It was killed on the way.
                door.close()
                continue
            try:
                process = os.pidfd_open(int(pid))
            except ProcessLookupError:
                door.close()
                continue
            self.processes.append(process)
            found = Knock(door, process, (float(value), int(seed)))
            if int(life) != self.life:
                found.answer()
                continue
            assert found.unit not in self.finished, "a training that was stored is done again"
            return found

    def _words(self) -> str:
        return (self.folder / "driver.err").read_text()

    # -- the kills -----------------------------------------------------------------------------------------

    def strike(self, event: str, knock: Knock) -> bool:
        """Let an event happen at a knock; False where it must wait for another one."""
        if event == "worker" and not self._kill_worker(knock):
            return False
        if event == "driver":
            self._kill_driver(knock)
        elif event == "node":
            knock.answer()
            self._kill_node()
        elif event == "server":
            knock.answer()
            self._kill_server()
        self.counts[event] = self.counts.get(event, 0) + 1
        return True

    def _kill_worker(self, knock: Knock) -> bool:
        if knock.unit in self.chosen:
            return False
        self.chosen.add(knock.unit)
        if not self.late and self.rng.random() < 0.5:
            self.late = True
            knock.answer()
            time.sleep(self.rng.uniform(0, 0.01))  # While it trains, answers, waits or has its next job.
        knock.door.close()
        try:
            signal.pidfd_send_signal(knock.process, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def _kill_driver(self, knock: Knock) -> None:
        if self.rng.random() < 0.5:
            knock.answer()
            time.sleep(self.rng.uniform(0, 0.02))  # While it stores, tells or asks.
        self.driver.kill()
        knock.door.close()
        self._dead()
        self._born()

    def _kill_node(self) -> None:
        """A node of the cluster: the driver's own perhaps, which ends the driver with one line."""
        self.cluster.remove_node(self.node, allow_graceful=False)
        self.node = self.cluster.add_node(num_cpus=1)

    def _kill_server(self) -> None:
        assert self.server is not None
        self.server.kill()
        while (knock := self.knock()) is not None:
            knock.answer()
        self.server.start()
        self._ended_by_itself()

    def _ended_by_itself(self) -> None:
        """The driver ended with one line, and is started anew."""
        self._dead()
        lines = self._words().splitlines()
        assert self.driver.returncode == 1, lines
        assert lines[-1].startswith(("eafo: the storage must", "eafo: the Ray cluster must")), lines
        self._born()

    def work(self, events: list[str]) -> None:
        """Run the study to its end; an event at every first to third knock."""
        waiting = list(events)
        gap = self.rng.integers(1, 4)
        while True:
            knock = self.knock()
            if knock is None:
                if self.driver.wait() == 0:
                    break
                self._ended_by_itself()
                continue
            gap -= 1
            if gap > 0 or not waiting:
                knock.answer()
            elif self.strike(waiting[0], knock):
                del waiting[0]
                gap = self.rng.integers(1, 4)
            else:
                knock.answer()
        self._dead()
        self.gate.close()
        if self.cluster is not None:
            self.cluster.remove_node(self.node)
        assert not waiting
        assert not [line for line in self._words().splitlines() if not line.startswith("eafo: the ")]


def records(storage: str) -> list[Any]:
    """The trials of a storage, as Optuna holds them."""
    import optuna

    place = find("killed", storage)
    with opened(place) as database:
        try:
            return optuna.load_study(study_name="killed", storage=database).trials
        except KeyError:
            return []  # Its driver was killed before it had made the study.


def stored(storage: str) -> tuple[dict[tuple[int, str], str], set[Unit]]:
    """What a storage says is done: its values, and their trainings."""
    values, units = {}, set()
    for trial in records(storage):
        for key, value in trial.user_attrs.items():
            if key.startswith("eafo:outcome:"):
                values[trial.number, key] = repr(value)
                units.add((trial.params["epsilon"], int(key.rpartition(":")[2])))
    return values, units


def schedule(rng: np.random.Generator, workers: int, drivers: int, further: dict[str, int]) -> list[str]:
    """Workers and drivers in a random order; at most one further event in the life of a driver, right at its start."""
    events = list(rng.permutation(["worker"] * workers + ["driver"] * drivers))
    births = [i for i, event in enumerate(events) if event == "driver"]
    extra = [name for name, count in further.items() for _ in range(count)]
    chosen = sorted(zip(rng.choice(births, len(extra), replace=False), rng.permutation(extra), strict=True))
    for place, name in reversed(chosen):
        events.insert(place + 1, name)
    return [str(event) for event in events]


def under_fire(
    toys: Toys,
    request: pytest.FixtureRequest,
    where: str,
    storage: str,
    *,
    kills: tuple[int, int],
    trials: int,
) -> None:
    """Run a study under fire, and hold it against the same one that nothing disturbed."""
    (toys.folder / "toys" / "numbered.py").write_text(_SAMPLER)
    toys.plan("killed", "Gated", trials)
    rng = np.random.default_rng(SEED)
    cluster = request.getfixturevalue("cluster") if where == "ray" else None
    server = request.getfixturevalue("postgres") if storage == "postgres" else None
    url = str(toys.folder / "killed.db") if server is None else server.database()
    further = {
        "node": 0 if cluster is None else 1 + kills[1] // 4,
        "server": 0 if server is None else 1 + kills[1] // 4,
    }
    events = schedule(rng, *kills, {name: count for name, count in further.items() if count})
    campaign = Campaign(
        toys.folder, url, "local" if cluster is None else cluster.address, rng, cluster, server
    )
    began = time.monotonic()
    campaign.work(events)
    seconds = time.monotonic() - began
    print(f"{storage}, {where}: {campaign.counts}, {campaign.life} drivers, {seconds:.0f} s")
    assert campaign.counts == {name: events.count(name) for name in set(events)}
    after = load("killed", url)
    assert [t.number for t in after.trials] == list(range(trials))
    assert after.unfinished == 0
    assert {t.state.name for t in records(url)} == {"COMPLETE"}
    from numbered import Numbered

    undisturbed = run("plan.toml", storage=toys.folder / "undisturbed.db", workers=2, sampler=Numbered())
    assert after.trials == undisturbed.trials


@pytest.mark.slow
@pytest.mark.parametrize("where", ["local", "ray"])
@pytest.mark.parametrize("storage", ["sqlite", "postgres"])
def test_twenty_workers_and_five_drivers(
    toys: Toys, request: pytest.FixtureRequest, where: str, storage: str
) -> None:
    under_fire(toys, request, where, storage, kills=(20, 5), trials=50)


@pytest.mark.parametrize("where", ["local", "ray"])
def test_a_few_of_each(toys: Toys, request: pytest.FixtureRequest, where: str) -> None:
    under_fire(toys, request, where, "sqlite", kills=(3, 1), trials=8)
