"""What a task is, and what one training brings home."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from eafo.errors import EafoError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eafo.activation import Activation
    from eafo.laws import Law

__all__ = ["BUDGETS", "QUANTILES", "DivergedError", "Layer", "Learned", "Outcome", "Task"]

#: The lengths a training comes in, from a look to the published protocol.
BUDGETS = ("tiny", "short", "full")
#: The levels of the quantiles that a `Layer` keeps.
QUANTILES = tuple((i + 0.5) / 129 for i in range(129))


class DivergedError(EafoError, ArithmeticError):
    """The training loss left the finite numbers; the run ends there."""


@dataclass(frozen=True)
class Learned:
    """What training did to one learnable parameter of one layer's activation.

    Args:
        parameter: the layer and the parameter, ``"activations.0.epsilon"``.
        start: its value before training; with a value a channel, their mean.
        end: its value after training, likewise.
    """

    parameter: str
    start: float
    end: float


@dataclass(frozen=True)
class Layer:
    """What one layer's activation saw and learned in a training, a value an epoch.

    Args:
        name: its path in the network.
        mean: of its inputs, over the last batch of each epoch.
        deviation: of its inputs, as the mean.
        parameters: each learnable parameter after each epoch; with a value a channel, their mean.
        quantiles: of its inputs after the last epoch, at the levels `QUANTILES`.
    """

    name: str
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    parameters: Mapping[str, tuple[float, ...]] = field(hash=False)
    quantiles: tuple[float, ...]

    def law(self) -> Law:
        """The law of its inputs, measured from the quantiles; see `eafo.laws.measure`.

        Raises:
            InputError: its inputs are constant, or nearly all the same.
        """
        from eafo.laws import measure  # noqa: PLC0415 - SciPy, only where a law is asked for

        return measure(list(self.quantiles), name=self.name)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "name": self.name,
            "mean": list(self.mean),
            "deviation": list(self.deviation),
            "parameters": {k: list(v) for k, v in self.parameters.items()},
            "quantiles": list(self.quantiles),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Layer:
        """Read what `to_dict` wrote."""
        return cls(
            name=str(values["name"]),
            mean=tuple(map(float, values["mean"])),
            deviation=tuple(map(float, values["deviation"])),
            parameters={str(k): tuple(map(float, v)) for k, v in values["parameters"].items()},
            quantiles=tuple(map(float, values["quantiles"])),
        )


@dataclass(frozen=True)
class Outcome:
    """What one training of one activation with one seed brought.

    Args:
        seed: the seed of initialisation and order.
        score: what the task counts, higher is better; its ``measure`` says what, where it has one.
        curve: the score after each epoch.
        loss: the mean training loss of each epoch.
        learned: start and end of every learnable parameter of the activations.
        seconds: the time the training took, wall clock.
        steps: the number of optimiser steps.
        metrics: further numbers by name, where a task has more to tell than its score.
        layers: what each layer saw and learned, where that was to be recorded.

    Raises:
        InputError: the score is not finite.

    >>> Outcome.from_dict(Outcome(0, 97.5, (95.0, 97.5), (0.3, 0.1)).to_dict()).score
    97.5
    """

    seed: int
    score: float
    curve: tuple[float, ...] = ()
    loss: tuple[float, ...] = ()
    learned: tuple[Learned, ...] = ()
    seconds: float = 0.0
    steps: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)
    layers: tuple[Layer, ...] = ()

    def __post_init__(self) -> None:
        if not math.isfinite(self.score):
            raise InputError("a score must be a finite number", self.score)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values; `from_dict` reads them back to an equal Outcome."""
        return {
            "seed": self.seed,
            "score": self.score,
            "curve": list(self.curve),
            "loss": list(self.loss),
            "learned": [asdict(entry) for entry in self.learned],
            "seconds": self.seconds,
            "steps": self.steps,
            "metrics": dict(self.metrics),
            "layers": [layer.to_dict() for layer in self.layers],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Outcome:
        """Read what `to_dict` wrote.

        Raises:
            InputError: the values are no such outcome.
        """
        try:
            return cls(
                seed=int(values["seed"]),
                score=float(values["score"]),
                curve=tuple(map(float, values["curve"])),
                loss=tuple(map(float, values["loss"])),
                learned=tuple(
                    Learned(str(v["parameter"]), float(v["start"]), float(v["end"]))
                    for v in values["learned"]
                ),
                seconds=float(values["seconds"]),
                steps=int(values["steps"]),
                metrics={str(k): float(v) for k, v in values.get("metrics", {}).items()},
                layers=tuple(map(Layer.from_dict, values.get("layers", []))),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError("an outcome must be what to_dict wrote", repr(values)) from error


@runtime_checkable
class Task(Protocol):
    """One trial: an activation, a seed and a number of epochs → an `Outcome`.

    A task of your own needs these five members and is named ``"module:object"`` wherever a task's name stands.
    `run` must be a pure function: the same arguments give the same outcome, but for the seconds. Where it takes a keyword
    ``setting`` too, it is given the `eafo.tasks.Setting` that a user asked for; without, only the default may be asked.
    A task may have ``measure``, a string that says what the score is; ``examples``, the number of examples of each budget
    that does not take all; ``held_out``, the name of the task on which what a search finds is confirmed; and a method
    ``problem(setting)`` that gives what is trained, an `eafo.tasks.problem.Problem`, which a search with a surrogate needs; with
    ``recipe``, an `eafo.tasks.recipe.TrainingRecipe`, a page can measure what a step takes.
    """

    @property
    def name(self) -> str:
        """How plans and commands call it."""

    @property
    def description(self) -> str:
        """Data, model, recipe and score, in a sentence."""

    @property
    def epochs(self) -> Mapping[str, int]:
        """The number of epochs of each budget in `BUDGETS`."""

    def prepare(self) -> None:
        """Check that the data are there, or fetch them.

        Raises:
            DataError: they are missing or damaged; the message names the file and the remedy.
        """

    def run(self, activation: Activation, seed: int, epochs: int) -> Outcome:
        """Train once and score.

        Raises:
            DivergedError: the loss left the finite numbers.
        """
