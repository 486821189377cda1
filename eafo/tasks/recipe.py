"""How a network is trained: what the loop is told beside data and model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

__all__ = ["Recipe"]


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Args:
        optimiser: ``"adam"`` or ``"adamw"``, with torch's defaults for all that is not named here.
        learning_rate: the step size at its largest.
        batch: examples a step; the last batch of an epoch may be smaller.
        weight_decay: of the network's weights; the activations' own parameters have none.
        schedule: ``"constant"``, or ``"cosine"`` down to a tenth at the last step.
        warmup: the share of the steps over which the rate rises from 0, linearly; from 0 to below 1.
        clip: the largest norm of the gradient; None for no bound.
    """

    optimiser: Literal["adam", "adamw"]
    learning_rate: float
    batch: int
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: float = 0.0
    clip: float | None = None

    def factor(self, step: int, steps: int) -> float:
        """What the learning rate is multiplied with at a step of so many.

        >>> cosine = Recipe("adamw", 1e-3, 32, schedule="cosine", warmup=0.1)
        >>> [round(cosine.factor(k, 100), 3) for k in (0, 9, 10, 55, 100)]
        [0.1, 1.0, 1.0, 0.55, 0.1]
        """
        rising = self.warmup * steps
        if step < rising:
            return min(1.0, (step + 1) / rising)
        if self.schedule == "constant":
            return 1.0
        progress = (step - rising) / max(1.0, steps - rising)
        return 0.1 + 0.45 * (1 + math.cos(math.pi * progress))
