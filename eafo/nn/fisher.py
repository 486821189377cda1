"""The Fisher information of a network's layers in Kronecker factors, from one batch.

The empirical Fisher information of a layer's weights is F = 1/N Σₙ vec(∇ℓₙ) vec(∇ℓₙ)ᵀ over the examples' own losses ℓₙ. K-FAC takes it for A ⊗ G,
with a a layer's input, a one added to it where it has a bias, and g = ∂ℓₙ/∂s the gradient by its output:

    A = 1/N Σₙ Σₜ aₙₜ aₙₜᵀ,        G = 1/(N T) Σₙ Σₜ gₙₜ gₙₜᵀ,

t over the T places where the layer's weights are used, one in a dense layer, the pixels of the output in a convolution, whose
a are the patches. The eigenvalues of A ⊗ G are the products of theirs. It is exact for one example at one place, and where a and g are independent.

Sources: J. Martens, R. Grosse, Optimizing neural networks with Kronecker-factored approximate curvature, ICML 2015; R. Grosse, J. Martens,
A Kronecker-factored approximate Fisher matrix for convolution layers, ICML 2016, theorem 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from eafo.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Factors", "kronecker"]

FloatArray = npt.NDArray[np.float64]

#: Eigenvalues below this share of a factor's largest are what single precision leaves of zero.
_ZERO = 1e-12


@dataclass(frozen=True, eq=False)
class Factors:
    """One layer's Fisher information, by the eigenvalues of its factors.

    Args:
        name: the layer's path in the network.
        inputs: the eigenvalues of A that are not zero, ascending.
        outputs: those of G.
        weights: the size of A ⊗ G: the number of weights and biases.
        gradient: the norm of the mean loss's gradient by them.
    """

    name: str
    inputs: FloatArray
    outputs: FloatArray
    weights: int
    gradient: float

    @property
    def eigenvalues(self) -> FloatArray:
        """Those of A ⊗ G that are not zero, in no order."""
        return np.outer(self.inputs, self.outputs).ravel()


def kronecker(model: nn.Module, loss: Callable[[], Tensor], examples: int) -> tuple[Factors, ...]:
    """The factors of every dense layer and every convolution of a network, from one batch; gradients are left in its parameters.

    Convolutions in groups, or padded other than by zeros, are left out, and layers that do not see every example.

    Args:
        model: the network.
        loss: runs it on the batch; gives the mean of the examples' losses.
        examples: N, how many the batch holds.

    Raises:
        InputError: what a layer is given, or a gradient, is not finite.

    >>> layer = nn.Linear(3, 2, bias=False)
    >>> x = torch.ones(1, 3)
    >>> (found,) = kronecker(layer, lambda: layer(x).sum(), 1)
    >>> found.eigenvalues.round(4).tolist(), round(found.gradient**2, 4)
    ([6.0], 6.0)
    """
    layers = {name: m for name, m in model.named_modules() if _countable(m)}
    given: dict[str, list[Tensor]] = {name: [] for name in layers}
    back: dict[str, list[Tensor]] = {name: [] for name in layers}

    def hook(name: str) -> Callable[..., None]:
        def keep(_module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
            call = len(given[name])
            given[name].append(inputs[0].detach())
            back[name].append(torch.zeros_like(output))
            output.register_hook(lambda gradient: back[name].__setitem__(call, gradient.detach()))

        return keep

    hooks = [m.register_forward_hook(hook(name)) for name, m in layers.items()]
    try:
        model.zero_grad()
        loss().backward()
    finally:
        for each in hooks:
            each.remove()
    return tuple(
        _factors(name, m, given[name], back[name], examples)
        for name, m in layers.items()
        if given[name] and all(len(x) % examples == 0 for x in given[name])
    )


def _countable(module: nn.Module) -> bool:
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        return module.groups == 1 and module.padding_mode == "zeros" and not isinstance(module.padding, str)
    return isinstance(module, nn.Linear)


def _factors(name: str, layer: nn.Module, given: list[Tensor], back: list[Tensor], examples: int) -> Factors:
    rows = torch.cat([_rows(layer, x, examples) for x in given], dim=1)
    # The mean loss holds a share of 1/N of each example's own.
    sides = examples * torch.cat([_sides(layer, g, examples) for g in back], dim=1)
    places = rows.shape[1]
    if layer.bias is not None:
        rows = torch.cat([rows, rows.new_ones(examples, places, 1)], dim=2)
    gradients = [p.grad.flatten() for p in layer.parameters() if p.grad is not None]
    norm = float(torch.cat(gradients).double().norm()) if gradients else 0.0
    return Factors(
        name,
        inputs=_spectrum(rows.flatten(0, 1)) / examples,
        outputs=_spectrum(sides.flatten(0, 1)) / (examples * places),
        weights=rows.shape[2] * sides.shape[2],
        gradient=norm,
    )


def _rows(layer: nn.Module, x: Tensor, examples: int) -> Tensor:
    """The inputs at every place, (N, T, d)."""
    if isinstance(layer, nn.Conv1d):
        sizes = layer.kernel_size, layer.dilation, layer.padding, layer.stride
        kernel, dilation, padding, stride = (
            (fill, int(s[0])) for fill, s in zip((1, 1, 0, 1), sizes, strict=True)
        )
        patches = nn.functional.unfold(x.unsqueeze(2), kernel, dilation, padding, stride)
    elif isinstance(layer, nn.Conv2d):
        patches = nn.functional.unfold(
            x, layer.kernel_size, layer.dilation, cast("tuple[int, ...]", layer.padding), layer.stride
        )
    else:
        return x.reshape(examples, -1, x.shape[-1])
    return patches.transpose(1, 2).reshape(examples, -1, patches.shape[1])


def _sides(layer: nn.Module, g: Tensor, examples: int) -> Tensor:
    """The gradients by the outputs at every place, (N, T, outputs)."""
    if isinstance(layer, nn.Linear):
        return g.reshape(examples, -1, g.shape[-1])
    return g.flatten(2).transpose(1, 2).reshape(examples, -1, g.shape[1])


def _spectrum(rows: Tensor) -> FloatArray:
    """The eigenvalues of XᵀX that are not zero, ascending, by the smaller of XᵀX and XXᵀ.

    Raises:
        InputError: X is not finite.
    """
    wide = rows.double()
    if not torch.isfinite(wide).all():
        raise InputError("a layer's inputs and gradients must be finite", "NaN or infinity")
    gram = wide.T @ wide if wide.shape[0] >= wide.shape[1] else wide @ wide.T
    found = np.asarray(torch.linalg.eigvalsh(gram).cpu().numpy(), np.float64)
    return found[found > _ZERO * found[-1]] if found[-1] > 0 else found[:0]
