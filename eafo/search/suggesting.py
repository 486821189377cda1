"""What a trial tries: an activation, and how it is trained; chosen through Optuna, define by run."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from eafo import catalog
from eafo.activation import Activation
from eafo.search.filters import fingerprint
from eafo.search.records import ACTIVATION, BASE, FORMULA, LAW, trained_in
from eafo.tasks import Setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    import optuna

    from eafo.search.plan import Plan
    from eafo.search.space import Candidate

__all__ = ["Key", "Proposal", "Suggester"]

#: An activation in JSON, and how it is trained.
Key = tuple[str, Setting]


@dataclass(frozen=True)
class Proposal:
    """What a trial tries. Two that are equal are one and the same training.

    Args:
        activation: what is trained.
        setting: how.
    """

    activation: Activation
    setting: Setting

    @functools.cached_property
    def key(self) -> Key:
        """What tells it from others; cheaper to compare than the activation."""
        return self.activation.to_json(), self.setting


@functools.lru_cache(maxsize=4096)
def _in_order(text: str) -> Activation:
    """Named by its formula as SymPy has put it in order, not as the operators stand."""
    return catalog.get(str(catalog.get(text)))


class Suggester:
    """Asks the sampler for what a trial tries: base, law, then what this candidate has; or a formula's operators.

    Args:
        plan: what is searched.
        candidates: the plan's bases × laws.
    """

    def __init__(self, plan: Plan, candidates: Sequence[Candidate]) -> None:
        self._plan = plan
        self._candidates = {(c.base, c.law): c for c in candidates}
        self._same: dict[tuple[float, ...], Activation] = {}

    def suggest(self, trial: optuna.Trial) -> Proposal:
        """What the trial tries.

        Raises:
            EafoError: a composed formula that is none.
        """
        activation = self._suggest(trial)
        changes: dict[str, Any] = {}
        for name, options in self._plan.space.choices.items():
            # Without a learnable parameter there is none to have a value a channel; with one there is no code.
            if name == "rate" or (name == "per_channel") == bool(activation.learnable):
                changes[name] = trial.suggest_categorical(name, options)
        return Proposal(activation, replace(self._plan.setting, **changes))

    def recall(self, trial: optuna.trial.FrozenTrial) -> Proposal | None:
        """What an earlier trial tried; None where it did not get that far."""
        text = trial.user_attrs.get(ACTIVATION)
        if text is None:
            return None
        activation = Activation.from_json(str(text))
        if trial.params.get(BASE) == FORMULA:
            self._first_of_its_kind(activation)
        return Proposal(activation, trained_in(self._plan.setting, trial.params))

    def _suggest(self, trial: optuna.Trial) -> Activation:
        grammar = self._plan.space.grammar
        bases = [*dict.fromkeys(base for base, _ in self._candidates), *([FORMULA] if grammar else [])]
        base = str(trial.suggest_categorical(BASE, bases))
        if grammar is not None and base == FORMULA:
            chosen = {n: str(trial.suggest_categorical(n, options)) for n, options in grammar.choices.items()}
            return self._first_of_its_kind(_in_order(grammar.text(chosen.__getitem__)))
        laws = list(dict.fromkeys(law for _, law in self._candidates))
        law = str(trial.suggest_categorical(LAW, laws))
        candidate = self._candidates[base, law]
        return candidate.with_values(
            {r.name: trial.suggest_float(r.name, r.low, r.high, log=r.log) for _, r in candidate.ranges}
        )

    def _first_of_its_kind(self, activation: Activation) -> Activation:
        """The formula that was found first for a function, by its values: another one gets the scores of that."""
        return self._same.setdefault(fingerprint(activation), activation)
