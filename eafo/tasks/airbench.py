"""CIFAR-10 to 94 % in eight epochs: the recipe of the speedrun by Keller Jordan, around any activation."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from eafo.tasks.cifar import CIFAR10
from eafo.tasks.classification import check_run
from eafo.tasks.setting import Setting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn
    from torch.optim import Optimizer

    from eafo.activation import Activation
    from eafo.tasks.protocol import Outcome

__all__ = ["AIRBENCH", "Speedrun", "SpeedrunRecipe"]

_BATCH = 2000


@dataclass(frozen=True)
class SpeedrunRecipe:
    """Muon for filters, SGD with Nesterov momentum for the rest, every rate down a line to 0.

    The learnable parameters of activations are Adam's: their gradients, sums over all pixels of a batch, have no scale that a rate of
    SGD would suit.

    Args:
        batch: examples a step; the losses are summed over it.
        bias_rate: of SGD for biases.
        head_rate: of SGD for the head.
        momentum: of SGD.
        filter_rate: of Muon.
        filter_momentum: of Muon.
        activation_rate: of Adam.
        decay: of what SGD moves, for a rate and an example of 1.
        whitening: the share of the steps in which the bias of the whitening layer learns.
    """

    batch: int = _BATCH
    bias_rate: float = 0.053
    head_rate: float = 0.67
    momentum: float = 0.85
    filter_rate: float = 0.24
    filter_momentum: float = 0.6
    activation_rate: float = 0.01
    decay: float = 2e-6
    whitening: float = 3 / 8
    clip: float | None = None

    def make_optimiser(self, model: nn.Module) -> Optimizer:
        """The optimiser of a `eafo.tasks.airbench_model.SpeedNet`, its first group the bias of the whitening layer."""
        import torch  # noqa: PLC0415 - only where a training runs

        from eafo.nn import Module  # noqa: PLC0415
        from eafo.tasks.airbench_model import SpeedNet  # noqa: PLC0415
        from eafo.tasks.muon import Muon, Together  # noqa: PLC0415

        assert isinstance(model, SpeedNet)  # noqa: S101 - a recipe for this network
        own = [p for m in model.modules() if isinstance(m, Module) for p in m.parameters()]
        known = {id(p) for p in (*own, model.whiten.bias, model.head.weight)}
        others = [p for p in model.parameters() if p.requires_grad and id(p) not in known]
        decay = self.decay * self.batch

        def group(parameters: list[Tensor], rate: float) -> dict[str, object]:
            return {"params": parameters, "lr": rate, "weight_decay": decay / rate}

        assert model.whiten.bias is not None  # noqa: S101 - it has one
        groups = [
            group([model.whiten.bias], self.bias_rate),
            group([*(p for p in others if p.ndim == 1)], self.bias_rate),
            group([model.head.weight], self.head_rate),
        ]
        parts: list[Optimizer] = [
            torch.optim.SGD(groups, momentum=self.momentum, nesterov=True, fused=True),
            Muon([p for p in others if p.ndim == 4], self.filter_rate, self.filter_momentum),
        ]
        if own:
            parts.append(torch.optim.Adam(own, lr=self.activation_rate, fused=True))
        for part in parts:
            for entry in part.param_groups:
                entry["first_lr"] = entry["lr"]
        return Together(parts)

    def set_rates(self, optimiser: Optimizer, step: int, steps: int) -> None:
        """Every rate (1 − step/steps) times its first; the bias of the whitening layer is done, and frozen, earlier."""
        first, *others = optimiser.param_groups
        ends = self.whitening * steps
        first["lr"] = first["first_lr"] * max(0.0, 1 - step / ends)
        for parameter in first["params"]:
            # Without it no gradient has to go through the first layer.
            parameter.requires_grad_(step < ends)
        for group in others:
            group["lr"] = group["first_lr"] * (1 - step / steps)


@dataclass(frozen=True)
class Speedrun:
    """A task that trains the speedrun's network and scores it by six views.

    Args:
        name: how plans and commands call it.
        description: data, model, recipe and score, in a sentence.
        tiny: epochs of the budget ``"tiny"``.
        short: epochs of the budget ``"short"``.
        full: epochs of the budget ``"full"``.
        recipe: how it is trained.
        measure: what the score is.
    """

    name: str
    description: str
    tiny: int
    short: int
    full: int
    recipe: SpeedrunRecipe
    measure: str = "test accuracy / %"

    @property
    def epochs(self) -> Mapping[str, int]:
        """The number of epochs of each budget."""
        return MappingProxyType({"tiny": self.tiny, "short": self.short, "full": self.full})

    @property
    def examples(self) -> Mapping[str, int | None]:
        """The number of examples of each budget."""
        return MappingProxyType({"tiny": 128, "short": None, "full": None})

    def prepare(self) -> None:
        """Check that the data are there, or fetch them.

        Raises:
            DataError: they are missing or damaged.
        """
        CIFAR10.check()

    def run(self, activation: Activation, seed: int, epochs: int, setting: Setting | None = None) -> Outcome:
        """Train once and score.

        On a GPU in half precision the weights themselves are in it, as in the published run; on the processor it is repeatable bit for
        bit. With fewer examples than fill four batches, a batch is a quarter of them.

        Raises:
            InputError: a wrong seed or number of epochs.
            DataError: the data are missing or damaged.
            DivergedError: the loss left the finite numbers.
        """
        check_run(seed, epochs)
        from eafo.tasks.speedrun import SpeedrunProblem  # noqa: PLC0415 - torch is loaded only where a training runs
        from eafo.tasks.train import train  # noqa: PLC0415

        setting = setting or Setting()
        batch = self.recipe.batch
        if setting.examples is not None:
            batch = max(1, min(batch, setting.examples // 4))
        problem = SpeedrunProblem(epochs, batch, setting)
        recipe = replace(self.recipe, batch=batch)
        outcome = train(problem, activation, recipe, seed=seed, epochs=epochs, share=0.0, setting=setting)
        if math.isnan(problem.plain_score):  # Read from a checkpoint of its end.
            return outcome
        return replace(outcome, metrics={"accuracy of one view": problem.plain_score})


AIRBENCH = Speedrun(
    name="cifar10-airbench",
    description="CIFAR-10, the network and the recipe of airbench94: whitened patches, Muon, alternating flips, batch 2000; test accuracy by "
    "six views after the last epoch",
    tiny=1,
    short=2,
    full=8,
    recipe=SpeedrunRecipe(),
)
"""CIFAR-10 by the recipe of the speedrun, after Jordan, 94 % on CIFAR-10 in 3.29 seconds on a single GPU (arXiv 2404.00498), and the file
``airbench94_muon.py`` of KellerJordan/cifar10-airbench.

Data: 50,000 training and 10,000 test images. Model: `eafo.tasks.airbench_model.SpeedNet`, 2.0 million weights, seven activations. Recipe:
`SpeedrunRecipe`, labels smoothed by 0.2. Score: the test accuracy by six views after the last epoch. Cost: 3.6·10¹⁴ floating-point operations;
published as 2.59 s on an A100 with GELU, in float16 and compiled, at a mean of 94.01 over 200 seeds. The budget ``"tiny"`` takes 128 images,
some seconds on one processor; the others are meant for a GPU: ``--device cuda --precision float16 --compile``.
"""
