"""Extrapolation: functions learned on a cube and scored beyond it.

After the suites of Vitvitskyi et al., Mining generalizable activation functions, 2026 (arXiv 2602.05688): small regression problems
of polynomials, harmonics and a formula of physics, judged where there was nothing to learn from. Sizes and formulas are ours.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from eafo.tasks.classification import check_run
from eafo.tasks.protocol import DivergedError, Learned, Outcome
from eafo.tasks.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor, nn

    from eafo.activation import Activation
    from eafo.tasks.models import ActivationFactory
    from eafo.tasks.problem import Values
    from eafo.tasks.setting import Setting

__all__ = ["OOD", "Extrapolation", "harmonic", "momentum", "polynomial"]

_POINTS = 2048
RECIPE = Recipe("adam", learning_rate=3e-3, batch=64, schedule="cosine")
_SHARE = 0.1


def polynomial(x: Tensor) -> Tensor:
    """A polynomial of degree 3 in two variables: x³ − 2 x y + y² + x/2 − 1."""
    u, v = x.unbind(1)
    return u**3 - 2 * u * v + v**2 + u / 2 - 1


def harmonic(x: Tensor) -> Tensor:
    """Three harmonics of one variable: sin(πx) + sin(2πx)/2 + cos(3πx)/4, of period 2."""
    import math  # noqa: PLC0415 - needed here alone

    u = math.pi * x[:, 0]
    return u.sin() + (2 * u).sin() / 2 + (3 * u).cos() / 4


def momentum(x: Tensor) -> Tensor:
    """The relativistic momentum m v/√(1 − v²) at c = 1 with v = x/2 and m = 1 + y/2.

    Feynman, Leighton, Sands, The Feynman lectures on physics, I, eq. 15.1 and 16.10.
    """
    v, m = x[:, 0] / 2, 1 + x[:, 1] / 2
    return m * v / (1 - v**2).sqrt()


@dataclass(frozen=True)
class Extrapolation:
    """A task of several functions, each learned by a network of its own; the score is the mean over them.

    The inputs are uniform on the cube [−1, 1]^d, and outside uniform on the shell between it and one half as large again.

    Args:
        name: how plans and commands call it.
        description: in a sentence.
        functions: by name, the number of variables and the function.
        tiny: epochs of the budget ``"tiny"``.
        short: epochs of the budget ``"short"``.
        full: epochs of the budget ``"full"``.
    """

    name: str
    description: str
    functions: Mapping[str, tuple[int, Callable[[Tensor], Tensor]]]
    tiny: int
    short: int
    full: int
    measure: str = "digits outside the training range"

    @property
    def epochs(self) -> Mapping[str, int]:
        """The number of epochs of each budget."""
        return MappingProxyType({"tiny": self.tiny, "short": self.short, "full": self.full})

    def prepare(self) -> None:
        """Nothing has to be there."""

    def run(self, activation: Activation, seed: int, epochs: int, setting: Setting | None = None) -> Outcome:
        """Train a network a function and score it outside; bit for bit repeatable on one machine's processor.

        Raises:
            InputError: a wrong seed or number of epochs.
            DivergedError: the loss left the finite numbers.
        """
        check_run(seed, epochs)
        from eafo.tasks.train import train  # noqa: PLC0415 - torch is loaded only where a training runs

        examples = _POINTS if setting is None or setting.examples is None else setting.examples
        found = {
            name: train(
                problem(*given).first(examples),
                activation,
                RECIPE,
                seed=seed,
                epochs=epochs,
                share=_SHARE,
                setting=setting,
            )
            for name, given in self.functions.items()
        }
        return _together(found)

    def run_stacked(
        self, activation: Activation, seeds: Sequence[int], epochs: int, setting: Setting
    ) -> Sequence[Outcome | DivergedError]:
        """As `run`, with several seeds as one stack a function; see `eafo.tasks.stacked.train_stacked`."""
        for seed in seeds:
            check_run(seed, epochs)
        from eafo.tasks.stacked import train_stacked  # noqa: PLC0415 - as above

        members = [(activation, seed) for seed in seeds]
        found = {
            name: train_stacked(
                problem(*given).first(setting.examples or _POINTS),
                members,
                RECIPE,
                epochs=epochs,
                share=_SHARE,
                setting=setting,
            )
            for name, given in self.functions.items()
        }
        by_seed = [dict(zip(found, each, strict=True)) for each in zip(*found.values(), strict=True)]
        return [_together_or_error(results) for results in by_seed]


def _together_or_error(results: Mapping[str, Outcome | DivergedError]) -> Outcome | DivergedError:
    """The outcome of all functions, or the first error."""
    outcomes = {name: result for name, result in results.items() if isinstance(result, Outcome)}
    errors = [result for result in results.values() if not isinstance(result, Outcome)]
    return errors[0] if errors else _together(outcomes)


def _together(found: Mapping[str, Outcome]) -> Outcome:
    """The mean over the functions, and what each learned."""
    outcomes = tuple(found.values())
    return Outcome(
        seed=outcomes[0].seed,
        score=_mean([o.score for o in outcomes]),
        curve=tuple(map(_mean, zip(*(o.curve for o in outcomes), strict=True))),
        loss=tuple(map(_mean, zip(*(o.loss for o in outcomes), strict=True))),
        learned=tuple(
            Learned(f"{name}.{one.parameter}", one.start, one.end)
            for name, outcome in found.items()
            for one in outcome.learned
        ),
        seconds=sum(o.seconds for o in outcomes),
        steps=sum(o.steps for o in outcomes),
        metrics={name: outcome.score for name, outcome in found.items()},
        layers=tuple(
            replace(layer, name=f"{name}.{layer.name}")
            for name, outcome in found.items()
            for layer in outcome.layers
        ),
    )


def _mean(values: tuple[float, ...] | list[float]) -> float:
    return sum(values) / len(values)


@functools.cache
def problem(variables: int, function: Callable[[Tensor], Tensor]) -> Values:
    """The points of a function and their targets, the same for every seed."""
    import torch  # noqa: PLC0415 - only where a training runs

    from eafo.tasks.problem import Values  # noqa: PLC0415

    generator = torch.Generator().manual_seed(0)
    inside = 2 * torch.rand(_POINTS, variables, generator=generator) - 1
    cube = 3 * torch.rand(8 * _POINTS, variables, generator=generator) - 1.5
    outside = cube[cube.abs().amax(1) > 1][:_POINTS]
    targets, beyond = function(inside), function(outside)
    mean, deviation = targets.mean(), targets.std()
    model = functools.partial(_perceptron, variables)
    return Values(
        model, inside, (targets - mean) / deviation, outside, (beyond - mean) / deviation, RECIPE.batch
    )


def _perceptron(variables: int, activation: ActivationFactory) -> nn.Module:
    from eafo.tasks.models import MultilayerPerceptron  # noqa: PLC0415

    return MultilayerPerceptron((variables, 64, 64, 1), activation)


OOD = Extrapolation(
    name="ood",
    description="a polynomial, harmonics and the relativistic momentum, MLP d-64-64-1 each, Adam 3e-3 down a cosine, batch 64; "
    "mean digits beyond the range of the training",
    functions=MappingProxyType(
        {"polynomial": (2, polynomial), "harmonic": (1, harmonic), "momentum": (2, momentum)}
    ),
    tiny=2,
    short=40,
    full=200,
)
"""Extrapolation, three functions, 2,048 points each.

Score: −log₁₀ of the root mean square error outside over the deviation of the targets there, averaged over the functions and the last
tenth of the epochs: 0 is no better than the mean of what is not known, 1 is an error of a tenth. Cost: 96 steps an epoch, two to
four seconds for the short budget on one processor.
"""
