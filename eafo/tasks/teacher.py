"""The teacher of a distilled network: the convolutional network of the speedrun, with ReLU, so that all arms have the same one."""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load, save_file

from eafo.catalog import get
from eafo.kernels import build
from eafo.nn import Module
from eafo.tasks.airbench import SpeedrunRecipe
from eafo.tasks.airbench_model import SpeedNet
from eafo.tasks.setting import Setting
from eafo.tasks.speedrun import SpeedrunProblem
from eafo.tasks.train import train

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from eafo.tasks.cifar import CifarSet
    from eafo.tasks.models import ActivationFactory

__all__ = ["EPOCHS", "teacher"]

#: Of the teacher's training, as the speedrun has them: 94 % on CIFAR-10.
EPOCHS = 8
_SEED = 0


@functools.cache
def teacher(cifar: CifarSet, device: str, examples: int | None) -> nn.Module:
    """A network trained once a machine and a set of training images, and kept in the user's cache.

    Args:
        cifar: what it learns.
        device: where it is trained, and stays.
        examples: so many training examples; None for all.

    Raises:
        DataError: the data are missing or damaged.
        BuildError: the cache cannot be trusted or written.
    """
    setting = Setting(device, examples=examples)
    data = cifar.load().first(examples)
    digest = hashlib.sha256(data.train_images.tobytes() + data.train_labels.tobytes()).hexdigest()
    key = f"teacher {digest} {EPOCHS} {_SEED} {SpeedrunRecipe()} {torch.device(device).type} 2"
    path = build.cached(key, ".safetensors", functools.partial(_write, cifar, setting))
    model = SpeedNet(_layer, torch.eye(3 * 2 * 2).view(12, 3, 2, 2), cifar.classes)
    model.load_state_dict(load(build.content(path)))
    return model.to(device).eval().requires_grad_(False)


def _layer(kind: str = "") -> nn.Module:
    return Module("relu")


class _Kept(SpeedrunProblem):
    """Remembers its network."""

    model: nn.Module

    def build(self, activation: ActivationFactory) -> nn.Module:
        self.model = super().build(activation)
        return self.model


def _write(cifar: CifarSet, setting: Setting, path: Path) -> None:
    batch = SpeedrunRecipe().batch if setting.examples is None else max(1, min(2000, setting.examples // 4))
    problem = _Kept(EPOCHS, batch, setting, cifar)
    train(
        problem,
        get("relu"),
        SpeedrunRecipe(batch=batch),
        seed=_SEED,
        epochs=EPOCHS,
        share=0.0,
        setting=setting,
    )
    save_file({name: t.contiguous().cpu() for name, t in problem.model.state_dict().items()}, path)
