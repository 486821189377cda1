"""All pairs of a comparison's arms: differences with intervals, and p-values corrected for their number."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eafo.search.testing import Difference, difference, holm, pairing_helps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eafo.search.results import Comparison

__all__ = ["Contrast", "contrasts_of"]


@dataclass(frozen=True)
class Contrast:
    """Two arms of a comparison.

    Args:
        ahead: the place of the one with the higher mean, among the comparison's arms.
        behind: the place of the other.
        difference: the first minus the second.
        p_value: two-sided, corrected by Holm for all pairs.
    """

    ahead: int
    behind: int
    difference: Difference
    p_value: float


def contrasts_of(comparison: Comparison) -> tuple[Contrast, ...]:
    """Every pair of arms that finished all their seeds, at least two; the surest first.

    Seed by seed where a seed is measured to move all arms alike (`eafo.search.testing.pairing_helps`), else by Welch's test.

    >>> from eafo.search import Arm
    >>> from eafo.tasks import Outcome
    >>> arms = (Arm(None, tuple(Outcome(s, v + s) for s in range(3))) for v in (1.0, 5.0))
    >>> from eafo.search import Comparison
    >>> [(c.ahead, c.behind, c.difference.mean) for c in contrasts_of(Comparison("t", 1, (0, 1, 2), tuple(arms)))]
    [(1, 0, 4.0)]
    """
    scores: dict[int, Sequence[float]] = {
        i: [o.score for o in arm.outcomes]
        for i, arm in enumerate(comparison.arms)
        if not arm.failures and len(arm.outcomes) == len(comparison.seeds) > 1
    }
    paired = pairing_helps(list(scores.values()))
    found = []
    for one, other in itertools.combinations(scores, 2):
        means = [sum(scores[i]) for i in (one, other)]
        ahead, behind = (one, other) if means[0] >= means[1] else (other, one)
        found.append((ahead, behind, difference(scores[ahead], scores[behind], paired=paired)))
    corrected = holm([d.two_sided for _, _, d in found])
    made = [Contrast(a, b, d, p) for (a, b, d), p in zip(found, corrected, strict=True)]
    return tuple(sorted(made, key=lambda c: (c.p_value, -c.difference.mean)))
