"""The training loop of all embedded tasks."""

from __future__ import annotations

import functools
import math
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from eafo.errors import InputError
from eafo.nn import Module
from eafo.tasks.models import by_kind
from eafo.tasks.protocol import DivergedError, Learned, Outcome
from eafo.tasks.setting import Setting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from eafo.activation import Activation
    from eafo.tasks.models import ActivationFactory
    from eafo.tasks.problem import Problem
    from eafo.tasks.recipe import TrainingRecipe

__all__ = ["train", "train_layers"]


def train(
    problem: Problem,
    activation: Activation,
    recipe: TrainingRecipe,
    *,
    seed: int,
    epochs: int,
    share: float,
    setting: Setting | None = None,
) -> Outcome:
    """Train a fresh network and score it after each epoch.

    The seed fixes the initialisation and, through a generator of its own, the order of the examples: different
    activations see the same ones. Other users of torch's global generators are not disturbed.

    Args:
        problem: the network, the batches, the loss and the score.
        activation: used at every place, as the problem has it there.
        recipe: optimiser, learning rate and its course, weight decay.
        seed: from 0.
        epochs: at least 1.
        share: the score is the mean over the last ⌈share · epochs⌉ epochs, at least the last.
        setting: on what it runs, and what it keeps.

    Raises:
        DivergedError: the loss left the finite numbers.
        InputError: there is no such device here.
    """
    return train_layers(
        problem,
        lambda kind="": Module(by_kind(activation, kind)),
        recipe,
        seed=seed,
        epochs=epochs,
        share=share,
        setting=setting,
    )


def train_layers(
    problem: Problem,
    layer: ActivationFactory,
    recipe: TrainingRecipe,
    *,
    seed: int,
    epochs: int,
    share: float,
    setting: Setting | None = None,
) -> Outcome:
    """As `train`, with what stands at each place as it is made by ``layer``."""
    setting = setting or Setting()
    device = _device(setting.device)
    with _one_thread(), torch.random.fork_rng([device] if device.type == "cuda" else []), torch.enable_grad():
        torch.manual_seed(seed)
        model = problem.build(layer).to(device)
        started = _learnable_values(model)
        # Made before the clock starts: a process's first optimiser loads a good part of torch.
        run = _Run(problem, model, recipe.make_optimiser(model), recipe, setting, seed, epochs)
        start = time.perf_counter()
        while len(run.curve) < epochs:
            run.epoch()
        seconds = time.perf_counter() - start
    ended = _learnable_values(model)
    counted = run.curve[-max(1, math.ceil(share * epochs)) :]
    return Outcome(
        seed=seed,
        score=sum(counted) / len(counted),
        curve=tuple(run.curve),
        loss=tuple(run.losses),
        learned=tuple(Learned(name, started[name], ended[name]) for name in started),
        seconds=seconds,
        steps=run.steps,
    )


def _device(name: str) -> torch.device:
    """The device of a name.

    Raises:
        InputError: torch has none of this name here.
    """
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0][:120]
        raise InputError(f"torch must have the device here ({reason})", name, "leave it out") from error
    return device


@contextmanager
def _one_thread() -> Iterator[None]:
    # Small layers lose time to more threads, and the sums inside matrix products depend on their number.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass(eq=False)
class _Run:
    """A training in progress."""

    problem: Problem
    model: nn.Module
    optimiser: torch.optim.Optimizer
    recipe: TrainingRecipe
    setting: Setting
    seed: int
    epochs: int
    steps: int = 0
    curve: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.device = torch.device(self.setting.device)
        self.order = torch.Generator().manual_seed(self.seed)
        half = self.setting.precision == "float16"
        self.scaler = torch.amp.GradScaler(self.device.type) if half else None
        loss: Callable[..., Tensor] = functools.partial(self.problem.loss, self.model)
        self.loss: Any = torch.compile(loss, dynamic=False) if self.setting.compiled else loss

    def epoch(self) -> None:
        """One more pass over the examples, and the score after it."""
        self.model.train()
        total, count = torch.zeros((), dtype=torch.float64, device=self.device), 0
        for inputs, targets in self.problem.batches(self.order):
            self.recipe.set_rates(self.optimiser, self.steps, self.epochs * self.problem.steps)
            loss = self._step(inputs.to(self.device), targets.to(self.device))
            total += loss * len(inputs)
            count += len(inputs)
            self.steps += 1
        self.losses.append(float(total) / count)
        number = len(self.losses)
        if not math.isfinite(self.losses[-1]):
            raise DivergedError(f"the training loss must stay finite (epoch {number})", self.losses[-1])
        self.curve.append(_score(self.model, self.problem, number))

    def _step(self, inputs: Tensor, targets: Tensor) -> Tensor:
        precision = self.setting.precision
        # Without the context where nothing is cast: it would cost a small step a hundredth of its time.
        if precision == "float32":
            loss: Tensor = self.loss(inputs, targets)
        else:
            with torch.autocast(self.device.type, getattr(torch, precision)):
                loss = self.loss(inputs, targets)
        self.optimiser.zero_grad()
        if self.scaler is None:
            loss.backward()
            self._clip()
            self.optimiser.step()
        else:
            self.scaler.scale(loss).backward()
            self.scaler.unscale_(self.optimiser)
            self._clip()
            self.scaler.step(self.optimiser)
            self.scaler.update()
        return loss.detach()

    def _clip(self) -> None:
        if self.recipe.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)


def _score(model: nn.Module, problem: Problem, epoch: int) -> float:
    model.eval()
    try:
        with torch.no_grad():
            return problem.score(model)
    except DivergedError as error:
        raise DivergedError(f"{error.rule} (epoch {epoch})", error.value) from error


def _learnable_values(model: nn.Module) -> dict[str, float]:
    """The learnable parameters of all activations by path, as the formula sees them."""
    return {
        f"{path}.{parameter.name}": float(torch.as_tensor(getattr(module, parameter.name)).detach())
        for path, module in model.named_modules()
        if isinstance(module, Module)
        for parameter in module.activation.parameters
        if parameter.learnable
    }
