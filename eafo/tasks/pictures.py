"""Classes of colour images, augmented on the device where the network is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from eafo.tasks import augmentation
from eafo.tasks.cifar import CifarSet
from eafo.tasks.imagenet import ImageFolder, read_centre, read_random
from eafo.tasks.models import ActivationFactory
from eafo.tasks.problem import finite
from eafo.tasks.setting import Setting

__all__ = ["Distilled", "Folders", "Pictures", "Source", "Stored", "Taught"]

#: Of ImageNet's training set, as every recipe for it has them.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_THREADS = 8
_SCORED_AT_ONCE = 500


class Source(Protocol):
    """Where images come from."""

    labels: Tensor
    test_labels: Tensor
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    def train(self, chosen: Tensor, generator: torch.Generator) -> Tensor:
        """Training images, uint8 on the device, cropped and mirrored at random."""
        ...

    def test(self, chosen: Tensor) -> Tensor:
        """Images of the test, uint8 on the device."""
        ...


class Stored:
    """All images on the device.

    Args:
        cifar: which.
        setting: where they are, and how many.
    """

    def __init__(self, cifar: CifarSet, setting: Setting) -> None:
        data = cifar.load().first(setting.examples)
        self.mean, self.deviation = cifar.mean, cifar.deviation
        self.labels, self.test_labels = (
            torch.from_numpy(data.train_labels),
            torch.from_numpy(data.test_labels),
        )
        self._images = torch.from_numpy(data.train_images).to(setting.device)
        self._test_images = torch.from_numpy(data.test_images).to(setting.device)

    def train(self, chosen: Tensor, generator: torch.Generator) -> Tensor:
        """Moved by up to four pixels each way, and mirrored or not."""
        images = self._images[chosen.to(self._images.device)]
        return augmentation.random_flips(augmentation.random_crops(images, generator), generator)

    def test(self, chosen: Tensor) -> Tensor:
        """As they are."""
        return self._test_images[chosen.to(self._test_images.device)]


class Folders:
    """Images read from their folders as they are needed.

    With a number of examples, every so many-th is taken, so that all classes are among them.

    Args:
        folder: which.
        setting: where they go, and how many are used.
        size: pixels along an edge.
    """

    mean, deviation = _MEAN, _DEVIATION

    def __init__(self, folder: ImageFolder, setting: Setting, size: int) -> None:
        data = folder.load()
        train, test = (_spread(len(p), setting.examples) for p in (data.train, data.test))
        self._train, self._test = [data.train[i] for i in train], [data.test[i] for i in test]
        self.labels = torch.from_numpy(data.train_labels[train])
        self.test_labels = torch.from_numpy(data.test_labels[test])
        self.chosen = train
        self._size, self._device = size, torch.device(setting.device)

    def train(self, chosen: Tensor, generator: torch.Generator) -> Tensor:
        """A random part of each, scaled, and mirrored or not."""
        seeds = torch.randint(2**62, (len(chosen),), generator=generator, device=generator.device).tolist()
        images = read_random([self._train[i] for i in chosen.tolist()], self._size, seeds, _THREADS)
        return augmentation.random_flips(torch.from_numpy(images).to(self._device), generator)

    def test(self, chosen: Tensor) -> Tensor:
        """The middle of each, scaled."""
        images = read_centre([self._test[i] for i in chosen.tolist()], self._size, _THREADS)
        return torch.from_numpy(images).to(self._device)


def _spread(count: int, wanted: int | None) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.linspace(0, count - 1, min(count, wanted or count)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Pictures:
    """Classes by cross-entropy, from images that RandAugment and erasing change; the score is the test accuracy in percent.

    Args:
        model: builds the network around an activation factory.
        source: of the images.
        batch: examples a step; the last batch of an epoch may be smaller.
        device: where the network is.
    """

    model: Callable[[ActivationFactory], nn.Module]
    source: Source
    batch: int
    device: torch.device

    def build(self, activation: ActivationFactory) -> nn.Module:
        """The network."""
        return self.model(activation)

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return -(-len(self.source.labels) // self.batch)

    def batches(self, order: torch.Generator, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Every example once, in a fresh order and changed anew."""
        chosen = torch.randperm(len(self.source.labels), generator=order)
        drawn = torch.Generator(self.device).manual_seed(int(torch.randint(2**62, (), generator=order)))
        for part in chosen.split(self.batch):
            images = augmentation.rand_augment(self.source.train(part, drawn), drawn)
            yield augmentation.random_erasing(self.normalised(images), drawn), self.source.labels[part]

    def normalised(self, images: Tensor) -> Tensor:
        """Of mean 0 and variance 1 over the training set."""
        mean, deviation = (
            torch.tensor(v, device=images.device).view(1, 3, 1, 1)
            for v in (self.source.mean, self.source.deviation)
        )
        return (images.float() / 255 - mean) / deviation

    def loss(self, model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """The cross-entropy, in nats."""
        return nn.functional.cross_entropy(model(inputs), targets)

    def score(self, model: nn.Module) -> float:
        """The test accuracy in percent."""
        right, count = 0, len(self.source.test_labels)
        for part in torch.arange(count).split(_SCORED_AT_ONCE):
            logits = finite(model(self.normalised(self.source.test(part))))
            right += int((logits.argmax(1).cpu() == self.source.test_labels[part]).sum())
        return 100.0 * right / count


@dataclass(frozen=True, eq=False)
class Distilled(Pictures):
    """The same with a teacher: half the loss of the class token for the labels, half that of the other for the teacher's classes.

    Hard distillation (Touvron et al., Training data-efficient image transformers, 2021).

    Args:
        teacher: gives logits for a batch of images as the network sees them.
    """

    teacher: nn.Module

    def loss(self, model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """½ the cross-entropy with the labels and ½ that with the teacher's classes, in nats."""
        with torch.no_grad():
            taught = self.teacher(inputs).argmax(1)
        return _halves(model, inputs, targets, taught)


@dataclass(frozen=True, eq=False)
class Taught(Pictures):
    """As `Distilled`, with the teacher's class of each training image told beforehand.

    Args:
        taught: int64, (N,).
    """

    taught: Tensor

    def batches(self, order: torch.Generator, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The targets have two columns: the label, and the teacher's class."""
        both = torch.stack((self.source.labels, self.taught), 1)
        # The order is drawn first, here as there.
        chosen = torch.randperm(len(both), generator=torch.Generator().set_state(order.get_state()))
        batches = zip(super().batches(order, epoch), chosen.split(self.batch), strict=True)
        for (images, _), part in batches:
            yield images, both[part]

    def loss(self, model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """½ the cross-entropy with the labels and ½ that with the teacher's classes, in nats."""
        return _halves(model, inputs, targets[:, 0], targets[:, 1])


def _halves(model: Any, inputs: Tensor, labels: Tensor, taught: Tensor) -> Tensor:
    own, other = model.logits(inputs)
    return (nn.functional.cross_entropy(own, labels) + nn.functional.cross_entropy(other, taught)) / 2
