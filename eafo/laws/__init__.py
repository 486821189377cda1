"""Input laws: the distribution of a layer's pre-activation, in closed form or in numbers."""

from eafo.laws.densities import from_density
from eafo.laws.goodness import Fit
from eafo.laws.law import Law
from eafo.laws.measuring import measure
from eafo.laws.mixtures import mixture
from eafo.laws.numeric import Numbers
from eafo.laws.reading import FORMS, LawLike, get, names

__all__ = ["FORMS", "Fit", "Law", "LawLike", "Numbers", "from_density", "get", "measure", "mixture", "names"]
