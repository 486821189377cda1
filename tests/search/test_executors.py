from __future__ import annotations

import os
import select
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import eafo
from eafo.errors import DataError, EafoError, InputError
from eafo.search.executors import Job
from eafo.search.executors.local import LocalExecutor, default_workers
from eafo.search.executors.messages import decode_job, decode_result, encode_job, encode_result
from eafo.tasks import DivergedError, Outcome

if TYPE_CHECKING:
    from conftest import Toys

    from eafo.search.executors import Result

linux = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs pidfd_open")


def job(task: str, epsilon: float = 0.5, seed: int = 0, owner: int = 0) -> Job:
    return Job(owner, eafo.get("crrelu", epsilon=epsilon), f"toy_tasks:{task}", seed, 1)


def results(executor: LocalExecutor, jobs: list[Job]) -> list[Result]:
    for one in jobs:
        executor.submit(one)
    return [executor.next() for _ in jobs]


@pytest.mark.parametrize(
    "error",
    [
        DivergedError("the loss must stay finite", float("inf"), "train slower"),
        DataError("a file must be there", "x.gz"),
        InputError("no value here", remedy="look again"),
        EafoError("a rule", None),
    ],
)
def test_errors_cross_the_border_intact(error: EafoError) -> None:
    found = decode_result(encode_result([error]), job("Toy")).error
    assert type(found) is type(error)
    assert str(found) == str(error)


def test_jobs_and_outcomes_cross_the_border_intact() -> None:
    sent = Job(3, eafo.get("srelu(t=1.5)"), "mnist1d", 4, 5)
    assert decode_job(encode_job(sent)) == sent
    outcome = Outcome(4, 0.1 + 0.2, (1 / 3,), (2.5,), (), 0.7, 9)
    assert decode_result(encode_result([outcome]), sent).outcome == outcome


def test_every_job_comes_back_once(toys: Toys) -> None:
    jobs = [job("Toy", owner=i, seed=i) for i in range(7)]
    with LocalExecutor(2) as executor:
        found = results(executor, jobs)
        assert len(executor.processes) == 2
    assert sorted(r.job.owner for r in found) == list(range(7))
    assert all(r.outcome is not None and r.outcome.seed == r.job.seed for r in found)
    assert len(toys.lines) == 7


def test_what_a_task_raises_is_its_result(toys: Toys) -> None:
    with LocalExecutor(1) as executor:
        broken, diverged, infinite, fine = results(
            executor, [job("Broken"), job("Diverging", seed=1), job("NotFinite"), job("Chatty")]
        )
    assert (
        str(broken.error)
        == "the task must run without an error, but raised ZeroDivisionError: a slip in the task"
    )
    assert isinstance(diverged.error, DivergedError)
    assert str(infinite.error) == "a score must be a finite number, but got inf"
    assert fine.outcome is not None


def test_a_killed_worker_is_replaced_and_its_job_tried_again(toys: Toys) -> None:
    with LocalExecutor(2) as executor:
        found = results(executor, [job("KilledOnce", seed=s) for s in range(3)])
    assert all(r.outcome is not None for r in found)
    assert len(toys.lines) == 6


def test_a_job_that_kills_its_worker_fails_after_four_times_and_takes_no_other_with_it(toys: Toys) -> None:
    jobs = [job("KilledAlways", 0.5), *(job("KilledAlways", -0.5, seed=s, owner=1) for s in range(4))]
    with LocalExecutor(2) as executor:
        found = results(executor, jobs)
    (killed,) = [r for r in found if r.outcome is None]
    assert killed.job.owner == 0
    assert str(killed.error) == "the worker was ended by signal 9, 4 times over"
    assert len(toys.lines) == 4 + 4


def test_cancelled_jobs_do_not_come_back(toys: Toys) -> None:
    with LocalExecutor(1) as executor:
        for owner in (0, 1, 1, 2):
            executor.submit(job("Toy", owner=owner))
        assert [j.owner for j in executor.cancel(1)] == [1, 1]
        assert [executor.next().job.owner for _ in range(2)] == [0, 2]
        with pytest.raises(InputError, match="waits for a job that was submitted"):
            executor.next()


def test_a_worker_that_cannot_start_is_an_error_at_once(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = toys.folder / "broken"
    (broken / "eafo").mkdir(parents=True)
    (broken / "eafo" / "__init__.py").write_text("raise ImportError('a broken installation')")
    monkeypatch.syspath_prepend(broken)
    with LocalExecutor(1) as executor:
        executor.submit(job("Toy"))
        with pytest.raises(EafoError, match="a worker process must start, but ended by status 1"):
            executor.next()


def test_a_worker_has_one_thread(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    (toys.folder / "toys" / "threads.py").write_text(
        "import os\nfrom toy_tasks import Outcome, Toy\n"
        "class Task(Toy):\n    def run(self, activation, seed, epochs):\n"
        "        return Outcome(seed, float(os.environ['OMP_NUM_THREADS']))\n"
    )
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    with LocalExecutor(1) as executor:
        executor.submit(Job(0, eafo.get("relu"), "threads:Task", 0, 1))
        outcome = executor.next().outcome
    assert outcome is not None
    assert outcome.score == 1


@linux
def test_closing_ends_the_workers(toys: Toys) -> None:
    with LocalExecutor(2) as executor:
        results(executor, [job("Toy", seed=s) for s in range(2)])
        handles = [os.pidfd_open(pid) for pid in executor.processes]
    for handle in handles:
        assert select.select([handle], [], [], 60)[0] == [handle]
        os.close(handle)


def test_a_script_without_a_main_guard_works(toys: Toys) -> None:
    script = toys.folder / "script.py"
    script.write_text(
        "from eafo.search import compare\n"
        "print(len(compare(['relu', 'gelu'], 'toy_tasks:Toy', 2, workers=2).arms))\n"
    )
    found = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert (found.stdout, found.stderr) == ("2\n", "")


@pytest.mark.parametrize("workers", [0, -1, 1.5, True, 100_000])
def test_wrong_numbers_of_workers_are_refused(workers: int) -> None:
    with pytest.raises(InputError, match="the number of workers must be a whole number from 1 to 1024"):
        LocalExecutor(workers)


def test_there_is_a_worker_for_each_processor() -> None:
    with LocalExecutor() as executor:
        assert executor.workers == default_workers() >= 1
