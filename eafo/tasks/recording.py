"""What each activation of a network saw and learned, epoch by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from eafo.nn import Module
from eafo.tasks.protocol import QUANTILES, Layer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Recorder", "inputs_of"]

_MOST = 2**20


def inputs_of(model: nn.Module, run: Callable[[], object]) -> dict[str, Tensor]:
    """What each activation of a network is given in a run: flat, in double precision, the first 2²⁰ values of the last call.

    Args:
        model: the network; its activations are the `eafo.nn.Module` in it.
        run: runs it.
    """
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
            seen[name] = inputs[0].detach().flatten()[:_MOST].double()

        return hook

    found = {name: m for name, m in model.named_modules() if isinstance(m, Module)}
    hooks = [m.register_forward_pre_hook(keep(name)) for name, m in found.items()]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return seen


class Recorder:
    """Looks at the inputs of every activation of a network, once an epoch.

    Args:
        model: the network.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._modules = {name: m for name, m in model.named_modules() if isinstance(m, Module)}
        #: By layer: mean, deviation, then each learnable parameter, a value an epoch.
        self.curves: dict[str, dict[str, list[float]]] = {name: {} for name in self._modules}
        #: By layer: the quantiles that were seen last.
        self.quantiles: dict[str, list[float]] = {}

    def look(self, run: Callable[[], object]) -> None:
        """Run the network once, and note what its activations are given."""
        for name, values in inputs_of(self._model, run).items():
            self._note(name, values)

    def _note(self, name: str, values: Tensor) -> None:
        curves, module = self.curves[name], self._modules[name]
        found = {"mean": values.mean(), "deviation": values.std(correction=0)}
        for parameter in module.activation.learnable:
            found[parameter.name] = torch.as_tensor(getattr(module, parameter.name)).detach().mean()
        for key, value in found.items():
            curves.setdefault(key, []).append(float(value))
        levels = torch.tensor(QUANTILES, dtype=torch.float64, device=values.device)
        # numpy's method, for torch.quantile refuses more than 2²⁴ values.
        ordered = values.sort().values
        places = levels * (len(ordered) - 1)
        low = places.floor().long()
        high = (low + 1).clamp(max=len(ordered) - 1)
        self.quantiles[name] = ordered[low].lerp(ordered[high], places - low).tolist()

    def layers(self) -> tuple[Layer, ...]:
        """All that was seen."""
        return tuple(
            Layer(
                name,
                mean=tuple(curves["mean"]),
                deviation=tuple(curves["deviation"]),
                parameters={k: tuple(v) for k, v in curves.items() if k not in ("mean", "deviation")},
                quantiles=tuple(self.quantiles[name]),
            )
            for name, curves in self.curves.items()
            if curves
        )
