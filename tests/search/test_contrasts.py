"""All pairs of a comparison."""

from __future__ import annotations

from pathlib import Path

import pytest
from scipy import stats

from eafo.catalog import get
from eafo.search import Arm, Comparison, contrasts_of
from eafo.tasks import Outcome

RESULTS = Path(__file__).parents[2] / "search" / "results"


def test_those_of_the_published_protocol_are_scipys() -> None:
    comparison = Comparison.load(RESULTS / "compare_mnist_mlp.json")
    found = contrasts_of(comparison)
    assert len(found) == 10
    names = [arm.activation.name for arm in comparison.arms]
    scores = {n: [o.score for o in a.outcomes] for n, a in zip(names, comparison.arms, strict=True)}
    raw = {}
    for c in found:
        first, second = (scores[names[i]] for i in (c.ahead, c.behind))
        assert c.difference.mean >= 0
        right = (
            stats.ttest_rel(first, second)
            if c.difference.paired
            else stats.ttest_ind(first, second, equal_var=False)
        )
        assert c.difference.two_sided == pytest.approx(right.pvalue)
        raw[names[c.ahead], names[c.behind]] = right.pvalue, c.p_value
    ordered = sorted(raw.values())
    assert ordered[0][1] == pytest.approx(10 * ordered[0][0])
    assert [c.p_value for c in found] == sorted(c.p_value for c in found)


def test_arms_that_failed_are_left_out() -> None:
    outcomes = tuple(Outcome(s, float(s)) for s in (0, 1))
    whole, failed = Arm(get("relu"), outcomes), Arm(get("gelu"), outcomes[:1], ("seed 1: it diverged",))
    assert contrasts_of(Comparison("t", 1, (0, 1), (whole, failed))) == ()
    assert (
        contrasts_of(
            Comparison("t", 1, (0,), (Arm(get("relu"), outcomes[:1]), Arm(get("gelu"), outcomes[:1])))
        )
        == ()
    )
