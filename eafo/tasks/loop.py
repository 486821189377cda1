"""A training in progress: epochs, scores, records and checkpoints."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from eafo.nn import Module
from eafo.tasks.checkpoint import Checkpoint, fingerprint, generators
from eafo.tasks.problem import Problem
from eafo.tasks.protocol import DivergedError, Learned, Outcome
from eafo.tasks.recipe import TrainingRecipe, set_rates
from eafo.tasks.recording import Recorder
from eafo.tasks.setting import Setting

__all__ = ["Run", "learnable_values", "outcome_of", "score"]


@dataclass(eq=False)
class Run:
    """A training in progress."""

    problem: Problem
    model: nn.Module
    optimiser: torch.optim.Optimizer
    recipe: TrainingRecipe
    setting: Setting
    seed: int
    epochs: int
    steps: int = 0
    seconds: float = 0.0
    curve: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.device = torch.device(self.setting.device)
        self.order = torch.Generator().manual_seed(self.seed)
        # A problem of its own precision casts by itself what it casts.
        own = getattr(self.problem, "own_precision", False)
        self.precision = "float32" if own else self.setting.precision
        half = self.precision == "float16"
        self.scaler = torch.amp.GradScaler(self.device.type) if half else None
        self.plain_loss: Callable[..., Tensor] = functools.partial(self.problem.loss, self.model)
        compiled = self.setting.compiled
        self.loss: Any = torch.compile(self.plain_loss, dynamic=False) if compiled else self.plain_loss
        self.recorder = Recorder(self.model) if self.setting.record else None
        self.checkpoint = self._checkpoint() if self.setting.checkpoints else None

    def epoch(self) -> None:
        """One more pass over the examples, and the score after it."""
        start = time.perf_counter()
        self.model.train()
        total, count = torch.zeros((), dtype=torch.float64, device=self.device), 0
        for inputs, targets in self.problem.batches(self.order, len(self.curve)):
            total += self.step(inputs, targets) * len(inputs)
            count += len(inputs)
        self.losses.append(float(total) / count)
        number = len(self.losses)
        if not math.isfinite(self.losses[-1]):
            raise DivergedError(f"the training loss must stay finite (epoch {number})", self.losses[-1])
        self.curve.append(score(self.model, self.problem, number))
        self.seconds += time.perf_counter() - start
        if self.recorder:
            with torch.no_grad():
                given = inputs.to(self.device), targets.to(self.device)
                self.recorder.look(functools.partial(self.plain_loss, *given))
        if self.checkpoint:
            self.checkpoint.write(self.state())

    def step(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """One step of the optimiser with a batch; the batch's mean loss before it."""
        steps = self.epochs * self.problem.steps
        set_rates(self.recipe, self.optimiser, self.steps, steps, self.setting.rate)
        self.steps += 1
        inputs, targets = inputs.to(self.device), targets.to(self.device)
        # Without the context where nothing is cast: it would cost a small step a hundredth of its time.
        if self.precision == "float32":
            loss: Tensor = self.loss(inputs, targets)
        else:
            with torch.autocast(self.device.type, getattr(torch, self.precision)):
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

    def _checkpoint(self) -> Checkpoint:
        first = next(self.problem.batches(torch.Generator().manual_seed(self.seed), 0))
        facts = (
            type(self.problem).__name__,
            _plain_fields(self.problem),
            self.recipe,
            self.seed,
            self.epochs,
            self.setting.precision,
            self.device.type,
            torch.__version__,
            *(() if self.setting.rate == 1 else (self.setting.rate,)),
        )
        key = fingerprint(self.model, *facts, batch=first)
        return Checkpoint(str(self.setting.checkpoints), key)

    def state(self) -> dict[str, Any]:
        """All that the next epoch depends on; of a training that has ended, what it brought."""
        kept: dict[str, Any] = {
            "model": self.model.state_dict(),
            "steps": self.steps,
            "seconds": self.seconds,
            "curve": self.curve,
            "losses": self.losses,
        }
        if self.recorder:
            kept["record"] = {"curves": self.recorder.curves, "quantiles": self.recorder.quantiles}
        if len(self.curve) < self.epochs:
            kept |= {
                "optimiser": self.optimiser.state_dict(),
                "order": self.order.get_state(),
                "generators": [g.get_state() for g in generators(self.device)],
                "scaler": self.scaler.state_dict() if self.scaler else {},
            }
        return kept

    def resume(self) -> None:
        """Go on where a checkpoint of the same training stands."""
        kept = self.checkpoint.read() if self.checkpoint else None
        if kept is None:
            return
        self.model.load_state_dict(kept["model"])
        self.steps, self.seconds = kept["steps"], kept["seconds"]
        self.curve, self.losses = kept["curve"], kept["losses"]
        if self.recorder and "record" in kept:
            self.recorder.curves, self.recorder.quantiles = (
                kept["record"]["curves"],
                kept["record"]["quantiles"],
            )
        if "optimiser" not in kept:
            return
        self.optimiser.load_state_dict(kept["optimiser"])
        self.order.set_state(kept["order"])
        for generator, state in zip(generators(self.device), kept["generators"], strict=True):
            generator.set_state(state)
        if self.scaler:
            self.scaler.load_state_dict(kept["scaler"])


def _plain_fields(problem: Problem) -> dict[str, object]:
    """The numbers and texts among a problem's fields: what its batches may not show, as a strength of its loss."""
    kept = vars(problem) if hasattr(problem, "__dict__") else {}
    return {name: v for name, v in sorted(kept.items()) if isinstance(v, int | float | str)}


def score(model: nn.Module, problem: Problem, epoch: int) -> float:
    """The score after an epoch, counted from 1.

    Raises:
        DivergedError: the network's outputs are not finite.
    """
    model.eval()
    try:
        with torch.no_grad():
            return problem.score(model)
    except DivergedError as error:
        raise DivergedError(f"{error.rule} (epoch {epoch})", error.value) from error


def learnable_values(model: nn.Module) -> dict[str, float]:
    """The learnable parameters of all activations by path, as the formula sees them; of a value a channel their mean."""
    return {
        f"{path}.{parameter.name}": float(torch.as_tensor(getattr(module, parameter.name)).detach().mean())
        for path, module in model.named_modules()
        if isinstance(module, Module)
        for parameter in module.activation.parameters
        if parameter.learnable
    }


def outcome_of(  # noqa: PLR0917 - each is a part of an outcome
    seed: int,
    curve: Sequence[float],
    losses: Sequence[float],
    share: float,
    started: Mapping[str, float],
    ended: Mapping[str, float],
    seconds: float,
    steps: int,
) -> Outcome:
    """What a training brought, scored over the last share of its epochs."""
    counted = curve[-max(1, math.ceil(share * len(curve))) :]
    return Outcome(
        seed=seed,
        score=sum(counted) / len(counted),
        curve=tuple(curve),
        loss=tuple(losses),
        learned=tuple(Learned(name, started[name], ended[name]) for name in started),
        seconds=seconds,
        steps=steps,
    )
