"""Derivations: the theory run from an input law to a new activation, with every step kept."""

from __future__ import annotations

from eafo.derivation.bounding import wafbc
from eafo.derivation.correcting import derive
from eafo.derivation.designing import from_derivative
from eafo.derivation.record import Derivation, EntropyAt, Step
from eafo.theory.matching import worst_law

__all__ = ["Derivation", "EntropyAt", "Step", "derive", "from_derivative", "wafbc", "worst_law"]
