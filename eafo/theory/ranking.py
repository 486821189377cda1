"""A ranking of activations by the entropy of their output, at a resolution, which alone compares them all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eafo import catalog, laws
from eafo.activation import Activation
from eafo.catalog import ActivationLike
from eafo.errors import InputError, MissingDependencyError
from eafo.laws import LawLike
from eafo.theory import entropy
from eafo.theory.entropy import Entropy

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Ranked", "Ranking", "rank"]

#: Entropies that differ by less share a place: it is the quadrature's rounding.
_EQUAL = 1e-8


@dataclass(frozen=True)
class Ranked:
    """An activation in its places; the first place has the lowest entropy.

    Args:
        activation: the activation.
        entropy: the entropy of its output at the resolution, in nats; `scale_free` is the same for every multiple of it.
        place: from 1, by H_δ; None where it is not known.
        scale_free_place: from 1, by H_δ − log of the scale; None where it is not known.
    """

    activation: Activation
    entropy: Entropy
    place: int | None
    scale_free_place: int | None

    @property
    def note(self) -> str:
        """The values that the output takes with a positive probability, and where it has no scale."""
        atoms = sorted(self.entropy.atoms, key=lambda a: -a.probability)
        parts = [f"{a.probability:.3g} at {a.value + 0.0:.4g}" for a in atoms[:3]]
        if len(atoms) > 3:
            parts.append(f"and {len(atoms) - 3} more")
        if not math.isfinite(self.entropy.scale_free):
            parts.append("no scale")
        return ", ".join(parts)


@dataclass(frozen=True)
class Ranking:
    """Activations by the entropy H_δ of their output, the lowest first.

    Args:
        law: the input law, as text.
        resolution: δ as it was asked for: a format's name, or a step.
        rows: by H_δ, ascending.
    """

    law: str
    resolution: str | float
    rows: tuple[Ranked, ...]

    def scale_free(self) -> tuple[Ranked, ...]:
        """The rows by H_δ − log of the scale, which no rescaling of the output changes, ascending."""
        return tuple(sorted(self.rows, key=lambda row: _key(row.entropy.scale_free)))

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "law": self.law,
            "resolution": self.resolution,
            "rows": [_plain(row) for row in self.rows],
        }

    def frame(self) -> pd.DataFrame:
        """A table with a row for each activation (needs pandas).

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        try:
            import pandas as pd  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise MissingDependencyError(
                "a frame needs pandas", remedy='pip install "eafo[frame]"'
            ) from error
        return pd.DataFrame([_plain(row) | {"atoms": row.note} for row in self.rows])


def rank(
    law: LawLike = "normal",
    resolution: str | float = "bf16",
    activations: Iterable[ActivationLike] | None = None,
) -> Ranking:
    """Rank activations by the entropy of their output, read at a resolution δ.

    By the argument of Sun et al. 2024 the activation of less entropy is the better one; `notebooks/entropy_and_accuracy.ipynb`
    holds that against measurements.

    Args:
        law: any form of a law of the input.
        resolution: δ > 0 in units of the output; or ``"bf16"``, ``"fp16"``, ``"fp8"``: the step of that format at 1, times
            the output's scale.
        activations: any forms of activations; all of the catalog where not given.

    Raises:
        InputError: no activation, an activation given twice, an unknown name, a resolution that is not positive.

    >>> [row.activation.name for row in rank("normal", 0.01, ["identity", "tanh", "relu"]).rows]
    ['relu', 'tanh', 'identity']
    """
    input_law = laws.get(law)
    if isinstance(activations, str):
        raise InputError("activations must be a list", activations, f"write [{activations!r}]")
    chosen = [catalog.get(a) for a in (catalog.names() if activations is None else activations)]
    if not chosen:
        raise InputError("a ranking needs at least one activation", "none")
    for i, act in enumerate(chosen):
        if any((act.expression, act.parameters) == (b.expression, b.parameters) for b in chosen[:i]):
            raise InputError("the activations of a ranking must differ", act.name, "give each one once")
    found = [(act, entropy.of(act, input_law, resolution=resolution)) for act in chosen]
    places, shapes = _places(found, lambda e: e.value), _places(found, lambda e: e.scale_free)
    rows = [Ranked(a, e, places[i], shapes[i]) for i, (a, e) in enumerate(found)]
    return Ranking(str(input_law), resolution, tuple(sorted(rows, key=lambda row: _key(row.entropy.value))))


def _key(value: float) -> tuple[bool, float]:
    """What is not known comes last."""
    return math.isnan(value), value


def _places(found: list[tuple[Activation, Entropy]], measure: Callable[[Entropy], float]) -> list[int | None]:
    values = [measure(e) for _, e in found]
    return [None if math.isnan(v) else 1 + sum(w < v - _EQUAL for w in values) for v in values]


def _plain(row: Ranked) -> dict[str, Any]:
    e = row.entropy
    return {
        "activation": row.activation.name,
        "formula": str(row.activation),
        "place": row.place,
        "entropy": e.value,
        "error": e.error,
        "scale_free_place": row.scale_free_place,
        "scale_free": e.scale_free,
        "resolution": e.resolution,
        "scale": e.scale,
        "kind": e.kind,
        "atoms": [{"value": a.value, "probability": a.probability} for a in e.atoms],
    }
