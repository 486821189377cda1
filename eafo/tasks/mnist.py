"""MNIST and Fashion-MNIST tasks: the published protocols of the SReLU page and of the SineReLU article."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eafo.tasks.classification import Classification
from eafo.tasks.images import FASHION_MNIST, MNIST
from eafo.tasks.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

    from eafo.tasks.models import ActivationFactory

__all__ = ["FASHION", "LENET", "MLP"]


def _perceptron(activation: ActivationFactory) -> nn.Module:
    from eafo.tasks.models import MultilayerPerceptron  # noqa: PLC0415 - torch only where a training runs

    return MultilayerPerceptron((784, 128, 64, 10), activation)


def _le_net(activation: ActivationFactory) -> nn.Module:
    from eafo.tasks.models import LeNet  # noqa: PLC0415

    return LeNet(activation)


_RECIPE = Recipe("adamw", learning_rate=1e-3, batch=64, weight_decay=1e-4)

MLP = Classification(
    name="mnist-mlp",
    description="MNIST, MLP 784-128-64-10, AdamW 1e-3, weight decay 1e-4, batch 64; mean test accuracy over the second "
    "half of the epochs",
    tiny=1,
    short=5,
    full=20,
    recipe=_RECIPE,
    model=_perceptron,
    load=MNIST.load,
    check=MNIST.check,
    share=0.5,
)
"""MNIST, MLP 784-128-64-10, the protocol of Long, SReLU: sinusoidal rectified linear unit (LaurenceLong/SReLU).

Data: 60,000 training and 10,000 test images scaled to [−1, 1]. Recipe: AdamW, learning rate 1e-3, weight decay 1e-4,
batch 64, cross-entropy. Score: the mean test accuracy over the last ⌈E/2⌉ of E epochs (11 to 20 of 20).
Cost: one to two seconds an epoch on one processor. Published for 20 epochs and 10 seeds: SReLU 97.43, ReLU 97.35, GELU
97.50, SiLU 97.53. Weight decay is that of the page for all weights; learnable parameters of activations have none here.
"""

LENET = Classification(
    name="mnist-lenet",
    description="MNIST, LeNet-5 with dropout, Adam 1e-3, batch 128; test accuracy after the last epoch",
    tiny=1,
    short=3,
    full=40,
    recipe=Recipe("adam", learning_rate=1e-3, batch=128),
    model=_le_net,
    load=MNIST.load,
    check=MNIST.check,
    share=0.0,
)
"""MNIST, LeNet-5, the protocol of Rodrigues, SineReLU: an alternative to the ReLU activation function.

The article names five layers, dropout of 20, 30, 40 and 50 % from the second convolution to the dense layers, Adam, 40 epochs, and ε
= 0.0025 in convolutions and 0.025 in dense layers; read here as LeNet-5 with a second dense layer of 84. Learning rate and batch
are not told: 1e-3, Adam's default, and 128. Its own numbers were lost with its table. Cost: some twenty seconds an epoch on one
processor.
"""

FASHION = Classification(
    name="fashion-mnist",
    description="Fashion-MNIST, MLP 784-128-64-10, AdamW 1e-3, weight decay 1e-4, batch 64; mean test accuracy over the second "
    "half of the epochs",
    tiny=1,
    short=5,
    full=20,
    recipe=_RECIPE,
    model=_perceptron,
    load=FASHION_MNIST.load,
    check=FASHION_MNIST.check,
    share=0.5,
)
"""Fashion-MNIST by the protocol of ``mnist-mlp``: as cheap, and further from its ceiling.

Xiao, Rasul, Vollgraf, 2017; their table has 83 to 89 for multilayer perceptrons of scikit-learn.
"""
