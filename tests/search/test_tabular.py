"""The tabular benchmark: what its table means, and that a replay counts what a search would train."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import eafo
from eafo import tasks

SCRIPT = Path(__file__).parents[2] / "search" / "tabular.py"
TABLE = SCRIPT.parent / "results" / "tabular.csv"


@pytest.fixture(scope="module")
def script() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


@pytest.fixture(scope="module")
def table(script) -> object:
    return script.Table(TABLE)


def test_a_shorter_training_is_the_start_of_a_longer_one(script) -> None:
    task, gelu = tasks.get("mnist1d"), eafo.get("gelu")
    whole, short = (tasks.run(task, gelu, 3, epochs, tasks.Setting()) for epochs in (5, 2))
    assert script.score(whole.curve, 2) == pytest.approx(short.score)
    assert script.score(whole.curve, 5) == pytest.approx(whole.score)


def test_every_formula_has_every_seed(script, table) -> None:
    assert len(table.names) >= 300
    assert table.scores.shape == (len(table.names), table.seeds, len(script.FIDELITIES))
    assert len(table.best) == 3
    means = table.scores[:, :, -1].mean(1)
    assert min(means[list(table.best)]) >= np.sort(means)[-3]


def test_a_replay_repeats_and_counts_epochs(script, table) -> None:
    found = {arm: script.replayed(table, arm, 5) for arm in ("random", "random, ladder")}
    assert found == {arm: script.replayed(table, arm, 5) for arm in found}
    assert found["random"] % 50 == 0
    assert 0 < found["random, ladder"] < found["random"]
