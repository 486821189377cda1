"""The training loop of all embedded tasks: small networks, one thread, the data in one tensor."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from eafo.nn import Module
from eafo.tasks.protocol import DivergedError, Learned, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eafo.activation import Activation
    from eafo.tasks.data import DataSet
    from eafo.tasks.models import ActivationFactory
    from eafo.tasks.recipe import Recipe

__all__ = ["train"]

_OPTIMISERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def train(
    build: Callable[[ActivationFactory], nn.Module],
    activation: Activation,
    data: DataSet,
    recipe: Recipe,
    *,
    seed: int,
    epochs: int,
    share: float,
) -> Outcome:
    """Train a fresh network and score it on the test set after each epoch.

    The seed fixes the initialisation and, through a generator of its own, the order of the examples: different
    activations see the same ones. Other users of torch's global generator are not disturbed.

    Args:
        build: makes the network around an activation factory.
        activation: used at every place.
        data: inputs and labels.
        recipe: optimiser, learning rate, batch and weight decay.
        seed: from 0.
        epochs: at least 1.
        share: the score is the mean test accuracy over the last ⌈share · epochs⌉ epochs.

    Raises:
        DivergedError: the loss left the finite numbers.
    """
    with _one_thread(), torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        model = build(lambda: Module(activation))
        started = _learnable_values(model)
        # Made before the clock starts: a process's first optimiser loads a good part of torch.
        optimiser = _optimiser(model, recipe)
        start = time.perf_counter()
        curve, losses, steps = _epochs(model, data, optimiser, seed=seed, batch=recipe.batch, epochs=epochs)
        seconds = time.perf_counter() - start
    ended = _learnable_values(model)
    counted = curve[-math.ceil(share * epochs) :]
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
    data: DataSet,
    optimiser: torch.optim.Optimizer,
    *,
    seed: int,
    batch: int,
    epochs: int,
) -> tuple[list[float], list[float], int]:
    inputs, labels = torch.from_numpy(data.train_inputs), torch.from_numpy(data.train_labels)
    order = torch.Generator().manual_seed(seed)
    curve: list[float] = []
    losses: list[float] = []
    steps = 0
    for epoch in range(epochs):
        model.train()
        total = torch.zeros((), dtype=torch.float64)
        batches = torch.randperm(len(inputs), generator=order).split(batch)
        for chosen in batches:
            loss = nn.functional.cross_entropy(model(inputs[chosen]), labels[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.detach() * len(chosen)
        steps += len(batches)
        losses.append(float(total) / len(inputs))
        if not math.isfinite(losses[-1]):
            raise DivergedError(f"the training loss must stay finite (epoch {epoch + 1})", losses[-1])
        curve.append(_accuracy(model, data, epoch + 1))
    return curve, losses, steps


def _optimiser(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
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


def _accuracy(model: nn.Module, data: DataSet, epoch: int) -> float:
    """Test accuracy in percent."""
    model.eval()
    with torch.no_grad():
        logits: Tensor = model(torch.from_numpy(data.test_inputs))
    # The last step of an epoch may be the one that diverges, and argmax would score its NaN as class 0.
    if not torch.isfinite(logits).all():
        raise DivergedError(f"the network's outputs must stay finite (epoch {epoch})", "NaN or infinity")
    right = int((logits.argmax(1) == torch.from_numpy(data.test_labels)).sum())
    return 100.0 * right / len(data.test_labels)


def _learnable_values(model: nn.Module) -> dict[str, float]:
    """The learnable parameters of all activations by path, as the formula sees them."""
    return {
        f"{path}.{parameter.name}": float(torch.as_tensor(getattr(module, parameter.name)).detach())
        for path, module in model.named_modules()
        if isinstance(module, Module)
        for parameter in module.activation.parameters
        if parameter.learnable
    }
