"""A classification task: data, model and recipe, put together."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from eafo.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import nn

    from eafo.activation import Activation
    from eafo.tasks.data import DataSet
    from eafo.tasks.models import ActivationFactory
    from eafo.tasks.problem import Labels
    from eafo.tasks.protocol import DivergedError, Outcome
    from eafo.tasks.recipe import Recipe
    from eafo.tasks.setting import Setting

__all__ = ["Classification", "check_run"]


def check_run(seed: int, epochs: int) -> None:
    """Refuse a training that cannot be.

    Raises:
        InputError: fewer than one epoch, or a negative seed.
    """
    if epochs < 1:
        raise InputError("the number of epochs must be at least 1", epochs)
    if seed < 0:
        raise InputError("a seed must be at least 0", seed)


@dataclass(frozen=True)
class Classification:
    """A task that trains a small network and scores the accuracy on the test set.

    Args:
        name: how plans and commands call it.
        description: data, model, recipe and score, in a sentence.
        tiny: epochs of the budget ``"tiny"``.
        short: epochs of the budget ``"short"``.
        full: epochs of the budget ``"full"``.
        recipe: how it is trained.
        model: builds the network around an activation factory.
        load: the data; called in the process that trains.
        check: prepares the data; called once before a search, raises DataError.
        share: the score is the mean test accuracy over the last ⌈share · epochs⌉ epochs.
        measure: what the score is, for axes and tables.
        held_out: the name of a task that differs in its test set alone, on which what a search finds is confirmed; or empty.
    """

    name: str
    description: str
    tiny: int
    short: int
    full: int
    recipe: Recipe
    model: Callable[[ActivationFactory], nn.Module]
    load: Callable[[], DataSet]
    check: Callable[[], object]
    share: float
    measure: str = "test accuracy / %"
    held_out: str = ""

    @property
    def epochs(self) -> Mapping[str, int]:
        """The number of epochs of each budget."""
        return MappingProxyType({"tiny": self.tiny, "short": self.short, "full": self.full})

    def prepare(self) -> None:
        """Check that the data are there, or fetch them.

        Raises:
            DataError: they are missing or damaged.
        """
        self.check()

    def run(self, activation: Activation, seed: int, epochs: int, setting: Setting | None = None) -> Outcome:
        """Train once and score; bit for bit repeatable on one machine's processor.

        Args:
            activation: used in every hidden layer, with parameters of its own in each.
            seed: fixes initialisation and order; from 0.
            epochs: passes over the training set, at least 1.
            setting: on what it runs, and what it keeps.

        Raises:
            DataError: the data are missing or damaged.
            DivergedError: the loss left the finite numbers.
        """
        check_run(seed, epochs)
        from eafo.tasks.train import train  # noqa: PLC0415 - torch is loaded only where a training runs

        return train(
            self.problem(setting),
            activation,
            self.recipe,
            seed=seed,
            epochs=epochs,
            share=self.share,
            setting=setting,
        )

    def run_stacked(
        self, activation: Activation, seeds: Sequence[int], epochs: int, setting: Setting
    ) -> Sequence[Outcome | DivergedError]:
        """As `run`, with several seeds as one stack; see `eafo.tasks.stacked.train_stacked`."""
        for seed in seeds:
            check_run(seed, epochs)
        from eafo.tasks.stacked import train_stacked  # noqa: PLC0415 - as above

        members = [(activation, seed) for seed in seeds]
        return train_stacked(
            self.problem(setting), members, self.recipe, epochs=epochs, share=self.share, setting=setting
        )

    def problem(self, setting: Setting | None = None) -> Labels:
        """What is trained.

        Raises:
            DataError: the data are missing or damaged.
        """
        from eafo.tasks.problem import Labels  # noqa: PLC0415 - as above

        data = self.load()
        if setting is not None and setting.examples is not None:
            data = data.first(setting.examples)
        return Labels(self.model, data, self.recipe.batch)
