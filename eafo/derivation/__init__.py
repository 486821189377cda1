"""Derivations: the theory run from an input law to a new activation, with every step kept."""

from __future__ import annotations

from eafo.derivation.bounding import wafbc
from eafo.derivation.correcting import derive
from eafo.derivation.record import Derivation, EntropyAt, Step

__all__ = ["Derivation", "EntropyAt", "Step", "derive", "wafbc"]
