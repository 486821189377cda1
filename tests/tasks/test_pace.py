"""What a step of training takes: measured in turns, as each is trained, or not at all."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch

import eafo
from eafo import tasks
from eafo.tasks import Setting, pace
from eafo.tasks.pace import step_times


class _Slow(torch.nn.Module):
    def forward(self, x):
        time.sleep(0.004)
        return x


def test_a_step_is_measured_in_turns() -> None:
    task, few = tasks.get("mnist1d-mlp"), Setting(examples=1000)
    relu = eafo.get("relu")
    quick, same, wide = step_times(task, [(relu, few), (relu, few), (eafo.get("crrelu"), few)], seconds=0.5)
    assert min(quick, same, wide) > 0
    slowed = replace(task, model=lambda layer: torch.nn.Sequential(_Slow(), task.model(layer)))
    (slow,) = step_times(slowed, [(relu, few)], seconds=0.1)
    assert slow > 0.004


def test_where_no_step_can_be_measured_there_is_none() -> None:
    relu = eafo.get("relu")
    assert step_times(tasks.get("cifar10-airbench"), [(relu, Setting())]) is None
    assert step_times(tasks.get("mnist1d-mlp"), [(relu, Setting(device="cuda:77"))]) is None


def test_each_is_measured_as_it_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = pace.Run.step

    def step(self, *batch):
        seen.append({m.channels for m in self.model.modules() if isinstance(m, eafo.nn.Module)})
        return real(self, *batch)

    monkeypatch.setattr(pace.Run, "step", step)
    ways = [Setting(examples=300), Setting(examples=300, per_channel=True, record=True)]
    found = step_times(tasks.get("mnist1d"), [(eafo.get("crrelu"), s) for s in ways], seconds=0)
    assert len(found) == 2
    # Three batches, a round that does not count and five that do.
    assert [seen.count(c) for c in ({None}, {25})] == [18, 18]
