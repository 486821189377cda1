"""MNIST-1D tasks: the embedded default, generated in place, that separates activations in seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eafo.tasks.classification import Classification, Recipe
from eafo.tasks.data import make_mnist1d

if TYPE_CHECKING:
    from torch import nn

    from eafo.tasks.models import ActivationFactory

__all__ = ["CNN", "MLP"]

# The recipe of the MNIST-1D repository (greydanus/mnist1d, notebooks/train.py) but for a fresh order each epoch and the
# learning rate: its 1e-2 is meant for 6,000 steps and more. At 2,000 steps 1e-2 leaves ReLU, GELU and ReLU² within two
# points, 1e-3 leaves seeds three to four points apart; 3e-3 separates the activations best.
_RECIPE = Recipe("adam", learning_rate=3e-3, batch=100)
# Single epochs are noisy; the last tenth of them is averaged.
_SHARE = 0.1


def _conv_net(activation: ActivationFactory) -> nn.Module:
    from eafo.tasks.models import ConvNet  # noqa: PLC0415 - torch only where a training runs

    return ConvNet(activation)


def _perceptron(activation: ActivationFactory) -> nn.Module:
    from eafo.tasks.models import ResidualPerceptron  # noqa: PLC0415

    return ResidualPerceptron(40, 100, 10, activation)


CNN = Classification(
    name="mnist1d",
    description="MNIST-1D, CNN of three convolutions, Adam 3e-3, batch 100; mean test accuracy over the last tenth of "
    "the epochs",
    tiny=2,
    short=50,
    full=150,
    recipe=_RECIPE,
    model=_conv_net,
    load=make_mnist1d,
    check=make_mnist1d,
    share=_SHARE,
)

MLP = Classification(
    name="mnist1d-mlp",
    description="MNIST-1D, residual MLP 40-100-100-10, Adam 3e-3, batch 100; mean test accuracy over the last tenth of "
    "the epochs",
    tiny=2,
    short=50,
    full=150,
    recipe=_RECIPE,
    model=_perceptron,
    load=make_mnist1d,
    check=make_mnist1d,
    share=_SHARE,
)
