"""How a network is trained: what the loop is told beside data and model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Recipe"]


@dataclass(frozen=True)
class Recipe:
    """How a network is trained, with cross-entropy as its loss.

    Args:
        optimiser: ``"adam"`` or ``"adamw"``, with torch's defaults for all that is not named here.
        learning_rate: the step size, constant.
        batch: examples a step; the last batch of an epoch may be smaller.
        weight_decay: of the network's weights; the activations' own parameters have none.
    """

    optimiser: Literal["adam", "adamw"]
    learning_rate: float
    batch: int
    weight_decay: float = 0.0
