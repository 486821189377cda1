"""Searches and comparisons: which trials to run, and what they prove."""

from __future__ import annotations

from eafo.search.plan import Plan
from eafo.search.results import Arm, Comparison, Study, TrialResult
from eafo.search.statistics import Estimate

__all__ = ["Arm", "Comparison", "Estimate", "Plan", "Study", "TrialResult"]
