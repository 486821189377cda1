"""What the training loop is given: a model, batches, a loss and a score."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from eafo.tasks.protocol import DivergedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eafo.tasks.data import DataSet
    from eafo.tasks.models import ActivationFactory

__all__ = ["Labels", "NextByte", "Problem", "Values", "device_of", "finite"]


class Problem(Protocol):
    """One training: what is trained on what, and how the result is judged."""

    def build(self, activation: ActivationFactory) -> nn.Module:
        """A fresh model."""
        ...

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        ...

    def batches(self, order: torch.Generator, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """An epoch, counted from 0: inputs and targets, a batch at a time, on whichever device.

        ``order`` is a generator of the processor: what else is drawn comes from it too, so that a training can go on from it.
        """
        ...

    def loss(self, model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of a batch, on the model's device."""
        ...

    def score(self, model: nn.Module) -> float:
        """What the task counts, higher is better; a model whose outputs are not finite raises DivergedError."""
        ...


def device_of(model: nn.Module) -> torch.device:
    """Where a model's parameters are; the processor, where it has none."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def finite(outputs: Tensor) -> Tensor:
    """The outputs, where they are numbers.

    Raises:
        DivergedError: one is not finite: the last step of an epoch may be the one that diverges.
    """
    if not torch.isfinite(outputs).all():
        raise DivergedError("the network's outputs must stay finite", "NaN or infinity")
    return outputs


@dataclass(frozen=True)
class Labels:
    """Classes by cross-entropy; the score is the test accuracy in percent.

    Args:
        model: builds the network around an activation factory.
        data: inputs and labels.
        batch: examples a step; the last batch of an epoch may be smaller.
    """

    model: Callable[[ActivationFactory], nn.Module]
    data: DataSet
    batch: int

    def build(self, activation: ActivationFactory) -> nn.Module:
        """The network."""
        return self.model(activation)

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return -(-len(self.data.train_inputs) // self.batch)

    def batches(self, order: torch.Generator, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Every example once, in a fresh order."""
        inputs, labels = torch.from_numpy(self.data.train_inputs), torch.from_numpy(self.data.train_labels)
        for chosen in torch.randperm(len(inputs), generator=order).split(self.batch):
            yield inputs[chosen], labels[chosen]

    def loss(self, model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """The cross-entropy, in nats."""
        return nn.functional.cross_entropy(model(inputs), targets)

    def score(self, model: nn.Module) -> float:
        """The test accuracy in percent."""
        inputs, device = torch.from_numpy(self.data.test_inputs), device_of(model)
        # argmax would score NaN as class 0.
        logits = torch.cat([finite(model(part.to(device))) for part in inputs.split(2000)]).cpu()
        right = int((logits.argmax(1) == torch.from_numpy(self.data.test_labels)).sum())
        return 100.0 * right / len(inputs)


@dataclass(frozen=True)
class Values:
    """A function by its mean squared error; the score is taken where there was nothing to learn from.

    Both are of targets scaled to mean 0 and variance 1 over the training set.

    Args:
        model: builds the network around an activation factory.
        inputs: float32, (N, d).
        targets: float32, (N,).
        outside: float32, (M, d), beyond the range of the inputs.
        outside_targets: float32, (M,).
        batch: examples a step; the last batch of an epoch may be smaller.
    """

    model: Callable[[ActivationFactory], nn.Module]
    inputs: Tensor
    targets: Tensor
    outside: Tensor
    outside_targets: Tensor
    batch: int

    def first(self, count: int) -> Values:
        """The same of the first so many points inside and outside."""
        return Values(
            self.model,
            self.inputs[:count],
            self.targets[:count],
            self.outside[:count],
            self.outside_targets[:count],
            self.batch,
        )

    def build(self, activation: ActivationFactory) -> nn.Module:
        """The network."""
        return self.model(activation)

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return -(-len(self.inputs) // self.batch)

    def batches(self, order: torch.Generator, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Every example once, in a fresh order."""
        for chosen in torch.randperm(len(self.inputs), generator=order).split(self.batch):
            yield self.inputs[chosen], self.targets[chosen]

    def loss(self, model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """The mean squared error."""
        return nn.functional.mse_loss(model(inputs).squeeze(1), targets)

    def score(self, model: nn.Module) -> float:
        """Digits: −log₁₀ of the root mean square error outside over the deviation of the targets there."""
        outputs = finite(model(self.outside.to(device_of(model)))).cpu().squeeze(1)
        error = (outputs - self.outside_targets).square().mean().sqrt()
        return -math.log10(max(float(error / self.outside_targets.std()), 1e-12))


@dataclass(frozen=True)
class NextByte:
    """Each byte of a text from those before it; the score is minus the bits a byte takes on held-out text.

    Args:
        model: builds the network around an activation factory: (N, context) bytes to (N, context, 256) logits.
        text: uint8, what is learned from.
        held_out: uint8, the text that is scored.
        context: bytes a window.
        batch: windows a step.
        steps: steps an epoch.
    """

    model: Callable[[ActivationFactory], nn.Module]
    text: Tensor
    held_out: Tensor
    context: int
    batch: int
    steps: int

    def build(self, activation: ActivationFactory) -> nn.Module:
        """The network."""
        return self.model(activation)

    def batches(self, order: torch.Generator, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Windows from anywhere in the text."""
        for _ in range(self.steps):
            starts = torch.randint(len(self.text) - self.context, (self.batch, 1), generator=order)
            windows = self.text[starts + torch.arange(self.context + 1)].long()
            yield windows[:, :-1], windows[:, 1:]

    def loss(self, model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """The cross-entropy of a byte, in nats."""
        return nn.functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())

    def score(self, model: nn.Module) -> float:
        """Minus bits a byte, over windows that stand side by side."""
        count = (len(self.held_out) - 1) // self.context
        inputs = self.held_out[: count * self.context].view(count, self.context).long()
        targets = self.held_out[1 : count * self.context + 1].view(count, self.context).long()
        total, device = 0.0, device_of(model)
        for x, y in zip(inputs.split(64), targets.split(64), strict=True):
            logits = finite(model(x.to(device))).flatten(0, 1)
            total += float(nn.functional.cross_entropy(logits, y.to(device).flatten(), reduction="sum"))
        return -total / math.log(2) / (count * self.context)
