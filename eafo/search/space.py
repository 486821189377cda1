"""The candidates of a search: bases × laws, each with the parameters searched in it."""

from __future__ import annotations

import difflib
import functools
import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eafo import catalog, laws
from eafo.derivation import derive
from eafo.errors import EafoError, InputError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eafo.activation import Activation
    from eafo.derivation import Derivation
    from eafo.search.parts import Range, Space

__all__ = ["NO_LAW", "Candidate", "candidates", "derived"]

#: In place of a law: the base itself, without a correction.
NO_LAW = "none"
_RESERVED = ("base", "law", "rate", "per_channel", "saved")


@dataclass(frozen=True)
class Candidate:
    """One base × law, before its parameters are chosen.

    Args:
        base: the base as the plan writes it.
        law: the law as the plan writes it, or ``"none"``; behind it, where it is not by default, how the correction is made.
        activation: the base with the law's correction.
        ranges: the parameters searched in it, as (parameter, range).
    """

    base: str
    law: str
    activation: Activation
    ranges: tuple[tuple[str, Range], ...]

    def with_values(self, values: Mapping[str, float]) -> Activation:
        """The activation at these values of its ranges, by the ranges' names.

        A searched value becomes the parameter's default, which is where training starts if it is learnable.
        """
        chosen = {parameter: values[r.name] for parameter, r in self.ranges}
        learnable = {p.name for p in self.activation.parameters if p.learnable}
        for parameter, r in self.ranges:
            if r.learnable is not None:
                (learnable.add if r.learnable else learnable.discard)(parameter)
        return self.activation.with_parameters(**chosen).with_learnable(*sorted(learnable))


def candidates(space: Space) -> tuple[Candidate, ...]:
    """All bases × laws × corrections of a space, in the order of the plan.

    Raises:
        InputError: an unknown base or law; a range for a parameter that no candidate has, or outside its domain.
        RefusedError: the derivation refuses a base × law; the message names the pair.
    """
    for law in space.laws:
        if law != NO_LAW:
            laws.get(law)
    ways = itertools.product(space.laws, space.scale_free, space.orders or (None,))
    # A base alone is one, however corrections are made.
    labels = dict.fromkeys(itertools.starmap(_label, ways))
    found = tuple(_candidate(base, label, space.parameters) for base in space.bases for label in labels)
    used = {r.name for candidate in found for _, r in candidate.ranges}
    for r in space.parameters:
        if r.name in _RESERVED:
            raise InputError(f"a searched parameter must not be called {', '.join(_RESERVED)}", r.name)
        if r.name not in used:
            raise _unknown_parameter(r.name, found)
    return found


def _unknown_parameter(name: str, found: tuple[Candidate, ...]) -> InputError:
    known = sorted({p.name for c in found for p in c.activation.parameters})
    close = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean '{close[0]}'?" if close else ""
    return InputError(
        f"a searched parameter must be one that a candidate has: {', '.join(known) or 'none'}", name, hint
    )


_LABEL = re.compile(r"(?P<law>.*?)(?P<free>, scale-free)?(?:, order (?P<order>\d+))?")


def _label(law: str, scale_free: bool, order: int | None) -> str:
    return law if law == NO_LAW else law + ", scale-free" * scale_free + (f", order {order}" if order else "")


def derived(base: str, label: str) -> Derivation:
    """The derivation behind a candidate with a correction.

    Args:
        base: the candidate's base.
        label: the candidate's law.

    >>> str(derived("relu", "normal, scale-free").base)
    'max(0, x)'
    """
    found = _LABEL.fullmatch(label)
    assert found is not None  # noqa: S101 - the law alone takes any text
    law, scale_free = found["law"], bool(found["free"])
    if found["order"] is None:
        return derive(base, law, scale_free=scale_free)
    return derive(base, law, scale_free=scale_free, orders=tuple(range(1, int(found["order"]) + 1, 2)))


@functools.lru_cache(maxsize=256)
def _activation(base: str, label: str) -> Activation:
    if label == NO_LAW:
        return catalog.get(base)
    try:
        return derived(base, label).activation
    except EafoError as error:
        raise RefusedError(
            f"the base {base} and the law {label} must have a correction, but: {error}"
        ) from error


def _candidate(base: str, label: str, ranges: tuple[Range, ...]) -> Candidate:
    activation = _activation(base, label)
    by_parameter: dict[str, Range] = {}
    # The name that singles out this base comes last and so wins over the one that holds for all.
    for r in sorted(ranges, key=lambda r: r.name.startswith(f"{base}.")):
        parameter = r.name.removeprefix(f"{base}.")
        domains = {p.name: p.domain for p in activation.parameters}
        if parameter not in domains:
            continue
        for end in (r.low, r.high):
            if not domains[parameter].contains(end):
                raise InputError(
                    f"{parameter} of {activation.name} must be searched within {domains[parameter]}", end
                )
        by_parameter[parameter] = r
    return Candidate(base, label, activation, tuple(by_parameter.items()))
