"""Drivers and workers that are killed: every asked trial ends once, nothing is lost, nothing is told twice."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from eafo.search import Study, load, run
from eafo.search.cost import objective

if TYPE_CHECKING:
    from conftest import Toys

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs pidfd_open")

MNIST = [pytest.mark.slow, pytest.mark.skipif(not os.environ.get("EAFO_DATA"), reason="EAFO_DATA is not set")]

# Says a line for each training that is done; the test reads them, so that it waits for a fact and not for a time.
_DRIVER = """
import signal
import sys
from eafo.search import run

# As in a terminal; a shell that runs the tests in the background has its children ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)


class Lines:
    def started(self, total, done):
        print("started", flush=True)

    def advanced(self, count, best):
        print("advanced\\n" * count, end="", flush=True)

    def finished(self):
        pass


run(sys.argv[1], workers=2, progress=Lines())
"""


def plan(task: str, epochs: int, trials: int = 5) -> str:
    return f"""
name = "killed"
task = "{task}"
epochs = {epochs}
trials = {trials}
seeds = 2

[space]
bases = ["crrelu"]

[space.parameters.epsilon]
low = -0.5
high = 1.0

[pruner]
name = "none"
"""


def driver(folder: Path) -> subprocess.Popen[str]:
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.Popen(
        [sys.executable, "-c", _DRIVER, "plan.toml"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )


def wait_for(process: subprocess.Popen[str], advances: int) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        advances -= line == "advanced\n"
        if not advances:
            return
    pytest.fail("the driver ended by itself")


def workers_of(pid: int) -> list[int]:
    """Handles of the child processes of a process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        if parent == pid:
            found.append(os.pidfd_open(int(folder.name)))
    return found


def assert_ended(handles: list[int]) -> None:
    for handle in handles:
        assert select.select([handle], [], [], 60)[0] == [handle]
        os.close(handle)


def interrupted(folder: Path, advances: int, how: signal.Signals) -> Study:
    process = driver(folder)
    wait_for(process, advances)
    handles = workers_of(process.pid)
    assert len(handles) == 2
    # Ctrl-C reaches the whole group, workers included; a kill reaches the driver alone.
    (os.killpg if how == signal.SIGINT else os.kill)(process.pid, how)
    process.communicate()
    assert process.returncode == -how
    assert_ended(handles)
    return load("killed", folder / "studies" / "killed.db")


def assert_finished_once(before: Study, after: Study, trials: int = 5) -> None:
    assert [t.number for t in after.trials] == list(range(trials))
    assert [(t.state, t.reason) for t in after.trials] == [("complete", "")] * trials
    assert after.unfinished == 0
    assert all([o.seed for o in t.outcomes] == [0, 1] for t in after.trials)
    finished = {t.number: t for t in before.trials}
    assert all(after.trials[number] == trial for number, trial in finished.items())


@pytest.mark.parametrize(
    ("task", "epochs", "how"),
    [
        ("mnist1d", 1, signal.SIGKILL),
        pytest.param("mnist1d", 1, signal.SIGINT, marks=pytest.mark.slow),
        pytest.param("mnist-mlp", 1, signal.SIGKILL, marks=MNIST),
        pytest.param("mnist-mlp", 1, signal.SIGINT, marks=MNIST),
    ],
)
def test_a_killed_driver_resumes(
    task: str, epochs: int, how: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.toml").write_text(plan(task, epochs))
    before = interrupted(tmp_path, 5, how)
    assert before.unfinished > 0
    assert len(before.trials) + before.unfinished <= 5
    seeds = stored(tmp_path)
    assert len(seeds) >= 5
    after = run("plan.toml", workers=2)
    assert_finished_once(before, after)
    # What was stored before the kill has not been trained again: even its seconds are the same.
    assert seeds.items() <= stored(tmp_path).items()


def stored(folder: Path) -> dict[tuple[int, str], Any]:
    """Everything in the storage that says a seed of a trial is done."""
    import optuna

    study = optuna.load_study(study_name="killed", storage=f"sqlite:///{folder}/studies/killed.db")
    return {
        (trial.number, key): repr(value)
        for trial in study.trials
        for key, value in trial.user_attrs.items()
        if key.startswith("eafo:outcome:")
    }


@pytest.mark.parametrize(("advances", "how"), [(1, signal.SIGKILL), (4, signal.SIGINT), (7, signal.SIGKILL)])
def test_no_training_is_repeated_but_those_that_were_running(
    toys: Toys, advances: int, how: signal.Signals
) -> None:
    (toys.folder / "plan.toml").write_text(plan("toy_tasks:Toy", 1, trials=6))
    before = interrupted(toys.folder, advances, how)
    assert_finished_once(before, run("plan.toml", workers=2), trials=6)
    assert len(set(toys.lines)) == 12
    assert len(toys.lines) <= 12 + 2


def test_what_a_trial_chose_and_cost_outlives_the_driver(toys: Toys) -> None:
    whole = plan("toy_tasks:Trained", 1, trials=8).replace(
        'bases = ["crrelu"]', 'bases = ["crrelu"]\nrates = [0.5, 1, 2]\nper_channel = [false, true]'
    )
    (toys.folder / "plan.toml").write_text(f'objectives = ["score", "cost"]\n{whole}')
    for advances in (3, 4):
        before = interrupted(toys.folder, advances, signal.SIGKILL)
    after = run("plan.toml", workers=2)
    assert_finished_once(before, after, trials=8)
    for trial in after.trials:
        assert trial.activation is not None
        assert trial.costs == (("cost", objective("cost", trial.activation, trial.setting)),)
        assert trial.setting.rate == dict(trial.parameters)["rate"]
        for seed in (0, 1):
            line = f"{trial.activation.name}|{seed}|{trial.setting.rate:g}|{trial.setting.per_channel}|x"
            assert line in toys.lines
    # Two drivers were killed, each with two trainings on their way.
    assert len(toys.lines) <= 16 + 4


def test_a_driver_killed_again_and_again_gets_there(toys: Toys) -> None:
    (toys.folder / "plan.toml").write_text(plan("toy_tasks:Toy", 1, trials=6))
    for advances in (1, 2, 2):
        before = interrupted(toys.folder, advances, signal.SIGKILL)
    assert_finished_once(before, run("plan.toml", workers=2), trials=6)


def test_killed_workers_are_not_noticed_in_the_study(toys: Toys) -> None:
    (toys.folder / "plan.toml").write_text(plan("toy_tasks:KilledOnce", 1))
    study = run("plan.toml", workers=2)
    assert {t.state for t in study.trials} == {"complete"}
    assert len(study.trials) == 5
    assert len(toys.lines) == 10 + 2


def test_a_candidate_that_kills_its_workers_fails_alone(toys: Toys) -> None:
    (toys.folder / "plan.toml").write_text(plan("toy_tasks:KilledAlways", 1))
    study = run("plan.toml", workers=2)
    for trial in study.trials:
        kills = dict(trial.parameters)["epsilon"] > 0
        assert trial.state == ("failed" if kills else "complete")
        assert trial.reason == ("seed 0: the worker was ended by signal 9, 4 times over" if kills else "")
    assert {t.state for t in study.trials} == {"failed", "complete"}
