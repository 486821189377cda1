"""The scatter of predictions against scores."""

from __future__ import annotations

import math

import numpy as np

from eafo.report import agreement_figure


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
    assert [t.get_text() for t in left.texts] == [a.activation.name for a in known]
    assert len(right.texts) == len(known) - 1
