"""The network of the CIFAR-10 speedrun: whitened patches, three groups of two convolutions, a scaled head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from eafo.nn import Module

if TYPE_CHECKING:
    from eafo.tasks.models import ActivationFactory

__all__ = ["SpeedNet", "whitening"]

_KERNEL = 2
_WIDTHS = (64, 256, 256)


def whitening(images: Tensor, kernel: int = _KERNEL, eps: float = 5e-4) -> Tensor:
    """Filters whose outputs on the patches of some images are uncorrelated and of variance 1, and the negatives of them.

    The eigenvectors v of the patches' second moments E[p pᵀ], divided by √(λ + ε).

    Args:
        images: (N, C, H, W), normalised.
        kernel: pixels along an edge of a patch.
        eps: added to the eigenvalues.

    Returns:
        float32, (2 C kernel², C, kernel, kernel), eigenvalues rising.
    """
    channels = images.shape[1]
    patches = images.float().unfold(2, kernel, 1).unfold(3, kernel, 1)
    flat = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, channels * kernel**2)
    values, vectors = torch.linalg.eigh(flat.T @ flat / len(flat))
    filters = (vectors / (values + eps).sqrt()).T.reshape(-1, channels, kernel, kernel)
    return torch.cat((filters, -filters))


class _Norm(nn.BatchNorm2d):
    """Batch norm with a bias and no scale to learn, whose running statistics forget fast."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-12, momentum=0.4)
        self.weight.requires_grad_(False)


class _Group(nn.Module):
    """Convolution, maximum over 2 × 2, batch norm, activation; convolution, batch norm, activation."""

    def __init__(self, inputs: int, outputs: int, activation: ActivationFactory) -> None:
        super().__init__()
        convolutions = [
            nn.Conv2d(channels, outputs, 3, padding=1, bias=False) for channels in (inputs, outputs)
        ]
        for convolution in convolutions:
            # The first outputs start as the inputs themselves.
            nn.init.dirac_(convolution.weight.data[: convolution.in_channels])
        self.convolutions = nn.ModuleList(convolutions)
        self.norms = nn.ModuleList(_Norm(outputs) for _ in self.convolutions)
        self.activations = nn.ModuleList(activation("convolution") for _ in self.convolutions)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(self.convolutions[0](x), 2)
        x = self.activations[0](self.norms[0](x))
        result: Tensor = self.activations[1](self.norms[1](self.convolutions[1](x)))
        return result


class SpeedNet(nn.Module):
    """The network of `airbench94` (Jordan, 94 % on CIFAR-10 in 3.29 seconds on a single GPU, 2024): seven activations.

    A fixed whitening layer of 2 × 2 pixels with a bias to learn; groups of 64, 256 and 256 channels; maxima over 3 × 3; a linear head,
    whose weights start with deviation 1 and whose outputs are divided by its width.

    Args:
        activation: makes the activation of each place.
        images: those that the whitening is made from, (N, 3, H, W), normalised.
        classes: how many.
    """

    def __init__(self, activation: ActivationFactory, images: Tensor, classes: int = 10) -> None:
        super().__init__()
        first = 2 * 3 * _KERNEL**2
        self.whiten = nn.Conv2d(3, first, _KERNEL)
        self.activation = activation("convolution")
        self.groups = nn.ModuleList(
            _Group(a, b, activation) for a, b in zip((first, *_WIDTHS), _WIDTHS, strict=False)
        )
        self.head = nn.Linear(_WIDTHS[-1], classes, bias=False)
        with torch.no_grad():
            self.whiten.weight.copy_(whitening(images))
            self.head.weight.div_(self.head.weight.std())
        self.whiten.weight.requires_grad_(False)

    def halved(self, precision: torch.dtype) -> SpeedNet:
        """The same with its weights in half precision; statistics, their biases and parameters of activations stay in float32."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.to(precision)
            elif isinstance(module, _Norm | Module):
                module.float()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes) of normalised images (N, 3, 32, 32)."""
        x = self.activation(self.whiten(x))
        for group in self.groups:
            x = group(x)
        x = nn.functional.max_pool2d(x, 3).flatten(1)
        logits: Tensor = self.head(x) / x.shape[1]
        return logits
