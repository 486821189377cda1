"""Searches and comparisons: which trials to run, and what they prove.

`run` drives a search from its plan, `load` reads one back, `compare` trains a fixed list of activations with many seeds.
Names are loaded when first used, so that a worker process does not load what only the driver needs.
"""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eafo.search.comparison import compare
    from eafo.search.plan import Plan
    from eafo.search.progress import Progress, RichProgress
    from eafo.search.results import Arm, Comparison, Study, TrialResult
    from eafo.search.statistics import Estimate
    from eafo.search.study import load, run

__all__ = [
    "Arm",
    "Comparison",
    "Estimate",
    "Plan",
    "Progress",
    "RichProgress",
    "Study",
    "TrialResult",
    "compare",
    "load",
    "run",
]

_HOME = {
    "Arm": "results",
    "Comparison": "results",
    "Estimate": "statistics",
    "Plan": "plan",
    "Progress": "progress",
    "RichProgress": "progress",
    "Study": "results",
    "TrialResult": "results",
    "compare": "comparison",
    "load": "study",
    "run": "study",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        with warnings.catch_warnings():
            # In a notebook without ipywidgets tqdm, which Optuna loads, warns of a bar that eafo never draws.
            warnings.filterwarnings("ignore", message="IProgress not found")
            return getattr(importlib.import_module(f"eafo.search.{_HOME[name]}"), name)
    raise AttributeError(f"module 'eafo.search' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
