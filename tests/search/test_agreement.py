"""Kendall's τ against SciPy's, and its interval against what it promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from eafo.errors import InputError
from eafo.search.agreement import difference, kendall


@settings(max_examples=30, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=4, max_size=12).filter(
        lambda p: len({a for a, _ in p}) > 1 and len({b for _, b in p}) > 1
    )
)
def test_against_scipy_with_ties(pairs):
    x, y = ([float(v) for v in side] for side in zip(*pairs, strict=True))
    found = kendall(x, [[v] for v in y], resamples=50)
    assert found.tau == pytest.approx(scipy.stats.kendalltau(x, y).statistic, abs=1e-9)
    assert kendall([-v for v in x], [[v] for v in y], resamples=50).tau == pytest.approx(-found.tau)


def test_infinities_tie():
    found = kendall([0, 1, math.inf, math.inf, math.inf], [[1], [2], [3], [4], [5]], resamples=50)
    assert found.tau == pytest.approx(scipy.stats.kendalltau([0, 1, 9, 9, 9], [1, 2, 3, 4, 5]).statistic)


def test_the_interval_covers():
    # Of two normal variables with correlation r, τ = (2/π) arcsin r.
    rng = np.random.default_rng(4)
    truth, inside = 2 / math.pi * math.asin(0.7), 0
    for _ in range(100):
        x, e = rng.standard_normal((2, 30))
        found = kendall(list(x), [[v] for v in 0.7 * x + math.sqrt(0.51) * e], resamples=300)
        inside += found.low <= truth <= found.high
    assert 86 <= inside <= 100


def test_nothing_is_predicted_by_noise():
    rng = np.random.default_rng(5)
    hits = sum(
        kendall(list(rng.standard_normal(28)), rng.standard_normal((28, 3)).tolist(), resamples=300).predicts
        for _ in range(100)
    )
    assert hits <= 14


def test_seeds_that_disagree_widen_the_interval():
    prediction = [float(i) for i in range(20)]
    calm = kendall(prediction, [[i, i + 0.1] for i in range(20)])
    noisy = kendall(prediction, [[i - 15, i + 15] for i in range(20)])
    assert calm.tau == noisy.tau == 1
    assert noisy.high - noisy.low > calm.high - calm.low
    assert calm.predicts


def test_a_difference_is_paired():
    rng = np.random.default_rng(6)
    truth = rng.standard_normal(25)
    scores = [[t + e for e in rng.normal(0, 0.1, 3)] for t in truth]
    good, poor = list(truth + rng.normal(0, 0.1, 25)), list(rng.standard_normal(25))
    found = difference(good, poor, scores)
    assert found.tau == pytest.approx(kendall(good, scores).tau - kendall(poor, scores).tau)
    assert found.predicts
    same = difference(good, good, scores)
    assert (same.tau, same.low, same.high) == (0, 0, 0)


def test_it_repeats():
    scores = np.random.default_rng(0).standard_normal((8, 3)).tolist()
    assert kendall(list(range(8)), scores) == kendall(list(range(8)), scores)


@pytest.mark.parametrize(
    ("prediction", "scores", "message"),
    [
        ([1, 2, 3], [[1], [2], [3]], "at least four activations, but got 3"),
        ([1, 2, 3, 4], [[1], [2], [3]], "a prediction and at least one score"),
        ([1, 2, 3, 4], [[1], [2], [3], []], "a prediction and at least one score"),
        ([2, 2, 2, 2], [[1], [2], [3], [4]], "not all the same"),
        ([1, 2, 3, 4], [[1], [1], [1], [1]], "not all the same"),
        ([1, 2, 3, math.nan], [[1], [2], [3], [4]], "must be numbers"),
        ([1, 2, 3, 4], [[1], [2], [3], [math.inf]], "scores finite ones"),
    ],
)
def test_bad_input(prediction, scores, message):
    with pytest.raises(InputError, match=message):
        kendall(prediction, scores)
