"""eafo derives neural-network activation functions, compiles them and scores them honestly.

Every public name is loaded when first used: ``import eafo`` loads neither SymPy nor torch, Optuna or matplotlib.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eafo import kernels, laws, nn, report, search, tasks, theory
    from eafo.activation import Activation, Domain, Parameter
    from eafo.catalog import get, names
    from eafo.derivation import Derivation, derive, from_derivative, wafbc, worst_law
    from eafo.errors import EafoError
    from eafo.kernels import emit
    from eafo.laws import Law
    from eafo.theory.entropy import of as entropy
    from eafo.theory.properties import of as properties
    from eafo.theory.ranking import rank

__version__ = "0.1.0"

__all__ = [
    "Activation",
    "Derivation",
    "Domain",
    "EafoError",
    "Law",
    "Parameter",
    "derive",
    "emit",
    "entropy",
    "from_derivative",
    "get",
    "kernels",
    "laws",
    "names",
    "nn",
    "properties",
    "rank",
    "report",
    "search",
    "tasks",
    "theory",
    "wafbc",
    "worst_law",
]

_HOME = {
    "Activation": "eafo.activation",
    "Domain": "eafo.activation",
    "Parameter": "eafo.activation",
    "get": "eafo.catalog",
    "names": "eafo.catalog",
    "Derivation": "eafo.derivation",
    "derive": "eafo.derivation",
    "from_derivative": "eafo.derivation",
    "wafbc": "eafo.derivation",
    "worst_law": "eafo.derivation",
    "rank": "eafo.theory.ranking:rank",
    "EafoError": "eafo.errors",
    "emit": "eafo.kernels",
    "Law": "eafo.laws",
    "entropy": "eafo.theory.entropy:of",
    "properties": "eafo.theory.properties:of",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        module, _, attribute = _HOME[name].partition(":")
        return getattr(importlib.import_module(module), attribute or name)
    if name in __all__:
        return importlib.import_module(f"eafo.{name}")
    raise AttributeError(f"module 'eafo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
