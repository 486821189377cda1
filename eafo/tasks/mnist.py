"""MNIST tasks: the published protocol of the SReLU page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eafo.tasks.classification import Classification
from eafo.tasks.data import check_mnist, load_mnist
from eafo.tasks.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

    from eafo.tasks.models import ActivationFactory

__all__ = ["MLP"]


def _perceptron(activation: ActivationFactory) -> nn.Module:
    from eafo.tasks.models import MultilayerPerceptron  # noqa: PLC0415 - torch only where a training runs

    return MultilayerPerceptron((784, 128, 64, 10), activation)


MLP = Classification(
    name="mnist-mlp",
    description="MNIST, MLP 784-128-64-10, AdamW 1e-3, weight decay 1e-4, batch 64; mean test accuracy over the second "
    "half of the epochs",
    tiny=1,
    short=5,
    full=20,
    recipe=Recipe("adamw", learning_rate=1e-3, batch=64, weight_decay=1e-4),
    model=_perceptron,
    load=load_mnist,
    check=check_mnist,
    share=0.5,
)
"""MNIST, MLP 784-128-64-10, the protocol of Long, SReLU: sinusoidal rectified linear unit (LaurenceLong/SReLU).

Data: 60,000 training and 10,000 test images scaled to [−1, 1]. Recipe: AdamW, learning rate 1e-3, weight decay 1e-4,
batch 64, cross-entropy. Score: the mean test accuracy over the last ⌈E/2⌉ of E epochs (11 to 20 of 20).
Cost: one to two seconds an epoch on one processor. Published for 20 epochs and 10 seeds: SReLU 97.43, ReLU 97.35, GELU
97.50, SiLU 97.53. Weight decay is that of the page for all weights; learnable parameters of activations have none here.
"""
