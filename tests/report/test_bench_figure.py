"""The figure of a benchmark: every variant, both passes, plain numbers at the marks."""

from __future__ import annotations

import itertools

from eafo.kernels.bench import Measurement
from eafo.report import bench_figure


def _measured():
    for name, size, direction, (variant, share) in itertools.product(
        ["crrelu", "gelu"],
        [1024, 2**20],
        ["forward", "forward+backward"],
        [("copy", 1.0), ("eager", 0.1), ("eafo", 0.5)],
    ):
        yield Measurement(
            name,
            "cpu",
            "float32",
            size,
            direction,
            "none",
            "plain",
            False,
            variant,
            1,
            1e-6,
            9e-7,
            2e-6,
            1.0,
            share,
            0,
            0,
            1.0,
            1.0,
        )


def test_a_row_a_pass_with_every_variant():
    drawn = bench_figure.draw(list(_measured()), "a machine")
    assert len(drawn.axes) == 4
    left, right = drawn.axes[:2]
    assert [line.get_label() for line in left.lines[:2]] == ["eager", "eafo"]
    assert list(left.lines[1].get_xdata()) == [50, 50]
    assert [round(v, 9) for v in right.lines[0].get_ydata()] == [10, 10]
    drawn.draw_without_rendering()
    assert [label.get_text() for label in right.get_xticklabels()] == ["2^10", "2^20"]
    assert drawn.legends[0].get_texts()[1].get_text() == "eafo"
