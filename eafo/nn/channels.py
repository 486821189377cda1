"""A value of each learnable parameter a channel, throughout a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from eafo.errors import InputError
from eafo.nn.module import Module

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["by_channel"]

#: What leaves channels in dimension 1; after anything else they are in the last.
_CHANNELS_FIRST = (nn.modules.conv._ConvNd, nn.modules.batchnorm._NormBase, nn.GroupNorm)
_CHANNELS_LAST = (nn.Linear, nn.LayerNorm, nn.Embedding)


def by_channel(model: nn.Module, run: Callable[[], object]) -> nn.Module:
    """Give every activation of a network one value of each learnable parameter a channel, as `torch.nn.PReLU` can have.

    One run, in evaluation mode and without gradients, tells how many channels each activation is given and where: in dimension 1 where a
    convolution or a batch norm ran last before it, else in the last one. Each channel starts at the value that the layer had. Do it before
    an optimiser is given the network's parameters.

    Args:
        model: the network, changed in place; its activations are the `eafo.nn.Module` in it. One without learnable parameters, or that has
            channels already, stays as it is.
        run: runs the network once, on any batch.

    Returns:
        The same network.

    Raises:
        InputError: the run does not reach an activation, or one stands at places of different widths.

    >>> network = nn.Sequential(nn.Conv1d(1, 3, 5), Module("crrelu"), nn.Flatten(), nn.Linear(108, 8), Module("crrelu"))
    >>> x = torch.randn(2, 1, 40)
    >>> by_channel(network, lambda: network(x))[1].epsilon.shape, network[4].epsilon.shape
    (torch.Size([3]), torch.Size([8]))
    """
    places = {
        m: name for name, m in model.named_modules() if isinstance(m, Module) and m.activation.learnable
    }
    wanted = [m for m in places if m.channels is None]
    found: dict[Module, tuple[int, int]] = {}
    last = [-1]

    def note(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], _output: object) -> None:
        if isinstance(module, _CHANNELS_FIRST):
            last[0] = 1
        elif isinstance(module, _CHANNELS_LAST):
            last[0] = -1
        elif isinstance(module, Module) and module in wanted:
            here = (inputs[0] if inputs else named["x"]).shape[last[0]], last[0]
            if found.setdefault(module, here) != here:
                (first, there), (second, dim) = found[module], here
                raise InputError(
                    "an activation with a value a channel must stand at places of one width and dimension",
                    f"{places[module]}: {first} channels in dimension {there} and {second} in {dim}",
                    "give each place one of its own",
                )

    hooks = [m.register_forward_hook(note, with_kwargs=True) for m in model.modules()]
    modes = {m: m.training for m in model.modules()}
    try:
        with torch.no_grad():
            model.eval()
            run()
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes.items():
            module.training = mode
    if missed := [m for m in wanted if m not in found]:
        raise InputError("the run must reach every activation of the network", places[missed[0]])
    for module in wanted:
        module.widen(*found[module])
    return model
