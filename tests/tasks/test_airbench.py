"""The speedrun on CIFAR-10: its network, its optimiser, its views of the images."""

from __future__ import annotations

import copy
import dataclasses
import os

import numpy as np
import pytest
import torch

import eafo
from eafo import tasks
from eafo.errors import InputError
from eafo.nn import Module
from eafo.tasks import Setting
from eafo.tasks.airbench import AIRBENCH, SpeedrunRecipe
from eafo.tasks.airbench_model import SpeedNet, whitening
from eafo.tasks.cifar import CIFAR10, CifarSet, ColourImages
from eafo.tasks.muon import Muon, Together, orthogonalised
from eafo.tasks.speedrun import SpeedrunProblem, moved, six_views


def images(count: int, seed: int = 0) -> torch.Tensor:
    """Images with the correlations of neighbouring pixels."""
    noise = torch.randn(count, 3, 34, 34, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.avg_pool2d(noise, 3, 1)


@pytest.fixture
def problem(monkeypatch) -> SpeedrunProblem:
    """The problem on images that need no files."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (60, 3, 32, 32), dtype=np.uint8)
    labels = np.arange(60) % 10
    data = ColourImages(pixels, labels, pixels[:20], labels[:20], 10)
    monkeypatch.setattr(CifarSet, "load", lambda _: data)
    return SpeedrunProblem(epochs=2, batch=16)


def network(seed: int = 0, activation: str = "gelu") -> SpeedNet:
    torch.manual_seed(seed)
    return SpeedNet(lambda _: Module(activation), images(50))


def test_the_network_has_the_published_size() -> None:
    # Filters of 3 × 3, biases of batch norm, the whitening layer of 24 outputs and its bias, the head; scales of 1 beside them.
    filters = 9 * (24 * 64 + 64 * 64 + 64 * 256 + 3 * 256 * 256)
    learned = filters + 2 * (64 + 256 + 256) + 24 + 2560
    parameters = list(network().parameters())
    assert sum(p.numel() for p in parameters if p.requires_grad) == learned
    assert sum(p.numel() for p in parameters if not p.requires_grad) == 24 * 12 + 2 * (64 + 256 + 256)
    assert network()(images(2)[..., :32, :32]).shape == (2, 10)
    assert sum(isinstance(m, Module) for m in network().modules()) == 7


def test_its_head_and_its_filters_start_as_told() -> None:
    model = network()
    assert model.head.weight.std().item() == pytest.approx(1, rel=1e-5)
    first, second = model.groups[0].convolutions
    x = torch.randn(1, 24, 5, 5)
    assert torch.allclose(first(x)[:, :24], x)
    assert torch.allclose(second(first(x)), torch.nn.functional.conv2d(first(x), second.weight, padding=1))


def test_whitened_patches_are_uncorrelated_and_of_variance_one() -> None:
    given = images(200)
    filters = whitening(given, eps=0.0)
    assert filters.shape == (24, 3, 2, 2)
    assert torch.equal(filters[:12], -filters[12:])
    outputs = torch.nn.functional.conv2d(given, filters[:12]).movedim(1, 0).flatten(1).double()
    moments = outputs @ outputs.T / outputs.shape[1]
    assert torch.allclose(moments, torch.eye(12, dtype=torch.float64), atol=2e-3)


@pytest.mark.parametrize("shape", [(64, 216), (256, 64), (3, 40, 30)])
def test_orthogonalised_matrices_keep_their_singular_vectors(shape) -> None:
    torch.manual_seed(1)
    matrices = torch.randn(shape, dtype=torch.float64)
    found = orthogonalised(matrices, steps=5)
    left, values, right = torch.linalg.svd(matrices, full_matrices=False)
    # In these vectors it is diagonal, and its values are those that the quintic gives.
    inner = left.mT @ found @ right.mT
    scaled = values / matrices.flatten(-2).norm(dim=-1)[..., None]
    for _ in range(5):
        scaled = 3.4445 * scaled - 4.7750 * scaled**3 + 2.0315 * scaled**5
    assert torch.allclose(inner, torch.diag_embed(scaled), atol=1e-9)
    assert scaled.min() > 0.3
    assert scaled.max() < 1.3
    assert torch.equal(orthogonalised(torch.zeros(2, 3)), torch.zeros(2, 3))


def test_a_step_of_muon_is_the_one_told() -> None:
    torch.manual_seed(2)
    first, other, still = (
        torch.nn.Parameter(torch.randn(s, dtype=torch.float64)) for s in ((4, 3, 3, 3), (4, 3, 3, 3), (5, 2))
    )
    optimiser, rate, momentum = Muon([first, other, still], 0.1, 0.6), 0.1, 0.6
    weights, buffers = (
        [first.detach().clone(), other.detach().clone()],
        [torch.zeros(4, 3, 3, 3).double()] * 2,
    )
    for _ in range(3):
        grads = [torch.randn(4, 3, 3, 3, dtype=torch.float64) for _ in range(2)]
        first.grad, other.grad = grads[0].clone(), grads[1].clone()
        optimiser.step()
        for i in range(2):
            buffers[i] = momentum * buffers[i] + grads[i]
            update = (grads[i] + momentum * buffers[i]).reshape(4, -1)
            weights[i] = weights[i] * 2 / weights[i].norm() - rate * orthogonalised(update).view(4, 3, 3, 3)
    assert torch.allclose(first, weights[0], atol=1e-12)
    assert torch.allclose(other, weights[1], atol=1e-12)
    assert "momentum_buffer" not in optimiser.state[still]


def test_optimisers_together_keep_and_read_their_state() -> None:
    def made():
        torch.manual_seed(0)
        a, b = torch.nn.Parameter(torch.randn(3, 4)), torch.nn.Parameter(torch.randn(3))
        return (a, b), Together([Muon([a], 0.1, 0.6), torch.optim.Adam([b], lr=0.1)])

    def step(parameters, optimiser, seed) -> None:
        generator = torch.Generator().manual_seed(seed)
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimiser.step()
        optimiser.zero_grad()
        assert all(p.grad is None for p in parameters)

    whole, one = made()
    step(whole, one, 1)
    kept = {"optimiser": copy.deepcopy(one.state_dict()), "weights": [p.detach().clone() for p in whole]}
    step(whole, one, 2)
    again, other = made()
    other.load_state_dict(kept["optimiser"])
    for parameter, weight in zip(again, kept["weights"], strict=True):
        parameter.data.copy_(weight)
    step(again, other, 2)
    assert all(torch.equal(p, q) for p, q in zip(whole, again, strict=True))
    assert len(one.param_groups) == 2
    assert set(one.state) == set(whole)


def test_rates_fall_to_zero_and_the_first_layer_is_done_early() -> None:
    model, recipe = network(activation="crrelu"), SpeedrunRecipe(batch=16)
    optimiser = recipe.make_optimiser(model)
    seen = []
    for step in range(9):
        recipe.set_rates(optimiser, step, 8)
        seen.append([g["lr"] for g in optimiser.param_groups])
    first, bias, head, filters, activation = zip(*seen, strict=True)
    assert first == pytest.approx([0.053 * max(0, 1 - s / 3) for s in range(9)])
    for found, start in ((bias, 0.053), (head, 0.67), (filters, 0.24), (activation, 0.01)):
        assert found == pytest.approx([start * (1 - s / 8) for s in range(9)])
    assert not model.whiten.bias.requires_grad
    recipe.set_rates(optimiser, 2, 8)
    assert model.whiten.bias.requires_grad
    # Decoupled from the rates: rate times decay is the same for all that SGD moves.
    assert {
        round(g["lr"] * g["weight_decay"], 12) for g in recipe.make_optimiser(model).param_groups[:3]
    } == {3.2e-5}
    counted = {id(p) for g in optimiser.param_groups for p in g["params"]}
    assert counted == {id(p) for p in model.parameters() if p.requires_grad or p is model.whiten.bias}


def test_two_epochs_in_a_row_see_each_image_both_ways(problem) -> None:
    even, odd, later = (problem.flipped(7, epoch) for epoch in (0, 1, 2))
    assert torch.equal(even.flip(-1), odd)
    assert torch.equal(even, later)
    mirrored = (even != problem.images).flatten(1).any(1)
    assert 10 < mirrored.sum() < 50
    assert not torch.equal(even, problem.flipped(8, 0))


def test_a_moved_image_is_the_padded_one_elsewhere() -> None:
    given = images(40)[..., :32, :32]
    found = moved(given, torch.Generator().manual_seed(0), 2)
    padded = torch.nn.functional.pad(given, (2,) * 4, "reflect")
    seen = set()
    for image, whole in zip(found, padded, strict=True):
        places = [
            (y, x) for y in range(5) for x in range(5) if torch.equal(whole[:, y : y + 32, x : x + 32], image)
        ]
        assert len(places) == 1
        seen |= set(places)
    assert len(seen) > 12


def test_batches_hold_each_example_at_most_once(problem) -> None:
    problem.labels = torch.arange(60)
    order = torch.Generator().manual_seed(3)
    batches = list(problem.batches(order, 0))
    assert [x.shape for x, _ in batches] == [(16, 3, 32, 32)] * problem.steps == [(16, 3, 32, 32)] * 3
    labels = torch.cat([y for _, y in batches])
    assert len(set(labels.tolist())) == 48
    again = torch.cat([y for _, y in problem.batches(torch.Generator().manual_seed(3), 0)])
    assert torch.equal(labels, again)
    assert not torch.equal(labels, torch.cat([y for _, y in problem.batches(order, 1)]))


def test_the_loss_has_the_value_of_the_mean_and_the_gradient_of_the_sum(problem) -> None:
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 10))
    x, y = problem.images[:8].contiguous(), problem.labels[:8]
    right = torch.nn.functional.cross_entropy(model(x), y, label_smoothing=0.2)
    loss = problem.loss(model, x, y)
    assert loss.item() == pytest.approx(right.item())
    ours, theirs = (torch.autograd.grad(value, model[1].weight)[0] for value in (loss, right))
    assert torch.allclose(ours, 8 * theirs, rtol=1e-4, atol=1e-5)


def test_six_views_are_those_told() -> None:
    x = images(3)[..., :32, :32]
    padded = torch.nn.functional.pad(x, (1,) * 4, "reflect")
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 10))
    views = {x: 0.25, padded[..., :32, :32]: 0.125, padded[..., 2:, 2:]: 0.125}
    right = sum(w * (model(v) + model(v.flip(-1))) for v, w in views.items())
    assert torch.allclose(six_views(model, x, model(x)), right, atol=1e-5)


def test_a_network_in_half_precision_keeps_statistics_and_parameters_in_float32() -> None:
    model = network(activation="crrelu").halved(torch.bfloat16)
    kinds = {n: p.dtype for n, p in model.named_parameters()}
    assert kinds["head.weight"] == kinds["groups.1.convolutions.0.weight"] == torch.bfloat16
    assert kinds["groups.1.norms.0.bias"] == kinds["activation.epsilon"] == torch.float32
    assert model(images(2)[..., :32, :32].bfloat16()).dtype == torch.bfloat16


NEEDS = pytest.mark.skipif(
    not os.path.isdir(os.path.join(os.environ.get("EAFO_DATA", ""), CIFAR10.folder)),
    reason="EAFO_DATA is not set, or has no CIFAR-10",
)


@NEEDS
def test_trainings_repeat_bit_for_bit_and_go_on(tmp_path) -> None:
    setting = Setting(examples=64)
    first = AIRBENCH.run(eafo.get("crrelu"), 1, 2, setting)
    kept = dataclasses.replace(setting, checkpoints=str(tmp_path))
    again = AIRBENCH.run(eafo.get("crrelu"), 1, 2, kept)
    assert dataclasses.replace(again, seconds=first.seconds) == first
    assert first.steps == 8
    assert len(first.learned) == 7
    assert set(first.metrics) == {"accuracy of one view"}


@NEEDS
def test_half_precision_and_wrong_numbers() -> None:
    outcome = AIRBENCH.run(eafo.get("gelu"), 0, 1, Setting(examples=32, precision="bfloat16"))
    assert 1.5 < outcome.loss[0] < 3
    with pytest.raises(InputError, match="the number of epochs must be at least 1, but got 0"):
        AIRBENCH.run(eafo.get("gelu"), 0, 0)


@NEEDS
@pytest.mark.slow
def test_it_learns() -> None:
    outcome = tasks.run(AIRBENCH, eafo.get("gelu"), 0, 4, Setting(examples=2000))
    assert outcome.score > 35
    assert outcome.loss[-1] < outcome.loss[0]
