"""Muon: momentum whose matrices are orthogonalised before the step; and several optimisers as one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["Muon", "Together", "orthogonalised"]

#: Of the quintic p(s) = a s + b s³ + c s⁵, which raises small singular values as fast as it can (Jordan et al., 2024).
_QUINTIC = (3.4445, -4.7750, 2.0315)


def orthogonalised(matrices: Tensor, steps: int = 3, eps: float = 1e-7) -> Tensor:
    """Matrices with the singular vectors of the given ones and singular values near 1, by Newton–Schulz iteration.

    X ← p(X) with p(s) = a s + b s³ + c s⁵ on the singular values, from X = G/‖G‖. The quintic does not converge to 1; where a
    singular value starts above some 0.05 of the largest possible, it ends between 0.3 and 1.3 (Jordan et al., Muon: an optimizer for
    hidden layers in neural networks, 2024).

    Args:
        matrices: (…, m, n), in the type in which to compute.
        steps: of the iteration.
        eps: keeps a matrix of zeros one.
    """
    a, b, c = _QUINTIC
    x = matrices / (matrices.flatten(-2).norm(dim=-1)[..., None, None] + eps)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    for _ in range(steps):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Muon for filters of convolutions, as the airbench recipe has it: weights of fixed norm, updates orthogonalised.

    With g the gradient, m ← μ m + g and u = g + μ m (Nesterov): w ← √d w/‖w‖ − η O(u), where O orthogonalises u as a matrix of d
    rows, one for each output channel. Filters of one shape go through the iteration together.

    Args:
        parameters: of two dimensions or more.
        lr: η.
        momentum: μ.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float, momentum: float) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})
        self._orthogonalised: Callable[[Tensor], Tensor] | None = None

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # without a closure
        """Take a step; parameters without a gradient stay."""
        for group in self.param_groups:
            alike: dict[Any, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[parameter.shape, parameter.dtype, parameter.device].append(parameter)
            for parameters in alike.values():
                self._step(parameters, group["lr"], group["momentum"])

    def _step(self, parameters: list[Tensor], rate: float, momentum: float) -> None:
        grads = [p.grad for p in parameters if p.grad is not None]
        for parameter, grad in zip(parameters, grads, strict=True):
            if "momentum_buffer" not in self.state[parameter]:
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(grad)
        buffers = [self.state[p]["momentum_buffer"] for p in parameters]
        torch._foreach_mul_(buffers, momentum)
        torch._foreach_add_(buffers, grads)
        updates = torch._foreach_add(grads, buffers, alpha=momentum)
        stacked = torch.stack([u.reshape(len(u), -1) for u in updates])
        found = self._iterate(stacked).to(stacked.dtype)
        norms = torch._foreach_norm(parameters)
        torch._foreach_mul_(
            parameters,
            torch._foreach_div([n.new_tensor(1.0) * len(parameters[0]) ** 0.5 for n in norms], norms),
        )
        torch._foreach_add_(
            parameters, [u.view_as(p) for u, p in zip(found, parameters, strict=True)], alpha=-rate
        )

    def _iterate(self, matrices: Tensor) -> Tensor:
        if matrices.device.type != "cuda":
            return orthogonalised(matrices)
        if self._orthogonalised is None:
            self._orthogonalised = torch.compile(orthogonalised, dynamic=False)
        return self._orthogonalised(matrices.bfloat16())


class Together(torch.optim.Optimizer):
    """Several optimisers, each with its own parameters, as one: stepped and kept together.

    Args:
        parts: the optimisers.
    """

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        # Not the base's: the groups and the state are the parts' own.
        self.parts = tuple(parts)
        self.defaults: dict[str, Any] = {}

    @property
    def param_groups(self) -> list[dict[str, Any]]:  # type: ignore[override]  # of the parts
        """The groups of all parts, in their order."""
        return [group for part in self.parts for group in part.param_groups]

    @property
    def state(self) -> dict[Tensor, Any]:  # type: ignore[override]  # of the parts
        """The state of all parts, by parameter."""
        return {parameter: kept for part in self.parts for parameter, kept in part.state.items()}

    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # without a closure
        """Take a step of each."""
        for part in self.parts:
            part.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all."""
        for part in self.parts:
            part.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """The states of the parts."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Read what `state_dict` gave."""
        for part, kept in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(kept)
