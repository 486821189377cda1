"""Small tasks of the tests' own: a score in microseconds, written down each time it is computed; and servers on loopback."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_MODULE = '''
import os, signal, socket, time
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


class Trained(WithProblem):
    """Scores highest at twice the recipe's rate, a little higher with a value a channel; keeps its setting with each training."""

    def run(self, activation, seed, epochs, setting=None):
        rate, per_channel = (setting.rate, setting.per_channel) if setting else (1.0, False)
        with LOG.open("a") as log:
            log.write(f"{activation.name}|{seed}|{rate:g}|{per_channel}|{setting.saved if setting else 'x'}\\n")
        value = activation.defaults.get("epsilon", 0.0)
        score = 90 - 10 * (value - 0.3) ** 2 - 5 * abs(rate - 2) + 2 * per_channel + 0.1 * (seed % 5)
        return Outcome(seed, score, (score,) * epochs, (0.1,) * epochs, steps=epochs)


class Chatty(Toy):
    def before(self, value, seed):
        print("words on standard output")


class Devices(Toy):
    """Keeps which GPUs it may see, and is at work until another was beside it, on a busy machine too."""

    def before(self, value, seed):
        device = os.environ.get("CUDA_VISIBLE_DEVICES")
        with LOG.open("a") as log:
            log.write(f"{device} begins\\n")
        patience = time.monotonic() + 10
        while not self.was_shared(device) and time.monotonic() < patience:
            time.sleep(0.02)
        with LOG.open("a") as log:
            log.write(f"{device} ends\\n")

    def was_shared(self, device):
        at_work = 0
        for line in LOG.read_text().splitlines():
            at_work += (line == f"{device} begins") - (line == f"{device} ends")
            if at_work > 1:
                return True
        return False


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


class Gated(Toy):
    """Knocks at the test's gate before each training, and goes on when it is opened."""

    def before(self, value, seed):
        gate, life = os.environ.get("EAFO_TEST_GATE"), os.environ.get("EAFO_TEST_LIFE")
        if gate:
            with socket.create_connection(("127.0.0.1", int(gate)), timeout=120) as door:
                door.sendall(f"{life} {os.getpid()} {value!r} {seed}\\n".encode())
                door.recv(1)
'''


_PLAN = """
name = "{}"
task = "toy_tasks:{}"
epochs = 1
trials = {}
seeds = 2
[space]
bases = ["crrelu"]
[space.parameters.epsilon]
low = -0.5
high = 1.0
[pruner]
name = "none"
"""


class Toys:
    """Where the toy tasks lie, and what they wrote down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"

    def plan(self, name: str, task: str = "Toy", trials: int = 4) -> str:
        """Write plan.toml, a search of epsilon by a toy task that gives nothing up, and say where."""
        path = self.folder / "plan.toml"
        path.write_text(_PLAN.format(name, task, trials))
        return str(path)

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


class Postgres:
    """A PostgreSQL server of the tests' own, on a free port of the loopback."""

    def __init__(self, binaries: Path) -> None:
        # Not below pytest's own folder, which only this user may enter: the server runs as no superuser.
        self.folder = Path(tempfile.mkdtemp(prefix="eafo-postgres-"))
        self._binaries = binaries
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._user = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(self.folder, "postgres", "postgres")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._numbers = itertools.count()
        self._call("initdb", "-D", "data", "-U", "eafo", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.start()

    def start(self) -> None:
        """Start it, and wait for its word that it is ready."""
        options = ["-D", "data", "-p", str(self.port), "-k", str(self.folder), "-h", "127.0.0.1"]
        self._process = subprocess.Popen(
            [self._binaries / "postgres", *options],
            cwd=self.folder,
            env={**os.environ, "LC_ALL": "C"},
            stderr=subprocess.PIPE,
            text=True,
            **self._user,
        )
        said = self._process.stderr
        assert said is not None
        lines = []
        for line in said:
            lines.append(line)
            if "ready to accept connections" in line:
                break
        else:
            pytest.fail("".join(lines))
        self._listener = threading.Thread(target=lambda: [None for _ in said], daemon=True)
        self._listener.start()

    def kill(self) -> None:
        """SIGKILL, to the server and to each of its processes."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        self._process.kill()
        for child in children:
            try:
                os.kill(int(child), signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._ended()

    def stop(self) -> None:
        """End it, and remove its files."""
        self._process.send_signal(signal.SIGINT)
        self._ended()
        shutil.rmtree(self.folder)

    def _ended(self) -> None:
        self._process.wait()
        # Its standard error ends with the last of its processes.
        self._listener.join()
        assert self._process.stderr is not None
        self._process.stderr.close()

    def database(self) -> str:
        """The URL of a new database."""
        name = f"studies_{next(self._numbers)}"
        self._call("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "eafo", name)
        return f"postgresql://eafo@127.0.0.1:{self.port}/{name}"

    def _call(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._binaries / program, *arguments],
            cwd=self.folder,
            check=True,
            capture_output=True,
            env={**os.environ, "LC_ALL": "C"},
            **self._user,
        )


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    pytest.importorskip("psycopg", reason="needs the extra postgres")
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        pytest.skip("needs a PostgreSQL server: Debian's package postgresql")
    server = Postgres(folders[-1])
    yield server
    server.stop()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A Ray cluster of two nodes on this machine, a processor each."""
    pytest.importorskip("ray", reason="needs the extra ray")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # By default Ray lets its workers wait for whatever else runs, such as other tests.
        patch.setenv("RAY_worker_niceness", "0")
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        made.add_node(num_cpus=1)
        yield made
        made.shutdown()
