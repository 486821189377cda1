"""The vision transformers of the EAFO paper as tasks: ViT-Tiny, DeiT-Tiny and TNT-Small on CIFAR-10, CIFAR-100 and ImageNet."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from eafo.tasks.cifar import CIFAR10, CIFAR100, CifarSet
from eafo.tasks.classification import check_run
from eafo.tasks.imagenet import IMAGENET, ImageFolder
from eafo.tasks.recipe import Recipe
from eafo.tasks.setting import Setting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from eafo.activation import Activation
    from eafo.tasks.models import ActivationFactory
    from eafo.tasks.pictures import Pictures
    from eafo.tasks.protocol import Outcome

__all__ = ["RECIPE", "Transformer"]

RECIPE = Recipe(
    "adamw",
    learning_rate=2.5e-4,
    batch=256,
    weight_decay=0.05,
    schedule="cosine",
    warmup=0.2,
    clip=1.0,
    start=1e-6 / 2.5e-4,
    end=1e-5 / 2.5e-4,
)
_SETS: dict[str, CifarSet | ImageFolder] = {"cifar10": CIFAR10, "cifar100": CIFAR100, "imagenet": IMAGENET}
_SHOWN = {"vit-tiny": "ViT-Tiny", "deit-tiny": "DeiT-Tiny with a teacher", "tnt-small": "TNT-Small"}


@dataclass(frozen=True)
class Transformer:
    """A vision transformer on a set of images, by the recipe of Sun et al., A method on searching better activation functions, 2024.

    Data: CIFAR's 50,000 and 10,000 images of 32 pixels, or ImageNet's folders at 224. Model: `eafo.tasks.build_model`, at the published
    numbers of parameters. Recipe (Appendix E): AdamW, weight decay 0.05, batch 256, cross-entropy, gradients bounded at norm 1, 100 epochs,
    20 of them a linear warm-up from 1e-6 to 2.5e-4, then a cosine down to 1e-5 (the exponents of these rates were lost and are read so);
    no dropout. "Data augmentation: true (provided by timm)" is read as DeiT's: crops and flips, ``rand-m9-mstd0.5-inc1`` and random erasing of
    a quarter; no mixing of images, no smoothed labels. Score: the test accuracy after the last epoch, in percent. DeiT's teacher is not
    told: here `eafo.tasks.teacher`, the convolutional network of the speedrun with ReLU (94 % on CIFAR-10); for ImageNet a file of the classes
    that a teacher of the user's gives the training images.

    Published, 100 epochs, GELU / SiLU / Mish / ELU / PReLU / CRReLU: ViT-Tiny 70.6 / 68.3 / 68.7 / 66.9 / 78.6 / 80.2 on CIFAR-10, 32.2 / 30.6 /
    29.7 / 28.7 / 42.1 / 45.9 on CIFAR-100; DeiT-Tiny 71.6 / 69.4 / 69.5 / 67.1 / 75.3 / 76.8 and 46.0 / 42.9 / 42.9 / 40.0 / 49.3 / 50.8; TNT-Small
    74.3 / 71.9 / 72.5 / 68.9 / 76.1 / 77.5 and 48.4 / 45.9 / 46.4 / 43.5 / 49.8 / 50.8; on ImageNet ViT-Tiny 54.2 / 46.9 / 47.9 / 38.4 / 57.2 / 57.9
    and DeiT-Tiny 61.9 / 58.4 / 59.2 / 49.7 / 61.2 / 61.5.

    Cost: an epoch of ViT-Tiny on CIFAR-10 takes 10¹⁴ floating-point operations. The budget ``"tiny"`` takes 32 images, seconds on one
    processor; the others are meant for a GPU: ``--device cuda --precision bfloat16``.

    Args:
        model: ``"vit-tiny"``, ``"deit-tiny"`` or ``"tnt-small"``.
        data: ``"cifar10"``, ``"cifar100"`` or ``"imagenet"``.
        measure: what the score is.
        recipe: how it is trained.
    """

    model: str
    data: str
    measure: str = "test accuracy / %"
    recipe: Recipe = RECIPE

    @property
    def name(self) -> str:
        """How plans and commands call it."""
        return f"{self.model}-{self.data}"

    @property
    def description(self) -> str:
        """In a sentence."""
        return (
            f"{_SETS[self.data].name}, {_SHOWN[self.model]}, AdamW 2.5e-4 down a cosine after a warm-up, weight decay 0.05, batch 256, "
            "RandAugment and erasing; test accuracy after the last epoch"
        )

    @property
    def epochs(self) -> Mapping[str, int]:
        """The number of epochs of each budget."""
        return MappingProxyType({"tiny": 1, "short": 10, "full": 100})

    @property
    def examples(self) -> Mapping[str, int | None]:
        """The number of examples of each budget."""
        return MappingProxyType({"tiny": 32, "short": None, "full": None})

    def prepare(self) -> None:
        """Check that the data are there, or fetch them.

        Raises:
            DataError: they are missing or damaged.
        """
        _SETS[self.data].check()
        if self.name == "deit-tiny-imagenet":
            IMAGENET.taught()

    def run(self, activation: Activation, seed: int, epochs: int, setting: Setting | None = None) -> Outcome:
        """Train once and score; repeatable bit for bit on one machine's processor.

        Raises:
            InputError: a wrong seed or number of epochs.
            DataError: the data are missing or damaged.
            DivergedError: the loss left the finite numbers.
        """
        check_run(seed, epochs)
        from eafo.tasks.train import train  # noqa: PLC0415 - torch is loaded only where a training runs

        setting = setting or Setting()
        return train(
            self.problem(setting),
            activation,
            self.recipe,
            seed=seed,
            epochs=epochs,
            share=0.0,
            setting=setting,
        )

    def problem(self, setting: Setting) -> Pictures:
        """What is trained; with fewer examples than fill four batches, a batch is a quarter of them.

        Raises:
            DataError: the data are missing or damaged.
        """
        import torch  # noqa: PLC0415

        from eafo.tasks import pictures  # noqa: PLC0415

        build, device = functools.partial(_build, self.model, self.data), torch.device(setting.device)
        few = self.recipe.batch if setting.examples is None else max(1, setting.examples // 4)
        batch = min(self.recipe.batch, few)
        if self.data == "imagenet":
            folders = pictures.Folders(IMAGENET, setting, 224)
            if self.model != "deit-tiny":
                return pictures.Pictures(build, folders, batch, device)
            told = torch.from_numpy(IMAGENET.taught()[folders.chosen])
            return pictures.Taught(build, folders, batch, device, told)
        cifar = CIFAR10 if self.data == "cifar10" else CIFAR100
        source = pictures.Stored(cifar, setting)
        if self.model != "deit-tiny":
            return pictures.Pictures(build, source, batch, device)
        from eafo.tasks.teacher import teacher  # noqa: PLC0415

        taught = teacher(cifar, setting.device, setting.examples)
        return pictures.Distilled(build, source, batch, device, taught)


def _build(model: str, data: str, activation: ActivationFactory) -> nn.Module:
    from eafo.tasks.vision import build_layers  # noqa: PLC0415

    return build_layers(model, data, activation)


VIT_CIFAR10 = Transformer("vit-tiny", "cifar10")
VIT_CIFAR100 = Transformer("vit-tiny", "cifar100")
VIT_IMAGENET = Transformer("vit-tiny", "imagenet")
DEIT_IMAGENET = Transformer("deit-tiny", "imagenet")
DEIT_CIFAR10 = Transformer("deit-tiny", "cifar10")
DEIT_CIFAR100 = Transformer("deit-tiny", "cifar100")
TNT_CIFAR10 = Transformer("tnt-small", "cifar10")
TNT_CIFAR100 = Transformer("tnt-small", "cifar100")
