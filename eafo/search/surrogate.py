"""A surrogate of training: what a candidate would score, by the candidates that are most like it.

Like are those of like features (`eafo.search.features`) and of a like curve, as in the search of Bingham and Miikkulainen (Efficient
activation function optimization through surrogate modeling, NeurIPS 2023), which also predicts by nearest neighbours from the spectrum of
the Fisher information and the outputs.

Trusted is a surrogate that has earned it: once enough candidates have been trained, and while what it would have predicted of each from the others orders
them as their scores do. Optuna's samplers hold what they proposed and was not trained for bad; where nothing was known of it, that
would drive them away from good candidates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from optuna.trial import TrialState
from scipy.spatial.distance import cdist
from scipy.stats import kendalltau, norm

from eafo.errors import EafoError
from eafo.search.records import FEATURES, PREDICTED, read_features

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import optuna

    from eafo.activation import Activation
    from eafo.search.plan import Plan
    from eafo.search.suggesting import Key, Proposal
    from eafo.tasks import Outcome

__all__ = ["PASSED_OVER", "Chooser", "Surrogate"]

FloatArray = npt.NDArray[np.float64]

#: How the reason begins of a candidate that was not chosen.
PASSED_OVER = "passed over: "

_NEIGHBOURS = 3
_LEVEL = 0.05
#: Quantiles of the normal law, none of them 0, where a formula may have a pole.
_POINTS = norm.ppf((np.arange(32) + 0.5) / 32)
#: Added to a distance: what lies at 0 weighs all.
_NEAR = 1e-9


@dataclass(frozen=True, eq=False)
class _Point:
    """A candidate as the surrogate sees it."""

    features: FloatArray
    curve: FloatArray

    @classmethod
    def of(cls, activation: Activation, features: Mapping[str, float]) -> _Point:
        with np.errstate(all="ignore"):
            curve = np.broadcast_to(np.asarray(activation(_POINTS), np.float64), _POINTS.shape)
        limited = np.clip(np.nan_to_num(curve), -1e6, 1e6)
        return cls(np.array([features[name] for name in sorted(features)]), limited)


class Surrogate:
    """Predicts scores by the three nearest neighbours, weighted by the inverse of their distance.

    The squared distance is the mean square difference of the features plus that of the curves' values at 32 quantiles of the
    normal law, each first divided by its deviation over the candidates that are known.

    Args:
        startup: how many candidates must be known before it is trusted.
    """

    def __init__(self, startup: int) -> None:
        self._startup = startup
        self._points: dict[object, _Point] = {}
        self._scores: dict[object, float] = {}

    def learn(self, activation: Activation, features: Mapping[str, float], score: float) -> None:
        """Take note of a candidate that was trained; of the same one again, that its score is now another."""
        # One activation may be trained in several ways, which its features then tell.
        key = activation.to_json(), tuple(sorted(features.items()))
        self._points[key] = _Point.of(activation, features)
        self._scores[key] = score

    @property
    def trusted(self) -> bool:
        """Whether each score, predicted from all others, has a Kendall τ above 0 with it, at 5 %."""
        if len(self._scores) < max(self._startup, _NEIGHBOURS + 1):
            return False
        predicted, scores = self.left_out(), np.array(list(self._scores.values()))
        if np.ptp(predicted) == 0 or np.ptp(scores) == 0:
            return False
        return bool(kendalltau(predicted, scores, alternative="greater").pvalue < _LEVEL)

    def left_out(self) -> FloatArray:
        """What it would predict of each known candidate from the others, four at least, in the order in which they became known."""
        distances = self._distances(list(self._points.values()))
        np.fill_diagonal(distances, np.inf)
        return _nearest(distances, np.array(list(self._scores.values())))

    def predict(self, activation: Activation, features: Mapping[str, float]) -> float:
        """The score that a candidate may be expected to have; one that is known has its own."""
        distances = self._distances([_Point.of(activation, features)])
        return float(_nearest(distances, np.array(list(self._scores.values())))[0])

    def _distances(self, points: Sequence[_Point]) -> FloatArray:
        """From each of these to each that is known."""
        squared = np.zeros((len(points), len(self._points)))
        for block in ("features", "curve"):
            known = np.stack([getattr(p, block) for p in self._points.values()])
            asked = np.stack([getattr(p, block) for p in points])
            deviation = known.std(axis=0)
            told = deviation > 0
            if told.any():
                first, second = asked[:, told] / deviation[told], known[:, told] / deviation[told]
                squared += cdist(first, second, "sqeuclidean") / told.sum()
        return np.sqrt(squared)


def _nearest(distances: FloatArray, scores: FloatArray) -> FloatArray:
    chosen = np.argsort(distances, axis=1, kind="stable")[:, :_NEIGHBOURS]
    weights = 1 / (np.take_along_axis(distances, chosen, axis=1) + _NEAR)
    return np.asarray((weights * scores[chosen]).sum(axis=1) / weights.sum(axis=1))


class Chooser:
    """Measures candidates, stores what it finds with their trials, and says which of a pool is worth training.

    Args:
        plan: one that has a surrogate.
        pool: how many candidates are asked at a time.
        startup: how many must have been trained before the surrogate is trusted.
    """

    def __init__(self, plan: Plan, pool: int, startup: int) -> None:
        self._plan, self._pool = plan, pool
        self._surrogate = Surrogate(startup)
        self._seen: dict[Key, dict[str, float]] = {}
        self._stored: set[int] = set()

    @property
    def pool(self) -> int:
        """How many candidates are to be asked now: one alone, while the surrogate is not trusted."""
        return self._pool if self._pool > 1 and self._surrogate.trusted else 1

    def recall(
        self,
        trial: optuna.trial.FrozenTrial,
        proposal: Proposal,
        outcomes: Mapping[tuple[int, int], Outcome],
    ) -> None:
        """Learn from a trial of an earlier run."""
        if FEATURES in trial.user_attrs:
            self._seen[proposal.key] = read_features(trial.user_attrs)
            self._stored.add(trial.number)
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
            self.learn(proposal, outcomes)

    def look(self, trial: optuna.Trial, proposal: Proposal) -> None:
        """Measure a candidate, once, and store its features with the trial; where it has none, an empty table."""
        from eafo.search.features import features  # noqa: PLC0415 - loads torch, which a driver does not need otherwise

        key = proposal.key
        if trial.number in self._stored:
            return
        if key not in self._seen:
            try:
                plan = self._plan
                # What a trial chooses of its setting does not change the first batch.
                found = features(proposal.activation, plan.task, plan.first_seed, plan.setting)
                self._seen[key] = found | self._chosen(proposal)
            except EafoError:
                # Training tells why, if it comes to that.
                self._seen[key] = {}
        trial.set_user_attr(FEATURES, self._seen[key])
        self._stored.add(trial.number)

    def _chosen(self, proposal: Proposal) -> dict[str, float]:
        """What a trial chose of its setting, as numbers."""
        setting = proposal.setting
        known = {
            "rate": math.log10(setting.rate),
            "per_channel": float(setting.per_channel),
            "saved": float(setting.saved == "code"),
        }
        return {f"setting.{name}": known[name] for name in self._plan.space.choices}

    def learn(self, proposal: Proposal, outcomes: Mapping[tuple[int, int], Outcome]) -> None:
        """Take note of a trial that has ended, with its outcomes by epochs and seed.

        What counts is the mean score; with a ladder that of its first rung, for all that was trained has it, not the best alone.
        """
        units = self._plan.units[:1] if self._plan.ladder else self._plan.units
        scores = [outcomes[unit].score for unit in units if unit in outcomes]
        found = self._seen.get(proposal.key)
        if found and scores:
            self._surrogate.learn(proposal.activation, found, float(np.mean(scores)))

    def choose(self, pool: Sequence[tuple[optuna.Trial, Proposal]]) -> tuple[int, tuple[str, ...]]:
        """The place of the candidate that is predicted best, the first of equals; and why each other one is passed over.

        What it is expected to score is stored with the one that is chosen out of several.
        """
        if len(pool) == 1:
            return 0, ("",)
        seen = [(p.activation, self._seen[p.key]) for _, p in pool]
        expected = [self._surrogate.predict(a, found) if found else -np.inf for a, found in seen]
        best = int(np.argmax(expected))
        winner = pool[best][0]
        if np.isfinite(expected[best]):
            winner.set_user_attr(PREDICTED, expected[best])
        reasons = [
            f"{PASSED_OVER}predicted {value:.2f}, trial {winner.number} {expected[best]:.2f}"
            if np.isfinite(value)
            else f"{PASSED_OVER}its features cannot be measured"
            for value in expected
        ]
        reasons[best] = ""
        return best, tuple(reasons)
