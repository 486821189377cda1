"""What one batch tells of an activation before any training: entropies, moments, gradients and Fisher information.

The network stands at its initialisation; the batch is the first one of the training with the same seed, at most 128 examples of it. A quantity
that every layer has is given as ``.mean`` over the layers and as ``.last``, nearest the output, so that networks of any depth have the
same features:

- ``loss``: of the batch;
- ``entropy``: that of the activation's output under the measured law of its inputs, at the resolution δ = σ/8, σ the output's deviation, in
  nats: the one measure that compares outputs with and without atoms (`eafo.theory.entropy`), by counting the sample itself
  (`eafo.theory.spacing.at_resolution`). A law fitted to the sample (`eafo.laws.measure`) gives the same to 0.01 and takes a hundred times as long;
- ``scale_free_entropy``: the same − log σ;
- ``output_mean``, ``output_log_variance`` (log₁₀), ``output_kurtosis`` (in excess of the normal law's): of the output;
- ``log_gradient``: log₁₀ of the norm of the loss's gradient by a layer's weights; ``log_gradient.spread`` its deviation over the layers;
- ``fisher``: of the empirical Fisher information by Kronecker factors (`eafo.nn.fisher`), the eigenvalues of all layers together:
  ``.log_trace`` and ``.log_10``, ``.log_50``, ``.log_90``, ``.log_100``, log₁₀ of their sum and of their quantiles in percent, over those that are
  not zero; ``.condition``, ``.log_100`` − ``.log_10``; ``.effective_rank``, log₁₀ of the exponential of the entropy of λ/Σλ (Roy and Vetterli, The
  effective rank, EUSIPCO 2007); ``.rank``, the share of them that is not zero.

That the spectrum of the Fisher information tells activations apart is from Bingham and Miikkulainen, Efficient activation function
optimization through surrogate modeling, NeurIPS 2023.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.special
import scipy.stats
import torch

from eafo import catalog, tasks
from eafo.errors import EafoError, InputError, RefusedError
from eafo.nn import Module
from eafo.nn.fisher import kronecker
from eafo.tasks import Setting
from eafo.tasks.models import by_kind
from eafo.tasks.recording import inputs_of
from eafo.tasks.train import prepared
from eafo.theory import entropy, spacing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from eafo.catalog import ActivationLike
    from eafo.nn.fisher import Factors
    from eafo.tasks.problem import Problem

__all__ = ["features"]

FloatArray = npt.NDArray[np.float64]

_EXAMPLES = 128
#: Beside it the norm of a gradient is that of one that vanishes.
_TINY = 1e-30
_QUANTILES = (10, 50, 90, 100)


def features(
    activation: ActivationLike, task: str, seed: int = 0, setting: Setting | None = None
) -> dict[str, float]:
    """Measure an activation in a task's network at its initialisation, by one batch.

    Args:
        activation: any form of an activation.
        task: a task's name, or ``"module:object"``; one that has a method ``problem(setting)``.
        seed: of the initialisation and of the batch.
        setting: its device and its number of examples count.

    Returns:
        A finite number for each feature, in an order that is always the same.

    Raises:
        InputError: no such activation or task; a task without a problem.
        DataError: the task's data are missing or damaged.
        RefusedError: the activation has no such numbers: an output that is constant or not finite, a gradient that is zero.

    >>> found = features("relu", "mnist1d-mlp")
    >>> round(found["loss"], 1), found["output_kurtosis.mean"] > found["output_mean.mean"] > 0
    (2.3, True)
    """
    known, setting = catalog.get(activation), setting or Setting()
    problem = _problem(task, setting)
    with prepared(setting):
        torch.manual_seed(seed)
        # Without the compiler: it takes longer than a batch.
        model = problem.build(lambda kind="": Module(by_kind(known, kind), backend="aten")).to(setting.device)
        inputs, targets = next(problem.batches(torch.Generator().manual_seed(seed), 0))
        inputs, targets = (part[:_EXAMPLES].to(setting.device) for part in (inputs, targets))
        try:
            found = _measured(model, functools.partial(problem.loss, model, inputs, targets), len(inputs))
        except (EafoError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise RefusedError(f"{known.name} has no features on {task}: {reason}") from error
    wrong = {name: value for name, value in found.items() if not math.isfinite(value)}
    if wrong:
        name, value = next(iter(wrong.items()))
        raise RefusedError(f"{known.name} has no features on {task}: {name} must be finite", value)
    return found


@functools.lru_cache(maxsize=2)
def _problem(task: str, setting: Setting) -> Problem:
    found: Any = tasks.get(task)
    if not hasattr(found, "problem"):
        remedy = "choose another one, or give it the method"
        raise InputError("features need a task with the method problem(setting)", task, remedy)
    problem: Problem = found.problem(setting)
    return problem


def _measured(model: torch.nn.Module, loss: Callable[[], Tensor], examples: int) -> dict[str, float]:
    factors: list[Factors] = []
    losses: list[float] = []

    def once() -> Tensor:
        value = loss()
        losses.append(float(value.detach()))
        return value

    given = inputs_of(model, lambda: factors.extend(kronecker(model, once, examples)))
    modules = dict(model.named_modules())
    with torch.no_grad():
        outputs = [modules[name](values.float()).double().cpu().numpy() for name, values in given.items()]
    return {"loss": losses[0], **_of_outputs(outputs), **_of_gradients(factors), **_of_fisher(factors)}


def _of_outputs(outputs: Sequence[FloatArray]) -> dict[str, float]:
    if not outputs:
        raise InputError("a network must have activations", "none")
    layers: dict[str, list[float]] = {}
    for values in outputs:
        variance = float(np.var(values))
        if not math.isfinite(variance) or not variance > 0:
            raise InputError("the outputs of a layer must be finite and not all the same", float(values[0]))
        deviation = math.sqrt(variance)
        sharp = spacing.at_resolution(values, entropy.RESOLUTIONS["fp8"] * deviation)
        for name, value in (
            ("entropy", sharp),
            ("scale_free_entropy", sharp - math.log(deviation)),
            ("output_mean", float(np.mean(values))),
            ("output_log_variance", math.log10(variance)),
            ("output_kurtosis", float(scipy.stats.kurtosis(values))),
        ):
            layers.setdefault(name, []).append(value)
    return _summed_up(layers)


def _of_gradients(factors: Sequence[Factors]) -> dict[str, float]:
    if not any(f.gradient > 0 for f in factors):
        raise InputError("a network's dense layers or convolutions must have a gradient", "none")
    logs = [math.log10(max(f.gradient, _TINY)) for f in factors]
    return {**_summed_up({"log_gradient": logs}), "log_gradient.spread": float(np.std(logs))}


def _of_fisher(factors: Sequence[Factors]) -> dict[str, float]:
    values = np.concatenate([f.eigenvalues for f in factors])
    total = float(values.sum())
    levels = np.log10(np.quantile(values, [q / 100 for q in _QUANTILES]))
    by_level = {q: float(level) for q, level in zip(_QUANTILES, levels, strict=True)}
    return {
        "fisher.log_trace": math.log10(total),
        **{f"fisher.log_{q}": level for q, level in by_level.items()},
        "fisher.condition": by_level[100] - by_level[10],
        "fisher.effective_rank": float(scipy.special.entr(values / total).sum()) / math.log(10),
        "fisher.rank": values.size / sum(f.weights for f in factors),
    }


def _summed_up(layers: dict[str, list[float]]) -> dict[str, float]:
    return {
        f"{name}.{kind}": value
        for name, values in layers.items()
        for kind, value in (("mean", float(np.mean(values))), ("last", values[-1]))
    }
