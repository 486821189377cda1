"""The small networks of the embedded tasks; every place has an activation, and learnable parameters, of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from eafo.activation import Activation

__all__ = [
    "GPT",
    "ActivationFactory",
    "ConvNet",
    "LeNet",
    "Logits",
    "MultilayerPerceptron",
    "ResidualPerceptron",
    "by_kind",
]

#: Makes a fresh activation module for each place in a network, given its kind where a network has several.
ActivationFactory = Callable[..., nn.Module]


def by_kind(activation: Activation, kind: str) -> Activation:
    """The activation as it stands at places of a kind: in dense layers SineReLU has ten times the ε of convolutions.

    Rodrigues, SineReLU: 0.0025 in convolutional, 0.025 in dense layers.

    >>> import eafo
    >>> by_kind(eafo.get("sinerelu"), "dense").defaults
    {'epsilon': 0.025}
    """
    if activation.name != "sinerelu" or kind != "dense":
        return activation
    return activation.with_parameters(epsilon=10 * activation.defaults["epsilon"])


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


class LeNet(nn.Module):
    """LeNet-5 (LeCun et al., Gradient-based learning applied to document recognition, 1998) with dropout, for 28 × 28 pixels.

    Convolutions of 6, 16 and 120 channels, kernel 5, with maxima over 2 × 2 after the first two; dense layers of 84 and 84,
    and a head. After the second to the fifth layer 20, 30, 40 and 50 % are dropped.
    """

    def __init__(self, activation: ActivationFactory, outputs: int = 10) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            [nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5), nn.Conv2d(16, 120, 5)]
        )
        self.dense = nn.ModuleList([nn.Linear(120, 84), nn.Linear(84, 84)])
        self.head = nn.Linear(84, outputs)
        kinds = ["convolution"] * len(self.convolutions) + ["dense"] * len(self.dense)
        self.activations = nn.ModuleList(activation(kind) for kind in kinds)
        self.dropouts = nn.ModuleList(nn.Dropout(p) for p in (0.0, 0.2, 0.3, 0.4, 0.5))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, outputs) of inputs (N, 784)."""
        x = x.view(-1, 1, 28, 28)
        for i, layer in enumerate([*self.convolutions, *self.dense]):
            if i == len(self.convolutions):
                x = x.flatten(1)
            x = self.dropouts[i](self.activations[i](layer(x)))
            if i < 2:
                x = nn.functional.max_pool2d(x, 2)
        logits: Tensor = self.head(x)
        return logits


class Logits(nn.Module):
    """A language model of transformers that gives its logits alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (N, T, vocabulary) of the token after each of (N, T)."""
        logits: Tensor = self.model(input_ids=tokens, use_cache=False).logits
        return logits


class GPT(nn.Module):
    """A small decoder of bytes: blocks of causal attention and a feed-forward layer, each after a layer norm, on a residual stream.

    The feed-forward layer is W₂ f(W₁ x) of four times the width, or gated W₂ (f(W₁ x) ∘ W₃ x) of 8/3 the width, so that both
    have as many weights.

    Args:
        activation: makes the f of each block.
        width: of the stream.
        depth: blocks.
        heads: of the attention.
        context: the longest input.
        gated: which of the two.
    """

    def __init__(
        self, activation: ActivationFactory, *, width: int, depth: int, heads: int, context: int, gated: bool
    ) -> None:
        super().__init__()
        self.bytes = nn.Embedding(256, width)
        self.places = nn.Embedding(context, width)
        self.blocks = nn.ModuleList(_Block(activation, width, heads, gated=gated) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 256, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, T, 256) of the byte after each of (N, T)."""
        stream = self.bytes(x) + self.places(torch.arange(x.shape[1], device=x.device))
        for block in self.blocks:
            stream = block(stream)
        logits: Tensor = self.head(self.norm(stream))
        return logits


class _Block(nn.Module):
    def __init__(self, activation: ActivationFactory, width: int, heads: int, *, gated: bool) -> None:
        super().__init__()
        self.heads, self.gated = heads, gated
        hidden = 8 * width // 3 if gated else 4 * width
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.attention = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.up = nn.Linear(width, 2 * hidden if gated else hidden)
        self.down = nn.Linear(hidden, width)
        self.activation = activation("feed-forward")

    def forward(self, x: Tensor) -> Tensor:
        n, t, width = x.shape
        parts = self.attention(self.norms[0](x)).view(n, t, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(n, t, width))
        up = self.up(self.norms[1](x))
        if self.gated:
            first, second = up.chunk(2, dim=-1)
            return x + self.down(self.activation(first, gate=second))
        return x + self.down(self.activation(up))
