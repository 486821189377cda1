"""What activations cost: the front by brute force, equal time by hand, kernels as they are measured."""

from __future__ import annotations

import itertools
import math

import hypothesis.strategies as st
import pytest
from hypothesis import given

import eafo
from eafo.search.cost import equal_time, front, kernel_costs
from eafo.tasks import Outcome

POINTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12)


@given(POINTS)
def test_the_front_is_what_nothing_dominates(points) -> None:
    scores, costs = zip(*points, strict=True)
    on = [p for p, kept in zip(points, front(scores, costs), strict=True) if kept]
    off = [p for p, kept in zip(points, front(scores, costs), strict=True) if not kept]
    assert on
    # Along it more score costs more; off it everything is beaten by something on it.
    ordered = sorted(set(on))
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in itertools.pairwise(ordered))
    assert all(any(s >= p[0] and c <= p[1] for s, c in on) for p in off)


def outcome(seed: int, curve: tuple[float, ...], seconds: float) -> Outcome:
    return Outcome(seed, curve[-1], curve, (0.1,) * len(curve), seconds=seconds, steps=10 * len(curve))


def test_a_slower_arm_is_read_earlier() -> None:
    curve = (10.0, 20.0, 30.0, 40.0)
    quick = [outcome(0, curve, 4.0), outcome(1, curve, 4.0), outcome(2, curve, 400.0)]
    slow = [outcome(0, curve, 7.9), outcome(1, (12.0, 22.0, 32.0, 42.0), 8.0)]
    first, second = equal_time([quick, slow])
    assert (first.step, first.epochs, first.estimate.mean) == (100.0, 4, 40.0)
    assert (second.epochs, second.estimate.mean) == (2, 21.0)
    assert second.step == pytest.approx(1000 * (7.9 + 8.0) / 2 / 40)
    half = equal_time([quick, slow], share=0.5)
    assert (half[0].estimate.mean, half[1].estimate.mean) == (35.0, 21.0)
    (_, nothing) = equal_time([quick, [outcome(0, curve, 100.0)]])
    assert (nothing.epochs, nothing.estimate) == (0, None)


def test_without_curves_or_times_there_is_no_equal_time() -> None:
    whole = [outcome(0, (1.0, 2.0), 1.0)]
    assert equal_time([whole]) is None
    assert equal_time([whole, []]) is None
    assert equal_time([whole, [Outcome(0, 1.0)]]) is None
    assert equal_time([whole, [outcome(0, (1.0, 2.0, 3.0), 1.0)]]) is None


def test_kernels_are_measured() -> None:
    relu, learned = kernel_costs([eafo.get("relu"), eafo.get("crrelu")])
    for cost in (relu, learned):
        assert 0 < cost.nanoseconds < math.inf
        assert 0 < cost.of_copy < math.inf
    # x alone; for CRReLU its parameter too, four bytes in all.
    assert relu.kept_bytes == 4
    assert 4 < learned.kept_bytes < 4.001
    (coded,) = kernel_costs([eafo.get("relu")], saved="code")
    assert coded.kept_bytes == pytest.approx(0.5, abs=0.01)


def test_measured_steps_take_the_place_of_the_trainings_own() -> None:
    curve = (10.0, 20.0, 30.0, 40.0)
    arms = [[outcome(0, curve, 4.0)], [outcome(0, curve, 400.0)]]
    first, second = equal_time(arms, steps=[0.01, 0.012])
    assert (first.step, first.epochs, second.step, second.epochs) == (10.0, 4, 12.0, 3)
    # Those need no clock of their own.
    assert equal_time([[Outcome(0, 40.0, curve)]] * 2, steps=[0.01, 0.02])[1].epochs == 2
