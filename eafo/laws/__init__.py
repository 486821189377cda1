"""Input laws: the distribution of a layer's pre-activation, in closed form or in numbers."""

from eafo.laws.densities import from_density
from eafo.laws.law import Law
from eafo.laws.mixtures import mixture
from eafo.laws.numeric import Numbers
from eafo.laws.reading import LawLike, get, names

__all__ = ["Law", "LawLike", "Numbers", "from_density", "get", "mixture", "names"]
