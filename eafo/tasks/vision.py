"""The vision transformers of the EAFO paper: ViT-Tiny, DeiT-Tiny and TNT-Small, at the sizes of its table.

Sun et al., A method on searching better activation functions, 2024, Appendix E. Their numbers of parameters tell what the text does
not: patches of 4 pixels for CIFAR's 32 and of 16 for ImageNet's 224; in ViT a layer 192 → 192 before the head; in TNT patches of
4 pixels too and a stride of 4, so that an inner sequence holds a single token, whose attention is the identity's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from eafo.errors import InputError
from eafo.nn import Module

if TYPE_CHECKING:
    from eafo.catalog import ActivationLike
    from eafo.tasks.models import ActivationFactory

__all__ = ["DATA_SETS", "MODELS", "TNT", "Images", "VisionTransformer", "build_layers", "build_model"]


@dataclass(frozen=True)
class Images:
    """What a network for images is made for.

    Args:
        size: pixels along an edge.
        patch: pixels along an edge of a patch.
        classes: how many.
    """

    size: int
    patch: int
    classes: int

    @property
    def patches(self) -> int:
        """How many an image has."""
        return (self.size // self.patch) ** 2


DATA_SETS = {"cifar10": Images(32, 4, 10), "cifar100": Images(32, 4, 100), "imagenet": Images(224, 16, 1000)}
MODELS = ("deit-tiny", "tnt-small", "vit-tiny")


def build_model(name: str, data: str, activation: ActivationLike) -> nn.Module:
    """Build a vision transformer around an activation, with parameters of its own in every layer.

    Args:
        name: one of `MODELS`.
        data: one of `DATA_SETS`; ``tnt-small`` is for CIFAR's two alone.
        activation: any text form, a SymPy expression or an `Activation`.

    Raises:
        InputError: no such model, data set or activation.

    >>> sum(p.numel() for p in build_model("vit-tiny", "cifar10", "gelu").parameters())
    5399818
    """
    if name not in MODELS:
        raise InputError(f"the models are: {', '.join(MODELS)}", name)
    if data not in DATA_SETS:
        raise InputError(f"the data sets of a model are: {', '.join(DATA_SETS)}", data)
    if name == "tnt-small" and data == "imagenet":
        raise InputError("tnt-small is for cifar10 and cifar100", data, "take vit-tiny or deit-tiny")

    def layer(_kind: str = "") -> nn.Module:
        return Module(activation)

    return build_layers(name, data, layer)


def build_layers(name: str, data: str, layer: ActivationFactory) -> nn.Module:
    """As `build_model`, for a model and a data set that are there, with what stands at each place as it is made by ``layer``."""
    images = DATA_SETS[data]
    if name == "tnt-small":
        return TNT(layer, images, width=384, inner=24, depth=12, heads=6, inner_heads=4, stride=4)
    return VisionTransformer(layer, images, width=192, depth=12, heads=3, distilled=name == "deit-tiny")


class VisionTransformer(nn.Module):
    """ViT (Dosovitskiy et al., 2021), or distilled, DeiT (Touvron et al., 2021).

    Args:
        activation: makes the activation of each feed-forward layer.
        images: their size, patches and classes.
        width: of the stream.
        depth: blocks.
        heads: of the attention.
        distilled: a second token learns from a teacher, with a head of its own, instead of a layer before the head.
    """

    def __init__(
        self,
        activation: ActivationFactory,
        images: Images,
        *,
        width: int,
        depth: int,
        heads: int,
        distilled: bool,
    ) -> None:
        super().__init__()
        self.distilled = distilled
        tokens = 2 if distilled else 1
        self.patches = nn.Conv2d(3, width, images.patch, stride=images.patch)
        self.tokens = nn.Parameter(torch.zeros(1, tokens, width))
        self.places = nn.Parameter(torch.zeros(1, tokens + images.patches, width))
        self.blocks = nn.ModuleList(_Block(activation, width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.before_head = nn.Identity() if distilled else nn.Sequential(nn.Linear(width, width), nn.Tanh())
        self.heads = nn.ModuleList(nn.Linear(width, images.classes) for _ in range(tokens))
        _initialise(self, self.tokens, self.places)

    def logits(self, x: Tensor) -> tuple[Tensor, ...]:
        """Logits (N, classes) of images (N, 3, size, size), by the class token and, distilled, by the teacher's."""
        stream = self.patches(x).flatten(2).transpose(1, 2)
        stream = torch.cat([self.tokens.expand(len(x), -1, -1), stream], dim=1) + self.places
        for block in self.blocks:
            stream = block(stream)
        stream = self.before_head(self.norm(stream[:, : len(self.heads)]))
        return tuple(head(stream[:, i]) for i, head in enumerate(self.heads))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes); distilled, the mean of both heads."""
        return torch.stack(self.logits(x)).mean(0)


class TNT(nn.Module):
    """Transformer in transformer (Han et al., 2021): an inner sequence of parts of each patch feeds the outer one of patches.

    Args:
        activation: makes the activation of each feed-forward layer.
        images: their size, patches and classes.
        width: of the outer stream.
        inner: width of the inner one.
        depth: pairs of blocks.
        heads: of the outer attention.
        inner_heads: of the inner one.
        stride: pixels from one part to the next.
    """

    def __init__(
        self,
        activation: ActivationFactory,
        images: Images,
        *,
        width: int,
        inner: int,
        depth: int,
        heads: int,
        inner_heads: int,
        stride: int,
    ) -> None:
        super().__init__()
        edge = -(-images.patch // stride)
        self.edge, parts = edge, edge**2
        self.parts = nn.Conv2d(3, inner, 7, stride=stride, padding=3)
        self.inner_places = nn.Parameter(torch.zeros(1, parts, inner))
        self.to_outer = nn.Sequential(
            nn.LayerNorm(parts * inner), nn.Linear(parts * inner, width), nn.LayerNorm(width)
        )
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(torch.zeros(1, 1 + images.patches, width))
        self.inner_blocks = nn.ModuleList(
            _Block(activation, inner, inner_heads, bias=False) for _ in range(depth)
        )
        self.join_norms = nn.ModuleList(nn.LayerNorm(inner) for _ in range(depth))
        self.joins = nn.ModuleList(nn.Linear(parts * inner, width) for _ in range(depth))
        self.blocks = nn.ModuleList(_Block(activation, width, heads, bias=False) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, images.classes)
        _initialise(self, self.inner_places, self.token, self.places)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, 3, size, size)."""
        n, edge = len(x), self.edge
        parts = nn.functional.unfold(self.parts(x), edge, stride=edge)
        small = parts.transpose(1, 2).reshape(-1, self.inner_places.shape[2], edge**2).transpose(1, 2)
        small = small + self.inner_places
        large = self.to_outer(small.reshape(n, -1, small.shape[1] * small.shape[2]))
        large = torch.cat([self.token.expand(n, -1, -1), large], dim=1) + self.places
        pairs = zip(self.inner_blocks, self.join_norms, self.joins, self.blocks, strict=True)
        for inner, norm, join, outer in pairs:
            small = inner(small)
            joined = join(norm(small).reshape(n, large.shape[1] - 1, -1))
            large = outer(torch.cat([large[:, :1], large[:, 1:] + joined], dim=1))
        logits: Tensor = self.head(self.norm(large)[:, 0])
        return logits


class _Block(nn.Module):
    """Attention and a feed-forward layer of four times the width, each after a layer norm, on a residual stream."""

    def __init__(self, activation: ActivationFactory, width: int, heads: int, *, bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.attention = nn.Linear(width, 3 * width, bias=bias)
        self.out = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.activation = activation("feed-forward")

    def forward(self, x: Tensor) -> Tensor:
        n, t, width = x.shape
        parts = self.attention(self.norms[0](x)).view(n, t, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        x = x + self.out(mixed.transpose(1, 2).reshape(n, t, width))
        return x + self.down(self.activation(self.up(self.norms[1](x))))


def _initialise(model: nn.Module, *tokens: Tensor) -> None:
    """Weights and tokens normal with deviation 0.02, cut at two; biases 0."""
    for token in tokens:
        nn.init.trunc_normal_(token, std=0.02)
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
