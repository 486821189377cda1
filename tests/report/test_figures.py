"""The drawings: what is drawn is what was measured."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from eafo import catalog
from eafo.report import curves, result_figures, svg
from eafo.report.rows import Row, leading, of_comparison, of_study
from eafo.report.style import figure, look, styled
from eafo.search.statistics import Estimate
from eafo.tasks import Setting


@pytest.mark.parametrize(
    ("name", "order", "jumps"),
    [
        ("relu", 0, 0),
        ("relu", 1, 1),
        ("sinerelu(epsilon=0.3)", 0, 1),
        ("hardtanh", 1, 2),
        ("gelu", 1, 0),
        ("srelu", 1, 0),
    ],
)
def test_curves_break_where_the_function_jumps(name, order, jumps):
    found = catalog.get(name)
    x, y = curves.sampled(found.diff() if order else found, 4.0)
    assert np.isnan(y).sum() == jumps
    assert np.all(np.diff(x) > 0)


@pytest.mark.parametrize("name", catalog.names())
def test_every_catalog_activation_can_be_sampled(name):
    x, y = curves.sampled(catalog.get(name), 4.0)
    kept = ~np.isnan(y)
    assert np.array_equal(y[kept], catalog.get(name)(x[kept]))


def _rows(*names):
    return [Row(i, name, catalog.get(name), None, ()) for i, name in enumerate(names)]


def test_densities_are_those_of_the_formulas():
    drawn, missing = curves.draw_densities(_rows("tanh", "relu", "softplus"))
    assert missing == ()
    tanh, relu, stem, mark, softplus = drawn.axes[0].get_lines()
    z, inside = tanh.get_xdata(), np.abs(tanh.get_xdata()) < 1
    expected = np.zeros_like(z)
    expected[inside] = norm.pdf(np.arctanh(z[inside])) / (1 - z[inside] ** 2)
    assert tanh.get_ydata() == pytest.approx(expected, abs=1e-9)
    assert relu.get_ydata() == pytest.approx(np.where(z > 0, norm.pdf(z), 0), abs=1e-9)
    # The atom, a stem as high as its probability.
    assert list(stem.get_xdata()) == [0.0, 0.0]
    assert list(stem.get_ydata()) == [0, pytest.approx(0.5)]
    assert list(mark.get_ydata()) == [pytest.approx(0.5)]
    positive = z > 0
    slope = -np.expm1(-z[positive])
    expected = norm.pdf(np.log(np.expm1(z[positive]))) / slope
    assert softplus.get_ydata()[positive] == pytest.approx(expected, abs=1e-9)


def test_an_output_without_a_density_is_told():
    drawn, missing = curves.draw_densities(_rows("relu", "sin(1/x)"))
    assert missing == ("sin(1/x)",)
    assert len(drawn.axes[0].get_lines()) == 3


def test_a_correction_is_what_is_added():
    base, changed = catalog.get("relu"), catalog.get("crrelu(epsilon=0.25)")
    (line,) = curves.draw_corrections(_rows("crrelu"), [(changed, base)]).axes[0].get_lines()
    x = line.get_xdata()
    assert line.get_ydata() == pytest.approx(0.25 * x * np.exp(-(x**2) / 2), abs=1e-12)


def test_what_is_proposed_again_is_drawn_once():
    estimate = Estimate.of([1.0, 2.0])
    rows = [Row(i, str(i), catalog.get(n), estimate, ()) for i, n in enumerate(("relu", "relu", "gelu"))]
    assert [(r.index, r.label) for r in leading(rows, 8)] == [(0, "0"), (1, "2")]
    apart = [rows[0], replace(rows[1], setting=Setting(rate=2.0))]
    assert len(leading(apart, 8)) == 2


def test_the_legend_names_each_curve(comparison):
    drawn = curves.draw(of_comparison(comparison))
    assert {t.get_text() for t in drawn.legends[0].get_texts()} == {
        r.label for r in of_comparison(comparison)
    }
    assert len(drawn.axes[0].get_lines()) == len(comparison.arms)


def test_intervals_are_drawn_at_their_ends(comparison):
    rows = leading(of_comparison(comparison), 8)
    drawn = result_figures.intervals(rows, "score")
    lines = [tuple(line.get_xdata()) for line in drawn.axes[0].get_lines()]
    for row in rows:
        assert row.estimate is not None
        assert (row.estimate.low, row.estimate.high) in lines
        assert (row.estimate.mean,) in lines
        assert tuple(row.scores) in lines


def test_training_curves_are_means_over_the_seeds(comparison):
    row = leading(of_comparison(comparison), 1)[0]
    line = result_figures.training([row], "score").axes[0].get_lines()[0]
    assert np.allclose(line.get_ydata(), np.mean([o.curve for o in row.outcomes], axis=0))


def test_the_best_so_far_never_falls(study):
    drawn = result_figures.history(study, "score")
    steps = next(line for line in drawn.axes[0].get_lines() if line.get_label() == "best so far")
    complete = [t.estimate.mean for t in study.trials if t.state == "complete"]
    assert list(steps.get_ydata()) == list(np.maximum.accumulate(complete))


def test_every_scored_trial_stands_at_its_value(study):
    drawn = result_figures.parameters(study, "epsilon", "score")
    marks = {
        line.get_xydata()[0].tolist().__repr__()
        for line in drawn.axes[0].get_lines()
        if line.get_marker() != "None"
    }
    wanted = {
        repr([dict(t.parameters)["epsilon"], t.estimate.mean])
        for t in study.trials
        if t.estimate is not None and "epsilon" in dict(t.parameters)
    }
    assert marks == wanted


def test_looks_differ_and_are_seen_in_grey():
    looks = [look(i) for i in range(36)]
    assert len(set(looks)) == 36
    assert len({one.line for one in looks[:6]}) == 6
    assert len({one.marker for one in looks[:6]}) == 6


def test_a_study_keeps_its_rows_in_order(study):
    numbers = [int(row.label.split(":")[0]) for row in of_study(study)]
    states = [study.trials[n].state for n in numbers]
    assert states == sorted(states, key=["complete", "pruned", "failed"].index)
    assert numbers[0] == study.best.number


@settings(max_examples=25, deadline=None)
@given(st.text(min_size=1, max_size=30))
def test_any_text_in_an_svg_stays_text(text):
    printable = "".join(c for c in text if c.isprintable()) or "x"
    with styled():
        drawn = figure(2, 2)
    root = ET.fromstring(svg.inline(drawn, "name", printable, printable))
    assert root[0].text == printable
    assert root[1].text == printable
    assert "width" not in root.attrib


def test_colours_follow_the_page(comparison):
    with styled():
        text = svg.inline(curves.draw(of_comparison(comparison)), "name", "title", "description")
    assert "var(--ink)" in text
    assert "var(--rule)" in text
    assert "#1b1b1c" not in text


def test_dollars_in_a_name_are_no_formula(comparison):
    row = of_comparison(comparison)[0]
    drawn = result_figures.intervals([replace(row, label="$\\frac{1$ & <b>")], "score")
    with styled():
        assert "$\\frac{1$ &amp; &lt;b&gt;" in svg.inline(drawn, "name", "title", "description")


def test_labels_are_short_and_no_two_alike(comparison):
    near = [catalog.get("crrelu", epsilon=e) for e in (0.1, 0.1000001)]
    derived = replace(catalog.get("mish"), name="mish × normal")
    arms = tuple(replace(comparison.arms[0], activation=a) for a in (*near, derived, catalog.get("x*sin(x)")))
    labels = [row.label for row in of_comparison(replace(comparison, arms=arms))]
    assert labels == ["crrelu(epsilon=0.1)", "crrelu(epsilon=0.1000001)", "mish × normal", "x*sin(x)"]
