"""What the CIFAR-10 speedrun trains on: flips that alternate, translations, smoothed labels, six views of a test image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from eafo.tasks.airbench_model import SpeedNet
from eafo.tasks.cifar import CIFAR10, CifarSet
from eafo.tasks.models import ActivationFactory
from eafo.tasks.problem import finite
from eafo.tasks.setting import Setting

__all__ = ["SpeedrunProblem", "moved", "six_views"]

_BATCH = 2000
_SHIFT = 2
_SMOOTHING = 0.2
_WHITENING_IMAGES = 5000
_VIEWS_AT_ONCE = 2000


@dataclass(eq=False)
class SpeedrunProblem:
    """CIFAR-10 with alternating flips, translations, smoothed labels, and six views of each test image.

    An image is flipped or not at random in the first epoch, and the other way in every second one: each two epochs see it both ways
    (Jordan, 2024). It is moved by up to two pixels each way, its border reflected.

    Args:
        epochs: of the training: the last score is taken by six views.
        batch: examples a step; what does not fill one is left out of an epoch.
        setting: where it runs, and on how many examples.
        cifar: which of the two sets.
    """

    epochs: int
    batch: int = _BATCH
    setting: Setting = field(default_factory=Setting)
    cifar: CifarSet = CIFAR10
    own_precision: bool = True

    def __post_init__(self) -> None:
        self.device = torch.device(self.setting.device)
        self.precision: torch.dtype = getattr(torch, self.setting.precision)
        data = self.cifar.load().first(self.setting.examples)
        self.images, self.labels = self._placed(data.train_images), torch.from_numpy(data.train_labels)
        self.test_images = self._placed(data.test_images)
        self.test_labels = torch.from_numpy(data.test_labels).to(self.device)
        self.labels = self.labels.to(self.device)
        self.batch = min(self.batch, len(self.labels))
        self.last, self.plain_score = False, float("nan")

    def _placed(self, images: object) -> Tensor:
        """Normalised images on the device, in the type that computes."""
        pixels = torch.tensor(images, device=self.device).float() / 255
        mean, deviation = (
            torch.tensor(v, device=self.device).view(1, 3, 1, 1)
            for v in (self.cifar.mean, self.cifar.deviation)
        )
        return ((pixels - mean) / deviation).to(self.precision).contiguous(memory_format=torch.channels_last)

    def build(self, activation: ActivationFactory) -> nn.Module:
        """The network, its first layer made from training images."""
        model = SpeedNet(activation, self.images[:_WHITENING_IMAGES].cpu(), self.cifar.classes)
        if self.precision != torch.float32:
            model.halved(self.precision)
        return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return len(self.labels) // self.batch

    def batches(self, order: torch.Generator, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Every example at most once, flipped and moved."""
        self.last = epoch == self.epochs - 1
        seed = int(torch.randint(2**62, (), generator=order))
        drawn = torch.Generator(self.device).manual_seed(seed)
        images = self.flipped(order.initial_seed(), epoch)
        images = moved(images, drawn, _SHIFT)
        chosen = torch.randperm(len(images), generator=drawn, device=self.device)
        for part in chosen[: self.steps * self.batch].split(self.batch):
            yield images[part], self.labels[part]

    def flipped(self, seed: int, epoch: int) -> Tensor:
        """The images as an epoch sees them: a half of them, drawn by the seed, mirrored; the other half in every second epoch."""
        generator = torch.Generator().manual_seed(seed)
        mirrored = (torch.rand(len(self.images), generator=generator) < 0.5).to(self.device)
        if epoch % 2:
            mirrored = ~mirrored
        return torch.where(mirrored.view(-1, 1, 1, 1), self.images.flip(-1), self.images)

    def loss(self, model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """The cross-entropy with smoothed labels: the mean in its value, the sum in its gradient, for which the rates are made."""
        logits = model(inputs).float()
        total = nn.functional.cross_entropy(logits, targets, label_smoothing=_SMOOTHING, reduction="sum")
        mean: Tensor = total.detach() / len(targets) + (total - total.detach())
        return mean

    def score(self, model: nn.Module) -> float:
        """The test accuracy in percent; after the last epoch, by six views of each image."""
        plain, six = [], []
        for part in self.test_images.split(_VIEWS_AT_ONCE):
            plain.append(finite(model(part).float()))
            if self.last:
                six.append(six_views(model, part, plain[-1]))
        self.plain_score = self._accuracy(torch.cat(plain))
        return self._accuracy(torch.cat(six)) if self.last else self.plain_score

    def _accuracy(self, logits: Tensor) -> float:
        return 100.0 * int((logits.argmax(1) == self.test_labels).sum()) / len(self.test_labels)


def moved(images: Tensor, generator: torch.Generator, most: int) -> Tensor:
    """Each image moved by up to so many pixels each way, its border reflected."""
    size = images.shape[-1]
    padded = torch.nn.functional.pad(images, (most,) * 4, "reflect")
    shifts = torch.randint(2 * most + 1, (2, len(images)), generator=generator, device=images.device)
    windows = padded.unfold(2, size, 1).unfold(3, size, 1)
    places = torch.arange(len(images), device=images.device)
    return windows[places, :, shifts[0], shifts[1]].contiguous(memory_format=torch.channels_last)


def six_views(model: nn.Module, images: Tensor, plain: Tensor) -> Tensor:
    """The logits over an image, moved by a pixel up-left and down-right, each mirrored too: weights 1/4, 1/8, 1/8, twice.

    Args:
        model: the network.
        images: (N, 3, H, W).
        plain: the logits of the images as they are.
    """
    size = images.shape[-1]
    padded = nn.functional.pad(images, (1,) * 4, "reflect")
    views = [padded[:, :, :size, :size], padded[:, :, 2 : size + 2, 2 : size + 2]]
    views += [view.flip(-1) for view in views]
    moved_logits: Tensor = sum((model(view).float() for view in views), plain.new_zeros(())) / 8
    return (plain + model(images.flip(-1)).float()) / 4 + moved_logits
