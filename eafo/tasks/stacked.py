"""Several trainings as one: networks of one shape stacked, each with its own seed, examples and optimiser state.

What a small network costs is the time of its calls, not of its sums: one call for all of them saves most of it.
"""

from __future__ import annotations

import copy
import functools
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from eafo.errors import InputError
from eafo.nn import Module
from eafo.tasks.loop import learnable_values, outcome_of, score
from eafo.tasks.models import by_kind
from eafo.tasks.protocol import DivergedError, Outcome
from eafo.tasks.recipe import set_rates
from eafo.tasks.setting import Setting
from eafo.tasks.train import built, prepared

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eafo.activation import Activation
    from eafo.tasks.models import ActivationFactory
    from eafo.tasks.problem import Problem
    from eafo.tasks.recipe import TrainingRecipe

__all__ = ["Stack", "train_stacked"]

_DRAW_OR_KEEP = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase)


def train_stacked(
    problem: Problem,
    members: Sequence[tuple[Activation, int]],
    recipe: TrainingRecipe,
    *,
    epochs: int,
    share: float,
    setting: Setting | None = None,
) -> list[Outcome | DivergedError]:
    """Train a network for each activation and seed, all at once.

    Each has the initial weights, the examples and the optimiser state that `eafo.tasks.train.train` gives it, and its loss
    follows that of a training alone within rounding: sums inside matrix products are added in another order. The seconds are
    shared equally.

    Args:
        problem: the network, the batches, the loss and the score.
        members: activations, that differ in the starts of learnable parameters alone, and seeds.
        recipe: as for `train`.
        epochs: at least 1.
        share: the score is the mean over the last ⌈share · epochs⌉ epochs, at least the last.
        setting: on what it runs; not recorded, without checkpoints and in float32.

    Returns:
        For each member its outcome, or the error by which it alone diverged.

    Raises:
        InputError: the members differ in more; the network draws numbers (dropout) or keeps statistics (batch norm) while it
            trains; a setting that is not for stacks.
    """
    setting = setting or Setting()
    setting.check_stacked()
    _check_alike([activation for activation, _ in members])
    layers = [(functools.partial(_layer, activation), seed) for activation, seed in members]
    with prepared(setting):
        stack = Stack.of(problem, layers, recipe, setting)
        start = time.perf_counter()
        for epoch in range(epochs):
            stack.epoch(epoch, epochs)
        seconds = time.perf_counter() - start
    return [m.outcome(share, seconds / len(members), stack.steps) for m in stack.members]


def _layer(activation: Activation, kind: str = "") -> nn.Module:
    return Module(by_kind(activation, kind))


@dataclass(eq=False)
class _Member:
    """One of the trainings."""

    seed: int
    model: nn.Module
    started: dict[str, float]
    order: torch.Generator
    curve: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    error: DivergedError | None = None

    def outcome(self, share: float, seconds: float, steps: int) -> Outcome | DivergedError:
        ended = learnable_values(self.model)
        return self.error or outcome_of(
            self.seed, self.curve, self.losses, share, self.started, ended, seconds, steps
        )


@dataclass(eq=False)
class Stack:
    """Networks of one shape that are trained as one.

    Args:
        problem: what each is trained on.
        recipe: optimiser, learning rate and its course.
        members: the networks, with the seeds and examples of each.
        model: a network whose every parameter has those of all, in a dimension before its own.
        optimiser: of these.
        setting: on what it runs; ``compiled`` compiles losses, not scores.
    """

    problem: Problem
    recipe: TrainingRecipe
    members: list[_Member]
    model: nn.Module
    optimiser: torch.optim.Optimizer
    setting: Setting
    steps: int = 0

    def __post_init__(self) -> None:
        losses: Callable[..., Tensor] = torch.vmap(self._loss)
        self._losses: Any = torch.compile(losses, dynamic=False) if self.setting.compiled else losses

    @classmethod
    def of(
        cls,
        problem: Problem,
        layers: Sequence[tuple[ActivationFactory, int]],
        recipe: TrainingRecipe,
        setting: Setting,
    ) -> Stack:
        """A network for each way of making its activations and seed; all alike but for the values of their parameters.

        Raises:
            InputError: the network draws numbers or keeps statistics while it trains.
        """
        made = []
        for layer, seed in layers:
            model = built(problem, layer, seed, setting)
            made.append(_Member(seed, model, learnable_values(model), torch.Generator().manual_seed(seed)))
        for module in made[0].model.modules():
            if isinstance(module, _DRAW_OR_KEEP):
                raise InputError(
                    "a stacked network must neither draw numbers nor keep statistics while it trains",
                    type(module).__name__,
                    "stack none",
                )
        stacked = copy.deepcopy(made[0].model)
        for name, parameter in stacked.named_parameters():
            parameter.data = torch.stack([m.model.get_parameter(name).detach() for m in made])
        return cls(problem, recipe, made, stacked, recipe.make_optimiser(stacked), setting)

    def _loss(self, parameters: dict[str, Tensor], inputs: Tensor, targets: Tensor) -> Tensor:
        base = self.members[0].model

        def model(*given: Any) -> Any:
            return functional_call(base, parameters, given)

        return self.problem.loss(model, inputs, targets)  # type: ignore[arg-type]  # called, no more

    def step(self, batches: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """One step of each with a batch of its own; their losses before it."""
        inputs, targets = (torch.stack(given).to(self.setting.device) for given in zip(*batches, strict=True))
        losses: Tensor = self._losses(dict(self.model.named_parameters()), inputs, targets)
        self.optimiser.zero_grad()
        losses.sum().backward()
        self._clip()
        self.optimiser.step()
        self.steps += 1
        return losses.detach()

    def epoch(self, number: int, epochs: int) -> None:
        """One more pass of each over its examples, and the scores."""
        self.members[0].model.train()
        total = torch.zeros(len(self.members), dtype=torch.float64, device=self.setting.device)
        count = 0
        for batches in zip(*(self.problem.batches(m.order, number) for m in self.members), strict=True):
            set_rates(self.recipe, self.optimiser, self.steps, epochs * self.problem.steps, self.setting.rate)
            size = len(batches[0][0])
            total += self.step(batches) * size
            count += size
        self._score(number + 1, (total / count).tolist())

    def _clip(self) -> None:
        """The bound of the gradient's norm, for each network its own."""
        if self.recipe.clip is None:
            return
        grads = [p.grad for p in self.model.parameters() if p.grad is not None]
        squares = torch.stack([g.reshape(len(g), -1).square().sum(1) for g in grads]).sum(0)
        factors = (self.recipe.clip / (squares.sqrt() + 1e-6)).clamp(max=1.0)
        for grad in grads:
            grad.mul_(factors.view(-1, *[1] * (grad.ndim - 1)))

    def _score(self, epoch: int, losses: list[float]) -> None:
        stacked = {name: p.detach() for name, p in self.model.named_parameters()}
        for i, (member, loss) in enumerate(zip(self.members, losses, strict=True)):
            if member.error is not None:
                continue
            member.losses.append(loss)
            with torch.no_grad():
                for name, parameter in member.model.named_parameters():
                    parameter.copy_(stacked[name][i])
            try:
                if not math.isfinite(loss):
                    raise DivergedError(f"the training loss must stay finite (epoch {epoch})", loss)
                member.curve.append(score(member.model, self.problem, epoch))
            except DivergedError as error:
                member.error = error


def _check_alike(activations: Sequence[Activation]) -> None:
    """Refuse what one program cannot compute."""
    forms = {
        (a.expression, tuple((p.name, p.domain, p.learnable, p.learnable or p.default) for p in a.parameters))
        for a in activations
    }
    if not forms:
        raise InputError("a stack needs at least one training", "none")
    if len(forms) > 1:
        raise InputError(
            "stacked activations must differ in the starts of learnable parameters alone",
            ", ".join(str(a) for a in activations),
            "stack those that do",
        )
