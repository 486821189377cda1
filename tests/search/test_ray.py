from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

import eafo
from eafo.errors import EafoError, InputError, MissingDependencyError
from eafo.search import compare, run
from eafo.search.executors import Job
from eafo.search.executors.choice import make_executor
from eafo.search.executors.local import LocalExecutor
from eafo.search.executors.ray import RayExecutor

if TYPE_CHECKING:
    from conftest import Toys

pytestmark = pytest.mark.xdist_group("servers")


def job(task: str, epsilon: float = 0.5, seed: int = 0, owner: int = 0) -> Job:
    return Job(owner, eafo.get("crrelu", epsilon=epsilon), f"toy_tasks:{task}", seed, 1)


def test_jobs_come_back_once_whatever_becomes_of_their_workers(toys: Toys, cluster: Any) -> None:
    jobs = [
        *(job("Toy", owner=i, seed=i) for i in range(4)),
        *(job("KilledOnce", owner=4 + i, seed=i) for i in range(2)),
        job("KilledAlways", owner=6),
        job("Broken", owner=7),
        job("Chatty", owner=8),
    ]
    with RayExecutor(address=cluster.address) as executor:
        assert executor.workers == 2
        for one in jobs:
            executor.submit(one)
        assert [j.owner for j in executor.cancel(8)] == [8]
        found = {r.job.owner: r for r in (executor.next() for _ in jobs[:-1])}
        with pytest.raises(InputError, match="waits for a job that was submitted"):
            executor.next()
    assert sorted(found) == list(range(8))
    for owner in range(6):
        outcome = found[owner].outcome
        assert outcome is not None
        assert outcome.seed == found[owner].job.seed
    assert str(found[6].error) == "the worker or its node was ended, 4 times over"
    assert "ZeroDivisionError: a slip in the task" in str(found[7].error)
    assert len(toys.lines) == 4 + 2 * 2 + 4 + 1


def test_a_search_and_a_comparison_are_the_same_as_here(toys: Toys, cluster: Any) -> None:
    toys.plan("far")
    far = run("plan.toml", executor=cluster.address, batch=2)
    near = run("plan.toml", batch=2, storage=toys.folder / "near.db")
    assert far.trials == near.trials
    one, other = (
        compare(["relu", "gelu"], "toy_tasks:Toy", 2, workers=2, executor=e)
        for e in ("local", cluster.address)
    )
    assert one == other


def test_the_command_writes_its_document_alone(toys: Toys, cluster: Any) -> None:
    toys.plan("far", "Chatty")
    ran = subprocess.run(
        [sys.executable, "-m", "eafo.cli", "search", "plan.toml", "--executor", cluster.address, "--json"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert len(json.loads(ran.stdout)["trials"]) == 4
    assert ran.stderr == ""


def test_a_lost_node_is_not_noticed_in_the_results(toys: Toys, cluster: Any) -> None:
    node = cluster.add_node(num_cpus=1)
    with RayExecutor(3, address=cluster.address) as executor:
        for seed in range(30):
            executor.submit(job("Toy", seed=seed, owner=seed))
        found = [executor.next() for _ in range(3)]
        cluster.remove_node(node, allow_graceful=False)
        found += [executor.next() for _ in range(27)]
    assert sorted(r.job.owner for r in found) == list(range(30))
    assert all(r.outcome is not None for r in found)


def test_trainings_share_gpus_by_their_fractions(toys: Toys, cluster: Any) -> None:
    # Ray counts the GPUs that a node says it has.
    node = cluster.add_node(num_cpus=6, num_gpus=2)
    try:
        with RayExecutor(address=cluster.address, gpus=0.5) as executor:
            assert executor.workers == 4
            for seed in range(12):
                executor.submit(job("Devices", owner=seed, seed=seed))
            assert all(executor.next().outcome is not None for _ in range(12))
    finally:
        cluster.remove_node(node)
    at_work = {"0": 0, "1": 0}
    most = dict(at_work)
    for device, what in (line.split() for line in toys.lines if "|" not in line):
        at_work[device] += 1 if what == "begins" else -1
        most[device] = max(most[device], at_work[device])
    # Each sees one GPU alone, and no more than two share it.
    assert at_work == {"0": 0, "1": 0}
    assert max(most.values()) == 2
    assert min(most.values()) >= 1


def test_a_search_goes_through_a_client_server(toys: Toys, cluster: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    given = {
        "--address": cluster.address,
        "--host": "127.0.0.1",
        "--port": str(port),
        "--mode": "specific-server",
    }
    command = [sys.executable, "-m", "ray.util.client.server", *itertools.chain(*given.items())]
    with (
        (toys.folder / "server").open("wb") as said,
        subprocess.Popen(command, stdout=said, stderr=said) as server,
    ):
        try:
            _reachable(port, server)
            toys.plan("far")
            far = run("plan.toml", executor=f"ray://127.0.0.1:{port}", batch=2)
        finally:
            server.terminate()
    assert far.trials == run("plan.toml", batch=2, storage=toys.folder / "near.db").trials


def _reachable(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait until somebody listens."""
    end = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.05)
    pytest.fail("the client server does not listen")


def test_gpus_that_no_node_has_are_refused(cluster: Any) -> None:
    with pytest.raises(
        InputError, match=r"must have a processor and 0\.5 GPUs for a job, but got 'no such node'"
    ):
        RayExecutor(address=cluster.address, gpus=0.5)


def test_a_cluster_of_the_caller_s_own_is_left_as_it_is(toys: Toys, cluster: Any) -> None:
    import ray

    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    try:
        with RayExecutor() as executor:
            executor.submit(job("Toy"))
            assert executor.next().outcome is not None
        assert ray.is_initialized()
    finally:
        ray.shutdown()


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_an_address_where_nobody_listens_is_refused_at_once(form: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(InputError, match="the Ray cluster must be reachable"):
        make_executor(form.format(port))


@pytest.mark.parametrize("name", ["slurm", "ray://", "ray://here", ":1", "here:99999", "http://a:1"])
def test_other_executors_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"(an executor|a Ray cluster's address) must be"):
        make_executor(name)


@pytest.mark.parametrize("gpus", [-1, 1.5, float("nan"), True, 1e-9])
def test_wrong_numbers_of_gpus_are_refused(gpus: float) -> None:
    with pytest.raises(InputError, match="the GPUs of a job must be a whole number, or a fraction"):
        make_executor("ray", gpus=gpus)


@pytest.mark.parametrize("workers", [0, True, 1.5])
def test_wrong_numbers_of_workers_are_refused(workers: int) -> None:
    with pytest.raises(InputError, match="the number of workers must be a whole number from 1"):
        make_executor("ray", workers)


def test_processes_of_this_machine_share_out_no_gpus() -> None:
    with make_executor(workers=1) as executor:
        assert isinstance(executor, LocalExecutor)
    with pytest.raises(InputError, match="GPUs are shared out by Ray alone"):
        make_executor("local", gpus=0.5)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "eafo\[ray\]"'):
        make_executor("ray")


@pytest.mark.slow
def test_a_cluster_that_ends_is_one_error(toys: Toys) -> None:
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    own = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    with RayExecutor(address=own.address) as executor:
        executor.submit(job("Toy"))
        assert executor.next().outcome is not None
        own.head_node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
        executor.submit(job("Toy"))
        with pytest.raises(EafoError, match="the Ray cluster must"):
            executor.next()
