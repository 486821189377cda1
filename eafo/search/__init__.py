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
    from eafo.search.confirmation import Confirmation, confirm
    from eafo.search.contrasts import Contrast, contrasts_of
    from eafo.search.null import NullDesign, NullResult, null_resampled, null_trained
    from eafo.search.plan import Plan
    from eafo.search.progress import Progress, RichProgress
    from eafo.search.results import Arm, Comparison, Study, TrialResult
    from eafo.search.statistics import Estimate
    from eafo.search.study import load, run
    from eafo.search.testing import Difference

__all__ = [
    "Arm",
    "Comparison",
    "Confirmation",
    "Contrast",
    "Difference",
    "Estimate",
    "NullDesign",
    "NullResult",
    "Plan",
    "Progress",
    "RichProgress",
    "Study",
    "TrialResult",
    "compare",
    "confirm",
    "contrasts_of",
    "load",
    "null_resampled",
    "null_trained",
    "run",
]

_HOME = {
    "Arm": "results",
    "Comparison": "results",
    "Confirmation": "confirmation",
    "Contrast": "contrasts",
    "Difference": "testing",
    "Estimate": "statistics",
    "NullDesign": "null",
    "NullResult": "null",
    "Plan": "plan",
    "Progress": "progress",
    "RichProgress": "progress",
    "Study": "results",
    "TrialResult": "results",
    "compare": "comparison",
    "confirm": "confirmation",
    "contrasts_of": "contrasts",
    "load": "study",
    "null_resampled": "null",
    "null_trained": "null",
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
