from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from eafo.errors import InputError
from eafo.search.statistics import Estimate


@given(
    st.lists(st.floats(-100, 100).map(lambda v: round(v, 3)), min_size=2, max_size=20).filter(
        lambda v: len(set(v)) > 1
    )
)
def test_the_interval_is_students(scores: list[float]) -> None:
    estimate = Estimate.of(scores)
    low, high = stats.t.interval(0.95, len(scores) - 1, np.mean(scores), stats.sem(scores))
    assert estimate.low == pytest.approx(low, abs=1e-9)
    assert estimate.high == pytest.approx(high, abs=1e-9)
    assert estimate.count == len(scores)


def test_the_interval_holds_the_mean_95_times_in_100() -> None:
    draws = np.random.default_rng(0).normal(80, 2, (4000, 5))
    found = [Estimate.of(row) for row in draws]
    held = np.mean([e.low is not None and e.high is not None and e.low < 80 < e.high for e in found])
    # Four standard deviations of a proportion of 0.95 in 4,000.
    assert abs(held - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 4000)


def test_one_score_has_no_interval() -> None:
    assert Estimate.of([3.0]) == Estimate(3.0, None, None, None, 1)


@pytest.mark.parametrize("scores", [[], [1.0, float("nan")], [float("inf")]])
def test_what_has_no_mean_is_refused(scores: list[float]) -> None:
    with pytest.raises(InputError, match="score"):
        Estimate.of(scores)
