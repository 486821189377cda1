"""The transformers' tasks: their recipe, their images, their teacher."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest
import torch

import eafo
from eafo import tasks
from eafo.nn import Module
from eafo.tasks import Setting
from eafo.tasks.cifar import CIFAR10, CifarSet, ColourImages
from eafo.tasks.pictures import Distilled, Pictures, Stored
from eafo.tasks.teacher import teacher
from eafo.tasks.transformers import RECIPE, Transformer


@pytest.fixture
def source(monkeypatch) -> Stored:
    """Images that need no files."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (40, 3, 32, 32), dtype=np.uint8)
    data = ColourImages(pixels, np.arange(40) % 10, pixels[:10], np.arange(10), 10)
    monkeypatch.setattr(CifarSet, "load", lambda _: data)
    return Stored(CIFAR10, Setting())


def test_the_rates_are_those_of_the_appendix() -> None:
    optimiser = RECIPE.make_optimiser(torch.nn.Linear(2, 2))
    rates = []
    for step in range(0, 1001):
        RECIPE.set_rates(optimiser, step, 1000)
        rates.append(optimiser.param_groups[0]["lr"])
    assert rates[0] == pytest.approx(1e-6 + (2.5e-4 - 1e-6) / 200)
    assert rates[99] == pytest.approx((1e-6 + 2.5e-4) / 2, rel=1e-6)
    assert max(rates) == rates[200] == pytest.approx(2.5e-4)
    assert rates[600] == pytest.approx((2.5e-4 + 1e-5) / 2)
    assert rates[1000] == pytest.approx(1e-5)


def test_an_epoch_sees_each_image_once_and_changed(source) -> None:
    problem = Pictures(lambda _: torch.nn.Identity(), source, 16, torch.device("cpu"))
    first, again = (list(problem.batches(torch.Generator().manual_seed(1), 0)) for _ in range(2))
    assert [x.shape for x, _ in first] == [(16, 3, 32, 32), (16, 3, 32, 32), (8, 3, 32, 32)]
    assert problem.steps == 3
    labels = torch.cat([y for _, y in first])
    assert torch.bincount(labels).tolist() == [4] * 10
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(first, again, strict=True))
    assert torch.cat([x for x, _ in first]).mean().abs() < 0.6


def test_scores_are_those_of_images_as_they_are(source) -> None:
    problem = Pictures(lambda _: torch.nn.Identity(), source, 16, torch.device("cpu"))
    mean, deviation = (torch.tensor(v).view(1, 3, 1, 1) for v in (CIFAR10.mean, CIFAR10.deviation))
    right = (source.test(torch.arange(10)).float() / 255 - mean) / deviation

    class Knows(torch.nn.Module):
        def forward(self, x):
            assert torch.allclose(x, right)
            return torch.eye(10)

    assert problem.score(Knows()) == 100.0


def test_a_distilled_loss_is_half_of_each(source) -> None:
    torch.manual_seed(0)
    model = tasks.build_model("deit-tiny", "cifar10", "gelu")
    taught = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 10))
    problem = Distilled(lambda _: model, source, 4, torch.device("cpu"), taught)
    inputs, targets = next(problem.batches(torch.Generator().manual_seed(0), 0))
    own, other = model.logits(inputs)
    right = torch.nn.functional.cross_entropy(own, targets) / 2
    right += torch.nn.functional.cross_entropy(other, taught(inputs).argmax(1)) / 2
    loss = problem.loss(model, inputs, targets)
    assert loss.item() == pytest.approx(right.item())
    loss.backward()
    assert all(p.grad is None for p in taught.parameters())
    assert all(head.weight.grad is not None for head in model.heads)


def test_the_teacher_is_trained_once_a_machine(source, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("EAFO_CACHE", str(tmp_path))
    make = teacher.__wrapped__
    first = make(CIFAR10, "cpu", 16)
    (kept,) = tmp_path.glob("*.safetensors")
    written = kept.stat().st_mtime_ns
    again = make(CIFAR10, "cpu", 16)
    assert kept.stat().st_mtime_ns == written
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(first(x), again(x))
    assert not first.training
    assert not any(p.requires_grad for p in first.parameters())
    assert {m.activation.name for m in first.modules() if isinstance(m, Module)} == {"relu"}


def test_another_set_has_a_teacher_of_its_own(source, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("EAFO_CACHE", str(tmp_path))
    make = teacher.__wrapped__
    data = CIFAR10.load()
    first = make(CIFAR10, "cpu", 16)
    for changed in (
        dataclasses.replace(data, train_labels=9 - data.train_labels),
        dataclasses.replace(data, train_images=255 - data.train_images),
    ):
        monkeypatch.setattr(CifarSet, "load", lambda _, changed=changed: changed)
        other = make(CIFAR10, "cpu", 16)
        assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))
    assert len(list(tmp_path.glob("*.safetensors"))) == 3


@pytest.mark.skipif(
    not os.path.isdir(os.path.join(os.environ.get("EAFO_DATA", ""), CIFAR10.folder)),
    reason="EAFO_DATA is not set, or has no CIFAR-10",
)
@pytest.mark.parametrize("model", ["vit-tiny", "deit-tiny"])
def test_trainings_repeat_bit_for_bit(model) -> None:
    found = Transformer(model, "cifar10")
    first, again = (found.run(eafo.get("crrelu"), 2, 1, Setting(examples=12)) for _ in range(2))
    assert dataclasses.replace(again, seconds=first.seconds) == first
    assert len(first.learned) == 12


@pytest.mark.parametrize("model", ["vit-tiny", "deit-tiny", "tnt-small"])
def test_the_hundred_classes_are_trained(model, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("EAFO_CACHE", str(tmp_path))
    generator = np.random.default_rng(1)
    pixels = generator.integers(0, 256, (12, 3, 32, 32), dtype=np.uint8)
    data = ColourImages(pixels, np.arange(12) * 9, pixels, np.arange(12) * 9, 100)
    monkeypatch.setattr(CifarSet, "load", lambda _: data)
    teacher.cache_clear()
    outcome = tasks.run(tasks.get(f"{model}-cifar100"), eafo.get("gelu"), 0, 1, Setting(examples=8))
    teacher.cache_clear()
    assert outcome.steps == 4
    assert 3.5 < outcome.loss[0] < 7  # log(100) is 4.6
