"""The figure of a ranking: every row, both measures, open marks for atoms."""

from __future__ import annotations

import numpy as np
import pytest

from eafo.errors import InputError
from eafo.report import ranking_figure
from eafo.theory.ranking import Ranking, rank

NAMES = ["relu", "gelu", "tanh", "hardtanh"]


@pytest.fixture(scope="module")
def ranking() -> Ranking:
    return rank("normal", "bf16", NAMES)


def test_every_row_is_drawn_in_both_panels(ranking: Ranking) -> None:
    left, right = ranking_figure.draw(ranking).axes
    assert [t.get_text() for t in left.get_yticklabels()] == [r.activation.name for r in ranking.rows]
    for axes, measure in ((left, "value"), (right, "scale_free")):
        drawn = [float(np.asarray(line.get_xdata())[0]) for line in axes.get_lines()]
        assert drawn == [getattr(r.entropy, measure) for r in ranking.rows]
        assert "nats" in axes.get_xlabel()
    assert left.get_ylim()[0] > left.get_ylim()[1]


def test_open_marks_have_atoms(ranking: Ranking) -> None:
    for axes in ranking_figure.draw(ranking).axes:
        filled = [line.get_markerfacecolor() != "none" for line in axes.get_lines()]
        assert filled == [r.activation.name not in ("relu", "hardtanh") for r in ranking.rows]


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_a_figure_is_written_the_same_twice(ranking: Ranking, tmp_path, suffix: str) -> None:
    first, second = (ranking_figure.save(ranking, tmp_path / f"{n}.{suffix}") for n in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size > 1000


@pytest.mark.parametrize("name", ["figure.gif", "figure", "nowhere/figure.svg"])
def test_bad_names(ranking: Ranking, tmp_path, name: str) -> None:
    with pytest.raises(InputError, match=r"must end in \.svg, \.png, \.pdf|must be writable"):
        ranking_figure.save(ranking, tmp_path / name)
