"""The parts of a plan: what is searched, who proposes, who gives up, what chooses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from eafo.errors import InputError
from eafo.search.filters import Filters
from eafo.search.grammar import Grammar
from eafo.tasks import Setting

__all__ = ["PrunerPlan", "Range", "SamplerPlan", "Space", "SurrogatePlan", "check_count"]

_SAMPLERS = ("tpe", "random", "evolution")
_PRUNERS = ("median", "halving", "none")
_MOST = 1_000_000


def check_count(what: str, value: object, least: int) -> None:
    """Refuse what is no whole number from `least` to a million."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= _MOST:
        raise InputError(f"{what} must be a whole number from {least} to {_MOST}", value)


@dataclass(frozen=True)
class Range:
    """The values searched for one parameter.

    Args:
        name: the parameter, ``"epsilon"``, in every candidate that has it; or ``"srelu.t"``, in that base alone.
        low: lower end.
        high: upper end, above `low`.
        log: whether values are drawn evenly in their logarithm; `low` is then positive.
        learnable: whether training moves the parameter on from the searched value; None keeps what the activation says.
    """

    name: str
    low: float
    high: float
    log: bool = False
    learnable: bool | None = None

    def __post_init__(self) -> None:
        for end in ("low", "high"):
            value = getattr(self, end)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise InputError(f"{end} of {self.name} must be a finite number", value)
            object.__setattr__(self, end, float(value))
        if not math.isfinite(self.high - self.low):
            raise InputError(
                f"the range of {self.name} must have a finite width",
                f"low = {self.low:g}, high = {self.high:g}",
            )
        if not self.low < self.high:
            raise InputError(
                f"low of {self.name} must be below its high", f"low = {self.low:g}, high = {self.high:g}"
            )
        if not isinstance(self.log, bool):
            raise InputError(f"log of {self.name} must be true or false", self.log)
        if self.log and self.low <= 0:
            raise InputError(f"low of {self.name} must be positive where log is true", self.low)
        if self.learnable not in (True, False, None):
            raise InputError(f"learnable of {self.name} must be true or false", self.learnable)


@dataclass(frozen=True)
class Space:
    """What is searched: bases × laws × parameter ranges, and formulas of a grammar.

    Args:
        bases: activations, as `eafo.get` reads them; none only where there is a grammar.
        laws: input laws whose correction is added to the base, as `eafo.laws.get` reads them; ``"none"``: no correction.
        scale_free: whether a correction lowers the scale-free entropy H − log σ in place of H; both ways where both are given.
        orders: the highest odd order of the Hermite functions that stand in where a correction has no closed form, each in turn; where none
            is given, 15.
        parameters: the ranges.
        rates: learning rates, in times the recipe's, of which each trial tries one; none for the setting's.
        per_channel: whether learnable parameters have a value a channel: false, true or both; none for the setting's.
        saved: what activations without learnable parameters keep for backward: ``"x"``, ``"code"`` or both; none for the setting's.
        grammar: what formulas are made of, one more base; None for none.
        filters: what a candidate must be before it is trained; None for nothing, where there is no grammar.
    """

    bases: tuple[str, ...] = ()
    laws: tuple[str, ...] = ("none",)
    scale_free: tuple[bool, ...] = (False,)
    orders: tuple[int, ...] = ()
    parameters: tuple[Range, ...] = ()
    rates: tuple[float, ...] = ()
    per_channel: tuple[bool, ...] = ()
    saved: tuple[str, ...] = ()
    grammar: Grammar | None = None
    filters: Filters | None = None

    def __post_init__(self) -> None:
        for key in ("bases", "laws"):
            values = getattr(self, key)
            none = not values and not (key == "bases" and self.grammar)
            if none or not all(isinstance(v, str) and v for v in values):
                raise InputError(f"{key} must be a list of texts, one at least", list(values))
            if len(set(values)) != len(values):
                raise InputError(f"{key} must be given once each", ", ".join(values))
        if self.scale_free not in ((False,), (True,), (False, True), (True, False)):
            raise InputError("scale_free must be a list of false, true or both", list(self.scale_free))
        for order in self.orders:
            check_count("the orders of a correction", order, 1)
            if order % 2 == 0:
                raise InputError("the orders of a correction must be odd", order)
        if len(set(self.orders)) != len(self.orders):
            raise InputError("the orders of a correction must be given once each", list(self.orders))
        for name, options in self.choices.items():
            for option in options:
                Setting(**{name: option})
            if len(set(options)) != len(options):
                raise InputError(f"each {name} of a space must be given once", list(options))
        if self.grammar is not None and self.filters is None:
            object.__setattr__(self, "filters", Filters())

    @property
    def choices(self) -> dict[str, tuple[Any, ...]]:
        """What each trial chooses of how it is trained, by its name in `eafo.tasks.Setting`.

        >>> Space(("relu",), rates=(0.5, 1.0)).choices
        {'rate': (0.5, 1.0)}
        """
        found = {"rate": self.rates, "per_channel": self.per_channel, "saved": self.saved}
        return {name: options for name, options in found.items() if options}


@dataclass(frozen=True)
class SamplerPlan:
    """Who proposes candidates: ``"tpe"``, ``"evolution"`` (crossing and mutating the best) or ``"random"``, with a seed."""

    name: str = "tpe"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.name not in _SAMPLERS:
            raise InputError(f"the sampler must be one of {', '.join(_SAMPLERS)}", self.name)
        check_count("the sampler's seed", self.seed, 0)


@dataclass(frozen=True)
class PrunerPlan:
    """When a candidate is given up before its last seed.

    Args:
        name: ``"median"``: when the best of its means so far is below the median of the others' means at as many seeds
            (Optuna's rule); ``"halving"``: when it is not among the best of its rung, one in `factor` (asynchronous successive
            halving, Li et al., 2020); or ``"none"``.
        startup: how many trials are left alone at first; for the median.
        warmup: how many seeds of each trial are left alone; for the median.
        factor: of halving, from 2.
    """

    name: str = "median"
    startup: int = 5
    warmup: int = 1
    factor: int = 3

    def __post_init__(self) -> None:
        if self.name not in _PRUNERS:
            raise InputError(f"the pruner must be one of {', '.join(_PRUNERS)}", self.name)
        check_count("the pruner's startup", self.startup, 0)
        check_count("the pruner's warmup", self.warmup, 0)
        check_count("the pruner's factor", self.factor, 2)


@dataclass(frozen=True)
class SurrogatePlan:
    """Whether candidates are measured before any training, and which of them are then trained.

    Args:
        pool: so many candidates are asked at a time, and the one that the surrogate predicts best is trained; 1: all are.
        startup: how many candidates must have been trained before the surrogate may be trusted.
    """

    pool: int = 4
    startup: int = 10

    def __post_init__(self) -> None:
        check_count("the surrogate's pool", self.pool, 1)
        check_count("the surrogate's startup", self.startup, 4)
