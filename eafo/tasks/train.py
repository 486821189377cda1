"""The training loop of all embedded tasks: small networks, one thread."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn

from eafo.nn import Module
from eafo.tasks.models import by_kind
from eafo.tasks.protocol import DivergedError, Learned, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eafo.activation import Activation
    from eafo.tasks.models import ActivationFactory
    from eafo.tasks.problem import Problem
    from eafo.tasks.recipe import Recipe

__all__ = ["optimiser_of", "train", "train_layers"]

_OPTIMISERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def train(
    problem: Problem, activation: Activation, recipe: Recipe, *, seed: int, epochs: int, share: float
) -> Outcome:
    """Train a fresh network and score it after each epoch.

    The seed fixes the initialisation and, through a generator of its own, the order of the examples: different
    activations see the same ones. Other users of torch's global generator are not disturbed.

    Args:
        problem: the network, the batches, the loss and the score.
        activation: used at every place, as the problem has it there.
        recipe: optimiser, learning rate and its course, weight decay.
        seed: from 0.
        epochs: at least 1.
        share: the score is the mean over the last ⌈share · epochs⌉ epochs, at least the last.

    Raises:
        DivergedError: the loss left the finite numbers.
    """
    return train_layers(
        problem,
        lambda kind="": Module(by_kind(activation, kind)),
        recipe,
        seed=seed,
        epochs=epochs,
        share=share,
    )


def train_layers(
    problem: Problem, layer: ActivationFactory, recipe: Recipe, *, seed: int, epochs: int, share: float
) -> Outcome:
    """As `train`, with what stands at each place as it is made by ``layer``."""
    with _one_thread(), torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        model = problem.build(layer)
        started = _learnable_values(model)
        # Made before the clock starts: a process's first optimiser loads a good part of torch.
        optimiser = optimiser_of(model, recipe)
        start = time.perf_counter()
        curve, losses, steps = _epochs(model, problem, optimiser, recipe, seed=seed, epochs=epochs)
        seconds = time.perf_counter() - start
    ended = _learnable_values(model)
    counted = curve[-max(1, math.ceil(share * epochs)) :]
    return Outcome(
        seed=seed,
        score=sum(counted) / len(counted),
        curve=tuple(curve),
        loss=tuple(losses),
        learned=tuple(Learned(name, started[name], ended[name]) for name in started),
        seconds=seconds,
        steps=steps,
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    # Small layers lose time to more threads, and the sums inside matrix products depend on their number.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _epochs(
    model: nn.Module,
    problem: Problem,
    optimiser: torch.optim.Optimizer,
    recipe: Recipe,
    *,
    seed: int,
    epochs: int,
) -> tuple[list[float], list[float], int]:
    order = torch.Generator().manual_seed(seed)
    rates = [group["lr"] for group in optimiser.param_groups]
    curve: list[float] = []
    losses: list[float] = []
    steps = 0
    for epoch in range(epochs):
        model.train()
        total, count = torch.zeros((), dtype=torch.float64), 0
        for inputs, targets in problem.batches(order):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * recipe.factor(steps, epochs * problem.steps)
            loss = problem.loss(model, inputs, targets)
            optimiser.zero_grad()
            loss.backward()
            if recipe.clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            optimiser.step()
            total += loss.detach() * len(inputs)
            count += len(inputs)
            steps += 1
        losses.append(float(total) / count)
        if not math.isfinite(losses[-1]):
            raise DivergedError(f"the training loss must stay finite (epoch {epoch + 1})", losses[-1])
        curve.append(_score(model, problem, epoch + 1))
    return curve, losses, steps


def _score(model: nn.Module, problem: Problem, epoch: int) -> float:
    model.eval()
    try:
        with torch.no_grad():
            return problem.score(model)
    except DivergedError as error:
        raise DivergedError(f"{error.rule} (epoch {epoch})", error.value) from error


def optimiser_of(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The optimiser of a recipe, without weight decay for the activations' own parameters."""
    own = {id(p) for m in model.modules() if isinstance(m, Module) for p in m.parameters()}
    groups = [
        {"params": [p for p in model.parameters() if id(p) not in own], "weight_decay": recipe.weight_decay},
        # Decay pulls towards 0, which for a shape parameter is a value like any other, not a smaller network; a
        # parameter kept in its domain by a bijection would not even be pulled towards its own 0.
        {"params": [p for p in model.parameters() if id(p) in own], "weight_decay": 0.0},
    ]
    return _OPTIMISERS[recipe.optimiser](
        [g for g in groups if g["params"]], lr=recipe.learning_rate, fused=True
    )


def _learnable_values(model: nn.Module) -> dict[str, float]:
    """The learnable parameters of all activations by path, as the formula sees them."""
    return {
        f"{path}.{parameter.name}": float(torch.as_tensor(getattr(module, parameter.name)).detach())
        for path, module in model.named_modules()
        if isinstance(module, Module)
        for parameter in module.activation.parameters
        if parameter.learnable
    }
