"""The scatter of predictions against scores."""

from __future__ import annotations

import math

import numpy as np

from eafo import catalog
from eafo.report import agreement_figure
from eafo.search import Arm
from eafo.tasks import Outcome


def test_a_point_for_each_arm_that_can_be_drawn(comparison):
    known = [arm for arm in comparison.arms if arm.estimate is not None]
    count = len(comparison.arms)
    left, right = agreement_figure.draw(
        comparison.arms, {"entropy": range(count), "slope": [math.inf] + [1.0] * (count - 1)}, "accuracy (%)"
    ).axes
    assert left.get_ylabel() == "accuracy (%)"
    assert [left.get_xlabel(), right.get_xlabel()] == ["entropy", "slope"]
    points = [line for line in left.get_lines() if len(np.asarray(line.get_xdata())) == 1]
    assert [float(np.asarray(p.get_ydata())[0]) for p in points] == [a.estimate.mean for a in known]
    assert {t.get_text() for t in left.texts} == {a.activation.name for a in known}
    assert len(right.texts) == len(known) - 1


def test_names_hide_no_names():
    rng = np.random.default_rng(0)
    arms = [
        Arm(catalog.get(n), tuple(Outcome(s, 85 + v, (), (), (), 1.0, 1) for s in range(2)))
        for n, v in zip(catalog.names()[:12], rng.uniform(0, 0.5, 12), strict=True)
    ]
    drawn = agreement_figure.draw(arms, {"entropy": [*rng.uniform(0, 0.2, 11), 3.0]}, "accuracy (%)")
    drawn.draw_without_rendering()
    boxes = [text.get_window_extent() for text in drawn.axes[0].texts]
    assert len(boxes) == 12
    overlaps = sum(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert overlaps == 0
