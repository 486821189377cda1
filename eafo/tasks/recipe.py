"""How a network is trained: what the loop is told beside data and model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

__all__ = ["Recipe", "TrainingRecipe", "set_rates"]


class TrainingRecipe(Protocol):
    """What the loop needs of a recipe; `Recipe` has it for the usual optimisers."""

    @property
    def clip(self) -> float | None:
        """The largest norm of the gradient; None for no bound."""
        ...

    def make_optimiser(self, model: nn.Module) -> Optimizer:
        """A fresh optimiser of a model's parameters."""
        ...

    def set_rates(self, optimiser: Optimizer, step: int, steps: int) -> None:
        """Set the learning rates of a step of so many, counted from 0."""
        ...


def set_rates(recipe: TrainingRecipe, optimiser: Optimizer, step: int, steps: int, times: float) -> None:
    """Set the learning rates of a step to so many times the recipe's."""
    recipe.set_rates(optimiser, step, steps)
    for group in optimiser.param_groups:
        group["lr"] *= times


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Args:
        optimiser: ``"adam"``, ``"adamw"`` or ``"rmsprop"``, with torch's defaults for all that is not named here.
        learning_rate: the step size at its largest.
        batch: examples a step; the last batch of an epoch may be smaller.
        weight_decay: of the network's weights; the activations' own parameters have none.
        schedule: ``"constant"``, or ``"cosine"`` down to `end` at the last step.
        warmup: the share of the steps over which the rate rises from `start`, linearly; from 0 to below 1.
        clip: the largest norm of the gradient; None for no bound.
        start: the rate before the warm-up, as a share of the largest.
        end: the rate at the last step of a cosine, as a share of the largest.
    """

    optimiser: Literal["adam", "adamw", "rmsprop"]
    learning_rate: float
    batch: int
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: float = 0.0
    clip: float | None = None
    start: float = 0.0
    end: float = 0.1

    def factor(self, step: int, steps: int) -> float:
        """What the learning rate is multiplied with at a step of so many.

        >>> cosine = Recipe("adamw", 1e-3, 32, schedule="cosine", warmup=0.1)
        >>> [round(cosine.factor(k, 100), 3) for k in (0, 9, 10, 55, 100)]
        [0.1, 1.0, 1.0, 0.55, 0.1]
        """
        rising = self.warmup * steps
        if step < rising:
            return self.start + (1 - self.start) * min(1.0, (step + 1) / rising)
        if self.schedule == "constant":
            return 1.0
        progress = (step - rising) / max(1.0, steps - rising)
        return self.end + (1 - self.end) / 2 * (1 + math.cos(math.pi * progress))

    def make_optimiser(self, model: nn.Module) -> Optimizer:
        """The optimiser, without weight decay for the activations' own parameters."""
        import torch  # noqa: PLC0415 - only where a training runs

        from eafo.nn import Module  # noqa: PLC0415

        own = {id(p) for m in model.modules() if isinstance(m, Module) for p in m.parameters()}
        groups = [
            {
                "params": [p for p in model.parameters() if id(p) not in own],
                "weight_decay": self.weight_decay,
            },
            # Decay pulls towards 0, which for a shape parameter is a value like any other, not a smaller network; a
            # parameter kept in its domain by a bijection would not even be pulled towards its own 0.
            {"params": [p for p in model.parameters() if id(p) in own], "weight_decay": 0.0},
        ]
        groups = [g for g in groups if g["params"]]
        if self.optimiser == "rmsprop":
            return torch.optim.RMSprop(groups, lr=self.learning_rate)
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[self.optimiser]
        return kind(groups, lr=self.learning_rate, fused=True)

    def set_rates(self, optimiser: Optimizer, step: int, steps: int) -> None:
        """Set the learning rate of every group to that of a step."""
        for group in optimiser.param_groups:
            group["lr"] = self.learning_rate * self.factor(step, steps)
