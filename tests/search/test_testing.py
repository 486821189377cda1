"""Tests of differences against SciPy, and by how often they err."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from eafo.errors import InputError
from eafo.search.testing import difference, holm, pairing_helps, spending

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("paired", [True, False])
def test_a_difference_is_scipys(paired: bool) -> None:
    first, second = RNG.normal(1, 2, 9), RNG.normal(0, 1, 9 if paired else 6)
    found = difference(first, second, paired=paired)
    run = stats.ttest_rel if paired else lambda *a, **k: stats.ttest_ind(*a, equal_var=False, **k)
    two, one = run(first, second), run(first, second, alternative="greater")
    assert found.two_sided == pytest.approx(two.pvalue)
    assert found.greater == pytest.approx(one.pvalue)
    interval = two.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.mean == pytest.approx(first.mean() - second.mean())


def test_without_a_spread_the_sign_decides() -> None:
    better = difference([2.0, 3.0], [1.0, 2.0], paired=True)
    assert (better.greater, better.two_sided, better.low, better.high) == (0.0, 0.0, 1.0, 1.0)
    same = difference([2.0, 3.0], [2.0, 3.0], paired=True)
    assert (same.greater, same.two_sided, same.mean) == (1.0, 1.0, 0.0)
    assert difference([1.0, 1.0], [2.0, 2.0], paired=False).greater == 1.0


@pytest.mark.parametrize(
    ("first", "second", "paired"),
    [
        ([1.0], [2.0, 3.0], False),
        ([1.0, 2.0], [1.0, 2.0, 3.0], True),
        ([1.0, float("nan")], [1.0, 2.0], False),
    ],
)
def test_too_few_or_wrong_scores_are_refused(first, second, paired) -> None:
    with pytest.raises(InputError):
        difference(first, second, paired=paired)


def test_pairing_is_found_where_seeds_count_and_seldom_elsewhere() -> None:
    found = {}
    for effect in (0.0, 2.0):
        seeds = RNG.normal(0, effect, (400, 1, 10))
        found[effect] = np.mean([pairing_helps(t) for t in RNG.normal(0, 1, (400, 5, 10)) + seeds])
    assert found[0.0] < 0.09
    assert found[2.0] > 0.95
    assert not pairing_helps([[1, 2, 3]])


def test_a_pairing_that_is_chosen_by_the_data_does_not_err_more() -> None:
    errors = 0
    for effect in (0.0, 0.7):
        for table in RNG.normal(0, 1, (1500, 4, 8)) + RNG.normal(0, effect, (1500, 1, 8)):
            paired = pairing_helps(table)
            errors += difference(table[0], table[1], paired=paired).greater < 0.05
    # 3,000 tries at 5 %: within three standard deviations.
    assert errors / 3000 < 0.05 + 3 * 0.004


def test_holm_against_its_definition() -> None:
    for _ in range(200):
        p = RNG.uniform(0, 0.2, RNG.integers(1, 7))
        for level in (0.01, 0.05, 0.1):
            order, rejected = np.argsort(p), set()
            for rank, i in enumerate(order):
                if p[i] > level / (len(p) - rank):
                    break
                rejected.add(int(i))
            assert {i for i, q in enumerate(holm(p)) if q <= level} == rejected
    assert holm([]) == ()


def test_looks_spend_the_level_and_little_at_first() -> None:
    shares = spending(0.05, [0.2, 0.4, 0.6, 0.8, 1.0])
    assert sum(shares) == pytest.approx(0.05)
    assert list(shares) == sorted(shares)
    assert spending(0.01, [1.0]) == pytest.approx((0.01,))
    for level, fractions in ((0.05, [0.5, 0.4, 1.0]), (0.05, [0.5]), (1.5, [1.0])):
        with pytest.raises(InputError, match="looks must lie at rising fractions"):
            spending(level, fractions)


def test_looking_four_times_errs_no_more_than_told() -> None:
    looks = (4, 8, 12, 16)
    shares = spending(0.05, [n / 16 for n in looks])
    errors = 0
    for table in RNG.normal(0, 1, (2000, 2, 16)):
        errors += any(
            difference(table[0, :n], table[1, :n], paired=True).greater < share
            for n, share in zip(looks, shares, strict=True)
        )
    assert errors / 2000 < 0.05 + 3 * 0.005
