"""The small networks of the embedded tasks; every place has an activation, and learnable parameters, of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from torch import Tensor, nn

__all__ = ["ActivationFactory", "ConvNet", "MultilayerPerceptron", "ResidualPerceptron"]

#: Makes a fresh activation module for each place in a network.
ActivationFactory = Callable[[], nn.Module]


class MultilayerPerceptron(nn.Module):
    """Linear layers with an activation between each two.

    Args:
        sizes: the width of the input, of each hidden layer and of the output.
        activation: makes the activation of each hidden layer.
    """

    def __init__(self, sizes: tuple[int, ...], activation: ActivationFactory) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        self.activations = nn.ModuleList(activation() for _ in sizes[1:-1])

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, sizes[-1]) of inputs (N, sizes[0])."""
        *hidden, head = self.layers
        for layer, activation in zip(hidden, self.activations, strict=True):
            x = activation(layer(x))
        logits: Tensor = head(x)
        return logits


class ResidualPerceptron(nn.Module):
    """The MLP of the MNIST-1D repository (greydanus/mnist1d, notebooks/models.py, `MLPBase`).

    Two hidden layers of the same width, the second one residual: h ← h + f(W₂ h).
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, activation: ActivationFactory) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.head = nn.Linear(hidden, outputs)
        self.activations = nn.ModuleList(activation() for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, outputs) of inputs (N, inputs)."""
        h = self.activations[0](self.first(x))
        h = h + self.activations[1](self.second(h))
        logits: Tensor = self.head(h)
        return logits


class ConvNet(nn.Module):
    """The small CNN of the MNIST-1D repository (greydanus/mnist1d, notebooks/models.py, `ConvBase`).

    Three one-dimensional convolutions of 25 channels, kernels 5, 3, 3, stride 2, padding 1, and a linear head on the
    125 values that an input of length 40 leaves.
    """

    def __init__(self, activation: ActivationFactory, channels: int = 25, outputs: int = 10) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv1d(inputs, channels, kernel, stride=2, padding=1)
            for inputs, kernel in ((1, 5), (channels, 3), (channels, 3))
        )
        self.activations = nn.ModuleList(activation() for _ in self.convolutions)
        self.head = nn.Linear(5 * channels, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, outputs) of inputs (N, 40)."""
        x = x.unsqueeze(1)
        for convolution, activation in zip(self.convolutions, self.activations, strict=True):
            x = activation(convolution(x))
        logits: Tensor = self.head(x.flatten(1))
        return logits
