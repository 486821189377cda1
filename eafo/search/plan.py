"""Plans: what a search is asked to do, read from TOML, every key and number checked."""

from __future__ import annotations

import difflib
import itertools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from eafo import tasks
from eafo.errors import InputError
from eafo.search.cost import OBJECTIVES
from eafo.search.filters import Filters
from eafo.search.grammar import Grammar
from eafo.search.parts import PrunerPlan, Range, SamplerPlan, Space, SurrogatePlan, check_count
from eafo.tasks import Setting

__all__ = ["Plan"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Plan:
    """A search: which candidates, on which task, how many trials and seeds.

    Args:
        name: the study's name and its file's; letters, digits, ``_ . -``, at most 64.
        task: a task's name, or ``"module:object"``.
        epochs: the length of each training.
        trials: the total number of trials of the study, resumed runs included.
        seeds: how many seeds each candidate is trained with.
        space: what is searched.
        first_seed: the first of these seeds.
        sampler: who proposes.
        pruner: who gives up early.
        setting: on what trainings run, and what they keep.
        ladder: the epochs of shorter trainings, rising, by which the pruner may give a candidate up before its whole ones.
        surrogate: whether candidates are measured before any training; None for not.
        objectives: ``"score"`` first; then what is to be small beside it: ``"time"``, ``"cost"``, ``"memory"``; see
            `eafo.search.cost.objective`. With several, no candidate is given up early and none passed over: the pruner is
            ``"none"``, as it is in a plan's file that says nothing of it.

    Raises:
        InputError: a value breaks its rule.
    """

    name: str
    task: str
    epochs: int
    trials: int
    seeds: int
    space: Space
    first_seed: int = 0
    sampler: SamplerPlan = field(default_factory=SamplerPlan)
    pruner: PrunerPlan = field(default_factory=PrunerPlan)
    setting: Setting = field(default_factory=Setting)
    ladder: tuple[int, ...] = ()
    surrogate: SurrogatePlan | None = None
    objectives: tuple[str, ...] = ("score",)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise InputError("a plan's name must be letters, digits, _ . - (at most 64)", self.name)
        self._check_setting()
        check_count("epochs", self.epochs, 1)
        check_count("trials", self.trials, 1)
        check_count("seeds", self.seeds, 1)
        check_count("first_seed", self.first_seed, 0)
        for epochs in self.ladder:
            check_count("the epochs of a ladder", epochs, 1)
        if any(a >= b for a, b in itertools.pairwise((*self.ladder, self.epochs))):
            raise InputError(
                "the epochs of a ladder must rise, to below those of a training", list(self.ladder)
            )
        if self.surrogate is not None and not hasattr(tasks.get(self.task), "problem"):
            raise InputError(
                "a surrogate needs a task with the method problem(setting)",
                self.task,
                "leave out [surrogate]",
            )
        self._check_objectives()

    def _check_setting(self) -> None:
        """The task must take the setting, and that of every trial."""
        task = tasks.get(self.task)
        tasks.check(task, self.setting)
        for name, options in self.space.choices.items():
            fixed = getattr(self.setting, name)
            if fixed != getattr(Setting(), name):
                raise InputError(
                    f"{name} is fixed by [setting] or chosen by [space], not both", fixed, "leave one out"
                )
            for option in options:
                tasks.check(task, replace(self.setting, **{name: option}))

    def _check_objectives(self) -> None:
        first, *others = self.objectives or ("",)
        if first != "score" or any(o not in OBJECTIVES for o in others) or len(set(others)) != len(others):
            raise InputError(
                f"the objectives must be score, then any of {', '.join(OBJECTIVES)}, each once",
                list(self.objectives),
            )
        if not others:
            return
        early = [
            what
            for what, given in (
                ("a pruner", self.pruner.name != "none"),
                ("a ladder", self.ladder),
                ("a surrogate", self.surrogate),
            )
            if given
        ]
        if early:
            raise InputError(
                "with several objectives no candidate can be told bad by its score alone",
                " and ".join(early),
                "leave out that, or the further objectives",
            )

    @property
    def directions(self) -> list[Literal["maximize", "minimize"]]:
        """What becomes of each objective: Optuna's ``"maximize"`` for the score, ``"minimize"`` for all others."""
        others: list[Literal["maximize", "minimize"]] = ["minimize"] * (len(self.objectives) - 1)
        return ["maximize", *others]

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The seeds, in the order in which they are run."""
        return tuple(range(self.first_seed, self.first_seed + self.seeds))

    @property
    def units(self) -> tuple[tuple[int, int], ...]:
        """The trainings of a candidate as (epochs, seed), in the order in which they are run: up the ladder, then every seed."""
        climbed = [(epochs, self.first_seed) for epochs in self.ladder]
        return (*climbed, *((self.epochs, seed) for seed in self.all_seeds))

    def step(self, unit: int) -> int:
        """The step at which the pruner sees a unit: a power of its factor for each rung, so that each is one of its own."""
        rungs = len(self.ladder)
        return self.pruner.factor**unit if unit < rungs else self.pruner.factor**rungs + unit - rungs

    def with_trials(self, trials: int) -> Plan:
        """The same plan with another number of trials."""
        return replace(self, trials=trials)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values, in the form of the TOML file; `from_dict` reads them back to an equal Plan."""
        values = asdict(self)
        ranges = {
            r.pop("name"): {k: v for k, v in r.items() if v is not None}
            for r in values["space"]["parameters"]
        }
        space: dict[str, Any] = {
            "bases": list(self.space.bases),
            "laws": list(self.space.laws),
            "scale_free": list(self.space.scale_free),
            "orders": list(self.space.orders),
            "parameters": ranges,
            "rates": list(self.space.rates),
            "per_channel": list(self.space.per_channel),
            "saved": list(self.space.saved),
        }
        if self.space.grammar is not None:
            space["grammar"] = self.space.grammar.to_dict()
        if self.space.filters is not None:
            space["filters"] = asdict(self.space.filters)
        if self.surrogate is None:
            del values["surrogate"]
        lists = {"ladder": list(self.ladder), "objectives": list(self.objectives)}
        return {**values, "space": space, "setting": self.setting.to_dict(), **lists}

    @classmethod
    def from_toml(cls, path: str | Path) -> Plan:
        """Read a plan from a TOML file.

        Raises:
            InputError: no such file, no TOML, an unknown key or a wrong value; the message names the file.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8"
            raise InputError(f"a plan must be a readable TOML file ({reason})", str(path)) from error
        return cls.from_text(text, str(path))

    @classmethod
    def from_text(cls, text: str, source: str = "the plan") -> Plan:
        """Read a plan from TOML text; `source` is what messages call it."""
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"{source} must be well-formed TOML", str(error)) from error
        return cls.from_dict(values, source)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str = "the plan") -> Plan:
        """Read a plan from a dictionary in the form of the TOML file.

        >>> plan = Plan.from_dict({"name": "p", "task": "mnist1d", "budget": "tiny", "trials": 4, "seeds": 2,
        ...                        "space": {"bases": ["srelu"], "parameters": {"t": {"low": 1, "high": 3}}}})
        >>> plan.epochs, plan.space.parameters[0].high, Plan.from_dict(plan.to_dict()) == plan
        (2, 3.0, True)
        """
        try:
            return _plan(values)
        except InputError as error:
            if source == "the plan":
                raise
            value = {"value": error.value} if error.has_value else {}
            raise type(error)(f"{source}: {error.rule}", **value, remedy=error.remedy) from error


def _plan(values: Mapping[str, Any]) -> Plan:
    known = [f.name for f in fields(Plan)]
    given = _table(values, "a plan", [*known, "budget"], ("name", "task", "trials", "seeds", "space"))
    given["space"] = _space(given["space"])
    for key, what in (
        ("ladder", "a ladder must be a list of epochs"),
        ("objectives", "objectives must be a list of texts"),
    ):
        if key in given:
            if not isinstance(given[key], list | tuple):
                raise InputError(what, given[key])
            given[key] = tuple(given[key])
    kinds = {"sampler": SamplerPlan, "pruner": PrunerPlan, "surrogate": SurrogatePlan, "setting": Setting}
    for key, kind in kinds.items():
        if key in given:
            given[key] = kind(**_table(given[key], f"[{key}]", [f.name for f in fields(kind)]))
    if len(given.get("objectives", ())) > 1 and "pruner" not in given:
        given["pruner"] = PrunerPlan("none")
    budget = given.pop("budget", None)
    if (budget is None) == ("epochs" not in given):
        raise InputError("a plan must say how long a training is, by epochs or by budget, not both")
    if budget is not None:
        given["epochs"], examples = tasks.length(tasks.get(given["task"]), budget)
        given["setting"] = given.get("setting", Setting()).with_examples(examples)
    return Plan(**given)


def _space(values: Any) -> Space:
    required = () if isinstance(values, Mapping) and "grammar" in values else ("bases",)
    given = _table(values, "[space]", [f.name for f in fields(Space)], required)
    keys = [f.name for f in fields(Range) if f.name != "name"]
    for key, what in (
        ("bases", "texts, one at least"),
        ("laws", "texts, one at least"),
        ("scale_free", "false, true or both"),
        ("orders", "odd numbers"),
        ("rates", "positive numbers"),
        ("per_channel", "false, true or both"),
        ("saved", "x, code or both"),
    ):
        if key in given:
            if not isinstance(given[key], list | tuple):
                raise InputError(f"{key} must be a list of {what}", given[key])
            given[key] = tuple(given[key])
    if "grammar" in given:
        table = _table(given["grammar"], "[space.grammar]", [f.name for f in fields(Grammar)])
        lists: dict[str, Any] = {k: tuple(v) if isinstance(v, list | tuple) else v for k, v in table.items()}
        given["grammar"] = Grammar(**lists)
    if "filters" in given:
        given["filters"] = Filters(
            **_table(given["filters"], "[space.filters]", [f.name for f in fields(Filters)])
        )
    ranges = []
    for name, entry in _table(given.pop("parameters", {}), "[space.parameters]").items():
        ranges.append(Range(name, **_table(entry, f"[space.parameters.{name}]", keys, ("low", "high"))))
    return Space(**given, parameters=tuple(ranges))


def _table(
    values: Any, what: str, known: list[str] | None = None, required: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A table as a dictionary, its keys checked."""
    if not isinstance(values, Mapping):
        raise InputError(f"{what} must be a table", values)
    if known is not None:
        for key in values:
            if key not in known:
                close = difflib.get_close_matches(str(key), known, 1)
                hint = f"did you mean '{close[0]}'?" if close else ""
                raise InputError(f"the keys of {what} are: {', '.join(known)}", str(key), hint)
    for key in required:
        if key not in values:
            raise InputError(f"{what} must have the key '{key}'")
    return dict(values)
