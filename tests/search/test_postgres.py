"""Studies in a real PostgreSQL server, which is killed, and on a disk that is full."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from eafo.errors import EafoError, InputError, MissingDependencyError
from eafo.search import load, run
from eafo.search.storage import find, locked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Postgres, Toys

pytestmark = pytest.mark.xdist_group("servers")


def command(toys: Toys, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        [sys.executable, "-m", "eafo.cli", "search", str(toys.folder / "plan.toml"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=toys.folder,
        env={**os.environ, "PYTHONPATH": path},
    )


def test_a_study_in_postgresql_is_the_same_as_in_a_file_and_goes_on(toys: Toys, postgres: Postgres) -> None:
    url = postgres.database()
    run(toys.plan("kept", trials=2), storage=url, batch=2)
    found = run(toys.plan("kept", trials=4), storage=url, batch=2)
    run(toys.plan("kept", trials=2), storage=toys.folder / "here.db", batch=2)
    here = run(toys.plan("kept", trials=4), storage=toys.folder / "here.db", batch=2)
    assert found.trials == here.trials
    assert load("kept", url) == found
    assert len(toys.lines) == 16


# A driver on another machine shares the database and not the lock files of this one.
_HOLDER = """
import sys
from eafo.search.storage import _advisory_lock, find

with _advisory_lock(find("kept", sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_driver_on_another_machine_is_refused_until_it_ends(toys: Toys, postgres: Postgres) -> None:
    url = postgres.database()
    other = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    with pytest.raises(InputError, match="a study must have one driver at a time, and one is at work"):
        run(toys.plan("kept"), storage=url)
    with locked(find("another", url)):
        other.send_signal(signal.SIGKILL)
        other.communicate()
    assert len(run(toys.plan("kept"), storage=url).trials) == 4


def test_a_second_driver_on_this_machine_is_refused_at_once(postgres: Postgres) -> None:
    place = find("kept", postgres.database())
    with locked(place), pytest.raises(InputError, match="one is at work"), locked(place):
        pass


def test_a_database_that_is_killed_is_one_error_and_the_study_goes_on(toys: Toys, postgres: Postgres) -> None:
    url = postgres.database()

    class Killer:
        """Kills the server after the third training."""

        left = 3

        def started(self, total: int, done: int) -> None: ...

        def advanced(self, count: int, best: str) -> None:
            self.left -= count
            if self.left == 0:
                postgres.kill()

        def finished(self) -> None: ...

    try:
        with pytest.raises(EafoError, match="the storage must keep what it is told, but failed") as caught:
            run(toys.plan("kept"), storage=url, workers=1, progress=Killer())
        gone = command(toys, "--storage", url)
    finally:
        postgres.start()
    assert "\n" not in str(caught.value)
    assert url.rpartition("@")[2] in str(caught.value)
    assert (gone.returncode, gone.stdout) == (2, "")
    assert gone.stderr.startswith("eafo: the storage must be a database that Optuna can open (")
    assert gone.stderr.count("\n") == 1
    before = load("kept", url)
    assert before.unfinished == 1
    after = run(toys.plan("kept"), storage=url)
    assert [(t.number, t.state, len(t.outcomes)) for t in after.trials] == [
        (i, "complete", 2) for i in range(4)
    ]
    assert after.unfinished == 0
    assert after.trials[: len(before.trials)] == before.trials
    # What was being trained or stored when the server died is all that was trained again.
    assert 8 <= len(toys.lines) <= 8 + 1


def test_a_wrong_address_or_name_of_a_database_is_one_error(toys: Toys, postgres: Postgres) -> None:
    for url in (postgres.database() + "_not", "postgresql://eafo:secret@127.0.0.1:1/none"):
        with pytest.raises(InputError, match="the storage must be a database that Optuna can open") as caught:
            run(toys.plan("kept"), storage=url)
        assert "\n" not in str(caught.value)
        assert "secret" not in str(caught.value)


def test_without_the_database_s_driver_the_extra_is_named(
    toys: Toys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "eafo\[postgres\]"'):
        run(toys.plan("kept"), storage="postgresql://eafo@127.0.0.1:1/none")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"needs to mount a small disk: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(folder: Path) -> Path:
    """A file that takes all the room that is left."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return ballast


@pytest.mark.parametrize("begun", [False, True])
def test_a_full_disk_is_one_error_and_the_study_goes_on(toys: Toys, small_disk: Path, begun: bool) -> None:
    file = small_disk / "kept.db"
    path = toys.plan("kept", trials=4)
    if begun:
        run(path, storage=file, trials=1)
    ballast = fill(small_disk)
    full = command(toys, "--storage", str(file))
    assert (full.returncode, full.stdout) == (1 if begun else 2, "")
    assert full.stderr.startswith("eafo: the storage must ")
    assert "disk is full" in full.stderr
    assert full.stderr.count("\n") == 1
    ballast.unlink()
    again = command(toys, "--storage", str(file), "--json")
    assert (again.returncode, again.stderr) == (0, "")
    after = load("kept", file)
    assert [(t.state, len(t.outcomes)) for t in after.trials] == [("complete", 2)] * 4
    assert after.unfinished == 0
