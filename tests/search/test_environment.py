"""What is written down of a run: with each study and comparison, and of which commit."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import eafo
from eafo.search import Comparison, compare, environment, load, run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.search.conftest import Toys


def test_a_study_keeps_what_it_was_run_on(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = toys.plan("p")
    first = run(plan, workers=1, trials=2)
    (here,) = first.runs
    assert here == environment.environment()
    run(plan, workers=1, trials=2)
    assert load("p").runs == (here,)
    elsewhere = {**here, "machine": "another one"}
    monkeypatch.setattr("eafo.search.study.environment", lambda *_: elsewhere)
    # Nothing is missing: nothing is run there.
    assert run(plan, workers=1, trials=2).runs == (here,)
    more = run(plan, workers=1, trials=4)
    assert more.runs == (here, elsewhere)
    assert more.to_dict()["runs"] == [here, elsewhere]


def test_a_comparison_keeps_it_too(toys: Toys) -> None:
    found = compare(["relu"], "toy_tasks:Toy", 1, epochs=1, workers=1)
    assert dict(found.run) == environment.environment()
    saved = Comparison.load(found.save(toys.folder / "c.json"))
    assert saved.run == found.run


def test_the_commit_is_that_of_the_checkout_it_lies_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*arguments: str) -> str:
        named = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *named, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "-q")
    source = tmp_path / "eafo" / "search" / "environment.py"
    source.parent.mkdir(parents=True)
    source.write_text("")
    # It lies in a checkout, and is no part of it.
    assert environment.commit(source) == ""
    git("add", ".")
    git("commit", "-qm", "first")
    head = git("rev-parse", "--short=12", "HEAD")
    assert environment.commit(source) == head
    source.write_text("x = 1\n")
    assert environment.commit(source) == f"{head}, changed"
    monkeypatch.setattr(environment, "commit", lambda: head)
    assert environment.environment()["eafo"] == f"{eafo.__version__}, commit {head}"
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment.commit(source) == ""


def test_a_gpu_that_is_elsewhere_is_told_by_its_name() -> None:
    assert environment.environment("cuda:77")["machine"].startswith("cuda:77, ")
    far = environment.environment("cuda", "ray://head:10001")["machine"]
    assert far.startswith("trainings on ray://head:10001 (cuda), driven from ")
